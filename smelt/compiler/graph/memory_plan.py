"""Plan: groups -> a slot in memory for every value that leaves its kernel, and the arena's size.

Temporaries live in one block, the arena. A value needs its bytes from the group that writes it to
the last group that reads it; values whose live ranges do not overlap share bytes. The peak is known
exactly.

The body of a loop or branch is planned separately; its arena is one value of the arena around it. A
carry begins in memory of its own, is updated there, and ends there as the loop's result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from smelt.compiler.graph.fusion import WORKSPACE, Fused, Group
from smelt.compiler.graph.occupied import Occupied
from smelt.dtypes import bool_
from smelt.ir.graph import ARGUMENT, CONSTANT, STATE, Graph, Leaf, Node, carry_count
from smelt.ir.operation import Pattern
from smelt.ir.program import Slot
from smelt.ir.symbolic import largest

ALIGNMENT = 64  # bytes: a cache line, and the widest vector

Slots = dict[Node, Slot]


@dataclass(frozen=True, slots=True)
class LiveRange:
    """A temporary: its size in bytes and the first and last group that touch it."""

    nbytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Bodies:
    """What a loop or a branch runs, and the node whose memory is their arena."""

    planned: tuple[Planned, ...]
    arena: Node


@dataclass(frozen=True, slots=True)
class Planned:
    """Where everything is: a slot per node that has memory, in the order of the step's table.

    A member of a group that has no slot never leaves its kernel.
    """

    fused: Fused
    slots: Slots
    arena_bytes: int
    bodies: dict[Node, Bodies]

    @property
    def graph(self) -> Graph:
        """The graph whose values have slots."""
        return self.fused.graph

    @property
    def constants(self) -> list[np.ndarray]:
        """The arrays of the constant slots, by their number: the graph's, then its bodies'."""
        own = [node.attributes["array"] for node in constants_of(self.graph)]
        return own + [array for body in self._bodies() for array in body.constants]

    def first_constant(self, body: Planned) -> int:
        """Returns the number of the first constant of a body among the constants."""
        number = len(constants_of(self.graph))
        for planned in self._bodies():
            if planned is body:
                return number
            number += len(planned.constants)
        raise ValueError("not a body of this plan")

    def _bodies(self) -> Iterator[Planned]:
        for bodies in self.bodies.values():
            yield from bodies.planned


def plan(fused: Fused, names: Mapping[Node, str] | None = None) -> Planned:
    """Returns a slot for every leaf that is used and every node that leaves its kernel."""
    bodies = {group.members[0]: _bodies(group) for group in fused.groups if group.bodies}
    carries = _carries(fused)
    slots = _leaf_slots(fused, names or {})
    slots |= _result_slots(fused.graph, slots)
    temporaries = _live_ranges(fused, carries, slots) | _workspaces(fused, bodies)
    offsets, arena_bytes = pack(list(temporaries.values()))
    slots |= _arena_slots(temporaries, offsets)
    slots |= {result: slots[start] for result, start in carries.items()}
    return Planned(fused, slots, arena_bytes, bodies)


def constants_of(graph: Graph) -> list[Node]:
    """Returns the constant leaves of a graph in order."""
    return [node for node in graph.nodes() if node.op is CONSTANT]


# --- loops and branches ---------------------------------------------------------------------------


def _bodies(group: Group) -> Bodies:
    """Plans the bodies of a loop or branch; a branch runs one, so its bodies share an arena."""
    planned = tuple([plan(body) for body in group.bodies])
    nbytes = max(body.arena_bytes for body in planned)
    return Bodies(planned, Node(WORKSPACE, (), {}, (nbytes,), bool_))


def _carries(fused: Fused) -> dict[Node, Node]:
    """Returns, for each final carry of a loop, the node with its first contents."""
    carries = {}
    for node in fused.ordered.nodes:
        if node.op.pattern is Pattern.RESULT:
            region, number = node.inputs[0], node.attributes["number"]
            if number < carry_count(region):
                carries[node] = region.inputs[number]
    return carries


# --- slots ----------------------------------------------------------------------------------------


def _leaf_slots(fused: Fused, names: Mapping[Node, str]) -> Slots:
    """Returns the slots of the leaves that are read or updated."""
    graph = fused.graph
    used = {node for group in fused.groups for node in group.reads if isinstance(node.op, Leaf)}
    used.update(old for old, _ in graph.updates)
    slots: Slots = {}
    for kind, leaf, nodes in (
        ("argument", ARGUMENT, graph.arguments),
        ("state", STATE, graph.states),
        ("constant", CONSTANT, constants_of(graph)),
    ):
        for number, node in enumerate(nodes):
            if node in used:
                name = names.get(node, f"{leaf.name}{number}")
                slots[node] = Slot(name, node.shape, node.dtype, kind, number)
    return slots


def _result_slots(graph: Graph, leaves: Slots) -> Slots:
    """Returns the slots of what a step delivers; a new state has that of the old one."""
    slots = {new: leaves[old] for old, new in graph.updates}
    for number, node in enumerate(graph.outputs):
        slots[node] = Slot(f"result{number}", node.shape, node.dtype, "result", number)
    for number, check in enumerate(graph.assertions):
        node = check.node
        slots[node] = Slot(f"check{number}", node.shape, node.dtype, "status", number)
    return slots


def _arena_slots(temporaries: dict[Node, LiveRange], offsets: list[int]) -> Slots:
    slots: Slots = {}
    for number, (node, offset) in enumerate(zip(temporaries, offsets, strict=True)):
        name = f"{node.op.name}{number}"
        slots[node] = Slot(name, node.shape, node.dtype, "arena", number, offset)
    return slots


# --- live ranges ----------------------------------------------------------------------------------


def _live_ranges(fused: Fused, carries: dict[Node, Node], slots: Slots) -> dict[Node, LiveRange]:
    """Returns the live ranges of the nodes without a slot that other groups read."""
    written = {node: index for index, group in enumerate(fused.groups) for node in group.members}
    last_read = {node: index for index, group in enumerate(fused.groups) for node in group.reads}
    for result, start in carries.items():
        last_read[start] = max(last_read[start], last_read.get(result, 0))
    return {
        node: LiveRange(_nbytes(node), written[node], last_read[node])
        for node in fused.ordered.nodes
        if node not in slots and node not in carries and last_read.get(node, -1) > written[node]
    }


def _workspaces(fused: Fused, bodies: dict[Node, Bodies]) -> dict[Node, LiveRange]:
    """Returns what is live during one group: a sort's second buffer, the arena of a body."""
    ranges = {}
    for index, group in enumerate(fused.groups):
        arenas = (bodies[group.members[0]].arena,) if group.bodies else ()
        for node in (*group.workspace, *[arena for arena in arenas if arena.size]):
            ranges[node] = LiveRange(_nbytes(node), index, index)
    return ranges


def pack(ranges: list[LiveRange]) -> tuple[list[int], int]:
    """Returns an offset for each, so that no two overlap in time and memory, and the peak.

    Largest first, each at the lowest offset that is free for the whole of its live range.
    """
    offsets, peak = [0] * len(ranges), 0
    occupied = Occupied(max([live.last for live in ranges], default=0) + 1)
    for index in sorted(range(len(ranges)), key=lambda i: (-ranges[i].nbytes, ranges[i].first)):
        live = ranges[index]
        offset = offsets[index] = occupied.lowest(live.first, live.last, live.nbytes)
        end = _aligned(offset + live.nbytes)
        occupied.take(live.first, live.last, offset, end)
        peak = max(peak, end)
    return offsets, peak


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _nbytes(node: Node) -> int:
    """Returns the bytes of a value at its largest: the offsets of others must not depend on it."""
    return largest(node.size * node.dtype.itemsize)
