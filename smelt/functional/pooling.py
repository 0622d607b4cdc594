"""Pooling: one number for each window, the largest or the mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from smelt.dtypes import float32, int64
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.functional.padding import pad
from smelt.functional.windows import Sizes, per_axis, with_batch
from smelt.ir.symbolic import is_symbolic
from smelt.ops.convolution import convolution, effective_extent, padded
from smelt.ops.iota import iota
from smelt.ops.pooling import window_argmax, window_take
from smelt.ops.windows import Windows
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.arithmetic import div
from smelt.tensor.composite import marked
from smelt.tensor.elementary import maximum, minimum
from smelt.tracing.engine import context

Line = tuple[int, int, int, int, int]  # the window, stride, dilation, low and count of one axis
LARGE = 16  # positions from which on a window is searched axis by axis
LONG = 64  # elements along one axis from which on a window is searched by halves


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
        stride: distance between windows; None for kernel_size.
        padding: ignored positions at both ends; at most half of kernel_size.
        dilation: distance between the elements of a window.
        ceil_mode: whether a last window may reach beyond the end.
        return_indices: whether to return the positions of the elements in (L) as well.

    Returns:
        (N, C, P) or (C, P); with return_indices a pair with the int64 positions. nan counts as the
        largest number.

    Raises:
        ShapeError: a window larger than the padded input.
        ArgumentError: a size that is not an integer or is out of range, or too much padding.
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

    Positions count the elements of (H, W) row by row, which also gives the order among equal ones.
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
    """Returns the mean of each window; for integers without its fraction, as in PyTorch.

    Args:
        x: (N, C, L) or (C, L); no bools.
        kernel_size: see `max_pool1d`, also for the next three.
        stride: None for kernel_size.
        padding: zeros at both ends.
        ceil_mode: whether a last window may reach beyond the end.
        count_include_pad: whether zeros of the padding count as elements.

    Raises the same errors as `max_pool1d`.
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


# --- windows --------------------------------------------------------------------------------------


def windows_of(what: str, extents: Sizes, settings: tuple[Any, ...]) -> Windows:
    """Returns the windows that PyTorch's arguments mean for axes of these sizes."""
    kernel_size, stride, padding, dilation, ceil_mode = settings
    ndim = len(extents)
    window = per_axis(what, "kernel_size", kernel_size, ndim, 1)
    given = stride is not None and stride != () and stride != []  # PyTorch's default is ()
    stride = per_axis(what, "stride", stride, ndim, 1) if given else window
    dilation = per_axis(what, "dilation", dilation, ndim, 1)
    low = per_axis(what, "padding", padding, ndim)
    if any(2 * before > taps for before, taps in zip(low, window, strict=True)):
        raise ArgumentError(f"{what}: padding {low} is more than half of kernel_size {window}")
    counts = []
    for extent, taps, step, gap, before in zip(extents, window, stride, dilation, low, strict=True):
        room = extent + 2 * before - effective_extent(taps, gap)
        if room < 0 or not extent:
            raise ShapeError(
                f"{what}: a window {window} with dilation {dilation} and padding {low} is "
                f"larger than the input's {extents}"
            )
        count = (room + (step - 1 if ceil_mode else 0)) // step + 1
        counts.append(count - (ceil_mode and (count - 1) * step >= extent + before))
    return Windows(window, stride, dilation, low, tuple(counts))


def _max_pool(
    what: str, x: Tensor, settings: tuple[Any, ...], return_indices: bool, ndim: int
) -> Any:
    def pooled(x: Tensor) -> Any:
        results = largest(x, windows_of(what, x.shape[2:], settings), return_indices)
        return tuple(results) if return_indices else results[0]

    return with_batch(what, as_tensor(x), ndim, pooled)


def largest(x: Tensor, windows: Windows, with_indices: bool) -> list[Tensor]:
    """Returns the first largest element of each window and, if asked, where in the array it is."""
    moved = [x.to(x.dtype.compute)]
    if with_indices:
        extents = x.shape[2:]
        index = iota(shape=(math.prod(extents),), axis=0)
        moved.append(index.reshape(extents).expand(x.shape))
    if max(windows.window) > LONG:
        moved, windows = _with_edges(moved, windows)
    for stage in _stages(windows, moved[0].shape[2:]):
        taps = window_argmax(moved[0], **stage._asdict())
        moved = [window_take(array, taps, **stage._asdict()) for array in moved]
    return [moved[0].to(x.dtype), *moved[1:]]


def _with_edges(moved: list[Tensor], windows: Windows) -> tuple[list[Tensor], Windows]:
    """Makes room for windows that reach beyond the array: the edges hold the smallest number."""
    x, *indices = moved
    counts: list[int] = []
    for extent, taps, step, gap, low, count in zip(x.shape[2:], *windows, strict=True):
        high = max(0, (count - 1) * step + effective_extent(taps, gap) - low - extent)
        counts = [low, high, *counts]
    least = -math.inf if x.dtype.is_float else int(np.iinfo(x.dtype.storage).min)
    edged = [pad(x, counts, value=least), *[pad(array, counts) for array in indices]]
    return edged, windows._replace(low=(0,) * windows.ndim)


def _stages(windows: Windows, extents: Sizes) -> Iterator[Windows]:
    """Yields windows to be searched one after the other, each in what the one before gave.

    A large window is searched by rows first, then down the column of what they gave, and a long
    row by halves. So the first of equal elements is still the first, row by row.
    """
    if math.prod(windows.window) <= LARGE:
        yield windows
        return
    sizes = list(extents)
    for axis in reversed(range(windows.ndim)):
        for stage in _halves(*(given[axis] for given in windows)):
            lines: list[Line] = [(1, 1, 1, 0, extent) for extent in sizes]
            lines[axis], sizes[axis] = stage, stage[-1]
            yield Windows(*zip(*lines, strict=True))


