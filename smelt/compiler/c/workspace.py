"""Workspace: the temporaries of a program, in one array for each dtype.

The arena of `graph/memory_plan.py` is a block of bytes in which values of any dtype follow each
other. In C, memory has a type, and reading it as another one is undefined behavior. So here the
temporaries of each dtype share an array of their own. Live ranges are read off the program: from
the first call that uses a temporary to the last; one from outside of a loop is live during the
whole loop.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, count

from smelt.compiler.graph.occupied import Occupied
from smelt.dtypes import DType
from smelt.ir.program import Branch, Call, Check, Part, Program, Repeat, Slot, regions


@dataclass(frozen=True, slots=True)
class Workspace:
    """The elements of each dtype's array, and where in it each temporary begins."""

    elements: dict[DType, int]
    offsets: dict[Slot, int]


Spans = dict[Slot, tuple[int, int]]  # live ranges: the first and the last moment of use
TRIES = 4  # sizes of a block for which packing from both ends is tried
ENOUGH = 1.02  # times the least that is possible, which no other packing needs to beat


def workspace(program: Program, alignment: int = 1) -> Workspace:
    """Returns where the temporaries of a program and of its regions are.

    Each begins at a multiple of `alignment` bytes, which is a multiple or a divisor of the size of
    every dtype.
    """
    spans: Spans = {}
    clock = count()
    _walk(program, spans, clock)
    elements: dict[DType, int] = {}
    offsets: dict[Slot, int] = {}
    by_dtype: dict[DType, Spans] = {}
    for slot, span in spans.items():
        by_dtype.setdefault(slot.dtype, {})[slot] = span
    for dtype, own in by_dtype.items():
        unit = max(1, alignment // dtype.itemsize)
        sizes = {slot: max(1, -(-slot.nbytes // (unit * dtype.itemsize))) * unit for slot in own}
        places = packed(own, sizes)
        elements[dtype] = max(places[slot] + sizes[slot] for slot in own)
        offsets |= places
    return Workspace(elements, offsets)


# --- packing --------------------------------------------------------------------------------------


def packed(spans: Spans, sizes: Mapping[Slot, int]) -> dict[Slot, int]:
    """Returns an offset for each temporary, so that no two overlap in time and memory.

    Of the packings that are tried the one with the lowest peak counts. If all sizes are multiples
    of a number, so are the offsets.
    """
    best = _largest_first(spans, sizes)
    peak = max(best[slot] + sizes[slot] for slot in spans)
    least, unit = _most_alive(spans, sizes), math.gcd(*sizes.values())
    if peak <= ENOUGH * least:
        return best
    for part in range(TRIES):
        limit = least + (peak - least) * part // (TRIES * unit) * unit
        found = _from_both_ends(spans, sizes, limit) if limit < peak else None
        if found is not None:
            return found
    return best


def _largest_first(spans: Spans, sizes: Mapping[Slot, int]) -> dict[Slot, int]:
    """Places the largest first, each at the lowest offset that is free during its live range."""
    occupied, offsets = _occupied(spans), {}
    for slot in sorted(spans, key=lambda slot: (-sizes[slot], spans[slot])):
        offset = offsets[slot] = occupied.lowest(*spans[slot], sizes[slot])
        occupied.take(*spans[slot], offset, offset + sizes[slot])
    return offsets


def _from_both_ends(spans: Spans, sizes: Mapping[Slot, int], limit: int) -> dict[Slot, int] | None:
    """Places the temporaries of a chain of layers in turn at both ends of a block of `limit`
    elements: each, in order of time, at the end where the largest one that is alive is not.

    Returns None if they do not fit.
    """
    low, high = _occupied(spans), _occupied(spans)  # from below; from above
    offsets: dict[Slot, int] = {}
    alive: list[tuple[int, int, Slot]] = []  # a heap: the largest first, perhaps dead
    for number, slot in enumerate(sorted(spans, key=lambda slot: (spans[slot], -sizes[slot]))):
        size, span = sizes[slot], spans[slot]
        ends = low.lowest(*span, size), limit - size - high.lowest(*span, size)
        while alive and spans[alive[0][2]][1] < span[0]:
            heappop(alive)
        goes_up = bool(alive) and 2 * offsets[alive[0][2]] + sizes[alive[0][2]] <= limit
        fits = [end for end in (ends[::-1] if goes_up else ends) if 0 <= end <= limit - size]
        if not fits:
            return None
        offset = offsets[slot] = fits[0]
        heappush(alive, (-size, number, slot))
        low.take(*span, offset, offset + size)
        high.take(*span, limit - offset - size, limit - offset)
    return offsets


def _most_alive(spans: Spans, sizes: Mapping[Slot, int]) -> int:
    """Returns the most elements that are alive at one moment: no packing needs less."""
    changes: Counter[int] = Counter()
    for slot, (first, last) in spans.items():
        changes[first] += sizes[slot]
        changes[last + 1] -= sizes[slot]
    return max(accumulate(changes[moment] for moment in sorted(changes)))


def _occupied(spans: Spans) -> Occupied:
    return Occupied(max(last for _, last in spans.values()) + 1)


# --- live ranges ----------------------------------------------------------------------------------


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
