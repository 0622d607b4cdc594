"""Pictures from files, as tensors."""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from typing import Any

import numpy as np

from smelt.atomic import read_bytes
from smelt.errors import FileError, MissingExtra
from smelt.tensor import Tensor, as_tensor

__all__ = ["read_digit"]

SIDE = 8


def read_digit(path: str | os.PathLike[str]) -> Tensor:
    """Returns the picture of one handwritten digit in the form of the bundled digits.

    The picture becomes grey; where its border is light (ink on paper) it is inverted, so that ink
    is high; then each of 8 x 8 equal boxes gives its mean. That is how the bundled digits were made
    of their scans. The digit should fill the picture.

    Args:
        path: a PNG, JPEG or other file that Pillow reads, of any size.

    Returns:
        float32 of shape (8, 8), 0 (paper) to 1 (ink).

    Raises:
        FileError: the file is missing, or is not an image.
        MissingExtra: Pillow is not installed.
    """
    return digit_of(read_grey(path))


def digit_of(grey: np.ndarray) -> Tensor:
    """Returns (height, width) grey values as the digit that `read_digit` reads."""
    ink = 1 - grey if np.median(_border(grey)) > 0.5 else grey
    return as_tensor(_boxes(ink))


def read_grey(path: str | os.PathLike[str]) -> np.ndarray:
    """Returns an image file as float32 of shape (height, width), 0 (black) to 1 (white).

    What is transparent shows white paper. Raises as `read_digit`.
    """
    library = _library()
    content = read_bytes(path)
    try:
        with warnings.catch_warnings(), library.open(BytesIO(content)) as image:
            warnings.simplefilter("ignore")  # of what is damaged beside the picture
            paper = library.new("RGBA", image.size, "white")
            paper.alpha_composite(image.convert("RGBA"))
    except library.UnidentifiedImageError:
        raise FileError(f"{path}: not an image that can be read; give a PNG or JPEG file") from None
    except Exception as error:  # a damaged file makes Pillow raise whatever its decoders meet
        raise FileError(f"{path}: the image cannot be read ({error})") from error
    return np.asarray(paper.convert("L"), np.float32) / 255


def _library() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("reading images", "data") from None
    return Image


def _border(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _boxes(image: np.ndarray) -> np.ndarray:
    """Returns the means of SIDE x SIDE equal boxes; pixels on an edge count for their part."""
    rows, columns = (_shares(extent) for extent in image.shape)
    return np.asarray(rows @ image @ columns.T, np.float32)


def _shares(extent: int) -> np.ndarray:
    """Returns, per box, the share that each pixel along an axis has in it: (SIDE, extent)."""
    edges = np.linspace(0, extent, SIDE + 1)
    pixel = np.arange(extent)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(overlap, 0) * (SIDE / extent)
