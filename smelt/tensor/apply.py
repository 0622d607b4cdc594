"""Tools for writing operations: operands as tensors, promotion of dtypes, axes, constants.

Everything that computes with tensors is written on top of the four functions here (`apply`,
`as_tensor`, `promoted`, `reduced`). `Tensor` lies above, since its methods are such computations.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from smelt.location import called_function
from smelt.memory import aligned_empty
from smelt.ops import elementwise, movement, reduction
from smelt.ops.op import Shape, is_whole_number, normal_axis
from smelt.tensor.comparison import compared_exactly
from smelt.tracing.apply import (
    FLOATS,
    alike,
    apply,
    apply_directly,
    as_tensor,
    is_tensor,
    repeated,
    tensor_of,
)
from smelt.tracing.engine import Eager, current_engine, literal_array, weak_dtype

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "Dims",
    "alike",
    "apply",
    "apply_directly",
    "as_tensor",
    "axes_of",
    "axis_of",
    "common_dtype",
    "extents_of",
    "floating",
    "floats",
    "full",
    "is_tensor",
    "matched",
    "own_axis_of",
    "promoted",
    "reduced",
    "whole_number",
]

Dims = int | Sequence[int] | None


def promoted(op: elementwise.Elementwise, *operands: Any) -> Tensor:
    """Applies an elementwise operation after bringing its operands to one dtype.

    Tensors promote by the table in `dtypes`; Python and NumPy numbers are weak. Operations that
    need floats turn integers into float32; two bools add, multiply and
    compare as logic, and turn into int64 for other arithmetic; float16 and
    bfloat16 compute in float32 and the result is rounded back. Integers compare exactly.
    """
    result = apply_directly(op, *operands)
    if result is None:
        result = compared_exactly(op, operands)
    if result is not None:
        return result
    dtype = common_dtype(operands)
    if op.accepts is elementwise.FLOAT and not dtype.is_float:
        dtype = dtypes.float32
    elif op.accepts is elementwise.NUMBER and dtype is dtypes.bool_:
        op, dtype = _ON_BOOLS.get(op, (op, dtypes.int64))
    elif op.to_bool and dtype is dtypes.int32:
        dtype = functools.reduce(dtypes.promote, [as_tensor(operand).dtype for operand in operands])
    compute = dtype.compute
    given = compute if dtype.is_float else dtype  # a number must be one that the integers have
    result = op(*(as_tensor(operand, given).to(compute) for operand in operands))
    return result if compute is dtype or op.to_bool else result.to(dtype)


# what is logic on two bools; other arithmetic on bools happens in int64
_ON_BOOLS: dict[elementwise.Elementwise, tuple[elementwise.Elementwise, DType]] = {
    elementwise.add: (elementwise.bitwise_or, dtypes.bool_),
    elementwise.mul: (elementwise.bitwise_and, dtypes.bool_),
    elementwise.maximum: (elementwise.bitwise_or, dtypes.bool_),
    elementwise.minimum: (elementwise.bitwise_and, dtypes.bool_),
}


def common_dtype(operands: Sequence[Any]) -> DType:
    """Returns the dtype that tensors, arrays and weak numbers promote to together."""
    standings: list[DType | None] = [None, None, None]
    for operand in operands:
        dtype, standing = _standing(operand)
        before = standings[standing]
        standings[standing] = dtype if before is None else dtypes.promote(before, dtype)
    if standings[:2] != [None, None]:
        return dtypes.promote_by_standing(*standings)
    # numbers alone: NumPy's keep their dtypes
    return functools.reduce(dtypes.promote, [as_tensor(number).dtype for number in operands])


def _standing(operand: Any) -> tuple[DType, int]:
    """Returns an operand's dtype and standing: 0 with axes, 1 of shape (), 2 a number."""
    if not is_tensor(operand):
        if isinstance(operand, (bool, int, float, np.number, np.bool_)):
            return dtypes.number_dtype(operand), 2
        if not isinstance(operand, (list, tuple, np.ndarray)):
            raise DTypeError(
                f"a tensor cannot be combined with a {type(operand).__name__}"
                + _hint_at_none(operand)
            )
        weak = weak_dtype(operand)
        if weak is not None:
            return weak, 2
        operand = as_tensor(operand)
    return operand.dtype, 0 if operand.shape else 1


def _hint_at_none(operand: Any) -> str:
    if operand is not None:
        return ""
    return (
        ": a function without a return statement returns None, and so does d.get(x) for a tensor "
        "x, which a dict looks up by identity, not by value"
    )


def matched(*operands: Any) -> tuple[Tensor, ...]:
    """Returns operands as tensors of their common dtype."""
    if len(operands) == 2 and (pair := alike(*operands)) is not None:
        return pair
    if all(map(is_tensor, operands)) and len({x.dtype for x in operands}) == 1:
        return operands
    dtype = common_dtype(operands)
    return tuple(as_tensor(operand, dtype).to(dtype) for operand in operands)


