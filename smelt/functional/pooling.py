"""Pooling: one number for each window, the largest or the mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.dtypes import int64
from smelt.engine import located
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.functional.windows import Sizes, per_axis, with_batch
from smelt.ops.convolution import convolution, padded, reach
from smelt.ops.indexing import take
from smelt.ops.pooling import Windows, window_argmax, window_take
from smelt.ops.random import iota
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

LARGE = 16  # positions from which on a window is searched axis by axis

Output = int | None | Sequence[int | None]


def max_pool1d(
    x: Tensor,
    kernel_size: int | Sizes,
    stride: int | Sizes | None = None,
    padding: int | Sizes = 0,
    dilation: int | Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Returns the largest element of each window; the gradient goes to the first of equal ones.

    Args:
        x: (N, C, L) or (C, L).
        kernel_size: elements in a window.
        stride: how far apart windows are; None for kernel_size.
        padding: places that do not count, at both ends; at most half of kernel_size.
        dilation: how far apart the elements of a window are.
        ceil_mode: whether a last window may reach beyond the end.
        return_indices: whether to say as well where in (L) the elements stand.

    Returns:
        (N, C, P) or (C, P); with return_indices a pair, int64 places behind it. nan counts as the
        largest number.

    Raises:
        ShapeError: a window larger than the padded input.
        ArgumentError: a size that is none, or too much padding.
    """
    settings = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool("max_pool1d", x, settings, return_indices, 1)


