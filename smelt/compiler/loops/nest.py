"""Perfect loop nests: loops with nothing between them, and the body of the innermost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smelt.compiler.loops.dependence import ASSUMED_TRIPS, DependenceInfo, analyze, trip_count
from smelt.ir.loops import Loop
from smelt.ir.visit import Body


@dataclass(frozen=True, slots=True)
class Nest:
    """Loops, the outermost first, and what they run."""

    loops: tuple[Loop, ...]
    body: Body
    info: DependenceInfo

    @property
    def iterations(self) -> int:
        """How often the body runs."""
        count = 1
        for loop in self.loops:
            count *= extent(loop)
        return count


def find_nest(loop: Loop) -> Nest:
    """Returns the nest that a loop begins; loops with computed bounds only stand alone."""
    loops, body = [loop], loop.body
    while trip_count(loops[-1]) is not None and len(body) == 1:
        only = body[0]
        if not isinstance(only, Loop) or trip_count(only) is None or only.step != 1:
            break
        loops.append(only)
        body = only.body
    around = {loop.variable.name: extent(loop) for loop in loops}
    return Nest(tuple(loops), body, analyze(body, around))


def extent(loop: Loop) -> int:
    """Returns how often a loop runs, or a guess when its bounds are computed."""
    count = trip_count(loop)
    return ASSUMED_TRIPS if count is None else count


def among(loop: Loop, others: Iterable[object]) -> bool:
    """Whether a loop is one of several, itself and not only its like."""
    return any(loop is other for other in others)
