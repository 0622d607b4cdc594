"""Engine: what computes the result of an operation, at once or by recording it in a graph.

Which engine is current depends only on the context (whether this thread is tracing), never on the
operands. Code that interrupts a trace in its own thread does not see the trace's engine.
"""

from __future__ import annotations

import contextvars
import functools
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import numpy as np

from smelt import errors
from smelt.block import Block
from smelt.dtypes import DType, as_dtype, bool_, encode, float32, int64, number_dtype, promote
from smelt.location import called_function
from smelt.switches import Change, follow
from smelt.tracing.interruption import Began
from smelt.tracing.violations import first_violation

if TYPE_CHECKING:
    from smelt.ops.op import Op, Type
    from smelt.tensor import Tensor


T = TypeVar("T")


class Symbol(Protocol):
    """What a tensor without a value holds: a graph node, or a batch inside `vmap`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents, as the tensor shows them."""

    @property
    def leak(self) -> str:
        """The error text for a tensor that is used outside its trace or `vmap`."""


Data = np.ndarray | Symbol


class Engine:
    """Computes operations. The `note_*` methods inform a trace; by default they do nothing."""

    writes_graph = False  # whether operations are recorded, for a step that runs later
    outer: Engine | None = None  # the engine around this one

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Data:
        """Returns the data of the result."""
        raise NotImplementedError

    def literal(self, array: np.ndarray, dtype: DType) -> Data:
        """Returns the data of a value that is known now."""
        raise NotImplementedError

    def number(self, number: Any, dtype: DType) -> Tensor:
        """Returns a tensor of shape () that holds a symbolic number."""
        raise NotImplementedError

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Gives a tensor new contents of the same shape and dtype."""
        raise NotImplementedError

    def require(
        self,
        violations: Tensor,
        message: str,
        error: type[errors.SmeltError],
        values: Tensor | None = None,
    ) -> None:
        """Raises `error`, before anything else happens, if `violations` (int64, ()) is not 0.

        With `values`, `violations` is a bool of their shape that marks the invalid ones, and the
        message names the first.
        """
        raise NotImplementedError

    def lift(self, tensor: Tensor) -> Data:
        """Returns the data of a tensor as this engine sees it, for a copy without history."""
        return tensor.stored

    def holds(self, data: Data) -> bool:
        """Returns whether the data of a tensor belongs to this engine, and ends with it."""
        return False

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Notes that Python reads the value of a concrete tensor."""

    def note_refusal(self, error: errors.TraceError) -> None:
        """Notes that Python asked for a value in vain, on which its control flow may depend."""

    def note_array(self, array: np.ndarray) -> None:
        """Notes that a NumPy array is used with its current contents."""

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Notes that the `.grad` of a tensor is about to be replaced."""

    def note_gradient_read(self, tensor: Tensor) -> None:
        """Notes that the `.grad` of a tensor is read."""

    def note_computed_again(self, data: Data) -> None:
        """Notes that something is recomputed for its gradient, rather than saved."""

    def note_known(self, data: Data) -> None:
        """Is told that the last operation was recorded for its history: its result is known."""

    def note_delivered(self, tensors: Sequence[Tensor], what: str) -> None:
        """Notes what a step returns, or what is about to be differentiated in reverse mode."""

    def note_module(self, module: Any) -> None:
        """Notes a module or optimizer on whose settings the computation depends."""


class NestedEngine(Engine):
    """An engine inside another one, to which it passes what it does not handle itself."""

    outer: Engine

    def __init__(self, outer: Engine) -> None:
        self.outer = outer
        self.writes_graph: bool = outer.writes_graph

    def lift(self, tensor: Tensor) -> Data:
        """As the outer engine."""
        return self.outer.lift(tensor)

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Tells the outer engine."""
        self.outer.note_value(tensor, what)

    def note_refusal(self, error: errors.TraceError) -> None:
        """Tells the outer engine."""
        self.outer.note_refusal(error)

    def note_array(self, array: np.ndarray) -> None:
        """Tells the outer engine."""
        self.outer.note_array(array)

    def number(self, number: Any, dtype: DType) -> Tensor:
        """Asks the outer engine."""
        return self.outer.number(number, dtype)

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Tells the outer engine."""
        self.outer.note_gradient(tensor, value)

    def note_gradient_read(self, tensor: Tensor) -> None:
        """Tells the outer engine."""
        self.outer.note_gradient_read(tensor)

    def note_computed_again(self, data: Data) -> None:
        """Tells the outer engine."""
        self.outer.note_computed_again(data)

    def note_known(self, data: Data) -> None:
        """Tells the outer engine."""
        self.outer.note_known(data)

    def note_module(self, module: Any) -> None:
        """Tells the outer engine."""
        self.outer.note_module(module)


class Eager(Engine):
    """Computes at once, with NumPy."""

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> np.ndarray:
        """Returns the NumPy value."""
        arrays = [array_of(operand) for operand in operands]
        if op.is_movement:  # no arithmetic that NumPy could warn about
            data = op.value(*arrays, **attributes)
        else:
            data = quietly(op.value, *arrays, **attributes)
        storage = kind.dtype.storage
        if type(data) is np.ndarray and data.dtype is storage:
            return data
        return np.asarray(data, storage)

    def literal(self, array: np.ndarray, dtype: DType) -> Data:
        """Returns the array itself."""
        return array

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Overwrites the array."""
        np.copyto(array_of(target), array_of(value))

    def lift(self, tensor: Tensor) -> Data:
        """Returns the array."""
        return array_of(tensor)

    def require(
        self,
        violations: Tensor,
        message: str,
        error: type[errors.SmeltError],
        values: Tensor | None = None,
    ) -> None:
        """Raises at once."""
        marked = np.asarray(violations.stored)
        if marked.any():
            found = "" if values is None else first_violation(marked, values.stored)
            raise error(message + found)


