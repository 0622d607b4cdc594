"""Tensor: an array or, while a step is traced, a node of its graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import (
    ArgumentError,
    DimensionError,
    DTypeError,
    GradientError,
    MovedError,
    ShapeError,
)
from smelt.ops.op import Shape
from smelt.tensor import dlpack, indexing, numpy_protocol, shown
from smelt.tensor.apply import apply, as_tensor, promoted, reduced
from smelt.tensor.checked import checked
from smelt.tensor.device import CPU, Device
from smelt.tensor.in_place import InPlace
from smelt.tensor.known_value import known_value
from smelt.tensor.methods import Methods
from smelt.tensor.operators import Operators
from smelt.tensor.size import Size
from smelt.tensor.unsupported import Unsupported
from smelt.tracing.apply import TapeEntry, install
from smelt.tracing.backward import backward
from smelt.tracing.concretization import concretization_error
from smelt.tracing.engine import Data, context, current_engine
from smelt.tracing.hooks import HookHandle, add_hook, retain

__all__ = ["Tensor", "apply", "as_tensor", "promoted", "reduced"]


KINDS = ("bool", "int", "float")  # each holds what stands before it


class Tensor(Operators, Methods, InPlace, Unsupported):
    """A dense array with a shape, a dtype and, on request, a gradient.

    Created by `smelt.tensor` and similar functions, not by this constructor. Tensors are values:
    operations return new ones. Only `copy_` (which optimizers use) changes one in place.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_data",
        "_grad",
        "_moved",
        "_version",
        "dtype",
        "requires_grad",
        "shape",
        "tape_entry",
    )

    def __init__(
        self, data: Any = (), dtype: Any = None, requires_grad: bool = False, *more: int
    ) -> None:
        """Holds what is stored; `Tensor(2, 3)`, `Tensor([2, 3])` as in PyTorch, of float32."""
        if dtype.__class__ is not DType:
            given = (data, dtype, requires_grad, *more)
            data, dtype, requires_grad = _as_float32(given), dtypes.float32, False
        self._data = data
        self._grad: Tensor | None = None
        self._moved: str | None = None
        self._version = [0]
        self._address: int | None = None
        self.dtype: DType = dtype
        self.shape: Shape = data.shape
        self.requires_grad: bool = requires_grad
        self.tape_entry: TapeEntry | None = None

    # --- what it is -----------------------------------------------------------------------------

    @property
    def stored(self) -> Any:
        """The array or graph node behind the tensor; raises MovedError after donation."""
        if self._moved is not None:
            raise MovedError(
                f"this tensor of shape {self.shape} was donated: its memory was given away at "
                f"{self._moved}; use the result of that step, or do not donate the tensor"
            )
        return self._data

    @property
    def is_traced(self) -> bool:
        """Whether the tensor represents a value that is known only when a step runs."""
        return not isinstance(self._data, np.ndarray)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Number of elements; when called, the sizes, `x.size()`, or one of them, `x.size(0)`."""
        return Size(self.shape)

    @property
    def data(self) -> Tensor:
        """The same values without history. Changing them in place changes this tensor, also
        where it requires a gradient; setting `x.data` gives it other values.
        """
        from smelt.tensor.state_view import StateView  # a tensor itself

        return StateView(self) if self.tape_entry is None else self.detach()

    @data.setter
    def data(self, values: Any) -> None:
        from smelt.tensor.state_view import StateView

        StateView(self).replace(as_tensor(values))

    @property
    def device(self) -> Device:
        """Where the values are: always the CPU."""
        return CPU

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was not computed from one that requires a gradient."""
        return self.tape_entry is None

    @property
    def grad_fn(self) -> TapeEntry | None:
        """The operation that computed the tensor, as needed for a gradient; None for a leaf."""
        return self.tape_entry

    @property
    def at(self) -> indexing.At:
        """`x.at[index].set(value)` and `.add(value)`: changed copies of the tensor."""
        return indexing.At(self)

    @property
    def T(self) -> Tensor:
        """The axes in opposite order."""
        return self.permute(tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return self.transpose(-2, -1)

    @property
    def version(self) -> int:
        """How often the contents were changed in place."""
        return self._version[0]

    def share_version(self, other: Tensor) -> None:
        """Marks this tensor, perhaps a view of `other`, as changed whenever `other` is."""
        self._version = other._version

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` left here, or None."""
        current_engine().note_gradient_read(self)  # decides which calls may use a trace
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        current_engine().note_gradient(self, value)  # a trace decides later what becomes of it
        self._grad = value

    def __len__(self) -> int:
        if not self.shape:
            raise DimensionError("a tensor of shape () has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        if self._moved is not None:
            return f"tensor(moved at {self._moved})"
        if self.is_traced:
            return f"tensor(traced, shape={self.shape}, dtype={self.dtype.name})"
        return shown.as_text(self)

    def _repr_html_(self) -> str | None:
        """What a notebook shows; nothing but the text of a tensor without values."""
        if self._moved is not None or self.is_traced:
            return None
        return shown.as_html(self, type(self).__name__)

    # --- leaving for Python ---------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """Returns the values as a read-only NumPy view, without a copy (bfloat16: a float32
        copy).
        """
        self.check_concrete("numpy()")
        view = dtypes.decode(self.stored, self.dtype).view()
        view.flags.writeable = False
        return view

    def item(self) -> bool | int | float:
        """Returns the only element as a Python number; raises ShapeError when there are more."""
        return self._number("item()")

    def _number(self, what: str) -> bool | int | float:
        values = self._values(what)
        if self.size != 1:
            raise ShapeError(f"{what} needs one element, got shape {self.shape}")
        return values.item()

    def tolist(self) -> Any:
        """Returns the values as nested Python lists."""
        return self._values("tolist()").tolist()

    def __float__(self) -> float:
        return float(self._number("float()"))

    def __int__(self) -> int:
        number = self._number("int()")
        if not math.isfinite(number):
            raise ArgumentError(f"int() needs a finite number, got {number}")
        return int(number)

    def __index__(self) -> int:
        number = self._number("int()")
        if self.dtype.kind != "int":
            raise DTypeError(f"only an integer tensor can be an index, got {self.dtype.name}")
        return int(number)

    def __bool__(self) -> bool:
        values = self._values("bool(), as `if` and `while` use it,")
        if self.size != 1:
            raise ShapeError(
                f"the truth of a tensor of shape {self.shape} is ambiguous; use .any() or .all()"
            )
        return bool(values.item())

    __bytes__: Final = numpy_protocol.as_bytes
    __buffer__: Final = numpy_protocol.as_buffer

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return numpy_protocol.as_array(self, dtype, copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        return numpy_protocol.apply_ufunc(ufunc, method, operands, options)

    def __array_function__(
        self, function: Any, types: Any, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        return numpy_protocol.apply_function(function, arguments, options)

    def __format__(self, spec: str) -> str:
        self.check_concrete("formatting")
        if self.shape and not spec:
            return str(self)
        try:
            return format(self.item(), spec)
        except ValueError as error:
            if isinstance(error, ShapeError):
                raise
            raise ArgumentError(f"format {spec!r} of a {self.dtype.name}: {error}") from None

    def __str__(self) -> str:
        if self.is_traced:
            raise concretization_error(self._data, "print()")
        return repr(self)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        self.check_concrete("DLPack export")
        return dlpack.exported(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU

    def __reduce__(self) -> tuple[Any, ...]:
        self.check_concrete("copying or pickling")
        if self.tape_entry is not None:
            raise GradientError(
                "a tensor with a history cannot be copied or pickled; detach() it first"
            )
        gradient = self.grad.detach() if self.grad is not None else None
        return rebuilt, (type(self), self.stored, self.dtype, self.requires_grad, gradient)

    def __copy__(self) -> Tensor:
        """The same contents, in the same memory, for as long as neither is changed in place."""
        result = Tensor(self.stored, self.dtype, self.requires_grad)
        result.tape_entry, result._version = self.tape_entry, self._version
        return result

    def check_concrete(self, what: str) -> None:
        """Raises TraceError, which names the wish `what`, for a tensor without a value."""
        if self.is_traced:
            error = concretization_error(self._data, what)
            current_engine().note_refusal(error)
            raise error
        current_engine().note_value(self, what)  # what a trace does next may depend on the value

    def _values(self, what: str) -> np.ndarray:
        """Returns the values for Python: also of a traced tensor that constants alone make up."""
        known = known_value(self._data) if self.is_traced else None
        if known is None:
            self.check_concrete(what)
        return dtypes.decode(self.stored if known is None else known, self.dtype)

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.read(self, index)

    def __iter__(self) -> Iterator[Tensor]:
        return indexing.iterate(self)

    # --- gradients ------------------------------------------------------------------------------

    @checked
    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets whether gradients are computed for this tensor; returns the tensor itself."""
        if requires_grad and not self.dtype.is_float:
            raise DTypeError(f"only float tensors have gradients, got {self.dtype.name}")
        if not requires_grad and self.tape_entry is not None:
            raise GradientError("a computed tensor keeps requires_grad=True; use x.detach()")
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Calls `hook(gradient)` whenever a gradient of this tensor is known; its result, if not
        None, replaces the gradient.

        Inside a compiled step it becomes a part of the step.

        Returns:
            A handle whose `remove()` removes the hook.

        Raises:
            GradientError: the tensor does not require a gradient.
        """
        self._check_has_gradient("register_hook")
        note_setting()
        return add_hook(self, hook, note_setting)

    def retain_grad(self) -> None:
        """Makes `backward` keep the gradient in `.grad` although the tensor is not a leaf.

        Raises:
            GradientError: the tensor does not require a gradient.
        """
        self._check_has_gradient("retain_grad")
        if self.tape_entry is not None:
            retain(self)

    def _check_has_gradient(self, what: str) -> None:
        if not self.requires_grad:
            raise GradientError(
                f"{what}: this tensor {self.shape} requires no gradient; use requires_grad_() first"
            )

    @checked
    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Adds the gradient of this tensor to `.grad` of every leaf that it was computed from.

        Args:
            gradient: the gradient of this tensor itself; needed unless it has one element.
            retain_graph: without effect; a history lives as long as its tensors.
            create_graph: keep the history of the gradients, so that they can be differentiated
                again.
        """
        backward(self, gradient, create_graph)

    def detach(self) -> Tensor:
        """Returns the same values without history: no gradient flows through."""
        result = Tensor(self.lifted, self.dtype)
        result._version = self._version
        return result

    @property
    def lifted(self) -> Data:
        """The data as the current engine sees it: inside a trace, always a node."""
        return current_engine().lift(self)

    def copy_(self, value: Any) -> Tensor:
        """Overwrites the contents in place with `value` (same shape); returns the tensor itself.

        This is how optimizers and buffers change state; inside a compiled step it becomes an
        update of the captured buffer.
        """
        value = as_tensor(value, self.dtype).to(self.dtype)
        if value.shape != self.shape and _spreads_over(value.shape, self.shape):
            value = value.expand(self.shape)
        if self.tape_entry is not None:
            raise GradientError("copy_ into a computed tensor would make its gradient wrong")
        if self.requires_grad and context.grad_enabled:
            raise GradientError(
                "copy_ into a tensor that requires a gradient is only allowed under smelt.no_grad()"
            )
        if value.shape != self.shape:
            raise ShapeError(f"copy_: {value.shape} does not broadcast to {self.shape}")
        if isinstance(self._data, np.ndarray) and not self._data.flags.writeable:
            raise ArgumentError(
                "copy_ into memory that is shared with NumPy; smelt.tensor(array) makes a copy"
            )
        current_engine().assign(self, value)
        self._version[0] += 1
        return self

    @property
    def is_variable(self) -> bool:
        """Whether training changes the tensor itself: it requires a gradient and was not
        computed.
        """
        return self.requires_grad and self.tape_entry is None and not self.is_traced

    def updated(self, operator: str, result: Any) -> Any:
        """Returns the result of `x + y` for `x += y`; a variable takes it in, under `no_grad`."""
        if not self.is_variable or not isinstance(result, Tensor):
            return result
        if self.requires_grad and context.grad_enabled:
            raise GradientError(
                f"x {operator} y changes a tensor of shape {self.shape} that requires a gradient; "
                "write it under smelt.no_grad(), or x = x + y for a new tensor"
            )
        self.check_fits(f"x {operator} y", result)
        return self.copy_(result)

    def check_fits(self, what: str, result: Tensor) -> None:
        """Raises for a result that would lose its fraction, or more axes, in this tensor."""
        if KINDS.index(result.dtype.kind) > KINDS.index(self.dtype.kind):
            raise DTypeError(
                f"{what}: the result is {result.dtype.name} and does not fit into the "
                f"{self.dtype.name} tensor that is changed in place; make a new tensor instead"
            )
        if result.shape != self.shape:
            raise ShapeError(
                f"{what}: the result has shape {result.shape} and does not fit into the tensor "
                f"of shape {self.shape} that is changed in place; make a new tensor instead"
            )

    def replace_storage(self, array: np.ndarray, dtype: DType) -> None:
        """Gives the same tensor other memory, of its shape; compiled steps look it up again.

        Results computed from the old contents can no longer be differentiated.
        """
        self._data, self.dtype, self._address = array, dtype, None
        self._version[0] += 1

    def literal(self, value: Any, dtype: DType | None = None) -> Tensor:
        """Returns a constant tensor; used by rules that need a mask or a table."""
        return as_tensor(value, dtype)


def _spreads_over(shape: Shape, wanted: Shape) -> bool:
    """Returns whether a shape can be broadcast to another one."""
    behind = wanted[len(wanted) - len(shape) :] if len(shape) <= len(wanted) else ()
    pairs = zip(shape, behind, strict=False)
    return len(shape) <= len(wanted) and all(extent in (1, own) for extent, own in pairs)


def _as_float32(given: tuple[Any, ...]) -> Data:
    """Returns what a tensor stores that is made of a shape, or of data, as in PyTorch."""
    from smelt.creation import FloatTensor  # which lies above

    data, dtype, requires_grad, *more = given
    shape = (data,) if dtype is None else (data, dtype)
    shape += () if requires_grad is False else (requires_grad,)
    return FloatTensor(*shape, *more).stored


def note_setting() -> None:
    """Says that compiled steps must look at the hooks of tensors again."""
    from smelt import guards  # which lies above: it knows what a tensor is

    guards.changed()


def rebuilt(
    kind: type[Tensor],
    array: np.ndarray,
    dtype: DType,
    requires_grad: bool,
    gradient: Tensor | None,
) -> Tensor:
    """Returns a tensor as `copy.deepcopy` and `pickle` restore it."""
    result = kind.__new__(kind)
    Tensor.__init__(result, array, dtype, requires_grad)
    result._grad = gradient
    return result


install(Tensor)
