"""Resampling of images: crops, other grids, rotations; the same code eagerly and compiled.

Images are (n, channels, height, width), and each has its own parameters.
"""

from __future__ import annotations

import math
from typing import Any

from smelt import dtypes
from smelt.creation import arange
from smelt.data import image_values
from smelt.data.image_values import changed
from smelt.errors import ArgumentError
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import maximum, where

__all__ = ["cropped", "resized", "rotated"]

INTERPOLATIONS = ("nearest", "bilinear")


def check_interpolation(called: str, interpolation: str) -> None:
    """Raises if the interpolation is unknown."""
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(
            f'{called}: interpolation={interpolation!r} must be "nearest" or "bilinear"'
        )


def cropped(
    images: Tensor, top: Tensor, left: Tensor, height: int, width: int, fill: float = 0.0
) -> Tensor:
    """Returns a part of each image.

    Args:
        images: (n, channels, rows, columns).
        top: int64 of shape (n,), the first row of each part; it may lie outside.
        left: int64 of shape (n,), the first column.
        height: rows of a part.
        width: columns of a part.
        fill: the value outside the image.

    Returns:
        (n, channels, height, width).
    """

    def definition(images: Tensor) -> Tensor:
        row = (top[:, None] + arange(height))[:, :, None]
        column = (left[:, None] + arange(width))[:, None, :]
        return _read(images, row, column, fill)

    drawn = (top, left, height, width, fill)
    return changed(images, definition, image_values.cropped, *drawn, size=(height, width))


def resized(
    images: Tensor,
    size: tuple[int, int],
    box: tuple[Any, Any, Any, Any] | None = None,
    interpolation: str = "bilinear",
    antialias: bool = True,
) -> Tensor:
    """Returns images, or a part of each, on a grid of another size.

        out[i, j] = sum over y, x of rows[i, y] columns[j, x] image[y, x]

    where the weights of an axis are those of a triangle around the position of an element, cut off
    at the box and scaled to the sum 1; wide enough to cover all elements if the grid is coarser.

    Args:
        images: floats (n, channels, height, width).
        size: (height, width) of the result.
        box: (top, left, height, width) of the part, each a number or of shape (n,); all when None.
        interpolation: "bilinear", or "nearest": the element at the position.
        antialias: whether the triangle grows with the steps of a coarser grid.

    Returns:
        (n, channels, *size).
    """
    height, width = images.shape[-2:]
    top, left, tall, wide = box or (0, 0, height, width)

    def definition(images: Tensor) -> Tensor:
        rows = _weights(size[0], height, top, tall, interpolation, antialias).to(images.dtype)
        columns = _weights(size[1], width, left, wide, interpolation, antialias).to(images.dtype)
        # (n, 1, out, in) or (out, in), so that each image has its own
        return rows @ images @ columns.transpose(-1, -2)

    drawn = (top, left, tall, wide, size, interpolation, antialias)
    return changed(images, definition, image_values.resized, *drawn, size=size)


def _weights(
    out: int, extent: int, start: Any, length: Any, interpolation: str, antialias: bool
) -> Tensor:
    """Returns how much each of `extent` elements counts in each of `out`."""
    start, length = (_across(value) for value in (start, length))
    step = length / out
    place = start + (arange(out)[:, None] + 0.5) * step
    element = arange(extent).to(dtypes.float32)
    if interpolation == "nearest":
        return (place.floor() == element).to(dtypes.float32)
    reach = maximum(step, as_tensor(1.0)) if antialias else as_tensor(1.0)
    inside = (element + 0.5 > start) & (element + 0.5 < start + length)
    weight = maximum(1 - abs(element + 0.5 - place) / reach, as_tensor(0.0))
    weight = where(inside, weight, 0.0)
    return weight / weight.sum(-1, keepdim=True)


def _across(value: Any) -> Tensor:
    """Returns a number, or one for each image, so that it meets a matrix of each image."""
    tensor = as_tensor(value).to(dtypes.float32)
    return tensor[:, None, None, None] if tensor.ndim else tensor


def rotated(images: Tensor, angle: Tensor, interpolation: str, fill: float) -> Tensor:
    """Returns each image rotated around its center.

    Args:
        images: floats (n, channels, height, width).
        angle: degrees of shape (n,), counterclockwise.
        interpolation: "nearest" or "bilinear".
        fill: the value outside the rotated image.

    Returns:
        Images of the same shape.
    """
    radians = (angle * (math.pi / 180))[:, None, None]
    cos, sin = radians.cos(), radians.sin()

    def definition(images: Tensor) -> Tensor:
        return _rotated(images, cos, sin, interpolation, fill)

    return changed(images, definition, image_values.rotated, cos, sin, interpolation, fill)


def _rotated(images: Tensor, cos: Tensor, sin: Tensor, interpolation: str, fill: float) -> Tensor:
    height, width = images.shape[-2:]
    y = (arange(height).to(dtypes.float32) - (height - 1) / 2)[:, None]
    x = arange(width).to(dtypes.float32) - (width - 1) / 2
    from_x = cos * x - sin * y + (width - 1) / 2
    from_y = sin * x + cos * y + (height - 1) / 2
    if interpolation == "nearest":
        return _read(images, from_y.round(), from_x.round(), fill)
    top, left = from_y.floor(), from_x.floor()
    down = (from_y - top)[:, None].to(images.dtype)
    right = (from_x - left)[:, None].to(images.dtype)
    corners = [
        (1 - down) * (1 - right) * _read(images, top, left, fill),
        (1 - down) * right * _read(images, top, left + 1, fill),
        down * (1 - right) * _read(images, top + 1, left, fill),
        down * right * _read(images, top + 1, left + 1, fill),
    ]
    return corners[0] + corners[1] + corners[2] + corners[3]


def _read(images: Tensor, y: Tensor, x: Tensor, fill: float) -> Tensor:
    """Returns the elements at whole places (n, rows, columns), `fill` outside of the images."""
    height, width = images.shape[-2:]
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    row, column = y.clamp(0, height - 1), x.clamp(0, width - 1)
    # float32 numbers the elements of large images no more
    found = _at(images, row.to(dtypes.int64) * width + column.to(dtypes.int64))
    return where(inside[:, None], found, fill)


def _at(images: Tensor, places: Tensor) -> Tensor:
    """Returns the elements at places (n, rows, columns), counted line by line, of all channels."""
    count, channels, height, width = images.shape
    _, rows, columns = places.shape
    flat = images.reshape(count, channels, height * width)
    chosen = places.reshape(count, 1, rows * columns).expand(count, channels, rows * columns)
    return flat.gather(2, chosen).reshape(count, channels, rows, columns)
