"""Sequences: lists of tensors, whose lengths are known while Python runs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.export.onnx.load.card import GRAPH, INT, Call, Card, Cards, required
from smelt.export.onnx.load.known import Known, Value, known, lifted
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.tensor.shaping import cat, stack


def _sequence(call: Call, value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise call.wrong("needs a sequence")
    return value


def _place(call: Call, value: Value, number: int, count: int) -> int:
    """Returns a position in a sequence, counted from the front."""
    array = call.numbers(number, value)
    assert array is not None
    place = int(array.reshape(()))
    if not -count <= place < count:
        raise call.wrong(f"there is no position {place} in a sequence of {count}")
    return place % count


def _construct(call: Call, *given: Value) -> list[Value]:
    return list(given)


def _empty(call: Call) -> list[Value]:
    return []


def _length(call: Call, sequence: Value) -> Known:
    return known(np.array(len(_sequence(call, sequence))), dtypes.int64)


def _at(call: Call, sequence: Value, position: Value) -> Value:
    given = _sequence(call, sequence)
    return given[_place(call, position, 1, len(given))]


def _insert(call: Call, sequence: Value, x: Value, position: Value = None) -> list[Value]:
    result = list(_sequence(call, sequence))
    given = call.numbers(2, position)
    result.insert(len(result) if given is None else int(given.reshape(())), x)
    return result


def _erase(call: Call, sequence: Value, position: Value = None) -> list[Value]:
    result = list(_sequence(call, sequence))
    del result[-1 if position is None else _place(call, position, 1, len(result))]
    return result


def _concatenate(call: Call, sequence: Value) -> Any:
    given = [lifted(value) for value in _sequence(call, sequence)]
    return stack(given, call["axis"]) if call["new_axis"] else cat(given, call["axis"])


def _split(call: Call, x: Value, split: Value = None) -> list[Value]:
    x = lifted(x)
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    given = call.numbers(1, split)
    if given is None:
        sizes: Any = 1
    else:
        sizes = given.reshape(()).item() if given.ndim == 0 else given.tolist()
    parts = list(x.split(sizes, axis))
    if given is None and not call["keepdims"]:
        parts = [part.squeeze(axis) for part in parts]
    return parts


def _map(call: Call, sequence: Value, *others: Value) -> tuple[list[Value], ...]:
    given = _sequence(call, sequence)
    rows = []
    for place, item in enumerate(given):
        beside = [other[place] if isinstance(other, list) else other for other in others]
        rows.append(call.inner(call["body"], [item, *beside]))
    return tuple([list(column) for column in zip(*rows, strict=True)])


# --- optional values ------------------------------------------------------------------------------


def _has_element(call: Call, value: Value = None) -> Known:
    return known(np.array(value is not None), dtypes.bool_)


def _element(call: Call, value: Value) -> Value:
    if value is None:
        raise call.wrong("an optional value that is not there is read")
    return value


CARDS: Final[Cards] = {
    "SequenceConstruct": Card(_construct, first=11, reads_known=True),
    "SequenceEmpty": Card(_empty, {"dtype": INT}, first=11, reads_known=True),
    "SequenceLength": Card(_length, first=11, reads_known=True),
    "SequenceAt": Card(_at, first=11, reads_known=True),
    "SequenceInsert": Card(_insert, first=11, reads_known=True),
    "SequenceErase": Card(_erase, first=11, reads_known=True),
    "ConcatFromSequence": Card(
        _concatenate, {"axis": required(INT), "new_axis": 0}, first=11, reads_known=True
    ),
    "SplitToSequence": Card(_split, {"axis": 0, "keepdims": 1}, first=11, reads_known=True),
    "SequenceMap": Card(_map, {"body": required(GRAPH)}, first=17, reads_known=True),
    "OptionalHasElement": Card(_has_element, first=15, reads_known=True),
    "OptionalGetElement": Card(_element, first=15, reads_known=True),
}
