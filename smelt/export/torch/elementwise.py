"""Elementwise operators: arithmetic, functions of one number, comparisons, logic, choices."""

from __future__ import annotations

import math
from typing import Any, Final

from smelt.creation import full_like
from smelt.dtypes import DType, bool_
from smelt.export.torch.program import Rule, unsupported
from smelt.tensor import Tensor, arithmetic, elementary
from smelt.tensor.apply import as_tensor, floating
from smelt.tensor.methods import clone


def _rsub(x: Tensor, other: Any, alpha: Any = 1) -> Any:
    return other - arithmetic.mul(x, alpha) if alpha != 1 else other - x


def _power(x: Any, exponent: Any) -> Tensor:
    """Of a number and a tensor, too."""
    return elementary.pow(x, exponent) if isinstance(x, Tensor) else x**exponent


def _division(x: Tensor, other: Any, rounding_mode: str | None = None) -> Tensor:
    return arithmetic.div(x, other, rounding_mode=rounding_mode)


def _clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return elementary.clamp(x, min, max)


def _round(x: Tensor, decimals: int = 0) -> Tensor:
    return elementary.round(x, decimals)


# --- functions that Smelt writes with others ------------------------------------------------------


def _asinh(x: Tensor) -> Tensor:
    """sign(x) log(|x| + sqrt(x^2 + 1)), written so that it is exact near 0."""
    size = elementary.abs(floating(x))
    square = size * size
    return elementary.sign(x) * elementary.log1p(
        size + square / (1.0 + elementary.sqrt(square + 1.0))
    )


def _acosh(x: Tensor) -> Tensor:
    beyond = floating(x) - 1.0
    return elementary.log1p(beyond + elementary.sqrt(beyond * beyond + 2.0 * beyond))


def _atanh(x: Tensor) -> Tensor:
    x = floating(x)
    return 0.5 * elementary.log1p(2.0 * x / (1.0 - x))


def _xlogy(x: Any, other: Any) -> Tensor:
    """The product of x and log(y), 0 where x is 0, unless y is nan."""
    y = as_tensor(other)
    product = x * elementary.log(elementary.where(as_tensor(x) == 0, 1.0, y))
    return elementary.where(elementary.isnan(y), math.nan, product)


def _sign_bit(x: Tensor) -> Tensor:
    return elementary.atan2(elementary.sign(x), -1.0) < 0 if x.dtype.is_float else x < 0


def _addition(x: Tensor, other: Any, alpha: Any = 1) -> Tensor:
    return arithmetic.add(x, other, alpha=alpha)


def _subtraction(x: Tensor, other: Any, alpha: Any = 1) -> Tensor:
    return arithmetic.sub(x, other, alpha=alpha)


def _addcmul(x: Tensor, first: Any, second: Any, value: Any = 1) -> Tensor:
    return elementary.addcmul(x, first, second, value=value)


def _addcdiv(x: Tensor, first: Any, second: Any, value: Any = 1) -> Tensor:
    return elementary.addcdiv(x, first, second, value=value)


# --- choices, and other dtypes --------------------------------------------------------------------


def _where(condition: Tensor, x: Any, other: Any) -> Tensor:
    return elementary.where(_condition(condition), x, other)


def _condition(condition: Tensor) -> Tensor:
    return condition if condition.dtype is bool_ else condition != 0


def _masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    return elementary.where(_condition(mask), value, x).to(x.dtype)


def _cast(x: Tensor, dtype: DType | None = None, **unused: Any) -> Tensor:
    return x if dtype is None else x.to(dtype)


def _copy(x: Tensor, source: Any, non_blocking: bool = False) -> Tensor:
    """`source` in the shape and the dtype of x, in whose place it comes."""
    return as_tensor(source).to(x.dtype).expand(x.shape)


def _fill(x: Tensor, value: Any) -> Tensor:
    return full_like(x, value, x.dtype)


def _same(x: Tensor, *unused: Any, **options: Any) -> Tensor:
    return x


def _clone(x: Tensor, **unused: Any) -> Tensor:
    return x if x.is_traced else clone(x)


def _detach(x: Tensor) -> Tensor:
    return x.detach()


# --- bits -----------------------------------------------------------------------------------------


def _and(x: Any, other: Any) -> Any:
    return x & other


def _or(x: Any, other: Any) -> Any:
    return x | other


