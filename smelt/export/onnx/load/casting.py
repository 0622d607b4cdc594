"""Casting to the types of ONNX, of which Smelt has not all.

Integers that it has not are held in wider ones. What arithmetic gives is wrapped around, as it is
in the narrower type; so is what is cast to one.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.export.onnx.load.known import Known, known
from smelt.export.onnx.load.tensors import KINDS
from smelt.ir.symbolic import is_symbolic
from smelt.tensor import Tensor

NARROW: Final = {  # the integers that Smelt has not: the least, and how many there are
    2: (0, 1 << 8),
    3: (-(1 << 7), 1 << 8),
    4: (0, 1 << 16),
    5: (-(1 << 15), 1 << 16),
    12: (0, 1 << 32),
}
BITS: Final = {number: count.bit_length() - 1 for number, (_, count) in NARROW.items()}


def cast(x: Tensor, data_type: int) -> Tensor:
    """Returns a tensor as a type of ONNX; integers that Smelt has not wrap around as they do."""
    dtype = KINDS[data_type].dtype
    if data_type not in NARROW:
        if dtype is dtypes.bool_ and x.dtype is not dtypes.bool_:
            return x != 0
        return x.to(dtype)
    return wrapped(x.to(dtypes.int64), data_type).to(dtype)


def wrapped(x: Any, data_type: int) -> Any:
    """Returns integers as a narrower type has them, which drops their upper bits."""
    low, count = NARROW[data_type]
    return (x - low) % count + low


def folded_cast(array: np.ndarray, dtype: DType) -> Known:
    """Returns known numbers in another dtype."""
    if array.dtype != object or dtype is dtypes.bool_:
        return known(np.asarray(array).astype(dtype.storage), dtype)
    result = np.empty(array.shape, object)
    for place, number in np.ndenumerate(array):
        plain = float(number) if dtype.is_float and not is_symbolic(number) else number
        if dtype.is_float and is_symbolic(number) and not isinstance(number, float):
            plain = number / 1
        result[place] = plain if dtype.is_float else math.trunc(plain)
    return Known(result, dtype)
