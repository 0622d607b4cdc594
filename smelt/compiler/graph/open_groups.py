"""Open groups: an index of the groups that a node may join, so that not all are searched.

Work shares a loop with work that reads the same data in the same loops, or is small and has the
same loops. So a group is entered under each pair of a node that it reads and loops that it offers.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterator
from enum import Enum

from smelt.ir.graph import Node
from smelt.ops.op import Shape


class Fit(Enum):
    """What a group's loops are to a node that may join it."""

    LOOPS = "its own loops"
    ROWS = "the loops around rows that it computes or sums up"
    OUTER_LOOPS = "its own loops; those within them may become rows that it sums up"


Offer = tuple[Fit, Shape]


class OpenGroups:
    """The numbers of groups, by what they read and which loops they offer to more members."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Node | None, Offer], list[int]] = {}
        self._offers: list[frozenset[Offer]] = []
        self._reads: list[set[Node | None]] = []

    def enter(self, number: int, offers: frozenset[Offer], reads: Collection[Node]) -> None:
        """Enters what a group offers and reads now; what it reads only grows."""
        if number == len(self._offers):
            self._offers.append(frozenset())
            self._reads.append({None})
        known = self._reads[number]
        new_reads = [node for node in reads if node not in known]
        pairs = [(node, offer) for offer in offers - self._offers[number] for node in known]
        pairs += [(node, offer) for offer in offers for node in new_reads]
        for pair in pairs:
            insort(self._numbers.setdefault(pair, []), number)
        known.update(new_reads)
        self._offers[number] = offers

    def behind(self, number: int, read: Node | None, offer: Offer) -> Iterator[int]:
        """Yields the groups after one that read a node (None: any) and offer loops, in order.

        Entries of what is no longer offered are removed when they are met.
        """
        numbers = self._numbers.get((read, offer), [])
        place = bisect_right(numbers, number)
        while place < len(numbers):
            if offer in self._offers[numbers[place]]:
                yield numbers[place]
                place += 1
            else:
                del numbers[place]