def max_pool2d(
    x: Tensor,
    kernel_size: int | Sizes,
    stride: int | Sizes | None = None,
    padding: int | Sizes = 0,
    dilation: int | Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Returns `max_pool1d` over two axes: x (N, C, H, W) or (C, H, W).

    Places count the elements of (H, W) row by row, and so does the order among equal ones.
    """
    settings = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool("max_pool2d", x, settings, return_indices, 2)


def avg_pool1d(
    x: Tensor,
    kernel_size: int | Sizes,
    stride: int | Sizes | None = None,
    padding: int | Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Returns the mean of each window.

    Args:
        x: (N, C, L) or (C, L).
        kernel_size: see `max_pool1d`, and so the next three.
        stride: None for kernel_size.
        padding: zeros at both ends.
        ceil_mode: whether a last window may reach beyond the end.
        count_include_pad: whether zeros of the padding count as elements.

    Raises what `max_pool1d` raises.
    """
    settings = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool1d", x, settings, count_include_pad, None, 1)


def avg_pool2d(
    x: Tensor,
    kernel_size: int | Sizes,
    stride: int | Sizes | None = None,
    padding: int | Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Returns `avg_pool1d` over two axes: x (N, C, H, W) or (C, H, W).

    With `divisor_override` each sum is divided by that.
    """
    settings = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool2d", x, settings, count_include_pad, divisor_override, 2)


def adaptive_max_pool1d(x: Tensor, output_size: Output, return_indices: bool = False) -> Any:
    """Returns the largest element of each of `output_size` parts of x (N, C, L) or (C, L).

    Part i runs from floor(i L / output_size) to ceil((i + 1) L / output_size). The rest is as in
    `max_pool1d`.
    """
    return _adaptive_max_pool("adaptive_max_pool1d", x, output_size, return_indices, 1)


def adaptive_max_pool2d(x: Tensor, output_size: Output, return_indices: bool = False) -> Any:
    """Returns `adaptive_max_pool1d` over two axes; None keeps the extent of an axis."""
    return _adaptive_max_pool("adaptive_max_pool2d", x, output_size, return_indices, 2)


def adaptive_avg_pool1d(x: Tensor, output_size: Output) -> Tensor:
    """Returns the mean of each of `output_size` parts of x (N, C, L) or (C, L).

    Part i runs from floor(i L / output_size) to ceil((i + 1) L / output_size).
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", x, output_size, 1)


def adaptive_avg_pool2d(x: Tensor, output_size: Output) -> Tensor:
    """Returns `adaptive_avg_pool1d` over two axes; None keeps the extent of an axis."""
    return _adaptive_avg_pool("adaptive_avg_pool2d", x, output_size, 2)


# --- windows --------------------------------------------------------------------------------------


def _windows(what: str, extents: Sizes, settings: tuple[Any, ...]) -> Windows:
    """Returns the windows that PyTorch's arguments mean for axes of these extents."""
    kernel_size, stride, padding, dilation, ceil_mode = settings
    ndim = len(extents)
    window = per_axis(what, "kernel_size", kernel_size, ndim, 1)
    stride = window if stride is None else per_axis(what, "stride", stride, ndim, 1)
    dilation = per_axis(what, "dilation", dilation, ndim, 1)
    low = per_axis(what, "padding", padding, ndim)
    if any(2 * before > taps for before, taps in zip(low, window, strict=True)):
        raise ArgumentError(
            located(f"{what}: padding {low} is more than half of kernel_size {window}")
        )
    counts = []
    for extent, taps, step, gap, before in zip(extents, window, stride, dilation, low, strict=True):
        room = extent + 2 * before - reach(taps, gap)
        if room < 0 or not extent:
            raise ShapeError(
                located(
                    f"{what}: a window {window} with dilation {dilation} and padding {low} is "
                    f"larger than the input's {extents}"
                )
            )
        count = (room + (step - 1 if ceil_mode else 0)) // step + 1
        counts.append(count - (ceil_mode and (count - 1) * step >= extent + before))
    return Windows(window, stride, dilation, low, tuple(counts))


def _max_pool(
    what: str, x: Tensor, settings: tuple[Any, ...], return_indices: bool, ndim: int
) -> Any:
    def pooled(x: Tensor) -> Any:
        windows = _windows(what, x.shape[2:], settings)
        if return_indices:
            return _with_indices(x, windows)
        return _largest(x, windows)

    return with_batch(what, as_tensor(x), ndim, pooled)


def _largest(x: Tensor, windows: Windows) -> Tensor:
    """A large window is searched by rows first, then down the column of what they gave.

    So the first of equal elements is still the first, row by row.
    """
    if math.prod(windows.window) <= LARGE or windows.ndim == 1:
        return _read_largest(x, windows)
    for axis in reversed(range(windows.ndim)):
        parts = [[1, 1, 1, 0, extent] for extent in x.shape[2:]]
        parts[axis] = [given[axis] for given in windows]
        x = _read_largest(x, Windows(*zip(*parts, strict=True)))
    return x


def _read_largest(x: Tensor, windows: Windows) -> Tensor:
    compute, settings = x.to(x.dtype.compute), windows._asdict()
    return window_take(compute, window_argmax(compute, **settings), **settings).to(x.dtype)


def _with_indices(x: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """Returns the largest elements, and where in the array they stand."""
    compute, settings = x.to(x.dtype.compute), windows._asdict()
    taps = window_argmax(compute, **settings)
    place = taps.to(int64)
    total: Any = 0
    for axis, extent in enumerate(x.shape[2:]):
        inner = math.prod(windows.window[axis + 1 :])
        first = iota(shape=taps.shape, axis=2 + axis) * windows.stride[axis] - windows.low[axis]
        tap = place // inner % windows.window[axis]
        total = total * extent + first + tap * windows.dilation[axis]
    return window_take(compute, taps, **settings).to(x.dtype), total


def _avg_pool(
    what: str,
    x: Tensor,
    settings: tuple[Any, ...],
    count_include_pad: bool,
    divisor: int | None,
    ndim: int,
) -> Tensor:
    if divisor == 0:
        raise ArgumentError(located(f"{what}: divisor_override must not be 0"))

    def pooled(x: Tensor) -> Tensor:
        windows = _windows(what, x.shape[2:], settings)
        sums = _sums(x.to(x.dtype.compute), windows)
        counts = _counts(x.shape[2:], windows, count_include_pad) if divisor is None else divisor
        return (sums / counts).to(x.dtype)

    return with_batch(what, _float(what, x), ndim, pooled)


def _sums(x: Tensor, windows: Windows) -> Tensor:
    """Returns the sum of each window: a reduction where they tile x, else a convolution with 1."""
    extents = zip(windows.counts, windows.window, strict=True)
    if windows.window == windows.stride and x.shape[2:] == tuple(n * k for n, k in extents):
        return _tiles(x, windows.counts).sum(_tile_axes(windows.ndim))
    axes = zip(x.shape[2:], *windows, strict=True)
    high = [(n - 1) * s + k - low - extent for extent, k, s, _, low, n in axes]
    planes = x.reshape((-1, 1, *x.shape[2:]))
    wide = padded(planes, (0, 0, *windows.low), (0, 0, *high), (1,) * planes.ndim)
    ones = as_tensor(np.ones((1, 1, *windows.window), x.dtype.storage))
    y = convolution(wide, ones, stride=windows.stride, dilation=windows.dilation, groups=1)
    return y.reshape((*x.shape[:2], *windows.counts))


def _counts(extents: Sizes, windows: Windows, include_padding: bool) -> Any:
    """Returns how many elements each window holds: a number where all hold as many."""
    result: Any = np.ones((), np.float32)
    for extent, taps, step, _, low, count in zip(extents, *windows, strict=True):
        start = np.arange(count) * step - low
        end = np.minimum(start + taps, extent + low)
        if not include_padding:
            start, end = np.maximum(start, 0), np.minimum(end, extent)
        result = result[..., None] * (end - start).astype(np.float32)
    return float(result.flat[0]) if (result == result.flat[0]).all() else result


def _float(what: str, x: Tensor) -> Tensor:
    x = as_tensor(x)
    if not x.dtype.is_float:
        raise DTypeError(located(f"{what}: needs floats, got {x.dtype.name}"))
    return x


# --- parts of an axis -----------------------------------------------------------------------------


def _tiles(x: Tensor, counts: Sizes) -> Tensor:
    """(N, C, H, W) -> (N, C, counts[0], H / counts[0], counts[1], W / counts[1])"""
    pairs = [(n, extent // n) for n, extent in zip(counts, x.shape[2:], strict=True)]
    return x.reshape((*x.shape[:2], *itertools.chain(*pairs)))


def _tile_axes(ndim: int) -> Sizes:
    return tuple(3 + 2 * axis for axis in range(ndim))


def _part_counts(what: str, output_size: Output, extents: Sizes) -> Sizes:
    """Returns how many parts each axis has; None stands for every element."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,)
    sizes = sizes * len(extents) if len(sizes) == 1 else sizes
    if len(sizes) != len(extents):
        raise ArgumentError(located(f"{what}: output_size {output_size} for {len(extents)} axes"))
    filled = [extent if n is None else n for n, extent in zip(sizes, extents, strict=True)]
    if not all(extents):
        raise ShapeError(located(f"{what}: an input whose axes {extents} are empty has no parts"))
    return per_axis(what, "output_size", filled, len(extents), 1)


def _bounds(extent: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each part begins and ends; neighbours may share elements."""
    number = np.arange(count)
    return number * extent // count, -(-(number + 1) * extent // count)


def _divides(extents: Sizes, counts: Sizes) -> bool:
    return all(extent % n == 0 for extent, n in zip(extents, counts, strict=True))


def _adaptive_avg_pool(what: str, x: Tensor, output_size: Output, ndim: int) -> Tensor:
    def pooled(x: Tensor) -> Tensor:
        counts = _part_counts(what, output_size, x.shape[2:])
        if _divides(x.shape[2:], counts):
            return _tiles(x, counts).mean(_tile_axes(ndim))
        y = x.to(x.dtype.compute)
        for axis, count in enumerate(counts):
            y = (y.movedim(2 + axis, -1) @ _weights(x.shape[2 + axis], count, y)).movedim(
                -1, 2 + axis
            )
        return y.to(x.dtype)

    return with_batch(what, _float(what, x), ndim, pooled)


def _weights(extent: int, count: int, like: Tensor) -> Tensor:
    """Returns the matrix (extent, count) whose columns take the mean of one part each."""
    start, end = _bounds(extent, count)
    place = np.arange(extent)[:, None]
    inside = (place >= start) & (place < end)
    return as_tensor((inside / (end - start)).astype(like.dtype.storage))


def _adaptive_max_pool(
    what: str, x: Tensor, output_size: Output, return_indices: bool, ndim: int
) -> Any:
    def pooled(x: Tensor) -> Any:
        counts = _part_counts(what, output_size, x.shape[2:])
        places = [_places(*sizes) for sizes in zip(x.shape[2:], counts, strict=True)]
        y, longest = x, []
        for axis, rows in enumerate(places):
            longest.append(rows.size // counts[axis])
            if not np.array_equal(rows, np.arange(x.shape[2 + axis])):
                y = take(y, as_tensor(rows), axis=2 + axis)
        settings = (tuple(longest), None, 0, 1, False)
        windows = _windows(what, y.shape[2:], settings)
        if not return_indices:
            return _largest(y, windows)
        largest, place = _with_indices(y, windows)
        return largest, _as_read(place, places, x.shape[2:])

    return with_batch(what, as_tensor(x), ndim, pooled)


def _places(extent: int, count: int) -> np.ndarray:
    """Returns the elements of all parts, one part behind the other.

    Shorter parts repeat their last element: it is no larger than itself, so the first one counts.
    """
    start, end = _bounds(extent, count)
    longest = int((end - start).max())
    return np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1).ravel()


def _as_read(place: Tensor, places: list[np.ndarray], extents: Sizes) -> Tensor:
    """Returns places among the elements of parts as places in what they were read from."""
    total: Any = 0
    for axis, (rows, extent) in enumerate(zip(places, extents, strict=True)):
        inner = math.prod(one.size for one in places[axis + 1 :])
        total = total * extent + take(as_tensor(rows), place // inner % rows.size, axis=0)
    return total
