"""Applying an operation to its operands, eagerly or in a trace, and recording it on the tape.

`apply` checks the operands, asks the current engine for the result, and records a `TapeEntry` if a
gradient may be needed. `Tensor` is defined above this folder: it registers itself with `install`
when it is imported.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy import asarray, ndarray

from smelt import errors
from smelt.dtypes import ALL, DType, bool_, float32, float64, int32, int64
from smelt.errors import DTypeError
from smelt.ir.symbolic import is_symbolic
from smelt.location import called_function, running
from smelt.tracing.concretization import list_concretization_error
from smelt.tracing.engine import EAGER, Data, context, current_engine, literal_array, quietly
from smelt.tracing.origin import current_origin

if TYPE_CHECKING:
    from smelt.ir.graph import Origin
    from smelt.ops.elementwise import Elementwise
    from smelt.ops.op import Op
    from smelt.tensor import Tensor
    from smelt.tracing.engine import Engine

_Tensor: type[Tensor]


def install(tensor: type[Tensor]) -> None:
    """Registers the class of tensors; `smelt.tensor` calls this once."""
    global _Tensor
    _Tensor = tensor


def is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Returns whether `value` is a Tensor."""
    return isinstance(value, _Tensor)


def tensor_of(data: Data, dtype: DType) -> Tensor:
    """Returns a tensor that holds `data`: an array as stored, or a trace's stand-in for one."""
    return _Tensor(data, dtype)


def as_tensor(value: Any, dtype: DType | None = None) -> Tensor:
    """Returns `value` as a Tensor: a Tensor itself, or a constant made of numbers or an array."""
    if isinstance(value, _Tensor):
        return value
    if is_symbolic(value):
        return context.engine.number(value, dtype or (int64 if isinstance(value, int) else float32))
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
        reason = _uneven(value) if ragged else str(error)
        name = called_function("")
        what = f"cannot make a tensor of {type(value).__name__}: {reason}"
        raise DTypeError(f"{name}: {what}" if name else what) from None
    if isinstance(value, np.ndarray):
        current_engine().note_array(value)
    return _Tensor(current_engine().literal(array, kind), kind)


def _uneven(value: Any) -> str:
    """Returns the reason why the parts of a list or tuple do not form one array."""
    shapes = [getattr(part, "shape", None) for part in value]
    if None in shapes or len(shapes) < 2:
        return "the lists in it differ in length"
    shown = ", ".join(map(str, shapes[:4])) + (", ..." if len(shapes) > 4 else "")
    return (
        f"its elements have different shapes, {shown}; take one of them (a recurrent layer returns "
        "(output, state)), or pad or cut them to one shape"
    )


def repeated(number: bool | int | float, shape: tuple[int, ...], dtype: DType) -> Tensor:
    """Returns a constant tensor with one number in every element."""
    constant = as_tensor(number, dtype)
    return constant.broadcast_to(shape) if shape else constant


def apply(op: Op, operands: tuple[Any, ...], attributes: dict[str, Any]) -> Tensor:
    """Applies a primitive: checks its operands, computes or records it, adds a tape entry. Python
    numbers take the tensors' dtype.
    """
    tensors = operands
    for operand in operands:
        if not isinstance(operand, _Tensor):
            given = (one.dtype for one in reversed(operands) if isinstance(one, _Tensor))
            dtype = next(given, None)  # arrays alone keep theirs
            tensors = tuple([as_tensor(value, dtype) for value in operands])
            break
    if context.engine is EAGER:
        engine: Engine = EAGER
        kind = op.known_type(tensors, attributes)
    else:
        engine = current_engine()
        kind = op.infer(*tensors, **attributes)
    data = engine.evaluate(op, tensors, attributes, kind)
    result = _Tensor(data, kind.dtype)
    if op.views:
        result._version = tensors[0]._version  # the array may be a view
    if context.grad_enabled and kind.dtype in FLOATS:
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