def _xor(x: Any, other: Any) -> Any:
    return x ^ other


def _not(x: Tensor) -> Tensor:
    return ~x


def _shifted_left(x: Tensor, count: Any) -> Tensor:
    return x * 2**count if isinstance(count, int) else _refuse_shift()


def _shifted_right(x: Tensor, count: Any) -> Tensor:
    return arithmetic.floor_divide(x, 2**count) if isinstance(count, int) else _refuse_shift()


def _refuse_shift() -> Tensor:
    raise unsupported("Smelt shifts integers by numbers only, not by tensors")


RULES: Final[dict[str, Rule]] = {
    # arithmetic
    "add": _addition,
    "sub": _subtraction,
    "rsub": _rsub,
    "mul": arithmetic.mul,
    "div": _division,
    "true_divide": arithmetic.div,
    "floor_divide": arithmetic.floor_divide,
    "remainder": arithmetic.remainder,
    "fmod": arithmetic.fmod,
    "neg": arithmetic.neg,
    "pow": _power,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": elementary.lerp,
    "maximum": elementary.maximum,
    "minimum": elementary.minimum,
    "max.other": elementary.maximum,
    "min.other": elementary.minimum,
    "fmax": lambda x, y: elementary.where(
        elementary.isnan(y), x, elementary.where(elementary.isnan(x), y, elementary.maximum(x, y))
    ),
    "fmin": lambda x, y: elementary.where(
        elementary.isnan(y), x, elementary.where(elementary.isnan(x), y, elementary.minimum(x, y))
    ),
    "clamp": _clamp,
    "clamp_min": elementary.clamp_min,
    "clamp_max": elementary.clamp_max,
    "hypot": elementary.hypot,
    "logaddexp": elementary.logaddexp,
    "atan2": elementary.atan2,
    "xlogy": _xlogy,
    # functions of one number
    "abs": elementary.abs,
    "sign": elementary.sign,
    "sgn": elementary.sign,
    "signbit": _sign_bit,
    "exp": elementary.exp,
    "exp2": elementary.exp2,
    "expm1": elementary.expm1,
    "log": elementary.log,
    "log2": elementary.log2,
    "log10": elementary.log10,
    "log1p": elementary.log1p,
    "sqrt": elementary.sqrt,
    "rsqrt": elementary.rsqrt,
    "reciprocal": elementary.reciprocal,
    "square": elementary.square,
    "sin": elementary.sin,
    "cos": elementary.cos,
    "tan": elementary.tan,
    "asin": elementary.asin,
    "acos": elementary.acos,
    "atan": elementary.atan,
    "sinh": elementary.sinh,
    "cosh": elementary.cosh,
    "tanh": elementary.tanh,
    "asinh": _asinh,
    "acosh": _acosh,
    "atanh": _atanh,
    "erf": elementary.erf,
    "erfc": lambda x: 1.0 - elementary.erf(x),
    "floor": elementary.floor,
    "ceil": elementary.ceil,
    "round": _round,
    "trunc": elementary.trunc,
    "frac": elementary.frac,
    "logit": elementary.logit,
    "nan_to_num": elementary.nan_to_num,
    # comparisons and logic
    "eq": arithmetic.eq,
    "ne": arithmetic.ne,
    "lt": arithmetic.lt,
    "le": arithmetic.le,
    "gt": arithmetic.gt,
    "ge": arithmetic.ge,
    "isnan": elementary.isnan,
    "isinf": elementary.isinf,
    "isfinite": elementary.isfinite,
    "logical_and": elementary.logical_and,
    "logical_or": elementary.logical_or,
    "logical_xor": elementary.logical_xor,
    "logical_not": elementary.logical_not,
    "bitwise_and": _and,
    "bitwise_or": _or,
    "bitwise_xor": _xor,
    "bitwise_not": _not,
    "bitwise_left_shift": _shifted_left,
    "bitwise_right_shift": _shifted_right,
    "__lshift__": _shifted_left,
    "__rshift__": _shifted_right,
    # choices, and other dtypes
    "where": _where,
    "masked_fill": _masked_fill,
    "_to_copy": _cast,
    "to": _cast,
    "copy": _copy,
    "fill": _fill,
    "clone": _clone,
    "alias": _same,
    "detach": _detach,
    "lift_fresh": _same,
    "lift_fresh_copy": _clone,
    "contiguous": _same,
}
