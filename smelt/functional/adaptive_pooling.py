"""Adaptive pooling: one number for each of a given number of parts of an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ShapeError
from smelt.functional.pooling import as_float, largest, tile_axes, tiles, windows_of
from smelt.functional.windows import Sizes, per_axis, with_batch
from smelt.ops.indexing import take
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

Output = int | None | Sequence[int | None]


def adaptive_max_pool1d(x: Tensor, output_size: Output, return_indices: bool = False) -> Any:
    """Returns the largest element of each of `output_size` parts of x (N, C, L) or (C, L).

    Part i runs from floor(i L / output_size) to ceil((i + 1) L / output_size). The rest is as in
    `max_pool1d`.
    """
    return _adaptive_max_pool("adaptive_max_pool1d", x, output_size, return_indices, 1)


def adaptive_max_pool2d(x: Tensor, output_size: Output, return_indices: bool = False) -> Any:
    """Returns `adaptive_max_pool1d` over two axes; None keeps the size of an axis."""
    return _adaptive_max_pool("adaptive_max_pool2d", x, output_size, return_indices, 2)


def adaptive_avg_pool1d(x: Tensor, output_size: Output) -> Tensor:
    """Returns the mean of each of `output_size` parts of x (N, C, L) or (C, L).

    Part i runs from floor(i L / output_size) to ceil((i + 1) L / output_size).
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", x, output_size, 1)


def adaptive_avg_pool2d(x: Tensor, output_size: Output) -> Tensor:
    """Returns `adaptive_avg_pool1d` over two axes; None keeps the size of an axis."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", x, output_size, 2)


def _part_counts(what: str, output_size: Output, extents: Sizes) -> Sizes:
    """Returns how many parts each axis has; None stands for every element."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,)
    sizes = sizes * len(extents) if len(sizes) == 1 else sizes
    if len(sizes) != len(extents):
        raise ArgumentError(
            f"{what}: output_size must be one number or {len(extents)}, got {output_size}"
        )
    filled = [extent if n is None else n for n, extent in zip(sizes, extents, strict=True)]
    if not all(extents):
        raise ShapeError(f"{what}: the input has an empty spatial axis, {extents}")
    return per_axis(what, "output_size", filled, len(extents), 1)


def _bounds(extent: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each part begins and ends; neighbors may share elements."""
    index = np.arange(count)
    return index * extent // count, -(-(index + 1) * extent // count)


def _divides(extents: Sizes, counts: Sizes) -> bool:
    return all(extent % n == 0 for extent, n in zip(extents, counts, strict=True))


def _adaptive_avg_pool(what: str, x: Tensor, output_size: Output, ndim: int) -> Tensor:
    def pooled(x: Tensor) -> Tensor:
        counts = _part_counts(what, output_size, x.shape[2:])
        if _divides(x.shape[2:], counts):
            return tiles(x, counts).mean(tile_axes(ndim))
        y = x.to(x.dtype.compute)
        for axis, count in enumerate(counts):
            y = (y.movedim(2 + axis, -1) @ _weights(x.shape[2 + axis], count, y)).movedim(
                -1, 2 + axis
            )
        return y.to(x.dtype)

    return with_batch(what, as_float(what, x), ndim, pooled)


def _weights(extent: int, count: int, like: Tensor) -> Tensor:
    """Returns the matrix (extent, count) whose columns take the mean of one part each."""
    start, end = _bounds(extent, count)
    position = np.arange(extent)[:, None]
    inside = (position >= start) & (position < end)
    return as_tensor((inside / (end - start)).astype(like.dtype.storage))


def _adaptive_max_pool(
    what: str, x: Tensor, output_size: Output, return_indices: bool, ndim: int
) -> Any:
    def pooled(x: Tensor) -> Any:
        counts = _part_counts(what, output_size, x.shape[2:])
        sources = [_sources(*sizes) for sizes in zip(x.shape[2:], counts, strict=True)]
        y, longest = x, []
        for axis, rows in enumerate(sources):
            longest.append(rows.size // counts[axis])
            if not np.array_equal(rows, np.arange(x.shape[2 + axis])):
                y = take(y, as_tensor(rows), axis=2 + axis)
        settings = (tuple(longest), None, 0, 1, False)
        y, *indices = largest(y, windows_of(what, y.shape[2:], settings), return_indices)
        return (y, _as_read(indices[0], sources, x.shape[2:])) if indices else y

    return with_batch(what, as_tensor(x), ndim, pooled)


def _sources(extent: int, count: int) -> np.ndarray:
    """Returns the elements of all parts, one part behind the other.

    Shorter parts repeat their last element: it is no larger than itself, so the first one counts.
    """
    start, end = _bounds(extent, count)
    longest = int((end - start).max())
    return np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1).ravel()


def _as_read(index: Tensor, sources: list[np.ndarray], extents: Sizes) -> Tensor:
    """Returns places among the elements of parts as places in what they were read from."""
    total: Any = 0
    for axis, (rows, extent) in enumerate(zip(sources, extents, strict=True)):
        inner = math.prod(later.size for later in sources[axis + 1 :])
        total = total * extent + take(as_tensor(rows), index // inner % rows.size, axis=0)
    return total