def apply_directly(op: Elementwise, a: Any, b: Any = None) -> Tensor | None:
    """Applies an elementwise operation by a fast path: eagerly, on one or two tensors of one dtype
    in which the operation computes, or a tensor and a number that takes its dtype. Returns None in
    all other cases.

    NumPy checks the shapes. The result equals that of `promoted`, whose overhead would dominate an
    operation on few elements.
    """
    if context.engine is not EAGER:
        return None
    pair = (a, b) if op.arity == 2 else (a, a)
    if pair[0] is not pair[1] or not isinstance(a, _Tensor):
        found = alike(a, b)
        if found is None:
            return None
        pair = found
    first, second = pair
    dtype = first.dtype
    if dtype not in op.native:
        return None
    x = first._data if type(first) is _Tensor and first._moved is None else first.stored
    y = second._data if type(second) is _Tensor and second._moved is None else second.stored
    if type(x) is not ndarray or type(y) is not ndarray:
        return None
    try:
        data = quietly(op.numpy, x, y) if op.arity == 2 else quietly(op.numpy, x)
    except ValueError:
        return None  # the slow path raises an error about the shapes
    if op.to_bool:
        return _Tensor(asarray(data), bool_)
    storage = dtype.storage
    if type(data) is not ndarray or data.dtype is not storage:
        data = asarray(data, storage)
    result = _Tensor(data, dtype)
    has_gradient = first.requires_grad or second.requires_grad
    if has_gradient and dtype in FLOATS and context.grad_enabled:
        result.requires_grad = True
        result.tape_entry = TapeEntry(op, pair if op.arity == 2 else (first,), {})
    return result


def alike(a: Any, b: Any) -> tuple[Tensor, Tensor] | None:
    """Returns two operands as tensors if they have one dtype, or one is a number that takes the
    other's dtype. Returns None in all other cases.
    """
    if isinstance(a, _Tensor):
        if isinstance(b, _Tensor):
            return (a, b) if a.dtype is b.dtype else None
        number = _constant(b, a.dtype) if context.engine is EAGER else None
        return None if number is None else (a, number)
    if not isinstance(b, _Tensor) or context.engine is not EAGER:
        return None
    number = _constant(a, b.dtype)
    return None if number is None else (number, b)


def _constant(number: Any, dtype: DType) -> Tensor | None:
    """Returns a Python number as a tensor, if it does not change the dtype and fits into it; else
    None.
    """
    key = type(number), dtype
    if key not in _WEAK:
        return None
    known = _constants.get((number, key)) if number else None
    if known is None:
        if not dtype.is_float and number.bit_length() >= 8 * dtype.itemsize:
            return None  # does not fit, or is the lowest number, which takes the slow path
        known = as_tensor(number, dtype)
        if number and number == number:  # 0.0 equals -0.0, and nan does not equal itself
            known.stored.flags.writeable = False
            if len(_constants) >= MANY_CONSTANTS:
                _constants.clear()
            _constants[number, key] = known
    return known


FLOATS = frozenset(filter(lambda dtype: dtype.is_float, ALL))
MANY_CONSTANTS = 4096
_constants: dict[tuple[Any, Any], Tensor] = {}
_WEAK = {
    (float, float32),
    (int, float32),
    (float, float64),
    (int, float64),
    (int, int32),
    (int, int64),
}


class TapeEntry:
    """How a tensor was made: what reverse and forward walk need to know about one operation.

    `sequence_number` increases with every operation. `origin` is only known where it may be needed:
    in a trace, and with `check_nan`.
    """

    origin: Origin | None = None
    __slots__ = ("attributes", "inputs", "module", "op", "sequence_number", "versions")

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], attributes: dict[str, Any]) -> None:
        self.op: Op = op
        self.inputs: tuple[Tensor, ...] = inputs
        self.attributes: dict[str, Any] = attributes
        if len(inputs) == 2:
            self.versions: tuple[int, ...] = inputs[0]._version[0], inputs[1]._version[0]
        else:
            self.versions = tuple([operand._version[0] for operand in inputs])
        modules = running.modules
        self.module: str = ".".join(modules) if modules else ""
        self.sequence_number: int = next(_sequence_numbers)


class LocatedEntry(TapeEntry):
    """An entry that knows its line and module; `data` is the data of the result."""

    __slots__ = ("origin",)

    def __init__(
        self, op: Op, inputs: tuple[Tensor, ...], attributes: dict[str, Any], data: Data
    ) -> None:
        super().__init__(op, inputs, attributes)
        # a node has an origin of its own
        self.origin: Origin | None = getattr(data, "origin", None) or current_origin()


_sequence_numbers = itertools.count()


def tape_mark() -> int:
    """Returns a number above those of all tape entries so far, and below those of later ones."""
    return next(_sequence_numbers)
