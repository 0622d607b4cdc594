"""The value of each operation of the loop IR on NumPy scalars and vectors, in tables by arity.

The interpreter uses these tables; constant folding may, too. Values are NumPy arrays of the dtype's
storage type; float16 and bfloat16 are computed in float32 and rounded back, int8 in int32. Callers
run every function under `numpy.errstate(all="ignore")`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from smelt.dtypes import DType, bfloat16, decode, encode
from smelt.ir.error_function import erf

Value = Any  # a NumPy scalar, or a vector with one element a lane


def unary(op: str, x: Value, given: DType, result: DType) -> Value:
    """Returns `op(x)` as dtype `result`, for an `x` of dtype `given`."""
    if op == "bitcast":
        return x.view(result.storage)
    function = (_WHOLE if given.kind != "float" else {}).get(op) or _UNARY[op]
    return cast(function(_number(x, given)), result)


def binary(op: str, a: Value, b: Value, given: DType, result: DType) -> Value:
    """Returns `op(a, b)` as dtype `result`, for operands of dtype `given`."""
    special = _INTEGER if given.kind == "int" else _FLAG if given.kind == "bool" else {}
    function = special.get(op) or _BINARY[op]
    return cast(function(_number(a, given), _number(b, given)), result)


def fma(a: Value, b: Value, c: Value, dtype: DType) -> Value:
    """Returns `a * b + c`, rounded once.

    float32 is computed in float64, where the product is exact; the sum is rounded to odd, so that
    rounding it again to float32 gives the correct result. float64 is computed in exact fractions,
    element by element.
    """
    if dtype.kind != "float":
        return a * b + c
    if dtype.itemsize == 8:
        return _fma_exact(a, b, c)[()]
    wide = (np.asarray(_number(part, dtype), np.float64) for part in (a, b, c))
    return encode(_fma_to_odd(*wide).astype(np.float32), dtype)[()]


def cast(x: Value, dtype: DType) -> Value:
    """Returns numbers as values of `dtype`; floats to integers truncate and saturate, nan is 0."""
    if dtype.kind == "bool":
        return np.not_equal(x, 0)
    if dtype is not bfloat16 and x.dtype == dtype.storage:
        return x[()]
    return encode(x, dtype)[()]


def convert(x: Value, given: DType, result: DType) -> Value:
    """Returns a value of dtype `given` as one of `result`."""
    return x if given is result else cast(_number(x, given), result)


def power(a: Value, b: Value) -> Value:
    """Returns `a ** b`; NumPy itself computes an exponent of 0.5 as a square root (nan at -inf)."""
    if not np.any(np.equal(b, 0.5)):
        return np.power(a, b)
    base, exponent = np.broadcast_arrays(a, b)
    flat = np.power(base.flatten(), exponent.flatten())  # one exponent for each base
    return flat.reshape(base.shape)[()]


def _number(x: Value, dtype: DType) -> Value:
    if dtype.compute is dtype:
        return x
    return decode(np.asarray(x), dtype).astype(dtype.compute.storage)[()]


def _fma_to_odd(a: Value, b: Value, c: Value) -> Value:
    product = a * b  # exact: 24 + 24 bits fit into 53
    total = np.asarray(product + c)
    back = total - product
    lost = (product - (total - back)) + (c - back)
    even = (total.view(np.int64) & 1) == 0
    inexact = np.isfinite(lost) & (lost != 0)
    return np.where(inexact & even, np.nextafter(total, np.copysign(np.inf, lost)), total)


def _fma_one(a: float, b: float, c: float) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return float(np.float64(a) * np.float64(b) + np.float64(c))
    if not math.isfinite(c):  # the exact product is finite, even where a float would overflow
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c if a == 0 or b == 0 else 0.0
    sign = 1.0 if exact > 0 else -1.0
    try:
        return math.copysign(float(exact), sign)
    except OverflowError:
        return math.copysign(math.inf, sign)


def shift_right_logical(a: Value, b: Value) -> Value:
    """Returns a shifted right, filled with zeros from the left; b counts modulo the width."""
    bits = np.asarray(a).dtype.itemsize * 8
    unsigned = np.dtype(f"uint{bits}")
    count = np.asarray(b % bits).astype(unsigned)
    return (np.asarray(a).view(unsigned) >> count).view(np.asarray(a).dtype)


def shift_left(a: Value, b: Value) -> Value:
    """Returns a shifted left; b counts modulo the width."""
    return a << (b % (np.asarray(a).dtype.itemsize * 8))


def _truncated(a: Value, b: Value) -> Value:
    floor = a // np.where(b == 0, 1, b).astype(b.dtype)
    upward = (floor * b != a) & ((a < 0) != (b < 0))
    return np.where(b == 0, 0, floor + upward).astype(a.dtype)


def whole_power(a: Value, b: Value) -> Value:
    """Integer power with wrapping; a negative exponent truncates the reciprocal."""
    power = np.power(a, np.where(b < 0, 0, b).astype(a.dtype))
    odd = np.where(b % 2 == 0, 1, a)
    below = np.where(np.abs(a) == 1, odd, 0)
    return np.where(b < 0, below, power).astype(a.dtype)


def _same(x: Value) -> Value:
    return x


def _never(x: Value) -> Value:
    return np.zeros_like(x, dtype=np.bool_)[()]


_fma_exact = np.vectorize(_fma_one, otypes=[np.float64])

_NUMPY = (  # NumPy's functions of the same name
    "abs sqrt exp exp2 log log2 log10 log1p expm1 sin cos tanh floor ceil trunc sign logical_not "
    "isnan isinf add mod maximum minimum bitwise_and bitwise_or bitwise_xor".split()
)
_SAME_NAME: dict[str, Callable[..., Value]] = {name: getattr(np, name) for name in _NUMPY}
_UNARY = _SAME_NAME | {
    "neg": np.negative,
    "round": np.rint,
    "bitwise_not": np.invert,
    "erf": erf,
}
_WHOLE = dict.fromkeys(("floor", "ceil", "round", "trunc"), _same)
_WHOLE |= dict.fromkeys(("isnan", "isinf"), _never)
_BINARY = _SAME_NAME | {
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floordiv": np.floor_divide,
    "pow": power,
    "atan2": np.arctan2,
    "shl": shift_left,
    "shr": shift_right_logical,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_INTEGER = {"div": _truncated, "pow": whole_power}
_FLAG = {"add": np.logical_or, "mul": np.logical_and}
