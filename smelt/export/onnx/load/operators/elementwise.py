"""Arithmetic, functions of each element, comparison and logic."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.export.onnx.load.card import FLOAT, INT, TEXT, Call, Card, Cards, Node, required
from smelt.export.onnx.load.casting import BITS, NARROW, cast, folded_cast, wrapped
from smelt.export.onnx.load.known import Known
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.export.onnx.load.tensors import KINDS, type_name
from smelt.ops.elementwise import bitcast
from smelt.tensor import Tensor, arithmetic, as_tensor, elementary
from smelt.tensor.elementary import where

Function = Callable[..., Any]
BOOL: Final = 9  # a type of ONNX
MULTIDIRECTIONAL: Final = 7  # the version from which on both operands broadcast


def _plain(function: Function, fold: Function | None = None, first: int = 7) -> Card:
    """Returns the card of an operator without settings that is one function."""
    return Card(
        lambda call, *operands: function(*operands),
        fold=None if fold is None else lambda call, *arrays: fold(*arrays),
        first=first,
    )


def _unary(function: Function, fold: Function | None = None, first: int = 6) -> Card:
    def rule(call: Call, x: Tensor) -> Any:
        return function(x)

    return Card(rule, fold=None if fold is None else lambda call, x: fold(x), first=first)


def _binary(function: Function, fold: Function | None = None) -> Card:
    """Returns the card of an operator of two tensors that broadcast.

    Before version 7 only the second did, which a setting says, and where its first axis lies.
    """

    def rule(call: Call, a: Tensor, b: Tensor) -> Any:
        if call.opset < MULTIDIRECTIONAL and call["axis"] is not None and b.ndim:
            (axis,) = axes_from_front([call["axis"]], a.ndim)
            b = b.reshape((*b.shape, *(1,) * (a.ndim - axis - b.ndim)))
        return function(a, b)

    return Card(
        rule,
        {"axis": INT, "broadcast": INT},
        fold=None if fold is None else lambda call, a, b: fold(a, b),
        first=6,
        refused=_refused_broadcast,
    )


def _refused_broadcast(node: Node) -> str:
    old = [name for name in ("axis", "broadcast") if node.settings[name] is not None]
    return f"with {old[0]!r}" if old and node.opset >= MULTIDIRECTIONAL else ""


def _variadic(
    function: Function, fold: Function | None = None, finish: Function | None = None
) -> Card:
    """Returns the card of an operator that combines any number of inputs."""

    def rule(call: Call, x: Tensor, *others: Tensor) -> Any:
        result = functools.reduce(function, others, x)
        return result if finish is None else finish(result, 1 + len(others))

    def folded(call: Call, x: np.ndarray, *others: np.ndarray) -> Any:
        assert fold is not None
        return functools.reduce(fold, others, x)

    return Card(rule, fold=None if fold is None else folded, first=6)


# --- arithmetic -----------------------------------------------------------------------------------


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """Integers are divided towards 0."""
    return a / b if a.dtype.is_float else arithmetic.div(a, b, rounding_mode="trunc")


def _folded_quotient(a: np.ndarray, b: np.ndarray) -> Any:
    if a.dtype == object or b.dtype == object:
        parts = [*a.reshape(-1), *b.reshape(-1)]
        return a / b if any(isinstance(part, float) for part in parts) else a // b
    if a.dtype.kind == "f":
        return a / b
    whole = a // np.where(b == 0, 1, b)
    return whole + ((whole < 0) & (whole * b != a))


def _power(a: Tensor, b: Tensor) -> Tensor:
    """The result is of the base's dtype."""
    if not a.dtype.is_float and b.dtype.is_float:
        return elementary.pow(a.to(dtypes.float64), b.to(dtypes.float64)).to(a.dtype)
    return elementary.pow(a, b.to(a.dtype)).to(a.dtype)


def _folded_power(a: np.ndarray, b: np.ndarray) -> Any:
    return np.power(a, b).astype(a.dtype)


