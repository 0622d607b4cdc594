"""What operations are written with: operands as tensors, promotion of dtypes, axes, constants.

Everything that computes with tensors is written on top of the four functions here (`apply`,
`as_tensor`, `promoted`, `reduced`). `Tensor` lies above, since its methods are such computations.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError
from smelt.ops import elementwise, reduction
from smelt.ops.op import Shape, normal_axis
from smelt.tracing.apply import apply, as_tensor, is_tensor, repeated, tensor_of
from smelt.tracing.engine import Eager, context, literal_array

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "Dims",
    "apply",
    "as_tensor",
    "axes_of",
    "axis_of",
    "common_dtype",
    "extents_of",
    "full",
    "is_tensor",
    "promoted",
    "reduced",
    "whole_number",
]

Dims = int | Sequence[int] | None


def promoted(op: elementwise.Elementwise, *operands: Any) -> Tensor:
    """Applies an elementwise operation after bringing its operands to one dtype.

    Tensors promote by the table in `dtypes`; Python and NumPy scalars are weak. Operations that
    need floats turn integers into float32; arithmetic on bool happens in int64; float16 and
    bfloat16 compute in float32 and the result is rounded back.
    """
    dtype = common_dtype(operands)
    if op.accepts is elementwise.FLOAT and not dtype.is_float:
        dtype = dtypes.float32
    elif op.accepts is elementwise.NUMBER and dtype is dtypes.bool_:
        dtype = dtypes.int64
    compute = dtype.compute
    result = op(*(as_tensor(operand, compute).to(compute) for operand in operands))
    return result if compute is dtype or op.to_bool else result.to(dtype)


def common_dtype(operands: tuple[Any, ...]) -> DType:
    """Returns the dtype that tensors, arrays and weak scalars promote to together."""
    dtype: DType | None = None
    scalars = []
    for operand in operands:
        if isinstance(operand, (list, tuple, np.ndarray)):
            operand = as_tensor(operand)
        if is_tensor(operand):
            dtype = operand.dtype if dtype is None else dtypes.promote(dtype, operand.dtype)
        else:
            scalars.append(operand)
    if dtype is None:
        dtype = as_tensor(operands[0]).dtype
    for scalar in scalars:
        _check_number(scalar)
        dtype = dtypes.promote_scalar(dtype, scalar)
    return dtype


def _check_number(operand: Any) -> None:
    if not isinstance(operand, (bool, int, float, np.generic)):
        raise DTypeError(f"a tensor cannot be combined with a {type(operand).__name__}")


def reduced(op: reduction.Reduction, x: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    """Applies a reduction over `dim`, in float32 for the 16-bit floats."""
    axes = axes_of(x.shape, dim)
    compute = x.dtype.compute
    result = op(x.to(compute), axes=axes).to(x.dtype)
    return result.reshape(reduction.kept_shape(x.shape, axes)) if keepdim else result


def axis_of(x: Tensor, dim: int, what: str) -> int:
    """Returns `dim` counted from the front; raises ArgumentError, naming `what`, when there is
    none.
    """
    return _counted(dim, x.shape, what)


def _counted(dim: int, shape: Shape, what: str) -> int:
    try:
        return normal_axis(dim, len(shape), what)
    except ArgumentError as error:
        raise type(error)(f"{error.message} (shape {shape})") from None


def axes_of(shape: Shape, dim: Dims) -> tuple[int, ...]:
    """Returns the axes that `dim` names (all when None), from the front, sorted, each once."""
    if dim is None:
        return tuple(range(len(shape)))
    dims = tuple(dim) if isinstance(dim, (list, tuple, range)) else (dim,)
    axes = tuple(sorted(_counted(axis, shape, "reduction") for axis in dims))
    if len(set(axes)) != len(axes):
        raise ArgumentError(f"reduction: an axis of {dims} is named twice")
    return axes if shape else ()


def extents_of(given: tuple[Any, ...]) -> tuple[int, ...]:
    """Returns `f(2, 3)` and `f((2, 3))` alike as a tuple of ints."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = tuple(given[0])
    return tuple(whole_number("an extent", extent) for extent in given)


def whole_number(what: str, value: Any) -> int:
    """Returns an int that a user gave; raises ArgumentTypeError, naming `what`, for others."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{what} must be a whole number, got {value!r}")
    return operator.index(value)


def full(shape: Shape, value: bool | int | float, dtype: DType) -> Tensor:
    """Returns a tensor that repeats one number: memory of its own when eager, one constant in a
    trace.
    """
    if isinstance(context.engine, Eager):  # state made here is later changed in place
        return tensor_of(np.full(shape, literal_array(value, dtype)[0]), dtype)
    return repeated(value, shape, dtype)
