"""How an operation is applied, eagerly or into a trace, and what it leaves behind for gradients.

One function, `apply`, serves both: it checks the operands, asks the current engine for the result,
and, when a gradient may be asked for, keeps a `History`. Which engine is current depends on the
context alone (a thread is tracing or it is not), never on the operands.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from smelt import errors
from smelt.dtypes import DType, as_dtype, encode
from smelt.ops.op import Op, Type

if TYPE_CHECKING:
    from smelt.tensor import Tensor


class Symbol(Protocol):
    """What a tensor without numbers of its own holds: a graph node, or a batch inside `vmap`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, as the tensor shows them."""


Data = np.ndarray | Symbol


class Engine(Protocol):
    """Whoever computes: eagerly, or by writing a graph."""

    @property
    def writes_graph(self) -> bool:
        """Whether operations are written down, for a step that runs later."""

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Data:
        """Returns the data of the result."""

    def literal(self, array: np.ndarray, dtype: DType) -> Data:
        """Returns the data of a value that is known now."""

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Gives a tensor new contents of the same shape and dtype."""

    def require(self, violations: Tensor, message: str, error: type[errors.SmeltError]) -> None:
        """Raises before anything else happens when `violations` (int64, shape ()) is not 0."""


class Eager:
    """Computes at once, with NumPy."""

    writes_graph = False

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Data:
        arrays = [operand.data for operand in operands]
        with np.errstate(all="ignore"):  # inf and nan are results, as in compiled code
            return np.asarray(op.value(*arrays, **attributes), kind.dtype.storage)

    def literal(self, array: np.ndarray, dtype: DType) -> Data:
        return array

    def assign(self, target: Tensor, value: Tensor) -> None:
        np.copyto(target.data, value.data)

    def require(self, violations: Tensor, message: str, error: type[errors.SmeltError]) -> None:
        if violations.item():
            raise error(located(message))


class _Context(threading.local):
    """What holds for the running thread."""

    engine: Engine = Eager()
    grad_enabled: bool = True

    def __init__(self) -> None:
        self.modules: list[str] = []


context = _Context()


class History:
    """How a tensor was made: what the walks of differentiation need to know.

    `number` grows from one operation to the next.
    """

    __slots__ = ("attributes", "inputs", "module", "number", "op", "versions")

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], attributes: dict[str, Any]) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = attributes
        self.versions = tuple(operand.version for operand in inputs)
        self.module = ".".join(context.modules)
        self.number = next(_numbers)


_numbers = itertools.count()


def history_mark() -> int:
    """Returns a number above that of every history so far, and at most that of every later one."""
    return next(_numbers)


def located(message: str) -> str:
    """Returns a message with the path of the running module and the user's line behind it."""
    if "\n  at " in message:
        return message
    path, line = ".".join(context.modules), errors.user_line()
    module = f"\n  in module {path}" if path else ""
    return f"{message}{module}\n  at {line}" if line else message + module


@contextmanager
def no_grad() -> Iterator[None]:
    """Within the block no history is kept, so nothing computed there has a gradient.

    Also usable as a decorator.
    """
    before, context.grad_enabled = context.grad_enabled, False
    try:
        yield
    finally:
        context.grad_enabled = before


@contextmanager
def enable_grad() -> Iterator[None]:
    """Within the block history is kept, even inside `no_grad`."""
    before, context.grad_enabled = context.grad_enabled, True
    try:
        yield
    finally:
        context.grad_enabled = before


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Within the block operations of this thread go to `engine`."""
    before, context.engine = context.engine, engine
    try:
        yield
    finally:
        context.engine = before


def literal_array(value: Any, dtype: DType | None = None) -> tuple[np.ndarray, DType]:
    """Returns a value's array, as stored, and dtype; Python floats are float32, ints int64."""
    array = np.asarray(value)
    if array.dtype.kind not in "?biufc":
        raise errors.DTypeError(
            located(
                f"cannot make a tensor of {type(value).__name__}: give a number, nested lists of "
                "numbers, a NumPy array or a Tensor"
            )
        )
    if dtype is None:
        weak = not isinstance(value, (np.ndarray, np.generic)) and array.dtype == np.float64
        dtype = as_dtype(np.float32 if weak else array.dtype)
    return encode(array, dtype), dtype
