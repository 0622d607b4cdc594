"""The methods with an underscore: `p.add_(y)` changes a parameter or other state in place.

Tensors are values, and only state can be changed: parameters, buffers, `x.data`, and under
`no_grad` every tensor that was not computed with a history. For these `x.add_(y)` is
`x.copy_(x + y)`, eagerly and in a compiled step. For other tensors it raises AssignmentError, which
says what to write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from smelt.errors import AssignmentError
from smelt.tensor import activations, arithmetic, elementary, indexing, products, reductions
from smelt.tensor.apply import full
from smelt.tensor.checked import checked
from smelt.tensor.subscript import shown
from smelt.tracing.engine import context, no_grad

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["InPlace"]


def check_state(x: Tensor, name: str, instead: str) -> None:
    """Raises AssignmentError for a tensor that is no state, or not to be changed here."""
    is_state = x.is_variable and not x.requires_grad
    if x.tape_entry is None and (is_state or not context.grad_enabled):
        return
    raise AssignmentError(
        f"tensors are values: {name}() is not supported. Write {instead}; only state, such as a "
        f"parameter or buffer, can be changed by x.{name}(...), x.copy_(new) or x += y, under "
        "smelt.no_grad()"
    )


def _assigning(x: Tensor, index: Any) -> AssignmentError:
    """Returns the error of `x[index] = v`."""
    new = f"x.at[{shown(index)}].set(v)"
    if x.is_variable:
        instead = f"x.copy_({new}) under smelt.no_grad()"
    else:
        instead = f"x = {new} (or .add(v)); a buffer or other state takes x.copy_({new})"
    return AssignmentError(
        f"tensors are values: `x[{shown(index)}] = v` is not supported. Write {instead}"
    )


def _changing(
    name: str, function: Callable[..., Any], instead: str = "", casts: bool = False
) -> Callable[..., Tensor]:
    """Returns the method that gives a state the result of a function.

    Args:
        name: the method's.
        function: takes the tensor and the method's arguments.
        instead: what to write for a new tensor.
        casts: whether the result takes the state's dtype, whatever it is.
    """
    instead = instead or f"x = x.{name[:-1]}(...)"

    def change(x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        check_state(x, name, instead)
        with no_grad():
            result = function(x, *arguments, **options)
            if not casts:
                x.check_fits(f"{name}()", result)
            return x.copy_(result)

    change.__name__, change.__wrapped__ = name, function  # type: ignore[attr-defined]
    change.__doc__ = (
        f"Changes a state in place, and returns it; for a new tensor write {instead}.\n\n"
        "        Raises:\n            AssignmentError: the tensor is no state.\n"
    )
    return checked(change, __name__, f"InPlace.{name}")


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

    def __setitem__(self: Any, index: Any, value: Any) -> NoReturn:
        raise _assigning(self, index)

    abs_: Final = _changing("abs_", elementary.abs)
    acos_: Final = _changing("acos_", elementary.acos)
    add_: Final = _changing("add_", arithmetic.add, "x = x + y")
    addcdiv_: Final = _changing("addcdiv_", elementary.addcdiv)
    addcmul_: Final = _changing("addcmul_", elementary.addcmul)
    addmm_: Final = _changing("addmm_", products.addmm)
    asin_: Final = _changing("asin_", elementary.asin)
    atan2_: Final = _changing("atan2_", elementary.atan2)
    atan_: Final = _changing("atan_", elementary.atan)
    bernoulli_: Final = _changing(
        "bernoulli_", _bernoulli, "smelt.bernoulli(p, x.shape)", casts=True
    )
    ceil_: Final = _changing("ceil_", elementary.ceil)
    clamp_: Final = _changing("clamp_", elementary.clamp, "x = x.clamp(min, max)")
    clamp_max_: Final = _changing("clamp_max_", elementary.clamp_max)
    clamp_min_: Final = _changing("clamp_min_", elementary.clamp_min)
    clip_: Final = _changing("clip_", elementary.clamp)
    cos_: Final = _changing("cos_", elementary.cos)
    cosh_: Final = _changing("cosh_", elementary.cosh)
    cumprod_: Final = _changing("cumprod_", reductions.cumprod)
    cumsum_: Final = _changing("cumsum_", reductions.cumsum)
    div_: Final = _changing("div_", arithmetic.div, "x = x / y")
    divide_: Final = _changing("divide_", arithmetic.div)
    eq_: Final = _changing("eq_", arithmetic.eq, casts=True)
    erf_: Final = _changing("erf_", elementary.erf)
    exp2_: Final = _changing("exp2_", elementary.exp2)
    exp_: Final = _changing("exp_", elementary.exp)
    expm1_: Final = _changing("expm1_", elementary.expm1)
    exponential_: Final = _changing(
        "exponential_", _exponential, "smelt.exponential(rate, x.shape)", casts=True
    )
    fill_: Final = _changing("fill_", _filled, "x = smelt.full_like(x, value)", casts=True)
    floor_: Final = _changing("floor_", elementary.floor)
    floor_divide_: Final = _changing("floor_divide_", arithmetic.floor_divide)
    ge_: Final = _changing("ge_", arithmetic.ge, casts=True)
    gt_: Final = _changing("gt_", arithmetic.gt, casts=True)
    le_: Final = _changing("le_", arithmetic.le, casts=True)
    lerp_: Final = _changing("lerp_", elementary.lerp)
    log10_: Final = _changing("log10_", elementary.log10)
    log1p_: Final = _changing("log1p_", elementary.log1p)
    log2_: Final = _changing("log2_", elementary.log2)
    log_: Final = _changing("log_", elementary.log)
    logical_and_: Final = _changing("logical_and_", elementary.logical_and, casts=True)
    logical_not_: Final = _changing("logical_not_", elementary.logical_not, casts=True)
    logical_or_: Final = _changing("logical_or_", elementary.logical_or, casts=True)
    lt_: Final = _changing("lt_", arithmetic.lt, casts=True)
    masked_fill_: Final = _changing("masked_fill_", indexing.masked_fill)
    mul_: Final = _changing("mul_", arithmetic.mul, "x = x * y")
    multiply_: Final = _changing("multiply_", arithmetic.mul)
    nan_to_num_: Final = _changing("nan_to_num_", elementary.nan_to_num)
    ne_: Final = _changing("ne_", arithmetic.ne, casts=True)
    neg_: Final = _changing("neg_", arithmetic.neg, "x = -x")
    negative_: Final = _changing("negative_", arithmetic.neg)
    normal_: Final = _changing("normal_", _normal, "mean + std * smelt.randn_like(x)", casts=True)
    pow_: Final = _changing("pow_", elementary.pow, "x = x ** y")
    reciprocal_: Final = _changing("reciprocal_", elementary.reciprocal)
    relu_: Final = _changing("relu_", activations.relu, "x = x.relu()")
    remainder_: Final = _changing("remainder_", arithmetic.remainder)
    round_: Final = _changing("round_", elementary.round)
    rsqrt_: Final = _changing("rsqrt_", elementary.rsqrt)
    scatter_: Final = _changing("scatter_", indexing.scatter, "x = x.scatter(...)")
    scatter_add_: Final = _changing("scatter_add_", indexing.scatter_add)
    sigmoid_: Final = _changing("sigmoid_", activations.sigmoid)
    sign_: Final = _changing("sign_", elementary.sign)
    sin_: Final = _changing("sin_", elementary.sin)
    sinh_: Final = _changing("sinh_", elementary.sinh)
    sqrt_: Final = _changing("sqrt_", elementary.sqrt)
    square_: Final = _changing("square_", elementary.square)
    sub_: Final = _changing("sub_", arithmetic.sub, "x = x - y")
    subtract_: Final = _changing("subtract_", arithmetic.sub)
    tan_: Final = _changing("tan_", elementary.tan)
    tanh_: Final = _changing("tanh_", elementary.tanh)
    tril_: Final = _changing("tril_", products.tril)
    triu_: Final = _changing("triu_", products.triu)
    true_divide_: Final = _changing("true_divide_", arithmetic.div)
    trunc_: Final = _changing("trunc_", elementary.trunc)
    uniform_: Final = _changing(
        "uniform_", _uniform, "a + (b - a) * smelt.rand_like(x)", casts=True
    )
    zero_: Final = _changing("zero_", _zeros, "x = smelt.zeros_like(x)")
