"""The card: everything that Smelt knows about one primitive operation, in one place.

A family (`elementwise.py`, `movement.py`, ...) is a subclass that implements what follows from the
kind of operation; a card is an instance that adds the rest. The rules of a card are written with
Tensors, so one rule serves eager and traced tensors, and both modes and all orders of
differentiation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from smelt.dtypes import DType
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError
from smelt.ir.loops import Expression
from smelt.ir.operation import Operation
from smelt.ir.visit import Index
from smelt.tracing.apply import apply

Shape = tuple[int, ...]
Mask = Expression | None
Reader = Callable[..., Expression]  # (index, mask=None) -> the operand's element at that index
Readers = tuple[Reader, ...]
Needs = tuple[bool, ...]  # for which inputs a gradient is needed
Gradients = tuple[Any, ...]  # one for each input, None where it is zero or not needed


class Typed(Protocol):
    """Anything that has a shape and a dtype: a Tensor, a Node, a Type."""

    @property
    def shape(self) -> Shape:
        """Extents, outermost axis first."""

    @property
    def dtype(self) -> DType:
        """The dtype of its elements."""


class Inlined(Protocol):
    """A card whose result can be computed element by element, inside the loop that uses it."""

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns one element of the result; where `mask` is false, any value will do."""


class Type:
    """A shape and a dtype: what is known of a result before it is computed."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape: Shape = shape
        self.dtype: DType = dtype


REGISTRY: dict[str, Op] = {}
MANY_TYPES = 4096  # how many an operation remembers


class Op(Operation):
    """One primitive. Called with Tensors (and keyword attributes), it returns a Tensor.

    A family implements:

    - `infer(*types, **attributes)`: the Type of the result; raises when operands do not fit.
    - `value(*arrays, **attributes)`: the result in NumPy, which defines the operation.
    - `jvp(tangents, output, *inputs, **attributes)`: the tangent of the output; a tangent may be
      None (zero).
    - `vjp(g, needs, output, *inputs, **attributes)`: a gradient per input, None where not needed.
    - `batch(inputs, batched, **attributes)`: the operation with an extra first axis on some inputs.
    - `lower(readers, index, node)`: one element of the result as a loop-IR expression, for the
      pointwise families: they can be computed inside the loop that uses them.

    Where `linear_operands` is given, `jvp` follows from it; 0 means that there are no derivatives.

    What else passes may ask (pattern, cost) are the attributes of `Operation`.
    """

    views: ClassVar[bool] = False  # whether an eager result may share the first operand's memory
    linear_operands: ClassVar[int | None] = None  # it is linear in each of the first so many

    def __init__(self, name: str) -> None:
        if name in REGISTRY:
            raise ArgumentError(f"an operation named {name!r} already exists; choose another name")
        self.name = name
        self._types: dict[Any, Type] = {}  # what `infer` returned before
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __call__(self, *operands: Any, **attributes: Any) -> Any:
        """Applies the operation to Tensors."""
        return apply(self, operands, attributes)

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        """Returns the Type of the result: by default, that of the first operand."""
        return Type(types[0].shape, types[0].dtype)

    def known_type(self, operands: Sequence[Typed], attributes: dict[str, Any]) -> Type:
        """Returns what `infer` does, cached by shapes, dtypes and attributes."""
        if len(operands) == 1:
            (x,) = operands
            key = (x.shape, x.dtype, *attributes, *attributes.values())
        else:
            kinds = [part for x in operands for part in (x.shape, x.dtype)]
            key = (*kinds, *attributes, *attributes.values())
        try:
            known = self._types.get(key)
        except TypeError:  # an attribute without a hash
            return self.infer(*operands, **attributes)
        if known is None:
            known = self.infer(*operands, **attributes)
            if len(self._types) >= MANY_TYPES:
                self._types.clear()
            self._types[key] = known
        return known

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        """Returns the result, computed in NumPy."""
        raise NotImplementedError(f"{self.name}: value")

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """Returns the output's tangent, or None when it is zero."""
        if self.linear_operands is None:
            raise NotImplementedError(f"{self.name}: jvp")
        total = None
        for number, tangent in enumerate(tangents[: self.linear_operands]):
            if tangent is not None:
                term = self(*inputs[:number], tangent, *inputs[number + 1 :], **attributes)
                total = term if total is None else total + term
        return total

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        """Returns the gradient of each input, None where it is zero or not needed."""
        if self.linear_operands != 0:
            raise NotImplementedError(f"{self.name}: vjp")
        return (None,) * len(inputs)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """Returns the result with the batch as its first axis."""
        raise NotImplementedError(f"{self.name}: batch")


def check_not_half(name: str, dtype: DType) -> None:
    """Raises DTypeError for 16-bit floats and int8, which are storage only."""
    if dtype.compute is not dtype:
        wide = dtype.compute.name
        raise DTypeError(
            f"{name}: {dtype.name} is for storage only, arithmetic happens in {wide}; "
            f"cast with .to(smelt.{wide}) first"
        )


def check_number(name: str, dtype: DType) -> None:
    """Raises DTypeError unless `dtype` is one that arithmetic is done in."""
    if dtype.kind == "bool":
        raise DTypeError(f"{name}: got bool; cast it to numbers first, by .float() or .long()")
    check_not_half(name, dtype)


def check_factors(name: str, a: DType, b: DType) -> None:
    """Raises DTypeError unless products of the two dtypes can be summed."""
    if a is not b or a.kind == "bool":
        raise DTypeError(
            f"{name}: operands must have the same number dtype, got {a.name} and {b.name}"
        )
    check_not_half(name, a)


def is_whole_number(value: Any) -> bool:
    """Returns whether a value is an int, of Python, NumPy or another library, but not a bool."""
    return hasattr(value, "__index__") and not isinstance(value, (bool, np.bool_))


def normal_axis(axis: int, ndim: int, what: str) -> int:
    """Returns `axis` counted from the front; raises ArgumentError when there is no such axis.

    A tensor of shape () counts as having one axis of extent 1.
    """
    if not is_whole_number(axis):
        raise ArgumentTypeError(f"{what}: an axis must be an integer, got {axis!r}")
    axis = operator.index(axis)
    if not -max(ndim, 1) <= axis < max(ndim, 1):
        raise ArgumentError(f"{what}: axis {axis} does not exist in a tensor with {ndim} axes")
    return axis % ndim if ndim else 0


def batch_size(inputs: tuple[Any, ...], batched: tuple[bool, ...]) -> int:
    """Returns the batch size: the extent of the first axis of the batched inputs."""
    return next(x.shape[0] for x, has in zip(inputs, batched, strict=True) if has)
