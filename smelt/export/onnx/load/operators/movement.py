"""Movements: the same elements at other places, split, joined, repeated and padded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import arange
from smelt.export.onnx.load.card import INT, INTS, Call, Card, Cards, required
from smelt.export.onnx.load.known import known, lifted
from smelt.export.onnx.load.operators.constants import MOST_KNOWN
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.ir.symbolic import is_symbolic
from smelt.ops import movement
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import where
from smelt.tensor.shaping import cat

Extents = tuple[Any, ...]


# --- shapes ---------------------------------------------------------------------------------------


def _wanted_shape(call: Call, shape: Extents, wanted: list[Any]) -> Extents:
    """Returns the shape of Reshape: 0 stands for the extent that is there, -1 for what is left."""
    extents = [
        shape[axis] if not is_symbolic(extent) and extent == 0 and not call["allowzero"] else extent
        for axis, extent in enumerate(wanted)
    ]
    open_axes = [
        axis for axis, extent in enumerate(extents) if not is_symbolic(extent) and extent == -1
    ]
    if len(open_axes) == 1:
        (axis,) = open_axes
        rest = math.prod([extent for other, extent in enumerate(extents) if other != axis])
        total = math.prod(shape)
        if is_symbolic(rest) or is_symbolic(total) or (rest and total % rest == 0):
            extents[axis] = total // rest
    return tuple(extents)


def _reshape(call: Call, x: Tensor, shape: np.ndarray) -> Tensor:
    return x.reshape(_wanted_shape(call, x.shape, shape.tolist()))


def _folded_reshape(call: Call, x: np.ndarray, shape: np.ndarray) -> Any:
    return x.reshape(_wanted_shape(call, x.shape, shape.tolist()))


def _flatten(call: Call, x: Tensor) -> Tensor:
    axis = call["axis"]
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def _given_axes(call: Call, axes: np.ndarray | None) -> list[int] | None:
    """Returns the axes of a node: an input, or before that a setting."""
    if axes is not None:
        return list(axes.reshape(-1).tolist())
    return None if call["axes"] is None else list(call["axes"])


def _squeezed(call: Call, shape: Extents, axes: np.ndarray | None) -> Extents:
    given = _given_axes(call, axes)
    if given is None:
        return tuple([extent for extent in shape if extent != 1])
    chosen = axes_from_front(given, len(shape))
    if any(shape[axis] != 1 for axis in chosen):
        raise call.wrong(f"an axis of {given} has more than one element in shape {shape}")
    return tuple([extent for axis, extent in enumerate(shape) if axis not in chosen])


def _unsqueezed(call: Call, shape: Extents, axes: np.ndarray | None) -> Extents:
    given = _given_axes(call, axes) or []
    chosen, extents = axes_from_front(given, len(shape) + len(given)), list(shape)
    for axis in sorted(chosen):
        extents.insert(axis, 1)
    return tuple(extents)


def _reshaping(result: Callable[[Call, Extents, np.ndarray | None], Extents]) -> Card:
    """Returns the card of an operator that gives a tensor a shape that follows from its axes."""

    def rule(call: Call, x: Tensor, axes: np.ndarray | None = None) -> Tensor:
        return x.reshape(result(call, x.shape, axes))

    def folded(call: Call, x: np.ndarray, axes: np.ndarray | None = None) -> Any:
        return x.reshape(result(call, x.shape, axes))

    return Card(rule, {"axes": INTS}, numbers=(1,), fold=folded, first=1)


def _transpose(call: Call, x: Tensor) -> Tensor:
    order = call["perm"] or tuple(reversed(range(x.ndim)))
    return x.permute(order) if x.ndim else x


def _folded_transpose(call: Call, x: np.ndarray) -> Any:
    return np.transpose(x, call["perm"])


def _expanded(shape: Extents, wanted: list[Any]) -> Extents:
    """Returns the shape that both broadcast to."""
    count = max(len(shape), len(wanted))
    own, other = ([1] * (count - len(one)) + list(one) for one in (shape, wanted))
    return tuple(
        [a if not is_symbolic(b) and b == 1 else b for a, b in zip(own, other, strict=True)]
    )


def _expand(call: Call, x: Tensor, shape: np.ndarray) -> Tensor:
    return x.expand(_expanded(x.shape, shape.tolist()))


def _folded_expand(call: Call, x: np.ndarray, shape: np.ndarray) -> Any:
    extents = _expanded(x.shape, shape.tolist())
    if any(map(is_symbolic, extents)) or math.prod(extents) > MOST_KNOWN:
        return lifted(known(x, dtypes.int64)).expand(extents)
    return np.broadcast_to(x, extents)


def _tile(call: Call, x: Tensor, repeats: np.ndarray) -> Tensor:
    return x.repeat(tuple(repeats.tolist()))


# --- parts ----------------------------------------------------------------------------------------


def _concat(call: Call, x: Tensor, *others: Tensor) -> Tensor:
    return cat([x, *others], call["axis"])


def _folded_concat(call: Call, x: np.ndarray, *others: np.ndarray) -> Any:
    return np.concatenate([x, *others], call["axis"])


def _sizes(call: Call, extent: Any, split: np.ndarray | None) -> list[Any]:
    """Returns how long the parts of an axis are."""
    given = split.tolist() if split is not None else call["split"]
    if given is not None:
        return list(given)
    count = call["num_outputs"] or call.count
    each = -(-extent // count)
    last = extent - each * (count - 1)
    return (
        [each] * (count - 1) + [last]
        if last >= 0
        else [max(0, min(each, extent - each * k)) for k in range(count)]
    )


def _split(call: Call, x: Tensor, split: np.ndarray | None = None) -> tuple[Tensor, ...]:
    axis = call["axis"]
    return tuple(x.split(_sizes(call, x.shape[axis], split), axis))


def _folded_split(call: Call, x: np.ndarray, split: np.ndarray | None = None) -> Any:
    sizes = _sizes(call, x.shape[call["axis"]], split)
    return tuple(np.split(x, np.cumsum(sizes)[:-1], call["axis"]))


END = 1 << 30  # bounds beyond are those that exporters write for "to the end"


def _slices(call: Call, shape: Extents, bounds: Sequence[np.ndarray | None]) -> tuple[slice, ...]:
    """Returns one slice for each axis."""
    if call.opset < 10:
        starts, stops = list(call["starts"]), list(call["ends"])
        axes, steps = call["axes"], None
    else:
        given = [None if bound is None else bound.reshape(-1).tolist() for bound in bounds]
        if given[0] is None or given[1] is None:
            raise call.wrong("has no starts or no ends")
        starts, stops, axes, steps = given[0], given[1], given[2], given[3]
    axes = range(len(starts)) if axes is None else axes_from_front(axes, len(shape))
    steps = [1] * len(starts) if steps is None else steps
    result = [slice(None)] * len(shape)
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        result[axis] = _slice(start, stop, step, shape[axis])
    return tuple(result)


def _slice(start: Any, stop: Any, step: int, extent: Any) -> slice:
    """Returns a slice of Python, which leaves out what ONNX says by numbers far outside."""

    def is_far(bound: Any, above: bool) -> bool:
        return not is_symbolic(bound) and (bound >= END if above else bound <= -END)

    first = extent if is_far(start, True) else start
    if step > 0:
        last = None if is_far(stop, True) else 0 if is_far(stop, False) else stop
    else:
        first = None if is_far(start, True) else start
        before = not is_symbolic(stop) and not is_symbolic(extent) and stop < -extent
        last = None if is_far(stop, False) or before else stop
    return slice(first, last, step)


def _slice_rule(
    call: Call,
    x: Tensor,
    starts: np.ndarray | None = None,
    ends: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> Tensor:
    result: Tensor = x[_slices(call, x.shape, (starts, ends, axes, steps))]
    return result


def _folded_slice(
    call: Call,
    x: np.ndarray,
    starts: np.ndarray | None = None,
    ends: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> Any:
    return x[_slices(call, x.shape, (starts, ends, axes, steps))]


# --- padding --------------------------------------------------------------------------------------


def _pad(
    call: Call,
    x: Tensor,
    pads: np.ndarray | None = None,
    value: Tensor | None = None,
    axes: np.ndarray | None = None,
) -> Tensor:
    counts = list(call["pads"]) if pads is None else pads.reshape(-1).tolist()
    chosen = range(x.ndim) if axes is None else axes_from_front(axes.tolist(), x.ndim)
    low, high = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(chosen):
        low[axis], high[axis] = counts[place], counts[place + len(counts) // 2]
    fill = as_tensor(call["value"], x.dtype) if value is None else value.reshape(()).to(x.dtype)
    if call["mode"] == "constant":
        return padded(x, low, high, None if value is None and not call["value"] else fill)
    for axis in range(x.ndim):
        x = _mirrored(call, x, axis, low[axis], high[axis])
    return x


def padded(x: Tensor, low: Sequence[int], high: Sequence[int], value: Any = None) -> Tensor:
    """Returns x with elements of a value (None for 0) around it; a negative count cuts some off."""
    cut = tuple(
        [
            slice(max(0, -before), extent - max(0, -behind))
            for before, behind, extent in zip(low, high, x.shape, strict=True)
        ]
    )
    if min(*low, *high, 0) < 0:
        x = x[cut]
    before, behind = (tuple([max(0, count) for count in side]) for side in (low, high))
    if not any(before + behind):
        return x
    sides: dict[str, Any] = {"low": before, "high": behind, "step": (1,) * x.ndim}
    wide = movement.pad(x, **sides)
    if value is None:
        return wide
    inside = movement.pad(as_tensor(True).expand(x.shape), **sides)
    return where(inside, wide, value)


def _mirrored(call: Call, x: Tensor, axis: int, low: int, high: int) -> Tensor:
    """Returns x with more of itself before and behind along an axis."""
    if not low and not high:
        return x
    extent = x.shape[axis]
    places = np.arange(-low, extent + high)
    if call["mode"] == "edge":
        places = np.clip(places, 0, extent - 1)
    elif call["mode"] == "wrap":
        places = places % extent
    elif call["mode"] == "reflect":
        places = places % max(1, 2 * (extent - 1))
        places = np.where(places >= extent, 2 * (extent - 1) - places, places)
    else:
        raise call.wrong(f"mode {call['mode']!r} is none of constant, reflect, edge and wrap")
    result: Tensor = x[(slice(None),) * axis + (as_tensor(places),)]
    return result


def _center_crop_pad(call: Call, x: Tensor, shape: np.ndarray) -> Tensor:
    chosen = range(x.ndim) if call["axes"] is None else axes_from_front(call["axes"], x.ndim)
    low, high = [0] * x.ndim, [0] * x.ndim
    for axis, wanted in zip(chosen, shape.tolist(), strict=True):
        missing = wanted - x.shape[axis]
        low[axis] = missing // 2 if missing >= 0 else -(-missing // 2)
        high[axis] = missing - low[axis]
    return padded(x, low, high)


# --- blocks ---------------------------------------------------------------------------------------


def _depth_to_space(call: Call, x: Tensor) -> Tensor:
    size, axes = call["blocksize"], x.ndim - 2
    samples, channels, *extents = x.shape
    kept, blocks = channels // size**axes, (size,) * axes
    if call["mode"] == "DCR":
        x = x.reshape(samples, *blocks, kept, *extents)
        first, middle = 1, axes + 1
    else:
        x = x.reshape(samples, kept, *blocks, *extents)
        first, middle = 2, 1
    pairs = [place for axis in range(axes) for place in (axes + 2 + axis, first + axis)]
    x = x.permute(0, middle, *pairs)
    return x.reshape(samples, kept, *[extent * size for extent in extents])


def _space_to_depth(call: Call, x: Tensor) -> Tensor:
    size, axes = call["blocksize"], x.ndim - 2
    samples, channels, *extents = x.shape
    x = x.reshape(
        samples, channels, *[part for extent in extents for part in (extent // size, size)]
    )
    inner = [3 + 2 * axis for axis in range(axes)]
    outer = [2 + 2 * axis for axis in range(axes)]
    order = (0, *inner, 1, *outer) if call["mode"] == "DCR" else (0, 1, *inner, *outer)
    x = x.permute(order)
    return x.reshape(samples, channels * size**axes, *[extent // size for extent in extents])


def _trilu(call: Call, x: Tensor, k: np.ndarray | None = None) -> Tensor:
    offset = 0 if k is None else int(k.reshape(()))
    row, column = arange(x.shape[-2]).unsqueeze(1), arange(x.shape[-1])
    kept = column - row >= offset if call["upper"] else column - row <= offset
    return where(
        kept, x, as_tensor(0, x.dtype) if x.dtype is not dtypes.bool_ else as_tensor(False)
    )


def _reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    time, batch = call["time_axis"], call["batch_axis"]
    x = x.movedim((time, batch), (0, 1))
    steps, ends = arange(x.shape[0]).unsqueeze(1), lengths.to(dtypes.int64)
    places = where(steps < ends, ends - 1 - steps, steps)
    columns = arange(x.shape[1]).expand(places.shape)
    result: Tensor = x[places, columns]
    return result.movedim((0, 1), (time, batch))


CARDS: Final[Cards] = {
    "Reshape": Card(_reshape, {"allowzero": 0}, numbers=(1,), fold=_folded_reshape, first=5),
    "Flatten": Card(_flatten, {"axis": 1}, first=1),
    "Squeeze": _reshaping(_squeezed),
    "Unsqueeze": _reshaping(_unsqueezed),
    "Transpose": Card(_transpose, {"perm": INTS}, fold=_folded_transpose, first=1),
    "Expand": Card(_expand, numbers=(1,), fold=_folded_expand, first=8),
    "Tile": Card(_tile, numbers=(1,), first=6),
    "Concat": Card(_concat, {"axis": required(INT)}, fold=_folded_concat, first=4),
    "Split": Card(
        _split,
        {"axis": 0, "split": INTS, "num_outputs": INT},
        numbers=(1,),
        fold=_folded_split,
        first=2,
    ),
    "Slice": Card(
        _slice_rule,
        {"starts": INTS, "ends": INTS, "axes": INTS},
        numbers=(1, 2, 3, 4),
        fold=_folded_slice,
        first=1,
    ),
    "Pad": Card(_pad, {"mode": "constant", "pads": INTS, "value": 0.0}, numbers=(1, 3), first=2),
    "CenterCropPad": Card(_center_crop_pad, {"axes": INTS}, numbers=(1,), first=18),
    "DepthToSpace": Card(_depth_to_space, {"blocksize": required(INT), "mode": "DCR"}, first=1),
    "SpaceToDepth": Card(_space_to_depth, {"blocksize": required(INT), "mode": "DCR"}, first=1),
    "Trilu": Card(_trilu, {"upper": 1}, numbers=(1,), first=14),
    "ReverseSequence": Card(_reverse_sequence, {"time_axis": 0, "batch_axis": 1}, first=10),
}
