"""Many elements to one along some axes: sums, extremes, statistics; and running sums. Methods too.

`dim` is an axis, several, or None for all; `keepdim` keeps the reduced axes with size 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from smelt import dtypes
from smelt.errors import ArgumentError
from smelt.ops import reduction
from smelt.ops.iota import iota
from smelt.tensor.apply import Dims, axes_of, axis_of, floating, floating_as, reduced
from smelt.tensor.arithmetic import isclose
from smelt.tensor.elementary import abs as absolute
from smelt.tensor.elementary import exp, isinf, isnan, log, maximum, minimum, sqrt, where

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "Extreme", "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "count_nonzero",
    "cumprod", "cumsum", "equal", "logsumexp", "max", "mean", "min", "norm", "prod", "std",
    "std_mean", "sum", "var", "var_mean",
]  # fmt: skip


class Extreme(NamedTuple):
    """The largest or smallest elements along an axis, and their positions."""

    values: Tensor
    indices: Tensor


def sum(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Returns the sum over the axes `dim`; bool and integers sum as int64.

    If `dtype` is given, the elements are converted first.
    """
    if dtype is not None:
        return reduced(reduction.sum, x.to(dtype), dim, keepdim).to(dtype)
    x = x if x.dtype.is_float else x.to(dtypes.int64)
    return reduced(reduction.sum, x, dim, keepdim)


