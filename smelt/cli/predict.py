"""smelt predict: what a trained model makes of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smelt.data import read_digit
from smelt.data.dataset import stack
from smelt.errors import FileError
from smelt.recipes import digits
from smelt.train import read_config, read_model

__all__ = ["predict"]


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
    pictures = stack([read_digit(path) for path in images])
    model = digits.make_model()
    read_model(run, model)
    probabilities = digits.classify(model, pictures)
    width = max(len(str(path)) for path in images)
    for path, row in zip(images, probabilities, strict=True):
        best = int(np.argmax(row))
        print(f"{path!s:{width}}  {best}  {row[best]:.1%}")
    return 0
