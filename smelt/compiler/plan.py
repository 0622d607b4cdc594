"""Plan: groups -> a slot in memory for every value that leaves its kernel, and the arena's size.

Temporaries live in one block, the arena. A value needs its bytes from the group that writes it to
the last group that reads it; values whose lives do not overlap share bytes. The peak is known
exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smelt.compiler.fuse import Fused, Group
from smelt.ir.graph import ARGUMENT, CONSTANT, STATE, Graph, Leaf, Node
from smelt.ir.program import Slot

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True, slots=True)
class Life:
    """A temporary: its size in bytes and the first and last group that touch it."""

    nbytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Planned:
    """Where everything lies: a slot per node that has memory, in the order of the step's table."""

    fused: Fused
    slots: dict[Node, Slot]
    arena_bytes: int

    @property
    def graph(self) -> Graph:
        """The graph whose values are placed."""
        return self.fused.ordered.stored.graph

    @property
    def constants(self) -> list[np.ndarray]:
        """The arrays of the constant slots, by their number."""
        return [one.attributes["array"] for one in constants_of(self.graph)]

    def is_internal(self, node: Node) -> bool:
        """Whether a member's value never leaves its kernel."""
        return node not in self.slots


def plan(fused: Fused, names: dict[Node, str] | None = None) -> Planned:
    """Returns a slot for every leaf that is used and every stored node that leaves its kernel."""
    graph = fused.ordered.stored.graph
    place = {node: number for number, group in enumerate(fused.groups) for node in group.members}
    last = _last_reads(fused.groups)
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
        if node not in slots and last.get(node, -1) > place[node]
    }
    for number, group in enumerate(fused.groups):
        lives |= {node: Life(_nbytes(node), number, number) for node in group.workspace}
    offsets, arena_bytes = pack(list(lives.values()))
    for number, (node, offset) in enumerate(zip(lives, offsets, strict=True)):
        name = f"{node.op.name}{number}"
        slots[node] = Slot(name, node.shape, node.dtype, "arena", number, offset)
    return Planned(fused, slots, arena_bytes)


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


def _leaf_slots(fused: Fused, names: dict[Node, str]) -> dict[Node, Slot]:
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