def mean(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Returns the mean over the axes `dim`, in `dtype` if given; nan if there are no elements."""
    x = floating_as("mean", x, dtype)
    return (sum(wide(x), dim, keepdim) / _count(x, dim)).to(x.dtype)


def prod(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Returns the product over the axes `dim`; bool and integers multiply as int64.

    If `dtype` is given, the elements are converted first.
    """
    if dtype is not None:
        return reduced(reduction.prod, x.to(dtype), dim, keepdim).to(dtype)
    x = x if x.dtype.is_float else x.to(dtypes.int64)
    return reduced(reduction.prod, x, dim, keepdim)


def amax(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns the largest element over the axes `dim`; nan wins; ties share the gradient evenly."""
    return reduced(reduction.max, x, dim, keepdim)


def amin(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns the smallest element over the axes `dim`; nan wins; ties share the gradient
    evenly.
    """
    return reduced(reduction.min, x, dim, keepdim)


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Returns the largest element; with `dim` a pair (values, indices); with a tensor, the larger.

    Equal elements share the gradient evenly; `indices` has the first of them.
    """
    if dim is None:
        return amax(x)
    if not isinstance(dim, int):
        return maximum(x, dim)
    return Extreme(amax(x, dim, keepdim), argmax(x, dim, keepdim))


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Returns the smallest element; with `dim` a pair (values, indices); with a tensor, the
    smaller.

    Equal elements share the gradient evenly; `indices` has the first of them.
    """
    if dim is None:
        return amin(x)
    if not isinstance(dim, int):
        return minimum(x, dim)
    return Extreme(amin(x, dim, keepdim), argmin(x, dim, keepdim))


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Returns the index of the largest element along `dim` (in the flat tensor when None), int64.

    The first one counts; nan is larger than everything.
    """
    return _where_extreme(reduction.max, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Returns the index of the smallest element along `dim` (in the flat tensor when None), int64.

    The first one counts; nan is smaller than everything.
    """
    return _where_extreme(reduction.min, x, dim, keepdim)


def _where_extreme(op: reduction.Reduction, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if dim is None:
        position = _where_extreme(op, x.detach().reshape(-1), 0, False)
        return position.reshape((1,) * x.ndim) if keepdim else position
    x = x.detach() if x.dtype is not dtypes.bool_ else x.to(dtypes.int32)
    axis = axis_of(x, dim, "argmax or argmin")
    if not x.ndim:
        return _where_extreme(op, x.reshape(1), 0, False)
    extreme = x == reduced(op, x, axis, True)
    if x.dtype.is_float:
        extreme = extreme | isnan(x)  # a nan is the extreme, and equals nothing
    position = iota(shape=x.shape, axis=axis)
    return amin(where(extreme, position, x.shape[axis]), axis, keepdim)


def any(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns whether at least one element over the axes `dim` is not 0."""
    return count_nonzero(x, dim, keepdim) != 0


def all(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns whether every element over the axes `dim` is not 0."""
    return sum(x == 0, dim, keepdim) == 0


def count_nonzero(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns how many elements over the axes `dim` are not 0, as int64."""
    return sum(x != 0, dim, keepdim)


def var(x: Tensor, dim: Dims = None, correction: float | None = 1, keepdim: bool = False) -> Tensor:
    """Returns the variance over the axes `dim`: sum (x - mean)^2 / (N - correction).

    `correction=1` is the unbiased estimate from a sample, `correction=0` the variance of the
    numbers themselves, None is 1. A bool in place of `dim` or `correction` is PyTorch's `unbiased`.
    """
    x = floating(x)
    return _variance(wide(x), dim, correction, keepdim).to(x.dtype)


def std(x: Tensor, dim: Dims = None, correction: float | None = 1, keepdim: bool = False) -> Tensor:
    """Returns the square root of `var`; its gradient at equal elements is 0."""
    x = floating(x)
    return _root(_variance(wide(x), dim, correction, keepdim)).to(x.dtype)


def var_mean(
    x: Tensor, dim: Dims = None, correction: float | None = 1, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    """Returns the variance and the mean over the axes `dim`; see `var`."""
    return var(x, dim, correction, keepdim), mean(x, _axes(dim), keepdim)


def std_mean(
    x: Tensor, dim: Dims = None, correction: float | None = 1, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    """Returns the standard deviation and the mean over the axes `dim`; see `std`."""
    return std(x, dim, correction, keepdim), mean(x, _axes(dim), keepdim)


def _axes(dim: Dims) -> Dims:
    return None if isinstance(dim, bool) else dim  # a bool is PyTorch's `unbiased`


def _variance(x: Tensor, dim: Dims, correction: float | None, keepdim: bool) -> Tensor:
    if isinstance(dim, bool):  # PyTorch's `unbiased`, which may stand alone
        correction, dim = int(dim), None
    centered = x - mean(x, dim, True)
    freedom = _count(x, dim) - (1 if correction is None else correction)
    total = sum(centered * centered, dim, keepdim)
    return total / (freedom if freedom > 0 else 0.0)


def norm(x: Tensor, p: float | str = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns (sum |x|^p)^(1/p) over the axes `dim`; p may be inf, -inf, 0 (count) or "fro" (2).

    The gradient at a vector of zeros is 0.
    """
    if p == "fro":
        p = 2
    if not isinstance(p, (int, float)):
        hint = "; singular values are NumPy's: np.linalg.norm(x, 'nuc')" if p == "nuc" else ""
        raise ArgumentError(f"norm: p must be a number or 'fro', got {p!r}{hint}")
    x = floating(x)
    return _norm(wide(x), p, dim, keepdim).to(x.dtype)


def _norm(x: Tensor, p: float, dim: Dims, keepdim: bool) -> Tensor:
    if p == 2:
        return _root(sum(x * x, dim, keepdim))
    size = absolute(x)
    if math.isinf(p):
        return amax(size, dim, keepdim) if p > 0 else amin(size, dim, keepdim)
    if p == 0:
        return count_nonzero(x, dim, keepdim).to(x.dtype)
    if p == 1:
        return sum(size, dim, keepdim)
    return _away_from_zero(
        lambda total: total ** (1 / p),
        sum(_away_from_zero(lambda part: part**p, size, p), dim, keepdim),
        1 / p,
    )


def _root(total: Tensor) -> Tensor:
    """The square root with derivative 0 at 0, where the slope of sqrt is infinite."""
    return _away_from_zero(sqrt, total, 0.5)


def _away_from_zero(power: Callable[[Tensor], Tensor], x: Tensor, exponent: float) -> Tensor:
    """Returns `power(x)`, whose exponent is given, with derivative 0 at 0."""
    zero = x == 0
    return where(zero, 0.0 if exponent > 0 else math.inf, power(where(zero, 1.0, x)))


def logsumexp(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Returns log sum e^x over the axes `dim` without overflow: m + log sum e^(x - m), m the
    maximum. Without elements it is -inf.
    """
    x = floating(x)
    top = largest(x, dim)
    top = where(isinf(top), 0.0, top)
    total = sum(exp(wide(x) - top), dim, True)
    nothing = total == 0  # -inf in each place, or no place at all
    result = where(nothing, -math.inf, log(where(nothing, 1.0, total)) + top).to(x.dtype)
    kept = [extent for axis, extent in enumerate(x.shape) if axis not in axes_of(x.shape, dim)]
    return result if keepdim else result.reshape(kept)


def largest(x: Tensor, dim: Dims) -> Tensor:
    """Returns the largest element over the axes `dim`, kept, without history; 0 of nothing."""
    top = amax(x, dim, True).detach() if _count(x, dim) else sum(x, dim, True)
    return wide(top)


def cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Returns the sums of the elements up to each position along `dim`; integers sum as int64.

    If `dtype` is given, the elements are converted first.
    """
    return _running(reduction.cumsum, x, dim, dtype)


def cumprod(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Returns the products of the elements up to each position along `dim`; integers as int64.

    If `dtype` is given, the elements are converted first.
    """
    return _running(reduction.cumprod, x, dim, dtype)


def _running(op: reduction.Cumulative, x: Tensor, dim: int, wanted: Any) -> Tensor:
    dtype = x.dtype if x.dtype.is_float else dtypes.int64
    if wanted is not None:
        dtype = dtypes.as_dtype(wanted)
        x = x.to(dtype)
    axis = axis_of(x, dim, op.name)
    return op(x.to(dtype.compute), axis=axis).to(dtype) if x.ndim else x.to(dtype)


def allclose(
    x: Tensor, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Returns, as a Python bool, whether |x - other| <= atol + rtol * |other| everywhere.

    Raises:
        TraceError: inside a compiled step, where no value is known.
    """
    return bool(all(isclose(x, other, rtol, atol, equal_nan)))


def equal(x: Tensor, other: Tensor) -> bool:
    """Returns, as a Python bool, whether two tensors have the same shape and equal elements.

    Raises:
        TraceError: inside a compiled step, where no value is known.
    """
    return x.shape == other.shape and bool(all(x == other))


def wide(x: Tensor) -> Tensor:
    """Returns float16 and bfloat16 as float32, in which they are computed; others as they are."""
    return x.to(x.dtype.compute)


def _count(x: Tensor, dim: Dims) -> int:
    """How many elements are reduced to one."""
    return math.prod(x.shape[axis] for axis in axes_of(x.shape, dim))
