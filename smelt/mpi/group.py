"""The process group: all ranks of this program, and collectives on NumPy arrays.

There is one group. Before `init`, and where no launcher has started the program, it is this process
alone, and mpi4py is not needed. All ranks must call the same collectives in the same order; each
collective of this file is preceded by an exchange of 16 bytes, by which ranks that do not agree
find out (`agreement.py`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, MissingExtra, StateError
from smelt.mpi import launch

__all__ = ["Alone", "Group", "current", "join", "leave"]

OPERATIONS = ("sum", "prod", "max", "min")
DTYPES = {"float32": "FLOAT", "float64": "DOUBLE", "int32": "INT32_T", "int64": "INT64_T"}
LAUNCHER_HINT = "start the program with the mpiexec of the same MPI"


class Alone:
    """A group of one rank: each collective is its operand."""

    rank = 0
    size = 1
    is_joined = False

    def all_reduce(self, array: np.ndarray, op: str) -> np.ndarray:
        """Returns the sum (or product, maximum, minimum) of an array over all ranks."""
        return array.copy()

    def all_gather(self, array: np.ndarray) -> np.ndarray:
        """Returns the arrays of all ranks along a new first axis."""
        return array[None].copy()

    def reduce_scatter(self, array: np.ndarray, op: str) -> np.ndarray:
        """Returns this rank's row of the sum of arrays (size, ...) over all ranks."""
        return array[0].copy()

    def all_to_all(self, array: np.ndarray) -> np.ndarray:
        """Returns row `rank` of the arrays (size, ...) of all ranks, along a first axis."""
        return array.copy()

    def broadcast(self, array: np.ndarray, root: int) -> np.ndarray:
        """Returns the array of rank `root`."""
        return array.copy()

    def barrier(self) -> None:
        """Waits until all ranks are here."""

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """Returns what each rank has given; no two need the same length."""
        return [content]


class Group(Alone):
    """The ranks that a launcher has started, by way of mpi4py.

    `before` is called with a text before each collective of this class: it sees to it that all
    ranks are about to do the same.
    """

    is_joined = True

    def __init__(self, mpi: Any) -> None:
        self.mpi = mpi
        self.communicator: Any = mpi.COMM_WORLD.Dup()
        # an error within MPI leaves ranks that wait for ever; its own message ends all of them
        self.communicator.Set_errhandler(mpi.ERRORS_ARE_FATAL)
        self.rank: int = self.communicator.Get_rank()
        self.size: int = self.communicator.Get_size()
        self.before: Callable[[str], None] = lambda text: None
        self.failure: str | None = None  # why this rank can take no part any more

    def all_reduce(self, array: np.ndarray, op: str) -> np.ndarray:
        array = self._given(f"all_reduce {op}", array)
        result = np.empty_like(array)
        self.communicator.Allreduce(array, result, getattr(self.mpi, op.upper()))
        return result

    def all_gather(self, array: np.ndarray) -> np.ndarray:
        array = self._given("all_gather", array)
        result = np.empty((self.size, *array.shape), array.dtype)
        self.communicator.Allgather(array, result)
        return result

    def reduce_scatter(self, array: np.ndarray, op: str) -> np.ndarray:
        array = self._given(f"reduce_scatter {op}", array)
        result = np.empty(array.shape[1:], array.dtype)
        self.communicator.Reduce_scatter_block(array, result, getattr(self.mpi, op.upper()))
        return result

    def all_to_all(self, array: np.ndarray) -> np.ndarray:
        array = self._given("all_to_all", array)
        result = np.empty_like(array)
        self.communicator.Alltoall(array, result)
        return result

    def broadcast(self, array: np.ndarray, root: int) -> np.ndarray:
        result = self._given(f"broadcast from {root}", array).copy()
        self.communicator.Bcast(result, root)
        return result

    def barrier(self) -> None:
        self.before("barrier")
        self.communicator.Barrier()

    def gather_bytes(self, content: bytes) -> list[bytes]:
        self.before("gather_bytes")
        return self.gather_unchecked(content)

    def gather_unchecked(self, content: bytes) -> list[bytes]:
        """Returns what each rank has given, without asking first whether all are here."""
        lengths = np.empty(self.size, np.int64)
        self.communicator.Allgather(np.array(len(content), np.int64), lengths)
        result = np.empty(int(lengths.sum()), np.uint8)
        given = np.frombuffer(content, np.uint8)
        self.communicator.Allgatherv(given, [result, lengths.tolist()])
        ends = np.cumsum(lengths)
        return [result[end - n : end].tobytes() for end, n in zip(ends, lengths, strict=True)]

    def _given(self, what: str, array: np.ndarray) -> np.ndarray:
        self.before(f"{what} of {array.dtype.name}{list(array.shape)}")
        return np.asarray(array, order="C")  # keeps shape (), unlike ascontiguousarray


_alone = Alone()
_group: Alone = _alone


def current() -> Alone:
    """Returns the group that this process belongs to; one of it alone before `join`."""
    return _group


def join() -> Alone:
    """Makes this process a rank of all that the launcher has started, and returns the group.

    Raises:
        MissingExtra: several processes were started, and mpi4py is not installed.
        StateError: the launcher says another number of processes than MPI does.
    """
    global _group
    expected = launch.launched_size()
    if expected == 1 or _group.is_joined:
        return _group
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except ImportError:
        raise MissingExtra(f"a program in {expected} processes", "distributed") from None
    except RuntimeError as error:  # mpi4py is there, and finds no MPI library
        raise StateError(f"mpi4py cannot load an MPI library ({error})") from None
    size = mpi.COMM_WORLD.Get_size()
    if size != expected:
        raise StateError(
            f"the launcher started {expected} processes, but the MPI that mpi4py loaded "
            f"({mpi.Get_library_version().split(',')[0].splitlines()[0].strip()}) sees {size}; "
            f"{LAUNCHER_HINT}"
        )
    if mpi.Query_thread() < mpi.THREAD_SERIALIZED:
        raise ArgumentError(
            "this MPI may only be called from the main thread; Smelt needs an MPI with thread "
            "support of at least MPI_THREAD_SERIALIZED"
        )
    _group = Group(mpi)
    return _group


def leave() -> None:
    """Makes this process a group of its own again."""
    global _group
    if isinstance(_group, Group):
        _group.communicator.Free()
    _group = _alone
