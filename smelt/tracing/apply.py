"""How an operation meets its operands: numbers become tensors, and history is kept.

`Tensor` lies above, since its methods are such computations; it says who it is with `install` when
it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from smelt import errors
from smelt.dtypes import DType
from smelt.errors import DTypeError
from smelt.tracing.concretization import unknown_elements
from smelt.tracing.engine import Data, History, context, literal_array, located

if TYPE_CHECKING:
    from smelt.ops.op import Op
    from smelt.tensor import Tensor

_Tensor: type[Tensor]


def install(tensor: type[Tensor]) -> None:
    """Names the class of tensors; `smelt.tensor` calls this once."""
    global _Tensor
    _Tensor = tensor


def make_tensor(data: Data, dtype: DType) -> Tensor:
    """Returns a Tensor of data, as stored."""
    return _Tensor(data, dtype)


def is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Returns whether `value` is a Tensor."""
    return isinstance(value, _Tensor)


def as_tensor(value: Any, dtype: DType | None = None) -> Tensor:
    """Returns `value` as a Tensor: a Tensor itself, or a constant made of numbers or an array."""
    if isinstance(value, _Tensor):
        return value
    try:
        array, kind = literal_array(value, dtype)
    except errors.TraceError:
        if isinstance(value, (list, tuple)):
            raise unknown_elements(value) from None
        raise
    except (ValueError, TypeError) as error:
        if isinstance(error, errors.SmeltError):
            raise
        ragged = "inhomogeneous" in str(error)
        reason = "lists in it differ in length" if ragged else str(error)
        raise DTypeError(
            located(f"cannot make a tensor of {type(value).__name__}: {reason}")
        ) from None
    return _Tensor(context.engine.literal(array, kind), kind)


def apply(op: Op, operands: tuple[Any, ...], attributes: dict[str, Any]) -> Tensor:
    """Applies a primitive: check, compute or record, keep history. Numbers take the tensors'
    dtype.
    """
    tensors = operands
    for operand in operands:
        if not isinstance(operand, _Tensor):
            like = next(one for one in reversed(operands) if isinstance(one, _Tensor))
            tensors = tuple(as_tensor(one, like.dtype) for one in operands)
            break
    try:
        kind = op.infer(*tensors, **attributes)
        data = context.engine.evaluate(op, tensors, attributes, kind)
    except errors.SmeltError as error:
        error.args = (located(str(error)), *error.args[1:])
        raise
    result = _Tensor(data, kind.dtype)
    if op.views:
        result.share_version(tensors[0])  # the array may be a view
    if context.grad_enabled and kind.dtype.is_float:
        for operand in tensors:
            if operand.requires_grad:
                result.requires_grad = True
                result.history = History(op, tensors, attributes)
                break
    return result
