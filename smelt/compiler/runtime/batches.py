"""Batches: the rows of arrays that each step of a native run reads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.compiler.runtime.buffers import address
from smelt.tensor import Tensor


def with_whole_rows(array: np.ndarray) -> np.ndarray:
    """Returns an array whose rows, along the first axis, are contiguous: the array itself if they
    are, else a copy.
    """
    array = np.asarray(array)  # raises for a value that has left its trace
    is_whole = not len(array) or array[0].flags.c_contiguous
    return array if is_whole else np.ascontiguousarray(array)


@dataclass(frozen=True, slots=True)
class Batches:
    """Rows to gather before each step: the arrays, the row numbers in order, and rows per step.

    Each row of an array is contiguous; how far one is from the next does not matter, so that
    windows over a series are read from the series itself.
    """

    arrays: list[np.ndarray]
    order: np.ndarray
    size: int

    def gathers(self, arguments: Sequence[Tensor]) -> Any:
        """Returns source, bytes of a row, target and bytes from row to row of each array."""
        numbers: list[int] = []
        for array, argument in zip(self.arrays, arguments, strict=True):
            row_bytes = array.itemsize * int(np.prod(array.shape[1:]))
            numbers += [address(array), row_bytes, address(argument.stored), array.strides[0]]
        return (ctypes.c_int64 * len(numbers))(*numbers)

    def order_address(self, step: int) -> int:
        """Returns where the row numbers of a step begin."""
        return address(self.order) + step * self.size * self.order.itemsize

    def rows(self, step: int) -> list[np.ndarray]:
        """Returns what a step gets of each array."""
        order = self.order[step * self.size : (step + 1) * self.size]
        return [array[order] for array in self.arrays]
