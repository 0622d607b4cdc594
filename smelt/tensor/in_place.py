"""The methods with an underscore: `p.add_(y)` gives a parameter or other state new contents.

What is changed is no part of a gradient: buffers, `x.data`, a tensor without a history that takes
contents without one, and under `no_grad` parameters too. There `x.add_(y)` is `x.copy_(x + y)`, and
`x[i] = y` is `x.copy_(x.at[i].set(y))`, eagerly and in a compiled step. Elsewhere they raise
AssignmentError, which says what to write.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from smelt.errors import AssignmentError
from smelt.tensor import activations, arithmetic, elementary, indexing, products, reductions
from smelt.tensor.apply import full
from smelt.tensor.checked import checked
from smelt.tracing.engine import context, no_grad

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["InPlace"]


def changed(
    x: Tensor,
    name: str,
    instead: str,
    function: Callable[..., Tensor],
    *arguments: Any,
    **more: Any,
) -> Tensor:
    """Returns what a function makes of a tensor that is to hold the result.

    Raises:
        AssignmentError: the tensor or its new contents are part of a gradient.
    """
    is_state = x.is_variable and not x.requires_grad  # takes values, whatever they came from
    if x.tape_entry is None and (is_state or not (x.requires_grad and context.grad_enabled)):
        with no_grad() if is_state else nullcontext():
            result = function(x, *arguments, **more)
        if not result.requires_grad:
            return result
    raise AssignmentError(
        f"tensors that gradients pass through are values: {name} is not supported. Write "
        f"{instead}; a parameter is changed by methods with an underscore, by p.copy_(new) or "
        "p += y, under smelt.no_grad()"
    )


def _changing(
    name: str, function: Callable[..., Any], instead: str = "", casts: bool = False
) -> Callable[..., Any]:
    """Returns the method that gives a state the result of a function.

    Args:
        name: the method's.
        function: takes the tensor and the method's arguments.
        instead: what to write for a new tensor.
        casts: whether the result takes the state's dtype, whatever it is.
    """
    instead = instead or f"x = x.{name[:-1]}(...)"

    def change(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        result = changed(x, f"{name}()", instead, function, *arguments, **options)
        if not casts:
            x.check_fits(f"{name}()", result)
        with no_grad():
            return x.copy_(result)

    change.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    change.__name__ = name
    change.__doc__ = (
        f"Changes a state in place, and returns it; for a new tensor write {instead}.\n\n"
        "        Raises:\n            AssignmentError: the tensor is no state.\n"
    )
    return checked(change, __name__, f"InPlace.{name}")


def _at(x: Tensor, index: Any, value: Any) -> Tensor:
    return x.at[index].set(value)


def _filled(x: Tensor, value: Any) -> Any:
    return full(x.shape, value, x.dtype) if not hasattr(value, "dtype") else value.expand(x.shape)


def _zeros(x: Tensor) -> Tensor:
    return full(x.shape, 0, x.dtype)


def _normal(x: Tensor, mean: float = 0, std: float = 1, generator: Any = None) -> Tensor:
    from smelt.random import normal

    return normal(mean, std, x.shape, dtype=x.dtype, generator=generator)


def _uniform(x: Tensor, a: float = 0, b: float = 1, generator: Any = None) -> Tensor:
    from smelt.random import uniform

    return uniform(a, b, x.shape, dtype=x.dtype, generator=generator)


def _bernoulli(x: Tensor, p: Any = 0.5, generator: Any = None) -> Tensor:
    from smelt.random import bernoulli

    return bernoulli(p, x.shape, generator=generator)


def _exponential(x: Tensor, lambd: float = 1, generator: Any = None) -> Tensor:
    from smelt.random import exponential

    return exponential(lambd, x.shape, generator=generator)


class InPlace:
    """A base class of Tensor."""

    __slots__ = ()

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        instead = "x = x.at[i].set(v) (or .add(v))"
        result = changed(self, "`x[i] = v`", instead, _at, index, value)
        with no_grad():
            self.copy_(result)

    abs_ = _changing("abs_", elementary.abs)
    acos_ = _changing("acos_", elementary.acos)
    add_ = _changing("add_", arithmetic.add, "x = x + y")
    addcdiv_ = _changing("addcdiv_", elementary.addcdiv)
    addcmul_ = _changing("addcmul_", elementary.addcmul)
    addmm_ = _changing("addmm_", products.addmm)
    asin_ = _changing("asin_", elementary.asin)
    atan2_ = _changing("atan2_", elementary.atan2)
    atan_ = _changing("atan_", elementary.atan)
    bernoulli_ = _changing("bernoulli_", _bernoulli, "smelt.bernoulli(p, x.shape)", casts=True)
    ceil_ = _changing("ceil_", elementary.ceil)
    clamp_ = _changing("clamp_", elementary.clamp, "x = x.clamp(min, max)")
    clamp_max_ = _changing("clamp_max_", elementary.clamp_max)
    clamp_min_ = _changing("clamp_min_", elementary.clamp_min)
    clip_ = _changing("clip_", elementary.clamp)
    cos_ = _changing("cos_", elementary.cos)
    cosh_ = _changing("cosh_", elementary.cosh)
    cumprod_ = _changing("cumprod_", reductions.cumprod)
    cumsum_ = _changing("cumsum_", reductions.cumsum)
    div_ = _changing("div_", arithmetic.div, "x = x / y")
    divide_ = _changing("divide_", arithmetic.div)
    eq_ = _changing("eq_", arithmetic.eq, casts=True)
    erf_ = _changing("erf_", elementary.erf)
    exp2_ = _changing("exp2_", elementary.exp2)
    exp_ = _changing("exp_", elementary.exp)
    expm1_ = _changing("expm1_", elementary.expm1)
    exponential_ = _changing(
        "exponential_", _exponential, "smelt.exponential(rate, x.shape)", casts=True
    )
    fill_ = _changing("fill_", _filled, "x = smelt.full_like(x, value)", casts=True)
    floor_ = _changing("floor_", elementary.floor)
    floor_divide_ = _changing("floor_divide_", arithmetic.floor_divide)
    ge_ = _changing("ge_", arithmetic.ge, casts=True)
    gt_ = _changing("gt_", arithmetic.gt, casts=True)
    le_ = _changing("le_", arithmetic.le, casts=True)
    lerp_ = _changing("lerp_", elementary.lerp)
    log10_ = _changing("log10_", elementary.log10)
    log1p_ = _changing("log1p_", elementary.log1p)
    log2_ = _changing("log2_", elementary.log2)
    log_ = _changing("log_", elementary.log)
    logical_and_ = _changing("logical_and_", elementary.logical_and, casts=True)
    logical_not_ = _changing("logical_not_", elementary.logical_not, casts=True)
    logical_or_ = _changing("logical_or_", elementary.logical_or, casts=True)
    lt_ = _changing("lt_", arithmetic.lt, casts=True)
    masked_fill_ = _changing("masked_fill_", indexing.masked_fill)
    mul_ = _changing("mul_", arithmetic.mul, "x = x * y")
    multiply_ = _changing("multiply_", arithmetic.mul)
    nan_to_num_ = _changing("nan_to_num_", elementary.nan_to_num)
    ne_ = _changing("ne_", arithmetic.ne, casts=True)
    neg_ = _changing("neg_", arithmetic.neg, "x = -x")
    negative_ = _changing("negative_", arithmetic.neg)
    normal_ = _changing("normal_", _normal, "mean + std * smelt.randn_like(x)", casts=True)
    pow_ = _changing("pow_", elementary.pow, "x = x ** y")
    reciprocal_ = _changing("reciprocal_", elementary.reciprocal)
    relu_ = _changing("relu_", activations.relu, "x = x.relu()")
    remainder_ = _changing("remainder_", arithmetic.remainder)
    round_ = _changing("round_", elementary.round)
    rsqrt_ = _changing("rsqrt_", elementary.rsqrt)
    scatter_ = _changing("scatter_", indexing.scatter)
    scatter_add_ = _changing("scatter_add_", indexing.scatter_add)
    sigmoid_ = _changing("sigmoid_", activations.sigmoid)
    sign_ = _changing("sign_", elementary.sign)
    sin_ = _changing("sin_", elementary.sin)
    sinh_ = _changing("sinh_", elementary.sinh)
    sqrt_ = _changing("sqrt_", elementary.sqrt)
    square_ = _changing("square_", elementary.square)
    sub_ = _changing("sub_", arithmetic.sub, "x = x - y")
    subtract_ = _changing("subtract_", arithmetic.sub)
    tan_ = _changing("tan_", elementary.tan)
    tanh_ = _changing("tanh_", elementary.tanh)
    tril_ = _changing("tril_", products.tril)
    triu_ = _changing("triu_", products.triu)
    true_divide_ = _changing("true_divide_", arithmetic.div)
    trunc_ = _changing("trunc_", elementary.trunc)
    uniform_ = _changing("uniform_", _uniform, "a + (b - a) * smelt.rand_like(x)", casts=True)
    zero_ = _changing("zero_", _zeros, "x = smelt.zeros_like(x)")
