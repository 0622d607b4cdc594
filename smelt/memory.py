"""Memory for arrays that last: it begins on a cache line, so that no vector lies on two of them."""

from __future__ import annotations

import math

import numpy as np

LINE = 64  # bytes
SMALL = 1024  # bytes below which it makes no difference


def address(array: np.ndarray) -> int:
    """Returns where an array's first element lies."""
    return int(array.__array_interface__["data"][0])


def aligned_bytes(nbytes: int) -> np.ndarray:
    """Returns a block of at least one byte that begins on a cache line."""
    block = np.empty(nbytes + LINE, np.uint8)
    start = -address(block) % LINE
    return block[start : start + max(1, nbytes)]


def aligned_empty(shape: tuple[int, ...], storage: np.dtype) -> np.ndarray:
    """Returns an array without contents that begins on a cache line, if it is not small.

    Args:
        shape: of the array.
        storage: of its elements.
    """
    nbytes = storage.itemsize * math.prod(shape)
    if nbytes < SMALL:
        return np.empty(shape, storage)
    return np.ndarray(shape, storage, aligned_bytes(nbytes))


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """Returns a copy of an array in C order that begins on a cache line, if it is not small."""
    result = aligned_empty(array.shape, array.dtype)
    np.copyto(result, array)
    return result
