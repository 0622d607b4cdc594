"""Order: each value that a step must deliver gets a node of its own, and the nodes an order.

A new state is written directly into the state's memory. So its kernel comes after every other
kernel that reads the old contents. If that is impossible (two states that swap, an old value that
is needed after the new one), the new value needs a copy: it is computed elsewhere, and copied at
the end.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from smelt.compiler.cpu import CPU
from smelt.compiler.graph.materialize import Materialized, materialize
from smelt.ir.graph import Graph, Leaf, Node, carry_count, rebuilt, scalar_value
from smelt.ir.operation import Pattern
from smelt.ir.symbolic import sample
from smelt.ops import movement
from smelt.ops.collective import all_reduce_start, all_reduce_wait

SMALL = 64  # elements beyond which a node waits for its turn
SETTINGS = 4096  # the same, of what is computed of states alone, for updates alone

Predecessors = dict[Node, frozenset[Node]]


@dataclass(frozen=True, slots=True)
class Ordered:
    """Materialized nodes in an order that respects reads and in-place writes.

    `writes` maps a node to the state whose memory it overwrites, `predecessors` each node to the
    nodes that come before it; `checks` are the nodes that end a step if they are not 0.
    """

    materialized: Materialized
    nodes: tuple[Node, ...]
    writes: dict[Node, Node]
    predecessors: Predecessors
    checks: frozenset[Node]

    @property
    def graph(self) -> Graph:
        """The graph whose nodes they are."""
        return self.materialized.graph


def order(graph: Graph, cpu: CPU | None) -> Ordered:
    """Returns the materialized nodes of a graph in the order in which kernels may compute them."""
    graph = _with_own_results(_with_own_carries(graph))
    needs_copy: set[Node] = set()
    while True:
        attempt = _with_copies(graph, needs_copy)
        materialized = materialize(attempt, cpu, needs_copy)
        writes = {new: old for old, new in attempt.updates}
        checks = frozenset([check.node for check in attempt.assertions])
        predecessors = _predecessors(materialized, writes, checks)
        nodes = _topological(materialized, predecessors, writes)
        sorted_nodes = set(nodes)
        blocked = [
            new
            for new, old in writes.items()
            if new not in sorted_nodes or _reads_elsewhere(materialized, new, old)
        ]
        if not blocked:
            return Ordered(materialized, tuple(nodes), writes, predecessors, checks)
        needs_copy.update(blocked)


def copy_of(node: Node) -> Node:
    """Returns a new node with the same contents."""
    return Node(
        movement.reshape, (node,), {"shape": node.shape}, node.shape, node.dtype, node.origin
    )


def _with_own_carries(graph: Graph) -> Graph:
    """Gives every carry of a loop memory of its own, and every other operand of a loop, a branch or
    a collective some memory.
    """

    def own(node: Node) -> Node:
        if node.op.pattern not in (Pattern.REGION, Pattern.COLLECTIVE):
            return node
        carried = carry_count(node) if node.op.pattern is Pattern.REGION else 0
        inputs = [
            copy_of(operand) if position < carried or scalar_value(operand) is not None else operand
            for position, operand in enumerate(node.inputs)
        ]
        return replace(node, inputs=tuple(inputs))

    return rebuilt(graph, own)


def _with_own_results(graph: Graph) -> Graph:
    """Gives every output, update and check a node that is not a leaf and serves nothing else."""
    taken: set[Node] = set()

    def own(node: Node) -> Node:
        if node.op.pattern in (Pattern.LEAF, Pattern.RESULT) or node in taken:
            node = copy_of(node)
        taken.add(node)
        return node

    updates = tuple([(old, own(new)) for old, new in graph.updates])
    outputs = tuple([own(node) for node in graph.outputs])
    assertions = tuple([replace(check, node=own(check.node)) for check in graph.assertions])
    return replace(graph, updates=updates, outputs=outputs, assertions=assertions)


def _with_copies(graph: Graph, needs_copy: set[Node]) -> Graph:
    updates = [(old, copy_of(new) if new in needs_copy else new) for old, new in graph.updates]
    return replace(graph, updates=tuple(updates))


def _predecessors(
    materialized: Materialized, writes: dict[Node, Node], checks: frozenset[Node]
) -> Predecessors:
    before: dict[Node, set[Node]] = {}
    readers: dict[Node, list[Node]] = {}
    for node, reads in materialized.reads.items():
        sources = {read.node for read in reads}
        before[node] = {source for source in sources if not isinstance(source.op, Leaf)}
        for source in sources:
            readers.setdefault(source, []).append(node)
    for new, old in writes.items():
        before[new].update(node for node in readers.get(old, ()) if node is not new)
        before[new].update(checks - {new})  # nothing changes before everything is checked
    return {node: frozenset(nodes) for node, nodes in before.items()}


def _topological(
    materialized: Materialized, predecessors: Predecessors, in_place: Container[Node]
) -> list[Node]:
    """Kahn's algorithm; leaves out nodes in cycles.

    A few numbers (a learning rate, corrections) come first, so that their readers can share a loop
    with what else these read. Next comes a node after which no more bytes are alive than before:
    the gradient and the update of a weight run while both factors are in the cache. But what begins
    an update waits until no other product needs the old state: only then can the update be in the
    same kernel. Otherwise the graph's own order holds, except for sums over ranks: what one needs
    comes before what only later ones need, it begins as soon as it can, and is waited for when
    nothing else is left to do.
    """
    nodes = materialized.nodes
    needed = _needed_by(nodes, predecessors)
    lives = Lives(materialized, in_place)
    settings = _settings(lives, in_place)
    waits = _waits(predecessors, in_place)
    waiting: dict[Node, list[Node]] = {}
    for node, others in waits.items():
        for other in others:
            waiting.setdefault(other, []).append(node)
    number = {node: k for k, node in enumerate(nodes)}
    missing = {node: len(predecessors[node]) for node in nodes}
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for before in predecessors[node]:
            users[before].append(node)

    def priority(node: Node) -> tuple[int, int, bool, bool, int]:
        urgency = _urgency(node, node in settings)
        is_early = not result.keys() >= waits.get(node, frozenset())
        grows = urgency > 0 and lives.grows_by(node)
        return urgency, needed[node], is_early, grows, number[node]

    result: dict[Node, None] = {}
    ready = [priority(node) for node in nodes if not missing[node]]
    heapq.heapify(ready)
    while ready:
        node = nodes[heapq.heappop(ready)[-1]]
        if node in result:
            continue
        result[node] = None
        for user in users[node]:
            missing[user] -= 1
        lasting = lives.last_readers(node)  # their priority is another one now
        for user in dict.fromkeys([*users[node], *lasting, *waiting.get(node, ())]):
            if not missing[user] and user not in result:
                heapq.heappush(ready, priority(user))
    return list(result)


def _waits(predecessors: Predecessors, in_place: Container[Node]) -> Predecessors:
    """Returns, for each product that a new state is made of, element by element, the other products
    that read the old state.
    """
    found: dict[Node, frozenset[Node]] = {}
    for new, before in predecessors.items():
        if new not in in_place:
            continue
        readers = frozenset([node for node in before if _is_product(node)])
        begins = _products_under(new, predecessors)
        for node in begins:
            found[node] = found.get(node, frozenset()) | (readers - begins)
    return found


def _products_under(new: Node, predecessors: Predecessors) -> set[Node]:
    """Returns the products of a node's shape that it is made of, element by element."""
    found: set[Node] = set()
    stack, seen = [new], {new}
    while stack:
        for node in predecessors[stack.pop()] - seen:
            if node.shape == new.shape:
                seen.add(node)
                if _is_product(node):
                    found.add(node)
                elif node.op.is_inlinable:
                    stack.append(node)
    return found


