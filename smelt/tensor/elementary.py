"""Functions of each element by itself: exp, sin, clamp, where, ... All are methods of Tensor too.

Integers become float32 where a function needs floats; Python numbers are weak.
"""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import ArgumentError
from smelt.ops import elementwise
from smelt.tensor.apply import (
    alike,
    as_tensor,
    common_dtype,
    floating,
    floats,
    is_tensor,
    matched,
    promoted,
)

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "abs", "acos", "addcdiv", "addcmul", "asin", "atan", "atan2", "ceil", "clamp", "clamp_max",
    "clamp_min", "cos", "cosh", "erf", "exp", "exp2", "expm1", "floor", "frac", "hypot", "isfinite",
    "isinf", "isnan", "lerp", "log", "log1p", "log2", "log10", "logaddexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "maximum", "minimum", "nan_to_num",
    "positive", "pow", "reciprocal", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square",
    "tan", "tanh", "trunc", "where",
]  # fmt: skip


def abs(x: Any) -> Tensor:
    """Returns |x|; its derivative at 0 is 0."""
    return promoted(elementwise.abs, x)


def sign(x: Any) -> Tensor:
    """Returns -1, 0 or 1."""
    x = as_tensor(x)
    return x if x.dtype is dtypes.bool_ else promoted(elementwise.sign, x)


def exp(x: Any) -> Tensor:
    """Returns e ** x."""
    return promoted(elementwise.exp, x)


def exp2(x: Any) -> Tensor:
    """Returns 2 ** x."""
    return promoted(elementwise.exp2, x)


def expm1(x: Any) -> Tensor:
    """Returns e ** x - 1, accurate near 0."""
    return promoted(elementwise.expm1, x)


def log(x: Any) -> Tensor:
    """Returns the natural logarithm; -inf at 0, nan below."""
    return promoted(elementwise.log, x)


def log2(x: Any) -> Tensor:
    """Returns the logarithm to base 2."""
    return promoted(elementwise.log2, x)


def log10(x: Any) -> Tensor:
    """Returns the logarithm to base 10."""
    return promoted(elementwise.log10, x)


def log1p(x: Any) -> Tensor:
    """Returns log(1 + x), accurate near 0."""
    return promoted(elementwise.log1p, x)


def sqrt(x: Any) -> Tensor:
    """Returns the square root; nan below 0."""
    return promoted(elementwise.sqrt, x)


def rsqrt(x: Any) -> Tensor:
    """Returns 1 / sqrt(x)."""
    return 1.0 / sqrt(x)


def reciprocal(x: Any) -> Tensor:
    """Returns 1 / x."""
    return 1.0 / floating(x)


def square(x: Any) -> Tensor:
    """Returns x * x."""
    return power(as_tensor(x), 2)


def pow(x: Any, exponent: Any) -> Tensor:
    """Returns x ** exponent."""
    if is_tensor(x):
        return power(x, exponent)
    return promoted(elementwise.pow, x, exponent)


def power(x: Tensor, exponent: Any) -> Tensor:
    """Returns `x ** exponent`: a small whole one by products, which are exact and cheap."""
    if isinstance(exponent, (int, np.integer)) and not isinstance(exponent, bool):
        if 0 < exponent <= 4:
            return _small_power(x.to(x.dtype.compute), int(exponent)).to(_counting(x.dtype))
        if exponent < 0 and not x.dtype.is_float:
            return promoted(elementwise.pow, floating(x), exponent)
    return promoted(elementwise.pow, x, exponent)


