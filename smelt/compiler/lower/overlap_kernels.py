"""Overlap kernels: neighbors that do not depend on each other run side by side.

Before:                                         after:

    q = x @ wq         # threads share it           in parallel:
    k = x @ wk         # threads share it               q = x @ wq
    v = x @ wv         # threads share it               k = x @ wk
                                                        v = x @ wv

Before, threads wait for each other at the end of each kernel; after, once, and while one thread
runs a kernel that is too short to be shared, others have something to do. It is done for kernels
that follow each other, that together are long enough to be shared, and none of which writes memory
that another one touches. So it comes after memory is planned: two values may have the same place.
A kernel does nothing but write memory; checks and collectives are parts of their own, which kernels
do not pass.

Long iterations come first, so that no thread begins one when the others are about to end.

The iterations of a kernel stay as they are, and so does every bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from smelt.compiler.loops.tile_sizes import PARALLEL_CYCLES
from smelt.ir.loops import trip_count
from smelt.ir.program import Branch, Call, Part, Program, Region, Repeat, Sections, Slot
from smelt.ir.symbolic import largest, sample

MOST = 16  # calls that run side by side; what is gained by more is little
Span = tuple[Slot | None, int, int]  # a slot, or the arena (None); first byte, end


def overlap_kernels(program: Program) -> Program:
    """Returns the program in which kernels that do not depend on each other run side by side."""
    body: list[Part] = []
    waiting: list[tuple[Call, _Memory]] = []

    def flush() -> None:
        body.extend(_shared(tuple([call for call, _ in waiting])))
        waiting.clear()

    for part in program.body:
        if not isinstance(part, Call):
            flush()
            body.append(_part(part))
            continue
        memory = _Memory(part)
        if len(waiting) == MOST or any(memory.meets(other) for _, other in waiting):
            flush()
        waiting.append((part, memory))
    flush()
    return replace(program, body=tuple(body))


def _shared(calls: tuple[Call, ...]) -> tuple[Part, ...]:
    """Returns calls as sections, if there are several and threads are worth it."""
    if len(calls) < 2 or sum(call.kernel.cycles for call in calls) < PARALLEL_CYCLES:
        return calls
    order = sorted(range(len(calls)), key=lambda number: -_cycles_of_iteration(calls[number]))
    return (Sections(calls, tuple(order)),)


def _cycles_of_iteration(call: Call) -> float:
    loop = call.kernel.parallel
    count = 1 if loop is None else sample(trip_count(loop))
    return call.kernel.cycles / max(count, 1)


def _part(part: Part) -> Part:
    """Returns a part with its regions changed; but if threads share the chunks of a loop, each of
    them runs the body alone.
    """
    match part:
        case Repeat(chunks=1):
            return replace(part, region=_region(part.region))
        case Branch():
            return replace(part, yes=_region(part.yes), no=_region(part.no))
    return part


def _region(region: Region) -> Region:
    return replace(region, program=overlap_kernels(region.program))


class _Memory:
    """The bytes that a call writes, and those that it touches."""

    def __init__(self, call: Call) -> None:
        self.touched = list(_spans(call))
        self.written = self.touched[: len(call.kernel.outputs)]  # outputs are the first buffers

    def meets(self, other: _Memory) -> bool:
        """Whether one of the two writes what the other one touches."""
        return _overlap(self.written, other.touched) or _overlap(other.written, self.touched)


def _spans(call: Call) -> Iterator[Span]:
    """Yields the bytes of each buffer of a call. Only slots in the arena share bytes with others:
    an array outside of it has one slot, also in the body of a loop if it is written there.
    """
    for buffer, (slot, offset) in zip(call.kernel.buffers, call.places, strict=True):
        end = offset + largest(buffer.existing * buffer.dtype.itemsize)
        if slot.kind == "arena":
            yield None, slot.offset + offset, slot.offset + end
        else:
            yield slot, offset, end


def _overlap(some: list[Span], others: list[Span]) -> bool:
    return any(
        slot is other and begin < end and start < stop
        for slot, begin, stop in some
        for other, start, end in others
    )
