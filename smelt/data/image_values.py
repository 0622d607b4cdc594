"""Images changed by NumPy at once, in the place of the many operations that define the change.

Each function has the meaning of one in `image_sampling` or `transforms`, on float arrays (n,
channels, height, width). Images are gone through one by one where that keeps them in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from smelt.autodiff.composition import Composition, is_plain, of_one_float
from smelt.ops.op import Gradients, Needs, Type, Typed
from smelt.tensor import Tensor
from smelt.tracing.engine import array_of

__all__ = [
    "GRAY", "changed", "cropped", "flipped", "jittered", "normalized", "resized",
    "rotated",
]  # fmt: skip

GRAY = (0.299, 0.587, 0.114)  # of red, green and blue, in what an eye sees as brightness
BLOCK = 16  # elements of a result whose weights make one matrix
PRODUCT = 1 << 18  # multiplications up to which the library of products does not share out work
FRAME = 2  # elements around an image that stand for all that lies outside
TOGETHER = 1 << 19  # elements of images that are resized together


class _Change(Composition):
    """A change of images: its value by NumPy; all derivatives are those of the definition."""

    def __init__(
        self,
        definition: Callable[[Tensor], Tensor],
        value: Callable[[np.ndarray], np.ndarray],
        size: tuple[int, int],
    ) -> None:
        super().__init__("change of images", definition)
        self.size, self.compute = size, value

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,) = types
        return Type((*x.shape[:2], *self.size), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return self.compute(*arrays)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return self.differentiated(g, needs, inputs)


def changed(
    images: Tensor,
    definition: Callable[[Tensor], Tensor],
    value: Callable[..., np.ndarray],
    *drawn: Any,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Returns changed images: of `value` where this thread computes at once, else of `definition`.

    Args:
        images: floats (n, channels, height, width).
        definition: (images) -> the changed images, by operations.
        value: (array, *drawn as arrays) -> the changed images, by NumPy.
        drawn: what the change depends on; Tensors, or anything else as it is.
        size: (height, width) of the result; that of the images when None.
    """
    tensors = [x for x in drawn if isinstance(x, Tensor)]
    if not is_plain(images, *tensors) or not of_one_float([images]) or 0 in images.shape:
        return definition(images)
    given = [array_of(x) if isinstance(x, Tensor) else x for x in drawn]
    shape = images.shape[2:] if size is None else size
    return _Change(definition, lambda array: value(array, *given), (shape[0], shape[1]))(images)


# --- other places ---------------------------------------------------------------------------------


def flipped(images: np.ndarray, chosen: np.ndarray, axis: int) -> np.ndarray:
    """Returns the images, the chosen ones (n, 1, 1, 1) rotated over along an axis."""
    result = np.empty(images.shape, images.dtype)
    for into, image, over in zip(result, images, chosen.ravel(), strict=True):
        into[...] = np.flip(image, axis - 1) if over else image
    return result


def cropped(
    images: np.ndarray,
    top: np.ndarray,
    left: np.ndarray,
    height: int,
    width: int,
    fill: float,
) -> np.ndarray:
    """Returns a part of each image; see `image_sampling.cropped`."""
    rows, columns = images.shape[2:]
    result = np.empty((*images.shape[:2], height, width), images.dtype)
    for into, image, y, x in zip(result, images, top.tolist(), left.tolist(), strict=True):
        first, before = max(y, 0), max(x, 0)
        last, behind = min(y + height, rows), min(x + width, columns)
        if (last - first, behind - before) != (height, width):
            into[...] = fill
        if last > first and behind > before:
            part = into[:, first - y : last - y, before - x : behind - x]
            part[...] = image[:, first:last, before:behind]
    return result


def rotated(
    images: np.ndarray, cos: np.ndarray, sin: np.ndarray, interpolation: str, fill: float
) -> np.ndarray:
    """Returns each image rotated around its center; `cos` and `sin` of its angle are (n,)."""
    height, width = images.shape[2:]
    y = (np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2))[:, None]
    x = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    result = np.empty(images.shape, images.dtype)
    read = _read_nearest if interpolation == "nearest" else _read_between
    for into, image, c, s in zip(result, images, cos, sin, strict=True):
        from_x = c * x - s * y
        from_x += np.float32((width - 1) / 2)
        from_y = s * x + c * y
        from_y += np.float32((height - 1) / 2)
        read(image, from_y, from_x, fill, into)
    return result


def _read_nearest(
    image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float, into: np.ndarray
) -> None:
    """Writes the elements that are nearest to places."""
    planes, place, _ = _framed(image, np.rint(y, out=y), np.rint(x, out=x), fill)
    for plane, target in zip(planes, into, strict=True):
        np.take(plane, place, out=target, mode="clip")


def _read_between(
    image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float, into: np.ndarray
) -> None:
    """Writes the means of the four elements around places, each by how near it is."""
    top, left = np.floor(y), np.floor(x)
    down, right = y - top, x - left
    up, back = 1 - down, 1 - right
    planes, place, line = _framed(image, top, left, fill)
    shares = ((0, up * back), (1, up * right), (line, down * back), (line + 1, down * right))
    found = np.empty_like(into[0])
    into[...] = 0
    for step, share in shares:
        for plane, target in zip(planes, into, strict=True):
            np.take(plane[step:], place, out=found, mode="clip")
            np.multiply(found, share, out=found)
            target += found


