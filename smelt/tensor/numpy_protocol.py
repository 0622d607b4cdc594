"""NumPy's functions on tensors: `np.sin(x)`, `np.ones(3) * x`, `np.mean(x)`, `np.asarray(x)`.

For a ufunc that Smelt has too, Smelt's function is called: its result is a tensor, with a gradient,
in a trace as well. All other functions of NumPy work on the values, and return NumPy's results.
They raise an error where that would silently be wrong: in a trace, where there are no values yet,
and for float results from a tensor whose gradient is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import tree
from smelt.dtypes import bfloat16
from smelt.errors import ArgumentError, AssignmentError, ExchangeError, GradientError
from smelt.ops import elementwise
from smelt.tensor import arithmetic, elementary, products
from smelt.tensor.apply import is_tensor, promoted
from smelt.tensor.methods import Methods
from smelt.tracing.engine import context

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["apply_function", "apply_ufunc", "as_array", "as_buffer", "as_bytes"]

_WRITABLE = 1  # in the flags of a request for a buffer


def _operator(op: elementwise.Elementwise) -> Callable[..., Tensor]:
    return lambda *operands: promoted(op, *operands)


def _equality(function: Callable[..., Any], otherwise: bool) -> Callable[..., Any]:
    """Returns a comparison that has an answer for NumPy's texts and dates, too."""

    def compared(*operands: Any) -> Any:
        comparable = not any(map(_is_text_or_date, operands))
        return function(*operands) if comparable else otherwise

    return compared


def _is_text_or_date(operand: Any) -> bool:
    """Returns whether an operand is a scalar of NumPy's that is no number; some come as arrays."""
    scalar = isinstance(operand, np.generic) or (
        isinstance(operand, np.ndarray) and not operand.ndim
    )
    return scalar and operand.dtype.kind in "USVMm"


_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.absolute: elementary.abs,
    np.add: arithmetic.add,
    np.arccos: elementary.acos,
    np.arcsin: elementary.asin,
    np.arctan: elementary.atan,
    np.arctan2: elementary.atan2,
    np.bitwise_and: _operator(elementwise.bitwise_and),
    np.bitwise_or: _operator(elementwise.bitwise_or),
    np.bitwise_xor: _operator(elementwise.bitwise_xor),
    np.ceil: elementary.ceil,
    np.cos: elementary.cos,
    np.cosh: elementary.cosh,
    np.divide: arithmetic.div,
    np.equal: _equality(arithmetic.eq, False),
    np.exp: elementary.exp,
    np.exp2: elementary.exp2,
    np.expm1: elementary.expm1,
    np.floor: elementary.floor,
    np.floor_divide: _operator(elementwise.floordiv),
    np.greater: arithmetic.gt,
    np.greater_equal: arithmetic.ge,
    np.invert: _operator(elementwise.bitwise_not),
    np.isfinite: elementary.isfinite,
    np.isinf: elementary.isinf,
    np.isnan: elementary.isnan,
    np.less: arithmetic.lt,
    np.less_equal: arithmetic.le,
    np.log: elementary.log,
    np.log10: elementary.log10,
    np.log1p: elementary.log1p,
    np.log2: elementary.log2,
    np.logical_and: elementary.logical_and,
    np.logical_not: elementary.logical_not,
    np.logical_or: elementary.logical_or,
    np.matmul: products.matmul,
    np.maximum: elementary.maximum,
    np.minimum: elementary.minimum,
    np.multiply: arithmetic.mul,
    np.negative: arithmetic.neg,
    np.not_equal: _equality(arithmetic.ne, True),
    np.positive: lambda x: x,
    np.power: elementary.pow,
    np.reciprocal: elementary.reciprocal,
    np.remainder: _operator(elementwise.mod),
    np.rint: elementary.round,
    np.sign: elementary.sign,
    np.sin: elementary.sin,
    np.sinh: elementary.sinh,
    np.sqrt: elementary.sqrt,
    np.square: elementary.square,
    np.subtract: arithmetic.sub,
    np.tan: elementary.tan,
    np.tanh: elementary.tanh,
    np.trunc: elementary.trunc,
}

