"""Memory for results: small ones are cut from a block whose address is known, which is quick."""

from __future__ import annotations

from typing import Any

import numpy as np

BLOCK = 4096  # bytes that small results are cut from; it lives as long as any of them
SMALL = 256  # bytes up to which a result is cut from the block
STEP = 64  # results begin on cache lines

_ndarray = np.ndarray


def address(array: np.ndarray) -> int:
    """Returns where an array's first element lies."""
    return int(array.__array_interface__["data"][0])


def aligned_empty(nbytes: int) -> np.ndarray:
    """Returns a block of at least one byte that begins on a cache line."""
    block = np.empty(nbytes + STEP, np.uint8)
    start = -address(block) % STEP
    return block[start : start + max(1, nbytes)]


def base_buffer(array: np.ndarray) -> Any:
    """Returns the object whose memory an array shows: the array itself, or what it is a view of."""
    base: Any = array
    while getattr(base, "base", None) is not None:
        base = base.base
    return base


class ResultBuffers:
    """Gives out fresh arrays with their addresses; not for several threads at once."""

    __slots__ = ("_address", "_block", "_used")

    def __init__(self) -> None:
        self._used = BLOCK

    def fresh(
        self, shape: tuple[int, ...], storage: np.dtype, nbytes: int
    ) -> tuple[np.ndarray, int]:
        """Returns an uninitialized array and the address of its first element."""
        if not 0 < nbytes <= SMALL:
            array = np.empty(shape, storage)
            return array, address(array)
        offset = self._used
        if offset + nbytes > BLOCK:
            self._block = aligned_empty(BLOCK)
            self._address = address(self._block)
            offset = 0
        self._used = offset + (nbytes + STEP - 1 & -STEP)
        return _ndarray(shape, storage, self._block, offset), self._address + offset
