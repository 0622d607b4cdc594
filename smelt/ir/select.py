"""Choosing between two arrays by a condition, in time that does not depend on the condition."""

from __future__ import annotations

from typing import Any

import numpy as np

_FEW = 256  # up to so many elements, one call of NumPy is faster than five
_WHOLE = {size: np.dtype(f"int{8 * size}") for size in (1, 2, 4, 8)}


def select(condition: Any, yes: Any, no: Any) -> Any:
    """Returns what `np.where` does, for a bool condition and two sides of one dtype.

    NumPy branches at every element, which takes 9 ns if the condition is random. This computes
    `no ^ ((yes ^ no) & mask)` on the bits, in loops without branches.
    """
    mask = np.asarray(condition)
    yes, no = np.asarray(yes), np.asarray(no)
    if mask.size <= _FEW or yes.dtype != no.dtype:
        return np.where(condition, yes, no)
    whole = _WHOLE[yes.dtype.itemsize]
    mask = mask.view(np.int8).astype(whole)
    np.negative(mask, out=mask)  # all bits, or none
    other = no.view(whole)
    difference = yes.view(whole) ^ other
    if np.broadcast_shapes(difference.shape, mask.shape) == mask.shape:
        mask &= difference
        mask ^= other
        return mask.view(yes.dtype)
    return ((difference & mask) ^ other).view(yes.dtype)
