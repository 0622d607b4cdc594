"""A step as the back ends see it: kernels in order, over slots of memory and one arena."""

from __future__ import annotations

from dataclasses import dataclass

from smelt.dtypes import DType
from smelt.ir.loops import Kernel


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A place for one array of a step, and how long it lives.

    `kind` says who owns the memory: "argument" (the caller, read only), "state" (kept between
    calls, updated in place), "result" (a fresh array per call), "constant" (baked in), "arena" (at
    `offset` bytes in the step's one block of temporaries), "status" (one int64 per check).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    kind: str
    number: int  # which argument, state, result, constant or check
    offset: int = 0  # bytes into the arena

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes."""
        count = self.dtype.itemsize
        for extent in self.shape:
            count *= extent
        return count


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One kernel applied to slots, in the order of `kernel.buffers`."""

    kernel: Kernel
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """Ends the step with code `number + 1` when the status slot (one int64) is not zero."""

    slot: Slot
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A whole step: its slots, the bytes of its arena, and what runs in order."""

    name: str
    slots: tuple[Slot, ...]
    arena_bytes: int
    body: tuple[Call | Check, ...]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Each different kernel once, in order of first use."""
        return tuple(dict.fromkeys(part.kernel for part in self.body if isinstance(part, Call)))