def floating(x: Any) -> Tensor:
    """Returns numbers as floats: integers and bools as float32, the default dtype, floats as they
    are.
    """
    x = as_tensor(x)
    return x if x.dtype in FLOATS else x.to(dtypes.float32)


def floating_as(what: str, x: Any, dtype: Any) -> Tensor:
    """Returns numbers as floats of the dtype that a user gave, or as `floating` does without one.

    Raises DTypeError, naming `what`, for a dtype that is not a float dtype.
    """
    if dtype is None:
        return floating(x)
    if not dtypes.as_dtype(dtype).is_float:
        name = dtypes.as_dtype(dtype).name
        raise DTypeError(f"{what}: results are floats, so dtype must be a float dtype, got {name}")
    return as_tensor(x).to(dtype)


def floats(*operands: Any) -> tuple[Tensor, ...]:
    """Returns operands as tensors of their common dtype, or of float32 when that is of integers."""
    if len(operands) == 2 and (pair := alike(*operands)) and pair[0].dtype in FLOATS:
        return pair
    dtype = common_dtype(operands)
    dtype = dtype if dtype.is_float else dtypes.float32
    return tuple(as_tensor(operand, dtype).to(dtype) for operand in operands)


def reduced(op: reduction.Reduction, x: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    """Applies a reduction over `dim`, in float32 for the 16-bit floats, in int32 for bools."""
    axes = axes_of(x.shape, dim)
    compute = dtypes.int32 if x.dtype is dtypes.bool_ else x.dtype.compute
    result = op(x.to(compute), axes=axes).to(x.dtype)
    if not keepdim or not axes:
        return result
    return movement.reshape(result, shape=reduction.kept_shape(x.shape, axes))


def axis_of(x: Tensor, dim: int, what: str) -> int:
    """Returns `dim` counted from the front; raises ArgumentError, naming `what`, when there is
    none.
    """
    return _counted(dim, x.shape, what)


def own_axis_of(x: Tensor, dim: int, what: str) -> int:
    """Returns what `axis_of` does; raises ShapeError for shape (), which has no axis."""
    if not x.ndim:
        raise ShapeError(f"{what}: a tensor of shape () has no axis; x.reshape(1) adds one")
    return axis_of(x, dim, what)


def _counted(dim: int, shape: Shape, what: str = "") -> int:
    """Returns an axis from the front; an error names `what`, or the function that was called."""
    if type(dim) is int and -len(shape) <= dim < len(shape):
        return dim % len(shape)
    what = what or called_function("reduction")
    if isinstance(dim, bool):
        raise ArgumentError(f"{what}: an axis must be an integer, got {dim}")
    try:
        return normal_axis(dim, len(shape), what)
    except ArgumentError as error:
        raise type(error)(f"{error.message} (shape {shape})") from None


def places_of(x: Tensor, dims: int | Sequence[int], what: str) -> tuple[int, ...]:
    """Returns one axis or several from the front, in the order in which they are named.

    Raises:
        ArgumentError: an axis does not exist, or is named twice.
    """
    several = tuple(dims) if isinstance(dims, (list, tuple, range)) else (dims,)
    axes = tuple(axis_of(x, dim, what) for dim in several)
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"{what}: axes {several} name one axis twice (shape {x.shape})")
    return axes


def axes_of(shape: Shape, dim: Dims) -> tuple[int, ...]:
    """Returns the axes that `dim` names (all when None or empty), from the front, sorted."""
    if type(dim) is tuple and len(dim) == 1:
        (dim,) = dim
    if type(dim) is int and -len(shape) <= dim < len(shape):
        return (dim % len(shape),)
    dims = tuple(dim) if isinstance(dim, (list, tuple, range)) else () if dim is None else (dim,)
    if not dims:
        return tuple(range(len(shape)))
    axes = tuple(sorted(_counted(axis, shape) for axis in dims))
    if len(set(axes)) != len(axes):
        name = called_function("reduction")
        raise ArgumentError(f"{name}: axes {dims} name one axis twice (shape {shape})")
    return axes if shape else ()


def extents_of(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Returns `f(2, 3)` and `f((2, 3))` alike as a tuple of ints."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    if set(map(type, given)) <= {int}:
        return given
    are_whole = all(map(is_whole_number, given))
    what = "" if are_whole else f"{called_function('a shape')}: an extent"
    return tuple(whole_number(what, extent) for extent in given)


def whole_number(what: str, value: Any) -> int:
    """Returns an int that a user gave; raises ArgumentTypeError, naming `what`, for others."""
    if not is_whole_number(value):
        raise ArgumentTypeError(f"{what} must be a whole number, got {value!r}")
    return value if isinstance(value, int) else operator.index(value)


def full(shape: Shape, value: bool | int | float, dtype: DType) -> Tensor:
    """Returns a tensor that repeats one number: with its own memory in eager code, one constant in
    a trace.
    """
    if isinstance(current_engine(), Eager):  # state made here is later changed in place
        filled = aligned_empty(shape, dtype.storage)
        filled[...] = literal_array(value, dtype)[0]
        return tensor_of(filled, dtype)
    return repeated(value, shape, dtype)