_quiet: list[contextvars.Context] = []  # contexts that no call is using


def quietly(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Calls a function with NumPy's warnings off: inf and nan are results, as in compiled code.

    NumPy's settings outside are the user's and stay as they are. `np.errstate` would do the same,
    but takes ten times as long as a small sum; here the state is set once, in contexts that calls
    reuse. A nested call (of a signal handler, of a finalizer) has its own context.
    """
    try:
        quiet = _quiet.pop()  # atomic: no other call gets the same one
    except IndexError:
        quiet = contextvars.Context()
        quiet.run(np.seterr, all="ignore")
    result = quiet.run(function, *arguments, **options)
    _quiet.append(quiet)
    return result


def array_of(tensor: Tensor) -> np.ndarray:
    """Returns the array of a tensor; raises TraceError for one used outside its trace."""
    data = tensor.stored
    if not isinstance(data, np.ndarray):
        raise errors.TraceError(data.leak)
    return data


EAGER = Eager()


class _Context(threading.local):
    """The state of the running thread."""

    engine: Engine = EAGER
    began: Began | None = None  # where `engine` became the current one, unless it is EAGER
    grad_enabled: bool = True
    marks_composites: bool = False  # whether the graph says what its operations make up
    generator: Any = None  # this thread's own default generator, if it has one
    rows: Any = None  # a `random.Rows`, if the samples are a part of a larger batch
    ends: int = 0  # counts what may end a dependence legitimately: a derivative, an empty loop


context: Final = _Context()


def current_engine() -> Engine:
    """Returns the engine of the running code.

    A signal handler or a finalizer that interrupts a trace is not part of it: it runs eagerly.
    """
    began = context.began
    return context.engine if began is None or not began.is_interrupted() else EAGER


def _check_nan(is_on: bool) -> Change:
    """Replaces the eager engine by the checked one, or back; a trace, or any other engine of this
    thread, stays.
    """
    from smelt.tracing.check_nan import CheckedEager  # loaded when it is needed

    if context.engine is EAGER or isinstance(context.engine, CheckedEager):
        return context, {"engine": CheckedEager() if is_on else EAGER}
    return context, {}


follow("check_nan", _check_nan)


def in_place_of_eager(engine: Eager) -> AbstractContextManager[None]:
    """Within the block, an eager engine replaces the current one, if that is eager, too; a trace
    continues.
    """
    return Block(context, engine=engine) if isinstance(context.engine, Eager) else nullcontext()


def no_grad() -> Block:
    """Within the block no history is kept, so nothing computed there has a gradient.

    Also usable as a decorator.
    """
    return Block(context, grad_enabled=False)


def enable_grad() -> Block:
    """Within the block history is kept, even inside `no_grad`."""
    return Block(context, grad_enabled=True)


class set_grad_enabled(Block):
    """Says from here on whether history is kept; as a block, for its length only.

    Args:
        mode: whether it is.
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, (bool, np.bool_)):
            raise errors.ArgumentTypeError(
                f"set_grad_enabled: mode must be True or False, got {mode!r}"
            )
        super().__init__(context, grad_enabled=bool(mode))
        self._before = context.grad_enabled
        context.grad_enabled = bool(mode)

    def __enter__(self) -> None:
        before = functools.partial(vars(context).update, {"grad_enabled": self._before})
        self._begin(functools.partial(vars(context).update, self._values), before)


def composites_marked() -> Block:
    """Within the block functions that consist of other operations are marked as such in the graph,
    for a reader that has them as operations of its own.
    """
    return Block(context, marks_composites=True)


def is_grad_enabled() -> bool:
    """Returns whether history is kept."""
    return context.grad_enabled


def inference_mode(mode: bool = True) -> AbstractContextManager[None]:
    """Within the block no history is kept; the same as `no_grad`, unless `mode` is False."""
    return no_grad() if mode else nullcontext()


class using(Block):
    """Within the block operations of this thread go to `engine`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(context, engine=engine, began=None)

    def __enter__(self) -> None:
        if self._values["engine"] is not EAGER:
            self._values["began"] = Began(sys._getframe(1))
        super().__enter__()


def literal_array(value: Any, dtype: DType | None = None) -> tuple[np.ndarray, DType]:
    """Returns a value's array, as stored, and its dtype.

    Without `dtype`, NumPy's numbers and arrays keep their own; Python floats become float32, ints
    int64.

    Raises:
        ArgumentError: the value is a masked array in which something is masked.
        DTypeError: the value does not consist of real numbers, or they do not fit the dtype.
    """
    array = np.asarray(value)
    if array.dtype.kind == "O" and dtype is not None and dtype.is_float:
        array = _large_integers(array)
    if array.dtype.kind not in "?biuf":
        raise _no_numbers(value, array)
    if isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise _masked(value)
    if dtype is None:
        dtype = _element_dtype(value)[0]
    if dtype.kind == "int" and not (isinstance(value, np.ndarray) and value.ndim):
        _check_range(array, dtype)
    return encode(array, dtype), dtype


def _masked(value: Any) -> errors.ArgumentError:
    return errors.ArgumentError(
        f"cannot make a tensor of a {type(value).__name__} in which {np.sum(value.mask)} of "
        f"{value.size} elements are masked: tensors have no masks; pass array.filled(number), and "
        "the mask as a separate tensor"
    )


def _large_integers(array: np.ndarray) -> np.ndarray:
    """Returns an array of Python numbers, some of them beyond int64, as floats."""
    if not all(isinstance(part, (int, float)) for part in array.flat):
        return array
    try:
        return array.astype(np.float64)
    except OverflowError:
        return array


def _no_numbers(value: Any, array: np.ndarray) -> errors.DTypeError:
    if array.dtype.kind == "c":
        return errors.DTypeError(
            f"dtype {array.dtype} is not supported: Smelt has only real numbers; pass x.real and "
            "x.imag"
        )
    if array.dtype.kind == "O" and all(isinstance(part, (int, float)) for part in array.flat):
        largest = max((part for part in array.flat if isinstance(part, int)), key=abs, default=0)
        if abs(largest) >= 2**63:
            return errors.DTypeError(
                f"the number {largest} does not fit any integer dtype; write it as a float"
            )
    name = called_function("")
    hint = "; does a function, such as forward(), end without a return?" if value is None else ""
    return errors.DTypeError(
        f"{name}{': ' if name else ''}cannot make a tensor of {type(value).__name__}"
        f"{_held(value, array)}: give a number, nested lists of numbers, a NumPy array or a "
        f"Tensor{hint}"
    )


def _held(value: Any, array: np.ndarray) -> str:
    """Returns what an array or a collection holds instead of numbers, and what to write."""
    if not array.ndim or not array.size:
        return ""
    if array.dtype.kind == "M":
        return " of dates (for days, write (dates - first) / numpy.timedelta64(1, 'D'))"
    other = next((part for part in array.flat if not isinstance(part, (int, float))), None)
    if array.dtype.kind == "O" and all(isinstance(part, (int, float)) for part in array.flat):
        return " of Python objects (write array.astype(numpy.float32), or numpy.int64)"
    if other is None or type(other).__name__ in ("NAType", "NaTType"):
        return " with missing values (fill them in; numpy.array(values, float) makes them nan)"
    shown = other.item() if isinstance(other, np.generic) else other
    table = " (as_table takes columns of different types)" if hasattr(value, "columns") else ""
    return f" that holds {shown!r}{table}"


def _check_range(array: np.ndarray, dtype: DType) -> None:
    """Raises DTypeError for a number outside the range of an integer dtype."""
    if array.dtype.kind not in "iuf" or array.dtype == dtype.storage:
        return
    limits = np.iinfo(dtype.storage)
    if array.dtype.kind == "f":
        inside = (array > limits.min - 1.0) & (array < limits.max + 1.0)
    else:
        inside = (array >= limits.min) & (array <= limits.max)
    if not inside.all():
        number = array[~inside].flat[0] if array.ndim else array[()]
        raise errors.DTypeError(
            f"the number {number} does not fit {dtype.name}, which holds {limits.min} to "
            f"{limits.max}; use another dtype"
        )


def weak_dtype(value: Any) -> DType | None:
    """Returns the dtype of Python numbers, and of nested lists of them: bool, int64 or float32.

    None for NumPy's numbers and arrays, for tensors, and for lists that contain any of them: these
    have their own dtype.
    """
    dtype, is_weak = _element_dtype(value)
    return dtype if is_weak else None


def _element_dtype(value: Any) -> tuple[DType, bool]:
    """Returns the dtype of given data, and whether only Python numbers determine it."""
    if isinstance(value, (list, tuple)):
        return _common_element_dtype(value)
    own = getattr(value, "dtype", None)  # of NumPy's numbers and arrays, and of tensors
    if isinstance(own, (DType, np.dtype)):
        return as_dtype(own), False
    if own is not None:  # from pandas or polars, whose values NumPy can read
        return as_dtype(np.asarray(value).dtype), False
    if isinstance(value, (bool, int, float)):
        return number_dtype(value), True
    array = np.asarray(value)  # a range, an array.array, whatever NumPy understands
    return as_dtype(np.float32 if array.dtype == np.float64 else array.dtype), True


def _common_element_dtype(items: Sequence[Any]) -> tuple[DType, bool]:
    found: list[tuple[DType, bool]] = []
    pending = [items]
    while pending:
        part = pending.pop()
        kinds = set(map(type, part))
        if kinds <= _WEAK_DTYPES.keys():
            found += [(_WEAK_DTYPES[kind], True) for kind in kinds] or [(float32, True)]
            continue
        for item in part:
            if isinstance(item, (list, tuple)):
                pending.append(item)
            else:
                found.append(_element_dtype(item))
    dtype = functools.reduce(promote, (dtype for dtype, _ in found))
    return dtype, all(is_weak for _, is_weak in found)


_WEAK_DTYPES: dict[type, DType] = {bool: bool_, int: int64, float: float32}
