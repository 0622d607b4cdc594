"""Pooling in ONNX: the maximum of each window, where it stands, reading and adding there."""

from __future__ import annotations

import math
from typing import Final

from smelt.dtypes import int32, int64
from smelt.export.onnx.movement import numbered
from smelt.export.onnx.writer import Rules, Writer, same
from smelt.ir.graph import Node
from smelt.ir.symbolic import is_symbolic
from smelt.ops import pooling
from smelt.ops.convolution import effective_extent
from smelt.ops.windows import Windows

Sizes = tuple[int, ...]


def _windows(node: Node) -> Windows:
    return Windows(*(node.attributes[name] for name in Windows._fields))


def _max_pool(w: Writer, node: Node, x: str, argument: Node) -> list[str]:
    """Returns the maximum of each window and its place among all elements, (N, C, *counts)."""
    if not argument.dtype.is_float:
        raise w.refuse(node, f"MaxPool takes floats, got {argument.dtype.name}")
    windows = _windows(node)
    kept = argument.ndim - windows.ndim
    extents = argument.shape[kept:]
    rows = x if kept == 2 else w.reshape(x, (1, -1, *extents))
    sides = [_side(w, node, windows, axis, extent) for axis, extent in enumerate(extents)]
    pooled = w.add_all(
        "MaxPool",
        [rows],
        2,
        kernel_shape=list(windows.window),
        strides=list(windows.stride),
        dilations=list(windows.dilation),
        pads=[*windows.low, *(high for high, _ in sides)],
    )
    more = [axis for axis, (_, is_exact) in enumerate(sides) if not is_exact]
    if not more:
        return pooled
    bounds = [0] * len(more), [windows.counts[axis] for axis in more], [1] * len(more)
    return [w.sliced(part, [2 + axis for axis in more], bounds) for part in pooled]


def _side(w: Writer, node: Node, windows: Windows, axis: int, extent: int) -> tuple[int, bool]:
    """Returns how much padding behind an axis gives all windows, and whether it gives no others."""
    covered = effective_extent(windows.window[axis], windows.dilation[axis])
    stride, low, count = windows.stride[axis], windows.low[axis], windows.counts[axis]

    def is_exact(high: int) -> bool:
        return same((extent + low + high - covered) // stride + 1, count)

    if not (is_symbolic(extent) or is_symbolic(count)):
        high = max(0, (count - 1) * stride + covered - low - extent)
        return high, is_exact(high)
    high = next(filter(is_exact, range(covered)), -1)
    if high < 0:
        raise w.refuse(node, f"no padding gives {count} windows along an axis of {extent}")
    return high, True


def _window_argmax(w: Writer, node: Node, x: str) -> str:
    """The place among all elements becomes one along each axis, and that a tap of the window."""
    windows, (argument,) = _windows(node), node.inputs
    extents = argument.shape[argument.ndim - windows.ndim :]
    _, found = _max_pool(w, node, x, argument)
    place = w.scalar(0, int64)
    for axis, taps in enumerate(windows.window):
        inner = w.scalar(math.prod(extents[axis + 1 :]), int64)
        along = w.add("Mod", w.add("Div", found, inner), w.scalar(extents[axis], int64))
        offset = w.add("Sub", along, _first(w, windows, axis))
        tap = w.add("Div", offset, w.scalar(windows.dilation[axis], int64))
        place = w.add("Add", w.add("Mul", place, w.scalar(taps, int64)), tap)
    return w.cast(w.reshape(place, node.shape), int32)


def _window_take(w: Writer, node: Node, x: str, place: str) -> str:
    """Reading at the maxima of the same windows is MaxPool; else each place is read for itself."""
    argument, places = node.inputs
    windows = _windows(node)
    are_maxima = places.op is pooling.window_argmax and places.inputs[0] is argument
    if are_maxima and _windows(places) == windows:
        maxima, _ = _max_pool(w, places, x, argument)
        is_whole = argument.ndim == windows.ndim + 2
        return maxima if is_whole else w.reshape(maxima, node.shape)
    extents = argument.shape[argument.ndim - windows.ndim :]
    rows = w.reshape(x, (-1, math.prod(extents)))
    flat = w.add("GatherElements", rows, _flat_places(w, windows, place, extents), axis=1)
    return w.reshape(flat, node.shape)


def _window_put(w: Writer, node: Node, y: str, place: str) -> str:
    windows, extents = _windows(node), node.attributes["extents"]
    at = _flat_places(w, windows, place, extents)
    updates = w.reshape(y, (-1, math.prod(windows.counts)))
    rows = w.add("Gather", w.add("Shape", updates), w.ints([0]))
    shape = w.add("Concat", rows, w.ints([math.prod(extents)]), axis=0)
    zeros = w.add("Expand", w.scalar(0, node.dtype), shape)
    total = w.add("ScatterElements", zeros, at, updates, axis=1, reduction="add")
    return w.reshape(total, node.shape)


def _flat_places(w: Writer, windows: Windows, place: str, extents: Sizes) -> str:
    """Returns where in a row of all elements the one at a place of each window lies."""
    place = w.reshape(w.cast(place, int64), (-1, *windows.counts))
    total = w.scalar(0, int64)
    for axis, taps in enumerate(windows.window):
        inner = w.scalar(math.prod(windows.window[axis + 1 :]), int64)
        tap = w.add("Mod", w.add("Div", place, inner), w.scalar(taps, int64))
        offset = w.add("Mul", tap, w.scalar(windows.dilation[axis], int64))
        along = w.add("Add", offset, _first(w, windows, axis))
        steps = w.scalar(math.prod(extents[axis + 1 :]), int64)
        total = w.add("Add", total, w.add("Mul", along, steps))
    return w.reshape(total, (-1, math.prod(windows.counts)))


def _first(w: Writer, windows: Windows, axis: int) -> str:
    """Returns where each window begins along an axis: number * stride - low."""
    line = tuple([n if place == axis else 1 for place, n in enumerate(windows.counts)])
    begins = w.add("Mul", numbered(w, line, axis), w.scalar(windows.stride[axis], int64))
    return w.add("Sub", begins, w.scalar(windows.low[axis], int64))


RULES: Final[Rules] = {
    pooling.window_argmax: _window_argmax,
    pooling.window_take: _window_take,
    pooling.window_put: _window_put,
}
