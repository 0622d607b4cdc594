"""Plan: groups -> a slot in memory for every value that leaves its kernel, and the arena's size.

Temporaries live in one block, the arena. A value needs its bytes from the group that writes it to
the last group that reads it; values whose lives do not overlap share bytes. The peak is known
exactly.

The body of a loop or branch is planned by itself; its arena is one value of the arena around it. A
carry begins in memory of its own, is updated there, and ends there as the loop's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from smelt.compiler.graph.fusion import WORKSPACE, Fused, Group
from smelt.dtypes import bool_
from smelt.ir.graph import ARGUMENT, CONSTANT, STATE, Graph, Leaf, Node, carry_count
from smelt.ir.operation import Pattern
from smelt.ir.program import Slot

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True, slots=True)
class Life:
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
    """Where everything lies: a slot per node that has memory, in the order of the step's table."""

    fused: Fused
    slots: dict[Node, Slot]
    arena_bytes: int
    bodies: dict[Node, Bodies]

    @property
    def graph(self) -> Graph:
        """The graph whose values are placed."""
        return self.fused.ordered.stored.graph

    @property
    def constants(self) -> list[np.ndarray]:
        """The arrays of the constant slots, by their number: the graph's, then its bodies'."""
        own = [one.attributes["array"] for one in constants_of(self.graph)]
        return own + [
            array
            for bodies in self.bodies.values()
            for one in bodies.planned
            for array in one.constants
        ]

    def first_constant(self, body: Planned) -> int:
        """Returns the number of the first constant of a body among the constants."""
        number = len(constants_of(self.graph))
        for bodies in self.bodies.values():
            for one in bodies.planned:
                if one is body:
                    return number
                number += len(one.constants)
        raise ValueError("not a body of this plan")

    def is_internal(self, node: Node) -> bool:
        """Whether a member's value never leaves its kernel."""
        return node not in self.slots


def plan(fused: Fused, names: Mapping[Node, str] | None = None) -> Planned:
    """Returns a slot for every leaf that is used and every stored node that leaves its kernel."""
    graph = fused.ordered.stored.graph
    place = {node: number for number, group in enumerate(fused.groups) for node in group.members}
    last = _last_reads(fused.groups)
    carries = _carries(fused.ordered.nodes)
    for part, start in carries.items():
        last[start] = max(last[start], last.get(part, 0))
    bodies = {group.members[0]: _bodies(group) for group in fused.groups if group.bodies}
    slots = _leaf_slots(fused, names or {})
    for old, new in graph.updates:
        slots[new] = slots[old]
    for number, node in enumerate(graph.outputs):
        slots[node] = Slot(f"result{number}", node.shape, node.dtype, "result", number)
    for number, one in enumerate(graph.assertions):
        slots[one.node] = Slot(f"check{number}", one.node.shape, one.node.dtype, "status", number)
    lives = {
        node: Life(_nbytes(node), place[node], last[node])
        for node in fused.ordered.nodes
        if node not in slots and node not in carries and last.get(node, -1) > place[node]
    }
    for number, group in enumerate(fused.groups):
        for node in _workspace(group, bodies):
            lives[node] = Life(_nbytes(node), number, number)
    offsets, arena_bytes = pack(list(lives.values()))
    for number, (node, offset) in enumerate(zip(lives, offsets, strict=True)):
        name = f"{node.op.name}{number}"
        slots[node] = Slot(name, node.shape, node.dtype, "arena", number, offset)
    slots |= {part: slots[start] for part, start in carries.items()}
    return Planned(fused, slots, arena_bytes, bodies)


def _carries(nodes: tuple[Node, ...]) -> dict[Node, Node]:
    """Returns, for each result of a loop that is a last carry, the node with its first contents."""
    found = {}
    for node in nodes:
        if node.op.pattern is Pattern.RESULT:
            token, number = node.inputs[0], node.attributes["number"]
            if number < carry_count(token):
                found[node] = token.inputs[number]
    return found


def _bodies(group: Group) -> Bodies:
    """Plans the bodies of a loop or branch; of a branch one runs, so they share their arena."""
    planned = tuple([plan(one) for one in group.bodies])
    nbytes = max(one.arena_bytes for one in planned)
    return Bodies(planned, Node(WORKSPACE, (), {}, (nbytes,), bool_))


def _workspace(group: Group, bodies: dict[Node, Bodies]) -> list[Node]:
    if not group.bodies:
        return group.workspace
    arena = bodies[group.members[0]].arena
    return [arena] if arena.size else []


def constants_of(graph: Graph) -> list[Node]:
    """Returns the constant leaves of a graph in order."""
    return [node for node in graph.nodes() if node.op is CONSTANT]


def pack(lives: list[Life]) -> tuple[list[int], int]:
    """Returns an offset for each life, so that no two overlap in time and memory, and the peak.

    Largest first, each at the lowest offset that is free for the whole of its life.
    """
    offsets = [0] * len(lives)
    placed: list[int] = []
    peak = 0
    for number in sorted(range(len(lives)), key=lambda one: (-lives[one].nbytes, lives[one].first)):
        life = lives[number]
        offset = 0
        for other in sorted(placed, key=lambda one: offsets[one]):
            rival = lives[other]
            if rival.last < life.first or life.last < rival.first:
                continue
            if offset + life.nbytes <= offsets[other]:
                break
            offset = max(offset, _aligned(offsets[other] + rival.nbytes))
        offsets[number] = offset
        placed.append(number)
        peak = max(peak, _aligned(offset + life.nbytes))
    return offsets, peak


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _nbytes(node: Node) -> int:
    return node.size * node.dtype.itemsize


def _last_reads(groups: tuple[Group, ...]) -> dict[Node, int]:
    last: dict[Node, int] = {}
    for number, group in enumerate(groups):
        for node in group.reads:
            last[node] = number
    return last


def _leaf_slots(fused: Fused, names: Mapping[Node, str]) -> dict[Node, Slot]:
    graph = fused.ordered.stored.graph
    used = {node for group in fused.groups for node in group.reads if isinstance(node.op, Leaf)}
    used.update(old for old, _ in graph.updates)
    slots: dict[Node, Slot] = {}
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
