"""Pooling, along any number of axes."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import arange, zeros
from smelt.export.onnx.load.card import Call, Card, Cards
from smelt.export.onnx.load.operators.windows import WINDOWS, counts, paddings, per_axis
from smelt.functional.pooling import largest
from smelt.ir.symbolic import is_symbolic
from smelt.ops.convolution import convolution, padded
from smelt.ops.windows import Windows
from smelt.tensor import Tensor, as_tensor, elementary, reductions


def _windows(call: Call, x: Tensor) -> tuple[Windows, tuple[Any, ...]]:
    """Returns the windows of a node, and how many elements were added behind each axis."""
    kernel = call["kernel_shape"]
    if kernel is None or len(kernel) != x.ndim - 2:
        raise call.wrong(f"kernel_shape {kernel} does not fit an input {x.shape}")
    ndim = len(kernel)
    stride, dilation = (per_axis(call, name, ndim) for name in ("strides", "dilations"))
    pads = paddings(call, x.shape[2:], kernel, stride, dilation)
    number = counts(call, x.shape[2:], kernel, stride, dilation, pads)
    return Windows(tuple(kernel), stride, dilation, pads[0], number), pads[1]


def _max_pool(call: Call, x: Tensor) -> Any:
    windows, _ = _windows(call, x)
    found = largest(x, windows, call.wants(1))
    if not call.wants(1):
        return found[0]
    values, places = found
    if call["storage_order"]:  # counted down the columns
        extents, rest = x.shape[2:], places
        place: Any = 0
        for axis in reversed(range(len(extents))):
            place = (rest % extents[axis]) * math.prod(extents[:axis]) + place
            rest = rest // extents[axis]
        places = as_tensor(place)
    planes = arange(math.prod(x.shape[:2])) * math.prod(x.shape[2:])
    first = planes.reshape((*x.shape[:2], *(1,) * windows.ndim))
    return values, places + first


def _sums(call: Call, x: Tensor, windows: Windows, behind: tuple[Any, ...]) -> Tensor:
    """Returns the sum of each window, as a convolution with ones."""
    high = list(behind)
    if call["ceil_mode"]:
        axes = zip(x.shape[2:], *windows, strict=True)
        high = [(n - 1) * s + (k - 1) * d + 1 - low - extent for extent, k, s, d, low, n in axes]
    planes = x.reshape((-1, 1, *x.shape[2:]))
    wide = padded(planes, (0, 0, *windows.low), (0, 0, *high), (1,) * planes.ndim)
    ones = as_tensor(np.ones((1, 1, *windows.window), x.dtype.storage))
    settings: dict[str, Any] = {"stride": windows.stride, "dilation": windows.dilation}
    y = convolution(wide, ones, **settings, groups=1)
    return y.reshape((*x.shape[:2], *windows.counts))


def _average_pool(call: Call, x: Tensor) -> Tensor:
    windows, behind = _windows(call, x)
    compute = x.to(x.dtype.compute)
    divisor = as_tensor(1.0, compute.dtype)
    for axis in zip(x.shape[2:], *windows, behind, strict=True):
        divisor = divisor.unsqueeze(-1) * _held(call, *axis)
    return (_sums(call, compute, windows, behind) / elementary.maximum(divisor, 1.0)).to(x.dtype)


def _held(
    call: Call, extent: Any, taps: int, step: int, gap: int, low: Any, count: Any, high: Any
) -> Any:
    """Returns how many elements the windows along one axis hold: a number where all hold as
    many.
    """
    start, end = (-low, extent + high) if call["count_include_pad"] else (0, extent)
    if not call["ceil_mode"] and (call["count_include_pad"] or not (low or high)):
        return float(taps)
    offsets = np.arange(taps) * gap
    if is_symbolic(count):
        places = (arange(count) * step - low).unsqueeze(1) + as_tensor(offsets)
        return ((places >= start) & (places < end)).sum(1)
    places = np.arange(count)[:, None] * step - low + offsets
    return as_tensor(((places >= start) & (places < end)).sum(1))


def _power_pool(call: Call, x: Tensor) -> Tensor:
    windows, behind = _windows(call, x)
    p = call["p"]
    sums = _sums(call, elementary.pow(elementary.abs(x), float(p)), windows, behind)
    return elementary.pow(sums, 1.0 / p)


def _global(function: Any) -> Card:
    def rule(call: Call, x: Tensor) -> Tensor:
        result: Tensor = function(x, tuple(range(2, x.ndim)), True).to(x.dtype)
        return result

    return Card(rule, first=1)


def _global_power(call: Call, x: Tensor) -> Tensor:
    return reductions.norm(x, call["p"], tuple(range(2, x.ndim)), True)


def _max_unpool(call: Call, x: Tensor, places: Tensor, shape: np.ndarray | None = None) -> Tensor:
    ndim = x.ndim - 2
    stride, pads = per_axis(call, "strides", ndim), per_axis(call, "pads", 2 * ndim, 0)
    axes = zip(x.shape[2:], stride, call["kernel_shape"], pads[:ndim], pads[ndim:], strict=True)
    own = [(n - 1) * s + k - low - high for n, s, k, low, high in axes]
    spread = _spread(x, places, (*x.shape[:2], *own))
    if shape is None or tuple(shape.tolist()) == spread.shape:
        return spread
    wanted = tuple(shape.tolist())
    return _spread(x, _moved(places, spread.shape, wanted), wanted)


def _spread(x: Tensor, places: Tensor, shape: tuple[Any, ...]) -> Tensor:
    flat = zeros(math.prod(shape), dtype=x.dtype)
    return flat.at[places.reshape(-1)].set(x.reshape(-1)).reshape(shape)


def _moved(places: Tensor, shape: tuple[Any, ...], wanted: tuple[Any, ...]) -> Tensor:
    """Returns flat places in an array of one shape as those in a larger one."""
    rest, flat, step = places.to(dtypes.int64), None, 1
    for extent, larger in zip(reversed(shape), reversed(wanted), strict=True):
        part = (rest % extent) * step
        flat = part if flat is None else flat + part
        rest, step = rest // extent, step * larger
    assert flat is not None
    return flat


def _fold_columns(call: Call, x: Tensor, image: np.ndarray, block: np.ndarray) -> Tensor:
    """Adds up blocks of an image where they were taken from: Col2Im."""
    extents, kernel = tuple(image.tolist()), tuple(block.tolist())
    ndim = len(kernel)
    stride, dilation = (per_axis(call, name, ndim) for name in ("strides", "dilations"))
    pads = per_axis(call, "pads", 2 * ndim, 0)
    axes = zip(extents, kernel, stride, dilation, pads[:ndim], pads[ndim:], strict=True)
    number = [(n + low + high - (k - 1) * d - 1) // s + 1 for n, k, s, d, low, high in axes]
    channels = x.shape[1] // math.prod(kernel)
    taps = x.reshape(x.shape[0], channels, math.prod(kernel), *number)
    total: Any = 0
    for row, offsets in enumerate(itertools.product(*map(range, kernel))):
        starts = [offset * gap for offset, gap in zip(offsets, dilation, strict=True)]
        spans = [(count - 1) * step + 1 for count, step in zip(number, stride, strict=True)]
        wide = [
            n + low + high for n, low, high in zip(extents, pads[:ndim], pads[ndim:], strict=True)
        ]
        ends = [n - start - span for n, start, span in zip(wide, starts, spans, strict=True)]
        low = [start - before for start, before in zip(starts, pads[:ndim], strict=True)]
        high = [end - behind for end, behind in zip(ends, pads[ndim:], strict=True)]
        total = total + padded(taps[:, :, row], (0, 0, *low), (0, 0, *high), (1, 1, *stride))
    result: Tensor = total
    return result


POOLING: Final[dict[str, Any]] = {**WINDOWS, "ceil_mode": 0}

CARDS: Final[Cards] = {
    "MaxPool": Card(_max_pool, {**POOLING, "storage_order": 0}, first=1),
    "AveragePool": Card(_average_pool, {**POOLING, "count_include_pad": 0}, first=1),
    "LpPool": Card(_power_pool, {**POOLING, "p": 2}, first=2),
    "GlobalMaxPool": _global(reductions.amax),
    "GlobalAveragePool": _global(reductions.mean),
    "GlobalLpPool": Card(_global_power, {"p": 2}, first=2),
    "MaxUnpool": Card(
        _max_unpool,
        {name: WINDOWS[name] for name in ("kernel_shape", "strides", "pads")},
        numbers=(2,),
        first=9,
    ),
    "Col2Im": Card(
        _fold_columns,
        {name: WINDOWS[name] for name in ("strides", "pads", "dilations")},
        numbers=(1, 2),
        first=18,
    ),
}
