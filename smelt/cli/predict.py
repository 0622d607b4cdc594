"""smelt predict: what a trained model makes of images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from smelt.data.images import digit_of, read_grey
from smelt.errors import FileError
from smelt.recipes import digits
from smelt.tensor import Tensor
from smelt.tensor.shaping import stack
from smelt.train import read_config, read_model

__all__ = ["predict"]

LONGER = 1.5  # a side that is so many times the other has a digit squeezed out of its shape


def predict(run: Path, images: list[Path]) -> int:
    """Name the digit on each image, with its probability.

    An image is a PNG or JPEG file of one handwritten digit that fills it, dark on light or light on
    dark, of any size. A few lie in the package; `smelt info` says where.

    Args:
        run: folder that `smelt train digits` made
        images: image file
    """
    recipe = read_config(run).get("recipe")
    if recipe != "digits":
        raise FileError(f"{run}: holds a run of {recipe!r}; smelt predict knows 'digits'")
    pictures = stack([_read(path) for path in images])
    model = digits.make_model()
    read_model(run, model)
    probabilities = digits.classify(model, pictures)
    width = max(len(str(path)) for path in images)
    for path, row in zip(images, probabilities, strict=True):
        best = int(np.argmax(row))
        print(f"{path!s:{width}}  {best}  {row[best]:.1%}")
    return 0


def _read(path: Path) -> Tensor:
    """Returns the digit on an image; says so when the image is far from square."""
    grey = read_grey(path)
    height, width = grey.shape
    if max(height, width) > LONGER * min(height, width):
        print(
            f"smelt: {path}: {width} x {height} pixels are squeezed into a square; cut the image "
            "to one digit that fills it",
            file=sys.stderr,
        )
    return digit_of(grey)