# those that write into their first argument
_WRITERS = (np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask)


def as_array(x: Tensor, dtype: Any, copy: bool | None) -> np.ndarray:
    """Returns the values of a tensor as an array, as `np.asarray(x, dtype, copy=copy)` wants it.

    Args:
        x: any shape and dtype.
        dtype: of the array; None for the tensor's own.
        copy: True for a copy, False for none, None for one where it is needed.

    Raises:
        ArgumentError: copy=False, and another dtype or a bfloat16 tensor needs one.
    """
    array = x.numpy()
    wanted = array.dtype if dtype is None else np.dtype(dtype)  # NumPy's own dtypes: all of them
    if copy is False and (wanted != array.dtype or x.dtype is bfloat16):
        raise ArgumentError(
            f"with copy=False, a tensor of {x.dtype.name} {x.shape} cannot become an array of "
            f"{wanted}, which needs a copy; leave copy out"
        )
    return array.astype(wanted, copy=bool(copy))


def as_bytes(x: Tensor) -> bytes:
    """Returns the bytes of the elements, row by row, as `bytes(x)` wants them."""
    return as_buffer(x, 0).tobytes()


def as_buffer(x: Tensor, flags: int) -> memoryview:
    """Returns the elements without a copy, as Python wants them from 3.12 on for `memoryview(x)`
    and other functions that take bytes.

    Raises:
        ExchangeError: the tensor is bfloat16, for which buffers have no name, or a buffer to write
            into is wanted: tensors are values.
        TraceError: inside a compiled step, where there are no values.
    """
    x.check_concrete("its bytes")
    if x.dtype is bfloat16:
        raise ExchangeError(
            f"Python's buffers cannot hold bfloat16 (tensor of shape {x.shape}); use x.float()"
        )
    if flags & _WRITABLE:
        raise ExchangeError(
            f"the memory of a tensor is read-only (shape {x.shape}); use x.numpy().copy()"
        )
    return x.numpy().data


def apply_ufunc(
    ufunc: np.ufunc, method: str, operands: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Applies a ufunc to operands of which at least one is a tensor."""
    known = _UFUNCS.get(ufunc)
    if known is not None and method == "__call__" and not options:
        return known(*operands)
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    _check_unwritten(name, operands[: method == "at"], options)
    return _on_values(name, getattr(ufunc, method), operands, options)


def apply_function(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Applies a function of NumPy to arguments among which there is a tensor."""
    _check_unwritten(function.__name__, arguments[: function in _WRITERS], options)
    return _on_values(function.__name__, function, arguments, options)


def _check_unwritten(name: str, written: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Raises where a function would write into a tensor. (The array of one is read-only, which
    `np.add.at` does not look at.)
    """
    if any(map(is_tensor, tree.flatten((written, options.get("out")))[0])):
        raise AssignmentError(
            f"tensors are values, and NumPy's {name}() would change one. Write x = x.at[i].set(v) "
            "(or .add(v)), or pass it a copy, x.numpy().copy()"
        )


def _on_values(
    name: str, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    given = [leaf for leaf in tree.flatten((arguments, options))[0] if is_tensor(leaf)]
    for x in given:
        x.check_concrete(f"NumPy's {name}()")
    arguments, options = tree.map(_values, (arguments, options))
    loses = context.grad_enabled and any(x.requires_grad for x in given)
    if loses and _has_fractions(options.get("out")):
        raise _lost_gradient(name)
    result = function(*arguments, **options)
    if loses and _has_fractions(result):
        raise _lost_gradient(name)
    return result


def _lost_gradient(name: str) -> GradientError:
    own = f"x.{name}()" if hasattr(Methods, name) else "it with functions of smelt"
    return GradientError(
        f"NumPy's {name}() of a tensor that requires a gradient would lose the gradient; write "
        f"{own}, or pass x.detach()"
    )


def _values(leaf: Any) -> Any:
    return leaf.numpy() if is_tensor(leaf) else leaf


def _has_fractions(result: Any) -> bool:
    return any(
        isinstance(leaf, float)
        or (isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind in "fc")
        for leaf in tree.flatten(result)[0]
    )