def _is_product(node: Node) -> bool:
    return node.op.pattern is Pattern.CONTRACTION


class Lives:
    """Which values are alive, as one node after the other is computed."""

    def __init__(self, materialized: Materialized, in_place: Container[Node]) -> None:
        self.sources = {
            node: {read.node for read in reads if read.node in materialized.reads}
            for node, reads in materialized.reads.items()
        }
        self.readers: dict[Node, set[Node]] = {node: set() for node in materialized.nodes}
        for node, sources in self.sources.items():
            for source in sources:
                self.readers[source].add(node)
        delivered = set(materialized.graph.roots)
        self.nbytes = {
            node: 0 if node in in_place else sample(node.size) * node.dtype.itemsize
            for node in materialized.nodes
        }
        self.ending = {node for node in materialized.nodes if node not in delivered}

    def grows_by(self, node: Node) -> bool:
        """Whether more bytes are alive after a node is computed than before."""
        ended = sum(
            self.nbytes[source]
            for source in self.sources[node]
            if len(self.readers[source]) == 1 and source in self.ending
        )
        return ended < self.nbytes[node]

    def last_readers(self, node: Node) -> list[Node]:
        """Notes that a node was computed; returns those that are now the only ones to read
        something.
        """
        result: list[Node] = []
        for source in self.sources[node]:
            self.readers[source].discard(node)
            if len(self.readers[source]) == 1:
                result += self.readers[source]
        return result


def _needed_by(nodes: Sequence[Node], predecessors: Predecessors) -> dict[Node, int]:
    """Returns the number of the first sum over ranks that needs each node; their count if none."""
    sums = [node for node in nodes if node.op is all_reduce_start]
    needed: dict[Node, int] = {}
    for number, node in enumerate(sums):
        stack = [node]
        while stack:
            part = stack.pop()
            if part not in needed:
                needed[part] = number
                stack += predecessors[part]
    return {node: needed.get(node, len(sums)) for node in nodes}


def _settings(lives: Lives, in_place: Container[Node]) -> set[Node]:
    """Returns the nodes that are made of states and arguments, and that only updates of other
    shapes read: such as the corrections of all of an optimizer's parameters, in one array.
    """
    of_leaves: set[Node] = set()
    for node, sources in lives.sources.items():
        if sources <= of_leaves and node.size <= SETTINGS:
            of_leaves.add(node)
    found: set[Node] = set()
    for node, readers in reversed(lives.readers.items()):
        updates = {one for one in readers if one in in_place and one.shape != node.shape}
        if node in of_leaves and readers and readers <= found | updates:
            found.add(node)
    return found


def _urgency(node: Node, is_setting: bool) -> int:
    if node.op is all_reduce_start:
        return -1
    if node.op is all_reduce_wait:
        return 2
    return int(node.size > SMALL and not is_setting)


def _reads_elsewhere(materialized: Materialized, new: Node, old: Node) -> bool:
    """Whether the kernel of `new` reads the old state elsewhere than at the element it writes.

    A single number may be read anywhere by what writes its result once, at the end.
    """
    if old.size == 1 and not new.op.writes_before_reading:
        return False
    in_place = new.op.is_inlinable and old.shape == new.shape
    reads = [read for read in materialized.reads[new] if read.node is old]
    return any(not (in_place and read.is_aligned) for read in reads)
