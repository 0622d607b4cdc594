"""How an operation meets its operands, eagerly or in a trace, and the entry it leaves on the tape.

`apply` checks the operands, asks the current engine for the result, and keeps a `TapeEntry` when a
gradient may be wanted. `Tensor` lies above: it says who it is with `install` when it is imported.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from smelt import errors
from smelt.dtypes import DType
from smelt.errors import DTypeError
from smelt.location import module_path
from smelt.tracing.concretization import list_concretization_error
from smelt.tracing.engine import EAGER, Data, context, current_engine, literal_array
from smelt.tracing.origin import current_origin

if TYPE_CHECKING:
    from smelt.ir.graph import Origin
    from smelt.ops.op import Op
    from smelt.tensor import Tensor

_Tensor: type[Tensor]


def install(tensor: type[Tensor]) -> None:
    """Names the class of tensors; `smelt.tensor` calls this once."""
    global _Tensor
    _Tensor = tensor


def is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Returns whether `value` is a Tensor."""
    return isinstance(value, _Tensor)


def tensor_of(data: Data, dtype: DType) -> Tensor:
    """Returns a tensor that holds `data`, an array as stored or what a trace has in its place."""
    return _Tensor(data, dtype)


def as_tensor(value: Any, dtype: DType | None = None) -> Tensor:
    """Returns `value` as a Tensor: a Tensor itself, or a constant made of numbers or an array."""
    if isinstance(value, _Tensor):
        return value
    try:
        array, kind = literal_array(value, dtype)
    except errors.TraceError:
        if isinstance(value, (list, tuple)):
            raise list_concretization_error(value) from None
        raise
    except (ValueError, TypeError) as error:
        if isinstance(error, errors.SmeltError):
            raise
        ragged = "inhomogeneous" in str(error)
        reason = "lists in it differ in length" if ragged else str(error)
        raise DTypeError(f"cannot make a tensor of {type(value).__name__}: {reason}") from None
    if isinstance(value, np.ndarray):
        current_engine().note_array(value)
    return _Tensor(current_engine().literal(array, kind), kind)


def repeated(number: bool | int | float, shape: tuple[int, ...], dtype: DType) -> Tensor:
    """Returns a constant of one number in every element."""
    constant = as_tensor(number, dtype)
    return constant.broadcast_to(shape) if shape else constant


def apply(op: Op, operands: tuple[Any, ...], attributes: dict[str, Any]) -> Tensor:
    """Applies a primitive: check, compute or record, keep a tape entry. Numbers take the tensors'
    dtype.
    """
    tensors = operands
    for operand in operands:
        if not isinstance(operand, _Tensor):
            given = (one.dtype for one in reversed(operands) if isinstance(one, _Tensor))
            dtype = next(given, None)  # arrays alone keep theirs
            tensors = tuple(as_tensor(value, dtype) for value in operands)
            break
    kind = op.infer(*tensors, **attributes)
    engine = EAGER if context.engine is EAGER else current_engine()
    data = engine.evaluate(op, tensors, attributes, kind)
    result = _Tensor(data, kind.dtype)
    if op.views:
        result.share_version(tensors[0])  # the array may be a view
    if context.grad_enabled and kind.dtype.is_float:
        for operand in tensors:
            if operand.requires_grad:
                result.requires_grad = True
                result.tape_entry = (
                    TapeEntry(op, tensors, attributes)
                    if engine is EAGER
                    else LocatedEntry(op, tensors, attributes, data)
                )
                break
    return result


class TapeEntry:
    """How a tensor was made: what the walks of differentiation need to know of one operation.

    `sequence_number` grows from one operation to the next. `origin` is known where somebody may ask
    for it: in a trace, and with `check_nan`.
    """

    origin: Origin | None = None
    __slots__ = ("attributes", "inputs", "module", "op", "sequence_number", "versions")

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], attributes: dict[str, Any]) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = attributes
        self.versions = tuple(operand.version for operand in inputs)
        self.module = module_path()
        self.sequence_number = next(_sequence_numbers)


class LocatedEntry(TapeEntry):
    """An entry that knows its line and module; `data` is that of the result."""

    __slots__ = ("origin",)

    def __init__(
        self, op: Op, inputs: tuple[Tensor, ...], attributes: dict[str, Any], data: Data
    ) -> None:
        super().__init__(op, inputs, attributes)
        self.origin = getattr(data, "origin", None) or current_origin()  # of a node, its own


_sequence_numbers = itertools.count()


def tape_mark() -> int:
    """Returns a number above that of every tape entry so far, and at most that of later ones."""
    return next(_sequence_numbers)
