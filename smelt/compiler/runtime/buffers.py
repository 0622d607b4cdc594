"""Memory for results: small ones are cut from a block with a known address, which is fast."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.memory import LINE, address, aligned_bytes, aligned_empty

BLOCK = 4096  # bytes that small results are cut from; it lives as long as any of them
SMALL = 256  # bytes up to which a result is cut from the block

_ndarray = np.ndarray


def base_buffer(array: np.ndarray) -> Any:
    """Returns the object whose memory an array shows: the array itself, or what it is a view of."""
    base: Any = array
    while getattr(base, "base", None) is not None:
        base = base.base
    return base


class ResultBuffers:
    """Makes new arrays, with their addresses; not for several threads at once."""

    __slots__ = ("_address", "_block", "_used")

    def __init__(self) -> None:
        self._used = BLOCK

    def fresh(
        self, shape: tuple[int, ...], storage: np.dtype, nbytes: int
    ) -> tuple[np.ndarray, int]:
        """Returns an uninitialized array and the address of its first element."""
        if not 0 < nbytes <= SMALL:
            array = aligned_empty(shape, storage)
            return array, address(array)
        offset = self._used
        if offset + nbytes > BLOCK:
            self._block = aligned_bytes(BLOCK)
            self._address = address(self._block)
            offset = 0
        self._used = offset + (nbytes + LINE - 1 & -LINE)
        return _ndarray(shape, storage, self._block, offset), self._address + offset