def _framed(
    image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns an image in a frame of `fill` with all that lies outside moved into it.

    The frame is so wide that of what is moved the elements below and to the right are fill, too.

    Args:
        image: (channels, height, width).
        y: whole numbers (rows, columns), changed in place.
        x: the same.
        fill: what stands where the image has nothing.

    Returns:
        Lines one after the other (channels, ...), places in them, how far apart lines are.
    """
    channels, height, width = image.shape
    line = width + 2 * FRAME
    framed = np.full((channels, height + 2 * FRAME, line), fill, image.dtype)
    framed[:, FRAME:-FRAME, FRAME:-FRAME] = image
    place = np.clip(y, -FRAME, height, out=y).astype(np.intp)
    place += FRAME
    place *= line
    place += np.clip(x, -FRAME, width, out=x).astype(np.intp)
    place += FRAME
    return framed.reshape(channels, -1), place, line


# --- other sizes ----------------------------------------------------------------------------------


class _Weights(NamedTuple):
    """The elements of which each element of a result is a weighted mean, along one axis."""

    first: np.ndarray  # (out,), the number of the first one
    shares: np.ndarray  # (out, taps), of those that follow

    def blocks(self, dtype: np.dtype[Any]) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yields some elements of the result, what they are made of, and the matrix (out, in)."""
        taps = np.arange(self.shares.shape[1])
        for start in range(0, len(self.first), BLOCK):
            first = self.first[start : start + BLOCK]
            low, high = int(first[0]), int(first[-1]) + len(taps)
            matrix = np.zeros((len(first), high - low), dtype)
            shares = self.shares[start : start + BLOCK]
            np.put_along_axis(matrix, first[:, None] - low + taps, shares, 1)
            yield slice(start, start + len(first)), slice(low, high), matrix


def resized(
    images: np.ndarray,
    top: Any,
    left: Any,
    tall: Any,
    wide: Any,
    size: tuple[int, int],
    interpolation: str,
    antialias: bool,
) -> np.ndarray:
    """Returns images, or a part of each, on another grid; see `image_sampling.resized`."""
    count, channels, height, width = images.shape
    box = np.broadcast_arrays(*(np.asarray(v, np.float32) for v in (top, left, tall, wide)))
    alike = box[0].ndim == 0
    step = max(1, TOGETHER // (channels * height * width)) if alike else 1
    lines = np.empty((min(step, count), channels, size[0], width), images.dtype)
    result = np.empty((count, channels, *size), images.dtype)
    for start in range(0, count, step):
        if start == 0 or not alike:
            y, x, rows, columns = (value if alike else value[start] for value in box)
            down = _weights(size[0], height, y, rows, interpolation, antialias)
            across = _weights(size[1], width, x, columns, interpolation, antialias)
        part, into = images[start : start + step], result[start : start + step]
        _combine(down, part, lines[: len(part)])
        _combine(across, lines[: len(part)].swapaxes(2, 3), into.swapaxes(2, 3))
    return result


def _combine(weights: _Weights, images: np.ndarray, into: np.ndarray) -> None:
    """Writes weighted means of rows, by products small enough for one thread."""
    width = images.shape[3]
    for rows, read, matrix in weights.blocks(images.dtype):
        step = max(BLOCK, PRODUCT // matrix.size)
        for start in range(0, width, step):
            columns = slice(start, start + step)
            np.matmul(matrix, images[:, :, read, columns], out=into[:, :, rows, columns])


def _weights(
    out: int, extent: int, start: Any, length: Any, interpolation: str, wide: bool
) -> _Weights:
    """Returns the weights of an axis: those that `image_sampling` has among all elements."""
    half = np.float32(0.5)
    step = length / np.float32(out)
    place = start + (np.arange(out, dtype=np.float32) + half) * step
    if interpolation == "nearest":
        return _Weights(np.floor(place).astype(np.intp), np.ones((out, 1), np.float32))
    reach = max(step, np.float32(1)) if wide else np.float32(1)
    taps = min(extent, math.ceil(2 * reach) + 2)
    first = np.clip(np.floor(place - reach).astype(np.intp), 0, extent - taps)
    middle = (first[:, None] + np.arange(taps)).astype(np.float32) + half
    inside = (middle > start) & (middle < start + length)
    shares = np.maximum(1 - abs(middle - place[:, None]) / reach, 0) * inside
    return _Weights(first, shares / shares.sum(1, keepdims=True))


# --- other colors ---------------------------------------------------------------------------------


def normalized(images: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Returns (x - mean) / deviation, both (1, channels, 1, 1)."""
    result = np.empty(images.shape, images.dtype)
    for into, image in zip(result, images, strict=True):
        np.subtract(image, mean[0], out=into)
        np.divide(into, deviation[0], out=into)
    return result


def jittered(
    images: np.ndarray,
    brightness: np.ndarray | None,
    contrast: np.ndarray | None,
    saturation: np.ndarray | None,
) -> np.ndarray:
    """Returns images in other colors, by factors (n, 1, 1, 1) where they are given."""
    result = images.copy()
    for index, image in enumerate(result):
        if brightness is not None:
            _blended(image, None, brightness[index])
        if contrast is not None:
            _blended(image, _gray(image).mean(keepdims=True), contrast[index])
        if saturation is not None:
            _blended(image, _gray(image), saturation[index])
    return result


def _blended(image: np.ndarray, other: np.ndarray | None, factor: np.ndarray) -> None:
    """Makes an image other + (image - other) * factor, cut off at 0 and 1; other is 0 if None."""
    if other is None:
        image *= factor
    else:
        image -= other
        image *= factor
        image += other
    np.clip(image, 0, 1, out=image)


def _gray(image: np.ndarray) -> np.ndarray:
    """Returns the gray values (1, height, width) of an image."""
    if len(image) == 1:
        return image.copy()
    red, green, blue = (image.dtype.type(share) for share in GRAY)
    gray = image[0] * red
    gray += image[1] * green
    gray += image[2] * blue
    return gray[None]
