"""Decaying averages without subnormal numbers, with which CPUs compute slowly."""

from __future__ import annotations

import numpy as np

from smelt.dtypes import bfloat16, float32, float64
from smelt.tensor import Tensor
from smelt.tensor.elementary import abs, where

_SMALLEST = {  # normal numbers; those of float16 are not small
    float32: float(np.finfo(np.float32).smallest_normal),
    bfloat16: float(np.finfo(np.float32).smallest_normal),
    float64: float(np.finfo(np.float64).smallest_normal),
}


def without_subnormals(average: Tensor) -> Tensor:
    """Returns an average with zeros in place of subnormal numbers, below 1.2e-38 in float32.

    The average of a gradient that is zero from some step on (a dead unit, a pixel that is always
    black) decays into them and stays: 0.9 times the smallest one is rounded to itself. Each
    operation on one takes a hundred cycles or more, and a step as a whole took twice its time.
    """
    smallest = _SMALLEST.get(average.dtype)
    return average if smallest is None else where(abs(average) < smallest, 0.0, average)
