"""Reading and writing by index."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.control import scan
from smelt.creation import arange
from smelt.errors import ArgumentError
from smelt.export.onnx.load.card import INT, Call, Card, Cards, Node
from smelt.export.onnx.load.known import Value
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.tensor import Tensor, as_tensor, indexing, sets
from smelt.tensor.elementary import maximum, minimum, where

REDUCTIONS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "mul": lambda a, b: a * b,
    "max": maximum,
    "min": minimum,
}


def counted(index: Tensor, extent: Any) -> Tensor:
    """Returns indices with those below 0 counted from the end."""
    index = index.to(dtypes.int64)
    return where(index < 0, index + extent, index)


# --- reading --------------------------------------------------------------------------------------


def _gather(call: Call, x: Tensor, index: Tensor) -> Tensor:
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    result: Tensor = x[(slice(None),) * axis + (index,)]
    return result


def _folded_gather(call: Call, x: np.ndarray, index: np.ndarray) -> Any:
    if index.dtype == object:
        index = index.astype(np.int64)
    try:
        return np.take(x, index, call["axis"])
    except IndexError as error:
        raise ArgumentError(str(error)) from None


def _gather_elements(call: Call, x: Tensor, index: Tensor) -> Tensor:
    return indexing.gather(x, call["axis"], counted(index, x.shape[call["axis"]]))


def _places(index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns the flat places in an array of a shape that tuples of indices name."""
    flat: Any = 0
    for axis, extent in enumerate(shape):
        flat = flat * extent + counted(index[..., axis], extent)
    return flat if shape else as_tensor(0, dtypes.int64).expand(index.shape[:-1])


def _gather_nd(call: Call, x: Tensor, index: Tensor) -> Tensor:
    batch, count = call["batch_dims"], index.shape[-1]
    shape = x.shape[batch : batch + count]
    rest = x.shape[batch + count :]
    places = _places(index, shape)
    samples = x.shape[:batch]
    if batch:
        total, size = math.prod(samples), math.prod(shape)
        numbers = arange(total).reshape((*samples, *(1,) * (places.ndim - batch)))
        places = places + numbers * size
    result: Tensor = x.reshape((-1, *rest))[places]
    return result


def _one_hot(call: Call, index: Tensor, depth: np.ndarray, values: Tensor) -> Tensor:
    count = int(depth.reshape(()))
    index = counted(index, count)
    axis = call["axis"]
    axis = axis + index.ndim + 1 if axis < 0 else axis
    chosen = arange(count) == index.unsqueeze(-1)
    off, on = values[0], values[1]
    return where(chosen.movedim(-1, axis), on, off)


def _compress(call: Call, x: Tensor, condition: np.ndarray) -> Tensor:
    places = np.nonzero(condition.astype(bool).reshape(-1))[0]
    x, given = (x.reshape(-1), 0) if call["axis"] is None else (x, call["axis"])
    (axis,) = axes_from_front([given], x.ndim)
    result: Tensor = x[(slice(None),) * axis + (as_tensor(places),)]
    return result


# --- writing --------------------------------------------------------------------------------------


