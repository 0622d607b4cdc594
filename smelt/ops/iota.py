"""Iota: an array of indices."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from smelt.dtypes import int64
from smelt.ir.loops import Expression
from smelt.ir.operation import Pattern
from smelt.ops.op import Index, Mask, Op, Readers, Type, Typed


class Iota(Op):
    """0, 1, 2, ... along `axis` of `shape`, as int64."""

    pattern = Pattern.POINTWISE

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return Type(attributes["shape"], int64)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        shape, axis = attributes["shape"], attributes["axis"]
        column = np.arange(shape[axis]).reshape([-1 if p == axis else 1 for p in range(len(shape))])
        return np.broadcast_to(column, shape)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns the index itself."""
        return index[node.attributes["axis"]]


iota: Final = Iota("iota")