def _mod(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return arithmetic.fmod(a, b) if call["fmod"] else arithmetic.remainder(a, b)


def _folded_mod(call: Call, a: np.ndarray, b: np.ndarray) -> Any:
    return np.fmod(a, b) if call["fmod"] else a % b


def _mean(total: Tensor, count: int) -> Tensor:
    return total / count


def _clip(call: Call, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if call.opset < 11:
        low = None if call["min"] is None else as_tensor(call["min"], x.dtype)
        high = None if call["max"] is None else as_tensor(call["max"], x.dtype)
    if low is not None:
        x = elementary.maximum(x, low.to(x.dtype))
    return x if high is None else elementary.minimum(x, high.to(x.dtype))


def _shift(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """By a power of two, rounded down; by a number that is no place of a bit, all bits go."""
    bits = BITS.get(call.node.types[0], 8 * a.dtype.itemsize)
    inside = (b >= 0) & (b < bits)
    factor = elementary.pow(as_tensor(2, dtypes.int64), elementary.clamp(b.to(dtypes.int64), 0, 62))
    wide = a.to(dtypes.int64)
    if call["direction"] == "LEFT":
        return where(inside, wide * factor, 0).to(a.dtype)
    return where(inside, wide // factor, where(wide < 0, -1, 0)).to(a.dtype)


# --- functions ------------------------------------------------------------------------------------


def _asinh(x: Tensor) -> Tensor:
    """asinh(x) = sign(x) log(|x| + sqrt(x^2 + 1)), near 0 by log1p"""
    size = elementary.abs(x)
    grown = size + size * size / (1.0 + elementary.sqrt(size * size + 1.0))
    return elementary.sign(x) * elementary.log1p(grown)


def _acosh(x: Tensor) -> Tensor:
    """acosh(x) = log(x + sqrt(x^2 - 1))"""
    return elementary.log(x + elementary.sqrt(x - 1.0) * elementary.sqrt(x + 1.0))


def _atanh(x: Tensor) -> Tensor:
    """atanh(x) = (log(1 + x) - log(1 - x)) / 2"""
    return 0.5 * (elementary.log1p(x) - elementary.log1p(-x))


def _is_infinite(call: Call, x: Tensor) -> Tensor:
    infinite = elementary.isinf(x)
    if not call["detect_negative"]:
        infinite = infinite & (x > 0)
    return infinite if call["detect_positive"] else infinite & (x < 0)


def _whole(function: Function) -> Function:
    """Returns a rounding that leaves integers as they are."""
    return lambda x: function(x) if x.dtype.is_float else x


def _folded_rounding(function: Callable[[Any], Any], fold: Function) -> Function:
    def folded(x: np.ndarray) -> Any:
        if x.dtype != object:
            return fold(x)
        result = np.empty(x.shape, object)
        for place, number in np.ndenumerate(x):
            result[place] = function(number)
        return result

    return folded


# --- comparison and logic -------------------------------------------------------------------------


def _where(call: Call, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return where(condition, a, b)


def _folded_where(call: Call, condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> Any:
    return np.where(condition, a, b)


def _bits(logical: Function) -> Function:
    return lambda a, b: logical(a, b)


# --- dtypes ---------------------------------------------------------------------------------------


def _refused_cast(node: Node) -> str:
    wanted = node.settings["to"]
    return "" if wanted in KINDS else f"to {type_name(wanted)}"


def _cast(call: Call, x: Tensor) -> Tensor:
    return cast(x, call["to"])


def _folded_cast(call: Call, x: np.ndarray) -> Any:
    if call["to"] in NARROW:
        return wrapped(np.trunc(x).astype(np.int64), call["to"])
    dtype = KINDS[call["to"]].dtype
    if dtype is dtypes.bfloat16:
        return Known(np.asarray(x, np.float32), dtype)
    return folded_cast(x, dtype)


def _cast_like(call: Call, x: Tensor, like: Tensor) -> Tensor:
    if call.node.types[1]:
        return cast(x, call.node.types[1])
    return (
        x != 0 if like.dtype is dtypes.bool_ and x.dtype is not dtypes.bool_ else x.to(like.dtype)
    )


def _refused_cast_like(node: Node) -> str:
    wanted = node.types[1]
    return "" if wanted in KINDS or not wanted else f"to {type_name(wanted)}"


def _refused_bits(node: Node) -> str:
    wanted, given = node.settings["to"], node.types[0]
    if wanted not in KINDS or wanted in NARROW or wanted == BOOL or given in NARROW:
        return f"of {type_name(given)} to {type_name(wanted)}"
    return ""


def _bit_cast(call: Call, x: Tensor) -> Tensor:
    dtype = KINDS[call["to"]].dtype
    if dtype.itemsize != x.dtype.itemsize:
        raise call.refuse(f"of {x.dtype.name} to {dtype.name}, which is of another size")
    return bitcast(x, dtype=dtype)


def _folded_round(x: np.ndarray) -> Any:
    return np.round(x)


CARDS: Final[Cards] = {
    "Add": _binary(arithmetic.add, np.add),
    "Sub": _binary(arithmetic.sub, np.subtract),
    "Mul": _binary(arithmetic.mul, np.multiply),
    "Div": _binary(_quotient, _folded_quotient),
    "Pow": _binary(_power, _folded_power),
    "Mod": Card(_mod, {"fmod": 0}, fold=_folded_mod, first=10),
    "Max": _variadic(elementary.maximum, np.maximum),
    "Min": _variadic(elementary.minimum, np.minimum),
    "Sum": _variadic(arithmetic.add, np.add),
    "Mean": _variadic(arithmetic.add, finish=_mean),
    "Neg": _unary(arithmetic.neg, np.negative),
    "Abs": _unary(elementary.abs, np.abs),
    "Sign": _unary(elementary.sign),
    "Reciprocal": _unary(elementary.reciprocal),
    "Sqrt": _unary(elementary.sqrt, np.sqrt),
    "Exp": _unary(elementary.exp),
    "Log": _unary(elementary.log),
    "Erf": _unary(elementary.erf),
    "Sin": _unary(elementary.sin),
    "Cos": _unary(elementary.cos),
    "Tan": _unary(elementary.tan),
    "Asin": _unary(elementary.asin),
    "Acos": _unary(elementary.acos),
    "Atan": _unary(elementary.atan),
    "Sinh": _unary(elementary.sinh),
    "Cosh": _unary(elementary.cosh),
    "Asinh": _unary(_asinh),
    "Acosh": _unary(_acosh),
    "Atanh": _unary(_atanh),
    "Floor": _unary(_whole(elementary.floor), _folded_rounding(math.floor, np.floor)),
    "Ceil": _unary(_whole(elementary.ceil), _folded_rounding(math.ceil, np.ceil)),
    "Round": _unary(_whole(elementary.round), _folded_round),
    "IsNaN": _unary(elementary.isnan),
    "IsInf": Card(_is_infinite, {"detect_negative": 1, "detect_positive": 1}, first=10),
    "Clip": Card(_clip, {"min": FLOAT, "max": FLOAT}, first=6),
    "BitShift": Card(_shift, {"direction": required(TEXT)}, first=11),
    "BitwiseAnd": _binary(_bits(lambda a, b: a & b)),
    "BitwiseOr": _binary(_bits(lambda a, b: a | b)),
    "BitwiseXor": _binary(_bits(lambda a, b: a ^ b)),
    "BitwiseNot": _unary(lambda x: ~x),
    "And": _binary(elementary.logical_and, np.logical_and),
    "Or": _binary(elementary.logical_or, np.logical_or),
    "Xor": _binary(elementary.logical_xor, np.logical_xor),
    "Not": _unary(elementary.logical_not, np.logical_not, first=1),
    "Equal": _binary(arithmetic.eq, np.equal),
    "Less": _binary(arithmetic.lt, np.less),
    "LessOrEqual": _binary(arithmetic.le, np.less_equal),
    "Greater": _binary(arithmetic.gt, np.greater),
    "GreaterOrEqual": _binary(arithmetic.ge, np.greater_equal),
    "Where": Card(_where, fold=_folded_where, first=9),
    "Cast": Card(
        _cast,
        {"to": required(INT), "saturate": 1, "round_mode": "up"},
        fold=_folded_cast,
        first=6,
        refused=_refused_cast,
    ),
    "BitCast": Card(_bit_cast, {"to": required(INT)}, first=26, refused=_refused_bits),
    "CastLike": Card(
        _cast_like,
        {"saturate": 1, "round_mode": "up"},
        first=15,
        refused=_refused_cast_like,
    ),
}
