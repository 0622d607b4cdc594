"""Types: what is known of a result before it has values."""

from __future__ import annotations

from typing import Protocol

from smelt.dtypes import DType

Shape = tuple[int, ...]


class Typed(Protocol):
    """Anything that has a shape and a dtype: a Tensor, a Node, a Type."""

    @property
    def shape(self) -> Shape:
        """Extents, outermost axis first."""

    @property
    def dtype(self) -> DType:
        """Kind of number."""


class Type:
    """A shape and a dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype
