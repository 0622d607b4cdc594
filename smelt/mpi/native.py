"""Native: what machine code needs to call MPI by itself: a block of addresses and handles.

The block is an array of int64 in this order: the functions of FUNCTIONS, the communicator, the
datatypes and operations of MPI, and room for a status. Machine code reads it through one imported
symbol, so object code on disk knows nothing of an MPI library. Handles are ints in MPICH and
pointers in Open MPI; either way the lower bytes of an int64 in a register are what the callee
reads.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from smelt.mpi.group import DTYPES, OPERATIONS, Alone, Group

__all__ = ["FUNCTIONS", "STATUS", "SYMBOL", "block", "place_of"]

SYMBOL = "smelt_mpi"  # what machine code imports: the address of the block
FUNCTIONS = (
    "MPI_Allreduce", "MPI_Allgather", "MPI_Reduce_scatter_block", "MPI_Alltoall", "MPI_Bcast",
    "MPI_Barrier", "MPI_Iallreduce", "MPI_Wait", "MPI_Test",
)  # fmt: skip
HANDLES = ("communicator", *DTYPES, *OPERATIONS)
STATUS = len(FUNCTIONS) + len(HANDLES)  # where the room for an MPI_Status begins
STATUS_BYTES = 256  # MPICH's takes 20, Open MPI's 24


def place_of(name: str) -> int:
    """Returns where the address of a function, or a handle, stands in the block."""
    if name in FUNCTIONS:
        return FUNCTIONS.index(name)
    return len(FUNCTIONS) + HANDLES.index(name)


_blocks: dict[int, np.ndarray] = {}  # by id of their groups, which live as long as the process


def block(group: Alone) -> int:
    """Returns the address of a group's block.

    Raises TypeError for a group of one rank, for which no native collective is compiled.
    """
    if not isinstance(group, Group):
        raise TypeError("a group of one rank has no block")
    if id(group) not in _blocks:
        _blocks[id(group)] = _made(group)
    return int(_blocks[id(group)].ctypes.data)


def _made(group: Group) -> np.ndarray:
    mpi = group.mpi
    library = ctypes.CDLL(mpi.__file__)  # finds functions in the library that this one has loaded
    numbers = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in FUNCTIONS]
    numbers.append(_handle(mpi, group.communicator))
    numbers += [_handle(mpi, getattr(mpi, name)) for name in DTYPES.values()]
    numbers += [_handle(mpi, getattr(mpi, name.upper())) for name in OPERATIONS]
    made = np.zeros(STATUS + STATUS_BYTES // 8, np.uint64)
    made[:STATUS] = np.array(numbers, np.uint64)
    return made


def _handle(mpi: Any, thing: Any) -> int:
    return int(mpi._handleof(thing))
