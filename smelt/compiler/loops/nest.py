"""Perfect loop nests: loops with nothing between them, and the body of the innermost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from smelt.compiler.loops.dependence import DependenceInfo
from smelt.ir.loops import Loop, trip_count
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
        return math.prod(map(trip_count, self.loops))


def find_nest(loop: Loop, true_trips: Mapping[str, int] | None = None) -> Nest:
    """Returns the nest that a loop begins; `true_trips` as for `DependenceInfo`."""
    loops = [loop]
    while len(loop.body) == 1 and isinstance(loop.body[0], Loop):
        loop = loop.body[0]
        loops.append(loop)
    around = {loop.variable.name: trip_count(loop) for loop in loops}
    return Nest(tuple(loops), loop.body, DependenceInfo(loop.body, around, true_trips))
