"""Workspace: the temporaries of a program, in one array for each dtype.

The arena of `graph/memory_plan.py` is a block of bytes in which values of any dtype follow each
other. In C, memory has a type, and reading it as another one is undefined behavior. So here the
temporaries of each dtype share an array of their own. Live ranges are read off the program: from
the first call that uses a temporary to the last; one from outside of a loop is live during the
whole loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from smelt.compiler.graph.occupied import Occupied
from smelt.dtypes import DType
from smelt.ir.program import Branch, Call, Check, Part, Program, Repeat, Slot, regions


@dataclass(frozen=True, slots=True)
class Workspace:
    """The elements of each dtype's array, and where in it each temporary begins."""

    elements: dict[DType, int]
    offsets: dict[Slot, int]


Spans = dict[Slot, tuple[int, int]]  # live ranges: the first and the last moment of use


def workspace(program: Program, alignment: int = 1) -> Workspace:
    """Returns where the temporaries of a program and of its regions are.

    Each begins at a multiple of `alignment` bytes, which is a multiple or a divisor of the size of
    every dtype.
    """
    spans: Spans = {}
    clock = count()
    _walk(program, spans, clock)
    moments = next(clock) + 1
    elements: dict[DType, int] = {}
    offsets: dict[Slot, int] = {}
    by_dtype: dict[DType, list[Slot]] = {}
    for slot in spans:
        by_dtype.setdefault(slot.dtype, []).append(slot)
    for dtype, slots in by_dtype.items():
        occupied, elements[dtype] = Occupied(moments), 0
        unit = max(1, alignment // dtype.itemsize)
        # the largest first, each at the lowest offset that is free during its live range
        for slot in sorted(slots, key=lambda slot: (-slot.nbytes, spans[slot])):
            size = max(1, -(-slot.nbytes // (unit * dtype.itemsize))) * unit
            offsets[slot] = occupied.lowest(*spans[slot], size)
            occupied.take(*spans[slot], offsets[slot], offsets[slot] + size)
            elements[dtype] = max(elements[dtype], offsets[slot] + size)
    return Workspace(elements, offsets)


def _walk(program: Program, spans: Spans, clock: Iterator[int]) -> None:
    for part in program.body:
        start = next(clock)
        for region in regions(part):
            _walk(region.program, spans, clock)
        end = next(clock)
        for slot in _touched(part):
            if slot.kind == "arena":
                first, last = spans.get(slot, (start, end))
                spans[slot] = min(first, start), max(last, end)


def _touched(part: Part) -> Iterator[Slot]:
    match part:
        case Call(slots=slots):
            yield from slots
        case Check(slot=slot):
            yield slot
        case Repeat(flag=flag) | Branch(flag=flag) if flag is not None:
            yield flag
    for region in regions(part):
        yield from (binding.outer for binding in region.bindings)
