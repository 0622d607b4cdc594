"""Values of a graph: tensors, and numbers that are known while Python runs.

The sizes and axes in an ONNX graph are tensors like others: a Reshape takes its shape from a chain
of Shape, Gather and Concat. What such a chain gives must be numbers of Python. So operations on
what is known are computed with NumPy at once, and an extent that may change stays a symbolic number
in an array of objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.dtypes import DType, as_dtype, int64
from smelt.ir.symbolic import is_symbolic
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.shaping import stack

__all__ = ["Known", "Value", "known", "lifted", "vector"]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Numbers that are known now.

    Attributes:
        array: the numbers; of objects where some are symbolic.
        dtype: of the tensor that they stand for.
        stored: the buffer that holds them, if one does.
    """

    array: np.ndarray
    dtype: DType
    stored: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the array."""
        return self.array.shape


Value = Any  # a Tensor, Known, a list of values (a sequence), or None where there is none


def vector(numbers: Iterable[Any], dtype: DType = int64) -> Known:
    """Returns numbers, some of them perhaps symbolic, as a vector."""
    given = list(numbers)
    if not any(map(is_symbolic, given)):
        return Known(np.array(given, dtype.storage).reshape(-1), dtype)
    array = np.empty(len(given), object)
    for place, number in enumerate(given):
        array[place] = number
    return Known(array, dtype)


def known(array: Any, dtype: DType) -> Known:
    """Returns what NumPy computed; a scalar as an array of shape ().

    Args:
        array: an array or a number.
        dtype: of the result, if its elements are objects; else it is the array's own.
    """
    if is_symbolic(array):
        boxed = np.empty((), object)
        boxed[()] = array
        return Known(boxed, dtype)
    array = np.asarray(array)
    if array.dtype == object:
        if any(map(is_symbolic, array.flat)):
            return Known(array, dtype)
        return Known(array.astype(dtype.storage), dtype)
    dtype = as_dtype(array.dtype)
    return Known(array.astype(dtype.storage, copy=False), dtype)


def lifted(value: Value) -> Value:
    """Returns a value as a tensor, a sequence as one of tensors."""
    if isinstance(value, list):
        return [lifted(item) for item in value]
    if not isinstance(value, Known):
        return value
    if value.stored is not None:
        return value.stored
    if value.array.dtype != object:
        return as_tensor(value.array, value.dtype)
    elements = [as_tensor(number, value.dtype) for number in value.array.reshape(-1)]
    return stack(elements).reshape(value.shape)
