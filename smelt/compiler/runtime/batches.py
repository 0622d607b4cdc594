"""Batches: the rows of arrays that each step of a native run reads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.compiler.runtime.buffers import address
from smelt.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Batches:
    """Rows to gather before each step: the arrays, the row numbers in order, and rows a step."""

    arrays: list[np.ndarray]
    order: np.ndarray
    size: int

    def gathers(self, arguments: Sequence[Tensor]) -> Any:
        """Returns source, bytes a row and target of each array that a step takes rows from."""
        numbers: list[int] = []
        for array, argument in zip(self.arrays, arguments, strict=True):
            row_bytes = array.itemsize * int(np.prod(array.shape[1:]))
            numbers += [address(array), row_bytes, address(argument.stored), 0]
        return (ctypes.c_int64 * len(numbers))(*numbers)

    def order_address(self, step: int) -> int:
        """Returns where the row numbers of a step begin."""
        return address(self.order) + step * self.size * self.order.itemsize

    def rows(self, step: int) -> list[np.ndarray]:
        """Returns what a step gets of each array."""
        order = self.order[step * self.size : (step + 1) * self.size]
        return [array[order] for array in self.arrays]
