"""Images from files, as tensors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np

from smelt.atomic import read_bytes
from smelt.errors import ArgumentError, FileError, MissingExtra
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked

__all__ = ["read_digit", "read_image"]

SIDE = 8
MODES = ("RGB", "L", "RGBA")
DEEPEST = 65535  # of 16 bits


@checked
def read_digit(path: str | os.PathLike[str]) -> Tensor:
    """Returns the image of one handwritten digit in the form of the bundled digits.

    The image is converted to gray; if its border is light (ink on paper) it is inverted, so that
    ink is high; then the mean of each of 8 x 8 equal boxes is computed. The bundled digits were
    made from their scans in the same way. The digit should fill the image.

    Args:
        path: a PNG, JPEG or other file that Pillow reads, of any size.

    Returns:
        float32 of shape (8, 8), 0 (paper) to 1 (ink).

    Raises:
        FileError: the file is missing, or is not an image.
        MissingExtra: Pillow is not installed.
    """
    return digit_of(read_gray(path))


@checked
def read_image(path: str | os.PathLike[str], mode: str = "RGB") -> Tensor:
    """Returns an image as a Tensor, rotated upright.

    Args:
        path: a PNG, JPEG or other file that Pillow reads. Its EXIF orientation is applied.
        mode: "RGB", "L" for gray, or "RGBA" for a fourth channel of opacity.

    Returns:
        float32 of shape (channels, height, width), 0 (dark) to 1. 16-bit gray images keep their
        depth; of 16-bit colors Pillow reads 8 bits. For an animation it is the first frame.

    Raises:
        ArgumentError: there is no such mode.
        FileError: the file is missing, damaged, or not an image; it is too large for Pillow's
            limit; or its gray values are floats outside 0 to 1, or integers beyond 16 bits.
        MissingExtra: Pillow is not installed.
    """
    if mode not in MODES:
        raise ArgumentError(f"read_image: mode={mode!r} must be one of {', '.join(MODES)}")

    def convert(image: Any) -> np.ndarray:
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)
        if upright.mode == "LAB":  # of which Pillow makes RGB only
            upright = upright.convert("RGB")
        if not upright.mode.startswith(("I", "F")):
            return np.asarray(upright.convert(mode), np.float32) / 255
        gray = _deep(path, np.asarray(upright))
        if mode == "L":
            return gray
        return np.stack([gray] * 3 + [np.ones_like(gray)] * (mode == "RGBA"), -1)

    pixels = _opened(path, convert)
    planes = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return as_tensor(planes)


def digit_of(gray: np.ndarray) -> Tensor:
    """Returns (height, width) gray values as the digit that `read_digit` returns."""
    ink = 1 - gray if np.median(_border(gray)) > 0.5 else gray
    return as_tensor(_boxes(ink))


def read_gray(path: str | os.PathLike[str]) -> np.ndarray:
    """Returns an image file as float32 of shape (height, width), 0 (black) to 1 (white).

    Transparent pixels are white. Raises the same errors as `read_digit`.
    """
    library = _library()

    def convert(image: Any) -> np.ndarray:
        paper = library.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return np.asarray(paper.convert("L"), np.float32) / 255

    return _opened(path, convert)


def _opened(path: str | os.PathLike[str], convert: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Returns what a function makes of an image of Pillow's.

    Raises:
        FileError: the file is missing, damaged, or no image.
        MissingExtra: Pillow is not installed.
    """
    library = _library()
    content = read_bytes(path)
    try:
        with warnings.catch_warnings(), library.open(BytesIO(content)) as image:
            warnings.simplefilter("ignore")  # of what is damaged beside the picture
            return convert(image)
    except FileError:
        raise
    except library.UnidentifiedImageError:
        raise FileError(f"{path}: not an image that can be read; give a PNG or JPEG file") from None
    except Exception as error:  # a damaged file makes Pillow raise whatever its decoders meet
        raise FileError(f"{path}: the image cannot be read ({error})") from error


def _deep(path: str | os.PathLike[str], values: np.ndarray) -> np.ndarray:
    """Returns gray values of 16 bits, or floats of 0 to 1, as float32 of 0 to 1.

    Raises:
        FileError: there are others, of which nobody can know which one is white.
    """
    white = 1 if values.dtype.kind == "f" else DEEPEST
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:
        raise FileError(
            f"{path}: the gray values go from {low} to {high}, and {values.dtype.name} is read as "
            f"0 to {white}; read the file with Pillow, numpy.asarray(Image.open(path)), and scale "
            "it"
        )
    return values.astype(np.float32) / np.float32(white)


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