def _scatter_elements(call: Call, x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    index = counted(index, x.shape[axis])
    if call["reduction"] == "none":
        return indexing.scatter(x, axis, index, updates)
    if call["reduction"] == "add":
        return indexing.scatter_add(x, axis, index, updates)
    coordinates = [
        index
        if dim == axis
        else arange(extent).reshape((-1,) + (1,) * (index.ndim - dim - 1)).expand(index.shape)
        for dim, extent in enumerate(index.shape)
    ]
    flat: Any = 0
    for dim, extent in enumerate(x.shape):
        flat = flat * extent + coordinates[dim]
    changed = _combined(call, x.reshape(-1), flat.reshape(-1), updates.reshape(-1))
    return changed.reshape(x.shape)


def _combined(call: Call, rows: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Changes rows one after the other: a place may be named more than once."""
    combine = REDUCTIONS[call["reduction"]]

    def change(rows: Tensor, given: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        place, update = given
        chosen = (arange(rows.shape[0]) == place).reshape((-1,) + (1,) * update.ndim)
        return where(chosen, combine(rows, update), rows), None

    return scan(change, rows, (places, updates.to(rows.dtype)))[0]


def _scatter_nd(call: Call, x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
    count = index.shape[-1]
    rest = x.shape[count:]
    places = _places(index, x.shape[:count]).reshape(-1)
    rows, updates = x.reshape((-1, *rest)), updates.reshape((-1, *rest))
    if call["reduction"] == "none":
        changed = rows.at[places].set(updates)
    elif call["reduction"] == "add":
        changed = rows.at[places].add(updates)
    else:
        changed = _combined(call, rows, places, updates)
    return changed.reshape(x.shape)


def _refused_reduction(node: Node) -> str:
    given = node.settings["reduction"]
    return "" if given in ("none", "add", *REDUCTIONS) else f"reduction {given!r}"


def _tensor_scatter(call: Call, x: Tensor, update: Tensor, starts: Tensor | None = None) -> Tensor:
    """Writes a part of each sample's rows along an axis, from a place of its own on."""
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    rows, new = x.movedim(axis, 1), update.movedim(axis, 1)
    extent, count = rows.shape[1], new.shape[1]
    first = as_tensor(np.zeros(1, np.int64)) if starts is None else starts.to(dtypes.int64)
    steps = arange(extent) - first.unsqueeze(-1)  # which row of the update comes to which place
    if call["mode"] == "circular":
        steps = steps % extent
    inside = ((steps >= 0) & (steps < count)).expand(rows.shape[:2])
    steps = steps.clamp(0, count - 1).expand(rows.shape[:2])
    samples = arange(rows.shape[0]).unsqueeze(1).expand(steps.shape)
    chosen = inside.reshape((*inside.shape, *(1,) * (rows.ndim - 2)))
    return where(chosen, new[samples, steps], rows).movedim(1, axis)


# --- how many is known only eagerly ---------------------------------------------------------------


def _nonzero(call: Call, x: Tensor) -> Tensor:
    return sets.argwhere(x if x.ndim else x.reshape(1)).T


def _folded_nonzero(call: Call, x: np.ndarray) -> Any:
    return np.array(np.nonzero(np.atleast_1d(x)), np.int64)


def _unique(call: Call, x: Value) -> tuple[Tensor, ...]:
    array, axis = call.numbers(0, x), call["axis"]
    assert array is not None
    given = array.reshape(-1) if axis is None else array
    values, first, inverse, counts = np.unique(given, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not call["sorted"]:
        order = np.argsort(first, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        values = np.take(values, order, 0 if axis is None else axis)
        first, counts, inverse = first[order], counts[order], place[inverse]
    places = [as_tensor(np.ascontiguousarray(part)) for part in (first, inverse, counts)]
    return (as_tensor(np.ascontiguousarray(values), x.dtype), *places)


CARDS: Final[Cards] = {
    "Gather": Card(_gather, {"axis": 0}, fold=_folded_gather, first=1),
    "GatherElements": Card(_gather_elements, {"axis": 0}, first=11),
    "GatherND": Card(_gather_nd, {"batch_dims": 0}, first=11),
    "OneHot": Card(_one_hot, {"axis": -1}, numbers=(1,), first=9),
    "Compress": Card(_compress, {"axis": INT}, numbers=(1,), first=9),
    "Scatter": Card(_scatter_elements, {"axis": 0, "reduction": "none"}, first=9, before=11),
    "ScatterElements": Card(
        _scatter_elements, {"axis": 0, "reduction": "none"}, first=11, refused=_refused_reduction
    ),
    "ScatterND": Card(_scatter_nd, {"reduction": "none"}, first=11, refused=_refused_reduction),
    "TensorScatter": Card(_tensor_scatter, {"axis": -2, "mode": "linear"}, first=24),
    "NonZero": Card(_nonzero, fold=_folded_nonzero, first=9),
    "Unique": Card(_unique, {"axis": INT, "sorted": 1}, first=11, reads_known=True),
}