def _small_power(x: Tensor, exponent: int) -> Tensor:
    if exponent == 1:
        return x
    if exponent % 2:
        return promoted(elementwise.mul, x, _small_power(x, exponent - 1))
    half = _small_power(x, exponent // 2)
    return promoted(elementwise.mul, half, half)


def _counting(dtype: DType) -> DType:
    """Returns the dtype of arithmetic on one: bools count as int64."""
    return dtypes.int64 if dtype is dtypes.bool_ else dtype


def sin(x: Any) -> Tensor:
    """Returns the sine of x in radians."""
    return promoted(elementwise.sin, x)


def cos(x: Any) -> Tensor:
    """Returns the cosine of x in radians."""
    return promoted(elementwise.cos, x)


def tan(x: Any) -> Tensor:
    """Returns the tangent of x in radians."""
    return sin(x) / cos(x)


def asin(x: Any) -> Tensor:
    """Returns the angle in [-pi/2, pi/2] whose sine is x."""
    return promoted(elementwise.asin, x)


def acos(x: Any) -> Tensor:
    """Returns the angle in [0, pi] whose cosine is x."""
    return promoted(elementwise.acos, x)


def atan(x: Any) -> Tensor:
    """Returns the angle in [-pi/2, pi/2] whose tangent is x."""
    return atan2(x, 1.0)


def atan2(y: Any, other: Any) -> Tensor:
    """Returns the angle in [-pi, pi] of the point (other, y)."""
    return promoted(elementwise.atan2, y, other)


def sinh(x: Any) -> Tensor:
    """Returns (e^x - e^-x) / 2."""
    return promoted(elementwise.sinh, x)


def cosh(x: Any) -> Tensor:
    """Returns (e^x + e^-x) / 2."""
    return promoted(elementwise.cosh, x)


def tanh(x: Any) -> Tensor:
    """Returns (e^x - e^-x) / (e^x + e^-x), in (-1, 1)."""
    return promoted(elementwise.tanh, x)


def erf(x: Any) -> Tensor:
    """Returns the error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x."""
    return promoted(elementwise.erf, x)


def floor(x: Any) -> Tensor:
    """Returns the greatest integer not above x; its derivative is 0."""
    return _whole(elementwise.floor, x)


def ceil(x: Any) -> Tensor:
    """Returns the smallest integer not below x; its derivative is 0."""
    return _whole(elementwise.ceil, x)


def round(x: Any, decimals: int = 0) -> Tensor:
    """Returns the nearest integer, the even one at a tie; its derivative is 0.

    With `decimals`, rounded to that many decimal places: round(x * 10^d) / 10^d.
    """
    if not decimals:
        return _whole(elementwise.round, x)
    scale = 10.0 ** builtins.abs(decimals)
    x = floating(x)
    return round(x * scale) / scale if decimals > 0 else round(x / scale) * scale


def trunc(x: Any) -> Tensor:
    """Returns x without its fraction; its derivative is 0."""
    return _whole(elementwise.trunc, x)


def frac(x: Any) -> Tensor:
    """Returns the fraction of x, x - trunc(x), with the sign of x; its derivative is 1."""
    x = as_tensor(x)
    return promoted(elementwise.sub, x, trunc(x))


def _whole(op: elementwise.Elementwise, x: Any) -> Tensor:
    """Rounds floats; integers are whole."""
    x = as_tensor(x)
    return promoted(op, x) if x.dtype.is_float else x


def maximum(x: Any, other: Any) -> Tensor:
    """Returns the larger of two; nan wins; equal ones share the gradient evenly."""
    return promoted(elementwise.maximum, x, other)


def minimum(x: Any, other: Any) -> Tensor:
    """Returns the smaller of two; nan wins; equal ones share the gradient evenly."""
    return promoted(elementwise.minimum, x, other)


def clamp(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """Returns x clamped to [min, max]; nan where x or a bound is nan.

    The gradient passes to x inside and at the ends, and to a bound where x is clamped to it.

    Raises:
        ArgumentError: neither bound is given.
    """
    if min is None and max is None:
        raise ArgumentError("clamp: give min, max or both")
    given = (x, *(bound for bound in (min, max) if bound is not None))
    dtype = common_dtype(given)
    x = as_tensor(x, dtype).to(dtype)
    if min is not None:
        min = _saturated(min, dtype)
        x = nan_where_nan(min, where(x < min, min, x))
    if max is None:
        return x
    max = _saturated(max, dtype)
    return nan_where_nan(max, where(x > max, max, x))


def clamp_min(x: Any, min: Any) -> Tensor:
    """Returns x, or `min` where x is below it."""
    return clamp(x, min=min)


def clamp_max(x: Any, max: Any) -> Tensor:
    """Returns x, or `max` where x is above it."""
    return clamp(x, max=max)


def nan_where_nan(bound: Any, x: Tensor) -> Tensor:
    """Returns x, and nan without a gradient where the bound is nan, with which nothing compares."""
    if not is_tensor(bound) and np.ndim(bound) == 0 and bound == bound:
        return x  # a number that is one: nothing to ask of each element
    return where(isnan(bound), math.nan, x) if x.dtype.is_float else x


def _saturated(bound: Any, dtype: DType) -> Any:
    """Returns a bound that an integer dtype has, the nearest to the given number."""
    if dtype.kind != "int" or not isinstance(bound, (int, np.integer)):
        return bound
    limits = np.iinfo(dtype.storage)
    return builtins.min(builtins.max(int(bound), int(limits.min)), int(limits.max))


def where(condition: Any, x: Any, other: Any) -> Tensor:
    """Returns x where the condition is true and `other` elsewhere; all three broadcast.

    Args:
        condition: bool tensor.
        x: the value where the condition is true; the gradient goes only to the chosen side.
        other: the value elsewhere.
    """
    sides = alike(x, other)
    if sides is not None and sides[0].dtype.compute is sides[0].dtype:
        return elementwise.where(as_tensor(condition), *sides)
    dtype = common_dtype((x, other))
    yes, no = (as_tensor(side, dtype).to(dtype.compute) for side in (x, other))
    return elementwise.where(as_tensor(condition), yes, no).to(dtype)


def lerp(x: Any, end: Any, weight: Any) -> Tensor:
    """Returns x + weight * (end - x); the ends themselves at weights 0 and 1."""
    x, end, weight = floats(x, end, weight)
    step = end - x
    # from the nearer end, so that both ends are met exactly
    return where(weight < 0.5, x + weight * step, end - (1.0 - weight) * step)


def hypot(x: Any, other: Any) -> Tensor:
    """Returns sqrt(x^2 + other^2), without overflow of the squares; its derivatives at the origin
    are 0.
    """
    x, other = floats(x, other)
    dtype = x.dtype
    x, other = x.to(dtype.compute), other.to(dtype.compute)
    largest = maximum(abs(x), abs(other)).detach()  # any scale gives the same number
    is_odd = (largest == 0) | isinf(x) | isinf(other)
    scale = where(is_odd, 1.0, largest)
    a, b = (where(is_odd, 1.0, side / scale) for side in (x, other))
    odd = where(isinf(x) | isinf(other), math.inf, 0.0)
    return where(is_odd, odd, sqrt(a * a + b * b) * scale).to(dtype)


def logaddexp(x: Any, other: Any) -> Tensor:
    """Returns log(e^x + e^other), without overflow of the powers."""
    x, other = floats(x, other)
    dtype = x.dtype
    x, other = x.to(dtype.compute), other.to(dtype.compute)
    gap = where((x == other) & isinf(x), 0.0, x - other)
    first = gap >= 0
    return (where(first, x, other) + log1p(exp(where(first, -gap, gap)))).to(dtype)


def logit(x: Any, eps: float | None = None) -> Tensor:
    """Returns log(x / (1 - x)), which undoes sigmoid; nan outside [0, 1].

    Args:
        x: probabilities of any shape.
        eps: x is first clamped to [eps, 1 - eps].
    """
    x = floating(x)
    inner = x.to(x.dtype.compute)
    if eps is not None:
        inner = clamp(inner, eps, 1 - eps)
    return (log(inner) - log1p(-inner)).to(x.dtype)


def positive(x: Any) -> Tensor:
    """Returns +x, which is x."""
    return as_tensor(x)


def addcmul(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """Returns x + value * tensor1 * tensor2."""
    return _added(elementwise.mul, x, tensor1, tensor2, value)


def addcdiv(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """Returns x + value * tensor1 / tensor2."""
    return _added(elementwise.div, x, tensor1, tensor2, value)


def _added(op: elementwise.Elementwise, x: Any, first: Any, second: Any, value: Any) -> Tensor:
    """Returns x + value * op(first, second): one dtype for all three, rounded at the end."""
    given = matched(x, first, second)
    dtype = given[0].dtype
    x, first, second = (operand.to(dtype.compute) for operand in given)
    result = promoted(
        elementwise.add, x, promoted(elementwise.mul, promoted(op, first, second), value)
    )
    return result if dtype.compute is dtype else result.to(dtype)


def isnan(x: Any) -> Tensor:
    """Returns whether each element is not a number."""
    return promoted(elementwise.isnan, x)


def isinf(x: Any) -> Tensor:
    """Returns whether each element is infinite."""
    return promoted(elementwise.isinf, x)


def isfinite(x: Any) -> Tensor:
    """Returns whether each element is neither nan nor infinite."""
    return ~(isnan(x) | isinf(x))


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Returns x with finite numbers in place of nan and the infinities.

    Args:
        x: any shape.
        nan: the replacement for nan.
        posinf: the replacement for inf; by default the largest number of the dtype.
        neginf: the replacement for -inf; by default the smallest one.
    """
    x = as_tensor(x)
    if not x.dtype.is_float:
        return x
    posinf = dtypes.largest(x.dtype) if posinf is None else posinf
    neginf = -dtypes.largest(x.dtype) if neginf is None else neginf
    bounded = where(x == math.inf, posinf, where(x == -math.inf, neginf, x))
    return where(isnan(x), nan, bounded)


def logical_and(x: Any, other: Any) -> Tensor:
    """Returns whether both are not 0."""
    return (as_tensor(x) != 0) & (as_tensor(other) != 0)


def logical_or(x: Any, other: Any) -> Tensor:
    """Returns whether at least one is not 0."""
    return (as_tensor(x) != 0) | (as_tensor(other) != 0)


def logical_xor(x: Any, other: Any) -> Tensor:
    """Returns whether exactly one of both is not 0."""
    return (as_tensor(x) != 0) ^ (as_tensor(other) != 0)


def logical_not(x: Any) -> Tensor:
    """Returns whether each element is 0."""
    return as_tensor(x) == 0