def _halves(taps: int, step: int, gap: int, low: int, count: int) -> Iterator[Line]:
    """Yields the stages of one axis: windows of half the length, then pairs of these."""
    if taps <= LONG:
        yield taps, step, gap, low, count
        return
    half = (taps + 1) // 2
    apart = (taps - half) * gap  # the second half begins so much later; halves may share a tap
    common = math.gcd(step, apart)
    yield from _halves(half, common, gap, low, ((count - 1) * step + apart) // common + 1)
    yield 2, step // common, apart // common, 0, count


def _avg_pool(
    what: str,
    x: Tensor,
    settings: tuple[Any, ...],
    count_include_pad: bool,
    divisor: int | None,
    ndim: int,
) -> Tensor:
    if divisor == 0:
        raise ArgumentError(f"{what}: divisor_override must not be 0")

    def pooled(x: Tensor) -> Tensor:
        windows = windows_of(what, x.shape[2:], settings)
        exceed = settings[-1]
        sums = _sums(x.to(x.dtype.compute if x.dtype.is_float else int64), windows, exceed)
        counts = divisor or _counts(x.shape[2:], windows, count_include_pad, exceed)
        if not x.dtype.is_float:
            return div(sums, _whole(counts), rounding_mode="trunc").to(x.dtype)
        y = (sums / counts).to(x.dtype)
        if divisor or exceed:
            return y
        form = {"window": windows.window, "stride": windows.stride, "padding": windows.low}
        return marked(y, "avg_pool", x, **form, count_include_pad=bool(count_include_pad))

    x = as_tensor(x)
    if x.dtype.kind == "bool":
        raise DTypeError(f"{what}: the input is bool, which has no mean; use x.float()")
    return with_batch(what, x, ndim, pooled)


def _sums(x: Tensor, windows: Windows, exceed: bool) -> Tensor:
    """Returns the sum of each window: a reduction where they tile x, else a convolution with 1."""
    if windows.window == windows.stride and not any(windows.low) and _are_tiles(x, windows):
        return tiles(x, windows.counts).sum(tile_axes(windows.ndim))
    high = list(windows.low)
    if exceed:
        axes = zip(x.shape[2:], *windows, strict=True)
        high = [(n - 1) * s + k - low - extent for extent, k, s, _, low, n in axes]
    planes = x.reshape((-1, 1, *x.shape[2:]))
    wide = padded(planes, (0, 0, *windows.low), (0, 0, *high), (1,) * planes.ndim)
    ones = as_tensor(np.ones((1, 1, *windows.window), x.dtype.storage))
    y = convolution(wide, ones, stride=windows.stride, dilation=windows.dilation, groups=1)
    return y.reshape((*x.shape[:2], *windows.counts))


def _are_tiles(x: Tensor, windows: Windows) -> bool:
    """Whether windows that lie side by side cover x; not asked of lengths that may change where the
    operator of a file stands for all of this.
    """
    if context.marks_composites and any(map(is_symbolic, x.shape[2:])):
        return False
    covered = tuple(n * k for n, k in zip(windows.counts, windows.window, strict=True))
    return x.shape[2:] == covered


def _counts(extents: Sizes, windows: Windows, include_padding: bool, exceed: bool) -> Any:
    """Returns how many elements each window holds: a number where all hold as many.

    Args:
        extents: of the axes.
        windows: over them.
        include_padding: whether the padding counts.
        exceed: whether windows may reach beyond the padding.
    """
    result: Any = 1.0
    for extent, taps, step, _, low, count in zip(extents, *windows, strict=True):
        along: Any = np.array([taps], np.float32)
        if exceed:
            extent, count = int(extent), int(count)
        if exceed or (low and not include_padding):
            along = _counts_along(extent, taps, step, low, count, include_padding)
        result = result[..., None] * along if isinstance(result, (np.ndarray, Tensor)) else along
    if isinstance(result, Tensor):
        return result
    return float(result.flat[0]) if (result == result.flat[0]).all() else result


def _counts_along(
    extent: int, taps: int, step: int, low: int, count: int, include_padding: bool
) -> Any:
    """Returns how many elements the windows along one axis hold, (count): an array, or a tensor if
    the extent is a symbolic number.
    """
    first, last = (-low, extent + low) if include_padding else (0, extent)
    if is_symbolic(count):
        start = iota(shape=(count,), axis=0) * step - low
        held = minimum(start + taps, last) - maximum(start, first)
        return held.to(float32)
    start = np.arange(count) * step - low
    return (np.minimum(start + taps, last) - np.maximum(start, first)).astype(np.float32)


def _whole(counts: Any) -> Tensor:
    """Returns counts as integers."""
    if isinstance(counts, Tensor):
        return counts.to(int64)
    return as_tensor(np.asarray(counts).astype(np.int64).tolist(), int64)


def as_float(what: str, x: Tensor) -> Tensor:
    """Returns x, or raises DTypeError when it is not of floats."""
    x = as_tensor(x)
    if not x.dtype.is_float:
        raise DTypeError(f"{what}: needs floats, got {x.dtype.name}; use x.float()")
    return x


def tiles(x: Tensor, counts: Sizes) -> Tensor:
    """(N, C, H, W) -> (N, C, counts[0], H / counts[0], counts[1], W / counts[1])"""
    pairs = [(n, extent // n) for n, extent in zip(counts, x.shape[2:], strict=True)]
    return x.reshape((*x.shape[:2], *itertools.chain(*pairs)))


def tile_axes(ndim: int) -> Sizes:
    """Returns the axes that run along within the pieces of `tiles`."""
    return tuple(3 + 2 * axis for axis in range(ndim))
