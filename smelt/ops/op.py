"""The card: everything that Smelt knows about one primitive operation, in one place.

A family (`elementwise.py`, `movement.py`, ...) is a subclass that fills in what follows from the
kind of the operation; a card is an instance that says the rest. The rules of a card are written
with Tensors, so one rule serves eager and traced tensors, both modes of differentiation, and every
order of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from smelt.dtypes import DType
from smelt.errors import ArgumentError, DTypeError
from smelt.ir.loops import Expression
from smelt.ir.operation import Operation
from smelt.tracing.apply import apply

Shape = tuple[int, ...]
Reader = Callable[..., Expression]  # (index, mask=None) -> the operand's element at that index


class Typed(Protocol):
    """Anything that has a shape and a dtype: a Tensor, a Node, a Type."""

    @property
    def shape(self) -> Shape:
        """Extents, outermost axis first."""

    @property
    def dtype(self) -> DType:
        """Kind of number."""


@runtime_checkable
class Inlined(Protocol):
    """A card whose result can be computed by the element, inside the loop of whoever uses it."""

    def lower(
        self,
        readers: tuple[Reader, ...],
        index: tuple[Expression, ...],
        node: Any,
        mask: Expression | None = None,
    ) -> Expression:
        """Returns one element of the result; where `mask` is false, it does not matter which."""


class Type:
    """A shape and a dtype: what is known of a result before it has values."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype


REGISTRY: dict[str, Op] = {}


class Op(Operation):
    """One primitive. Called with Tensors (and keyword attributes), it returns a Tensor.

    A family implements:

    - `infer(*types, **attributes)`: the Type of the result; raises when operands do not fit.
    - `value(*arrays, **attributes)`: the result by NumPy, the meaning of the operation.
    - `jvp(tangents, output, *inputs, **attributes)`: the tangent of the output; a tangent may be
      None (zero).
    - `vjp(g, needs, output, *inputs, **attributes)`: a gradient per input, None where not needed.
    - `batch(inputs, batched, **attributes)`: the operation with an extra first axis on some inputs.
    - `lower(readers, index, node)`: one element of the result as a loop-IR expression, for the
      pointwise families: they can be computed inside the loop of whoever uses them.

    What passes may ask besides (its pattern, its cost) are the attributes of `Operation`.
    """

    views: ClassVar[bool] = False  # whether an eager result may share the first operand's memory

    def __init__(self, name: str) -> None:
        if name in REGISTRY:
            raise ArgumentError(f"there is an operation named {name!r} already")
        self.name = name
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __call__(self, *operands: Any, **attributes: Any) -> Any:
        """Applies the operation to Tensors."""
        return apply(self, operands, attributes)

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        """Returns the Type of the result."""
        raise NotImplementedError(f"{self.name}: infer")

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        """Returns the result by NumPy."""
        raise NotImplementedError(f"{self.name}: value")

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """Returns the output's tangent, or None when it is zero."""
        raise NotImplementedError(f"{self.name}: jvp")

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        """Returns the gradient of each input, None where it is zero or not needed."""
        raise NotImplementedError(f"{self.name}: vjp")

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """Returns the result with the batch as its first axis."""
        raise NotImplementedError(f"{self.name}: batch")


def check_not_half(name: str, dtype: DType) -> None:
    """Raises DTypeError for the 16-bit floats: they are storage, and callers compute in float32."""
    if dtype.compute is not dtype:
        raise DTypeError(
            f"{name}: {dtype.name} is storage, arithmetic on it happens in float32; "
            "cast with .to(smelt.float32) first"
        )


def normal_axis(axis: int, ndim: int, what: str) -> int:
    """Returns `axis` counted from the front; raises ArgumentError when there is no such axis."""
    if not -ndim <= axis < max(ndim, 1):
        raise ArgumentError(f"{what}: axis {axis} does not exist in a tensor with {ndim} axes")
    return axis % ndim if ndim else 0
