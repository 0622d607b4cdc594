"""Constants, shapes and ranges: what is mostly known while Python runs."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import arange, eye, full
from smelt.dtypes import DType, decode
from smelt.export.onnx.load.card import (
    FLOAT,
    FLOATS,
    INT,
    INTS,
    TENSOR,
    TEXT,
    TEXTS,
    Call,
    Card,
    Cards,
    Node,
)
from smelt.export.onnx.load.known import Known, Value, known, vector
from smelt.export.onnx.load.tensors import KINDS, type_name
from smelt.ir.symbolic import is_symbolic
from smelt.tensor import Tensor, as_tensor

MOST_KNOWN = 1 << 20  # elements that are computed with NumPy


def _constant(call: Call) -> Known:
    value = call["value"]
    if value is not None:
        array, dtype = value.array, value.dtype
        return Known(decode(array, dtype), dtype)
    for name, dtype in (("value_float", dtypes.float32), ("value_int", dtypes.int64)):
        if call[name] is not None:
            return Known(np.array(call[name], dtype.storage), dtype)
        if call[f"{name}s"] is not None:
            return vector(call[f"{name}s"], dtype)
    raise call.wrong("has no value")


def _refused_constant(node: Node) -> str:
    given = node.settings
    return "text" if given["value_string"] is not None or given["value_strings"] is not None else ""


def _identity(call: Call, x: Value) -> Value:
    return x


def _shape(call: Call, x: Value) -> Known:
    extents = x.shape if isinstance(x, Known) else tuple(x.shape)
    count = len(extents)
    start, end = call["start"], count if call["end"] is None else call["end"]
    start, end = (
        min(max(place + count if place < 0 else place, 0), count) for place in (start, end)
    )
    return vector(extents[start:end])


def _size(call: Call, x: Value) -> Known:
    return known(math.prod(x.shape), dtypes.int64)


def filled(shape: list[Any], number: Any, dtype: DType) -> Value:
    """Returns a tensor that repeats a number; a small one of integers or bools is known."""
    small = not any(map(is_symbolic, shape)) and math.prod(shape) <= MOST_KNOWN
    if small and not dtype.is_float:
        return Known(np.full(shape, number, dtype.storage), dtype)
    return full(tuple(shape), number, dtype)


def _constant_of_shape(call: Call, shape: np.ndarray) -> Value:
    value: Known | None = call["value"]
    if value is None:
        return filled(shape.tolist(), 0.0, dtypes.float32)
    number = decode(value.array, value.dtype).reshape(-1)[0].item()
    return filled(shape.tolist(), number, value.dtype)


def _range(call: Call, start: Value, limit: Value, delta: Value) -> Value:
    """Of numbers that are known; where one is symbolic, a tensor of as many elements."""
    dtype = start.dtype
    arrays = [call.numbers(place, x) for place, x in enumerate((start, limit, delta))]
    low, high, step = [array.reshape(()).item() for array in arrays if array is not None]
    if any(map(is_symbolic, (low, high, step))):
        return arange(low, high, step, dtype)
    if dtype.is_float:
        count = max(0, math.ceil((high - low) / step))
        return as_tensor(np.arange(count, dtype=np.float64) * step + low).to(dtype)
    if abs((high - low) // step) > MOST_KNOWN:
        return arange(low, high, step, dtype)
    return Known(np.array(range(low, high, step), dtype.storage), dtype)


def _type_or(call: Call, name: str, default: DType) -> DType:
    return default if call[name] is None else KINDS[call[name]].dtype


def _eye_like(call: Call, x: Tensor) -> Tensor:
    rows, columns = x.shape
    dtype, offset = _type_or(call, "dtype", x.dtype), call["k"]
    if not offset:
        return eye(rows, columns, dtype)
    row, column = arange(rows).unsqueeze(1), arange(columns)
    return (column - row == offset).to(dtype)


def _refused_type(name: str) -> Any:
    def refused(node: Node) -> str:
        wanted = node.settings[name]
        return "" if wanted is None or wanted in KINDS else f"of {type_name(wanted)}"

    return refused


def _window(*coefficients: float) -> Card:
    """Returns the card of a window: sum of a[k] (-1)^k cos(2 pi k n / N) (Harris, 1978)."""

    def rule(call: Call, size: np.ndarray) -> Tensor:
        count = size.reshape(()).item()
        length = count if call["periodic"] else count - 1
        angles = arange(count).to(dtypes.float64) * (2 * math.pi / length)
        total: Any = coefficients[0]
        for k, factor in enumerate(coefficients[1:], 1):
            total = total + (angles * float(k)).cos() * factor
        return total.to(KINDS[call["output_datatype"]].dtype)

    settings = {"periodic": 1, "output_datatype": 1}
    return Card(rule, settings, numbers=(0,), first=17, refused=_refused_type("output_datatype"))


CARDS: Final[Cards] = {
    "Constant": Card(
        _constant,
        {
            "value": TENSOR, "value_float": FLOAT, "value_floats": FLOATS, "value_int": INT,
            "value_ints": INTS, "value_string": TEXT, "value_strings": TEXTS,
        },
        first=1,
        refused=_refused_constant,
    ),
    "Identity": Card(_identity, first=1, reads_known=True),
    "Shape": Card(_shape, {"start": 0, "end": INT}, first=1, reads_known=True),
    "Size": Card(_size, first=1, reads_known=True),
    "ConstantOfShape": Card(_constant_of_shape, {"value": TENSOR}, numbers=(0,), first=9),
    "Range": Card(_range, {"stash_type": 1}, first=11, reads_known=True),
    "EyeLike": Card(_eye_like, {"dtype": INT, "k": 0}, first=9, refused=_refused_type("dtype")),
    "HannWindow": _window(0.5, -0.5),
    "HammingWindow": _window(25 / 46, -21 / 46),
    "BlackmanWindow": _window(0.42, -0.5, 0.08),
}  # fmt: skip
