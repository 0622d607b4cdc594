"""Order: every value that a step must deliver gets a node of its own, and stored nodes an order.

A new state is written straight into the state's memory. So its kernel comes after every other
kernel that still reads the old contents; where that is impossible (two states that swap, an old
value that is wanted after the new one) the new value is computed aside and copied at the end.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

from smelt.compiler.graph.materialize import Stored
from smelt.ir.graph import Graph, Leaf, Node, carry_count, rebuilt, scalar_value
from smelt.ir.operation import Pattern
from smelt.ops import movement

FEW = 64  # elements from which on a node waits for its turn


@dataclass(frozen=True, slots=True)
class Ordered:
    """Stored nodes in an order that respects reads and in-place writes.

    `writes` maps a stored node to the state whose memory it overwrites, `after` each node to the
    nodes that come before it.
    """

    stored: Stored
    nodes: tuple[Node, ...]
    writes: dict[Node, Node]
    after: dict[Node, frozenset[Node]]


def order(graph: Graph) -> Ordered:
    """Returns the stored nodes of a graph in the order in which kernels may compute them."""
    graph = _with_own_nodes(_with_own_carries(graph))
    aside: set[Node] = set()
    while True:
        attempt = _with_copies(graph, aside)
        stored = Stored(attempt, aside)
        writes = {new: old for old, new in attempt.updates}
        after = _dependencies(stored, writes)
        nodes = _sorted(stored.nodes, after)
        blocked = [
            new for new in writes if new not in set(nodes) or _reads_itself(stored, new, writes)
        ]
        if not blocked:
            return Ordered(stored, tuple(nodes), writes, after)
        aside.update(blocked)


def copy_of(node: Node) -> Node:
    """Returns a node of its own with the same contents."""
    return Node(
        movement.reshape, (node,), {"shape": node.shape}, node.shape, node.dtype, node.origin
    )


def _with_own_carries(graph: Graph) -> Graph:
    """Gives every carry of a loop memory of its own, and every other operand some memory."""

    def own(node: Node) -> Node:
        if node.op.pattern is not Pattern.REGION:
            return node
        inputs = [
            copy_of(one) if place < carry_count(node) or scalar_value(one) is not None else one
            for place, one in enumerate(node.inputs)
        ]
        return replace(node, inputs=tuple(inputs))

    return rebuilt(graph, own)


def _with_own_nodes(graph: Graph) -> Graph:
    """Gives every output, update and check a node that is not a leaf and serves nothing else."""
    taken: set[Node] = set()

    def own(node: Node) -> Node:
        if isinstance(node.op, Leaf) or node.op.pattern is Pattern.RESULT or node in taken:
            node = copy_of(node)
        taken.add(node)
        return node

    updates = tuple([(old, own(new)) for old, new in graph.updates])
    outputs = tuple([own(node) for node in graph.outputs])
    assertions = tuple([replace(one, node=own(one.node)) for one in graph.assertions])
    return replace(graph, updates=updates, outputs=outputs, assertions=assertions)


def _with_copies(graph: Graph, aside: set[Node]) -> Graph:
    updates = tuple([(old, copy_of(new) if new in aside else new) for old, new in graph.updates])
    return replace(graph, updates=updates)


def _dependencies(stored: Stored, writes: dict[Node, Node]) -> dict[Node, frozenset[Node]]:
    after: dict[Node, set[Node]] = {}
    readers: dict[Node, list[Node]] = {}
    for node in stored.nodes:
        read = {one.node for one in stored.reads(node)}
        after[node] = {one for one in read if one in stored.set}
        for one in read:
            readers.setdefault(one, []).append(node)
    checks = {one.node for one in stored.graph.assertions}
    for new, old in writes.items():
        after[new].update(one for one in readers.get(old, ()) if one is not new)
        after[new].update(checks - {new})  # nothing changes before everything is checked
    return {node: frozenset(before) for node, before in after.items()}


def _sorted(nodes: list[Node], after: dict[Node, frozenset[Node]]) -> list[Node]:
    """Kahn's algorithm; stops short of circles.

    A few numbers (a learning rate, a correction) come first, so that what uses them can share a
    loop with what it reads otherwise. Else the graph's own order holds.
    """
    number = {node: (min(node.size, FEW), place) for place, node in enumerate(nodes)}
    missing = {node: len(after[node]) for node in nodes}
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for before in after[node]:
            users[before].append(node)
    ready = [number[node] for node in nodes if not missing[node]]
    heapq.heapify(ready)
    result = []
    while ready:
        node = nodes[heapq.heappop(ready)[1]]
        result.append(node)
        for user in users[node]:
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, number[user])
    return result


def _reads_itself(stored: Stored, new: Node, writes: dict[Node, Node]) -> bool:
    """Whether the kernel of `new` reads the old state at other places than the one it writes.

    A single number may be read anywhere by what writes its result once, at the end.
    """
    old = writes[new]
    reads = [one for one in stored.reads(new) if one.node is old]
    if old.size == 1 and not new.op.writes_before_reading:
        return False
    return any(
        not one.in_step or not new.op.is_inlinable or old.shape != new.shape for one in reads
    )
