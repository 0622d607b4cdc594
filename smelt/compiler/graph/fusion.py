"""Fuse: materialized nodes that can share a loop become one group, and later one kernel.

A materialized node joins a group unless there is one of these reasons to stop:

- it needs a value that a later group computes;
- the loops differ, or the group is a product and the node a reduction, or the group is standalone,
  a region or a collective;
- it reads a member at another index than the one just computed (the read is not aligned);
- it overwrites a state that a member reads at another index, or a member is a check;
- it is expensive, and the group is a product of one column, which is vectorized along its sum;
- its rows are too long to be kept (`ROW_LIMIT`, `TINY`);
- the group is full (`MEMBER_LIMIT`), or shares no data with the node and has large loops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice, product

from smelt.compiler.cpu import CPU
from smelt.compiler.graph.gemm_blocking import Blocking
from smelt.compiler.graph.materialize import Read
from smelt.compiler.graph.open_groups import Fit, Offer, OpenGroups
from smelt.compiler.graph.order import Ordered, order
from smelt.compiler.graph.product_blocking import ProductBlocking
from smelt.ir.graph import Graph, Leaf, Node
from smelt.ir.operation import EXPENSIVE, Pattern
from smelt.ops.indexing import take
from smelt.ops.op import Shape

MEMBER_LIMIT = 24
SMALL = 1 << 16  # elements up to which unrelated work may share a loop
TINY = 1 << 12  # elements up to which a full reduction may share a kernel with other small work
WORKSPACE = Leaf("workspace")
ROW_LIMIT = 1 << 14  # elements of a row that may stay in a local buffer


class Strategy(Enum):
    """How a group is computed; which products are blocked is decided in `materialize.py`."""

    # every member has the shape of the loops and computes one element per iteration (Adam's three
    # updates; sums over leading axes with what follows); values are passed on in registers
    POINTWISE = "pointwise"
    # loops over leading axes, and each member loops further inside (softmax, layer norm); rows are
    # passed on in a small local buffer
    ROWWISE = "rowwise"
    GEMM = "gemm"  # a product, and the elementwise work on it while it is in registers
    BLOCKED_GEMM = "blocked gemm"  # a convolution, a panel at a time (`gemm_blocking.py`)
    BLOCKED_PRODUCT = "blocked product"  # of matrices, a tile at a time (`product_blocking.py`)
    STANDALONE = "standalone"  # a running sum, a scatter, a sort, random bits
    REGION = "region"  # a loop or a branch with its results; its bodies are fused separately
    COLLECTIVE = "collective"  # a function of MPI


GEMMS = (Strategy.GEMM, Strategy.BLOCKED_GEMM, Strategy.BLOCKED_PRODUCT)
_STRATEGIES = {
    type(None): Strategy.GEMM,
    Blocking: Strategy.BLOCKED_GEMM,
    ProductBlocking: Strategy.BLOCKED_PRODUCT,
}
Loops = tuple[Strategy, Shape]  # how a group is computed, and its iteration space


@dataclass(slots=True, eq=False)
class Group:
    """Materialized nodes that one kernel computes, in order.

    The iteration space has the extents of the loops that all members share. A sort also needs
    memory to work in, a blocked product a blocking, and a region has its bodies.
    """

    strategy: Strategy
    iteration_space: Shape
    blocking: Blocking | ProductBlocking | None = None
    workspace: tuple[Node, ...] = ()
    bodies: tuple[Fused, ...] = ()
    members: list[Node] = field(default_factory=list)
    reads: set[Node] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Fused:
    """Groups in the order in which they run, and the ordered nodes that they consist of."""

    ordered: Ordered
    groups: tuple[Group, ...]

    @property
    def graph(self) -> Graph:
        """The graph whose nodes are in the groups."""
        return self.ordered.graph


def fuse(graph: Graph, cpu: CPU | None) -> Fused:
    """Returns the groups of a graph's materialized nodes, for a kind of CPU, or for any (None)."""
    ordered = order(graph, cpu)
    groups: list[Group] = []
    open_groups = OpenGroups()
    index_of: dict[Node, int] = {}  # of each node's group
    for node in ordered.nodes:
        if node.op.pattern is Pattern.RESULT:
            index = index_of[node.inputs[0]]
        else:
            first = max(map(index_of.__getitem__, ordered.predecessors[node]), default=0)
            index = _compatible_group(groups, open_groups, first, node, ordered)
        if index == len(groups):
            groups.append(_seed_group(node, ordered, cpu))
        reads = {read.node for read in ordered.materialized.reads[node]}
        groups[index].members.append(node)
        groups[index].reads |= reads
        open_groups.enter(index, _offers(groups[index]), reads)
        index_of[node] = index
    return Fused(ordered, tuple(groups))


def operations(group: Group, fused: Fused) -> list[str]:
    """Returns the names of the operations of a group, in order, for reports.

    Of inlined operations only reads at computed indices are named.
    """
    names: list[str] = []
    for member in group.members:
        inlined, stack = [], list(member.inputs)
        while stack:
            node = stack.pop()
            if node not in fused.ordered.materialized:
                stack += node.inputs
                if node.op is take and take.name not in inlined:
                    inlined.append(node.op.name)
        names += [name for name in inlined if name not in names]
        names.append("copy" if member.op.is_movement else member.op.name)
    return names


# --- a group's first node -------------------------------------------------------------------------


def _seed_group(node: Node, ordered: Ordered, cpu: CPU | None) -> Group:
    """Returns the group that begins with this node."""
    match node.op.pattern:
        case Pattern.POINTWISE:
            return Group(Strategy.POINTWISE, node.shape)
        case Pattern.REDUCTION:
            by_rows = _reduces_trailing_axes(node)
            return Group(Strategy.ROWWISE if by_rows else Strategy.POINTWISE, node.shape)
        case Pattern.CONTRACTION:
            blocking = ordered.materialized.blockings.get(node)
            return Group(_STRATEGIES[type(blocking)], node.shape, blocking)
        case Pattern.REGION:
            bodies = tuple([fuse(body, cpu) for body in node.attributes["bodies"]])
            return Group(Strategy.REGION, (), bodies=bodies)
        case Pattern.COLLECTIVE:
            return Group(Strategy.COLLECTIVE, ())
    workspace = (Node(WORKSPACE, (), {}, node.shape, node.dtype),)
    needed = workspace if node.op.needs_workspace else ()
    return Group(Strategy.STANDALONE, node.shape, workspace=needed)


def _reduces_trailing_axes(node: Node) -> bool:
    """Whether a reduction runs over the last axes of its operand, and so along its rows."""
    ndim, axes = node.inputs[0].ndim, node.attributes["axes"]
    return tuple(axes) == tuple(range(ndim - len(axes), ndim))


# --- more members ---------------------------------------------------------------------------------


def _compatible_group(
    groups: list[Group], open_groups: OpenGroups, first: int, node: Node, ordered: Ordered
) -> int:
    """Returns the index of the first group from `first` on that the node can join, converted if
    need be; of a new one if there is none.

    All that the node reads is in groups up to `first`. So it joins a later group only if that is
    related, and such groups are found by their offers.
    """

    def can_join(index: int) -> bool:
        loops = _open_loops(groups[index], node)
        return loops is not None and _can_fuse(loops, groups[index], node, ordered)

    none = len(groups)
    candidates = [first] if first < none and can_join(first) else []
    if not candidates:
        reads = {read.node for read in ordered.materialized.reads[node]}
        for read, offer in _related_offers(node, reads):
            candidates += islice(filter(can_join, open_groups.behind(first, read, offer)), 1)
    index = min(candidates, default=none)
    loops = None if index == none else _open_loops(groups[index], node)
    if loops is not None:
        groups[index].strategy, groups[index].iteration_space = loops
    return index


def _open_loops(group: Group, node: Node) -> Loops | None:
    """Returns the loops of the group with this node in it, or None if it cannot join."""
    return _shared_loops(group, node) if len(group.members) < MEMBER_LIMIT else None


def _offers(group: Group) -> frozenset[Offer]:
    """Returns the loops that a group offers to related work; `_shared_loops` decides."""
    space = group.iteration_space
    if len(group.members) >= MEMBER_LIMIT or group.strategy not in (
        Strategy.POINTWISE,
        Strategy.ROWWISE,
    ):
        return frozenset()
    if group.strategy is Strategy.ROWWISE:
        return frozenset([(Fit.ROWS, space)])
    outer = [
        (Fit.OUTER_LOOPS, space[:count])
        for count in range(1, len(space) + 1)
        if math.prod(space[count:]) <= ROW_LIMIT
    ]
    can_be_rows = all(member.op.is_inlinable for member in group.members)
    return frozenset([(Fit.LOOPS, space), *(outer if can_be_rows else ())])


def _related_offers(node: Node, reads: set[Node]) -> Iterator[tuple[Node | None, Offer]]:
    """Yields what a group must read and offer so that `_is_related` may hold for a node."""
    shape, reduces = node.shape, node.op.pattern is Pattern.REDUCTION
    if not (node.op.is_inlinable or reduces):
        return
    by_rows = reduces and _reduces_trailing_axes(node)
    offers = [(Fit.OUTER_LOOPS if by_rows else Fit.LOOPS, shape)]
    if by_rows == reduces:
        outer = (count for count in range(1, len(shape) + 1))
        offers += [
            (Fit.ROWS, shape[:count]) for count in outer if math.prod(shape[count:]) <= ROW_LIMIT
        ]
    yield from product(reads, offers)
    if not by_rows and node.size <= SMALL:
        yield None, (Fit.LOOPS, shape)


def _can_fuse(loops: Loops, group: Group, node: Node, ordered: Ordered) -> bool:
    """Whether a node whose loops fit can join a group: none of the other reasons to stop."""
    strategy, space = loops
    if strategy in GEMMS and space[-1] == 1 and _is_expensive(node, ordered):
        return False
    reads = ordered.materialized.reads[node]
    members = [read for read in reads if read.node in group.members]
    if not all(_is_aligned(strategy, read, len(space)) for read in members):
        return False
    if not _may_overwrite(strategy, group, node, ordered):
        return False
    return bool(members) or _is_related(loops, group, reads)


def _is_expensive(node: Node, ordered: Ordered) -> bool:
    """Whether computing an element of a materialized node takes a function such as exp."""
    stack = [node]
    while stack:
        inner = stack.pop()
        if inner.op.cost >= EXPENSIVE:
            return True
        stack += [operand for operand in inner.inputs if operand not in ordered.materialized]
    return False


def _shared_loops(group: Group, node: Node) -> Loops | None:
    """Returns the loops of the group with this node in it, or None if their loops differ."""
    reduces = node.op.pattern is Pattern.REDUCTION
    if group.strategy in (Strategy.STANDALONE, Strategy.REGION, Strategy.COLLECTIVE):
        return None
    if not (node.op.is_inlinable or reduces):
        return None
    by_rows = reduces and _reduces_trailing_axes(node)
    if group.strategy is Strategy.ROWWISE:
        fits = _fits_rows(group, node) and by_rows == reduces
        return (Strategy.ROWWISE, group.iteration_space) if fits else None
    if node.shape == group.iteration_space and not by_rows:
        fits = not reduces or group.strategy not in GEMMS
        return (group.strategy, group.iteration_space) if fits else None
    if group.strategy is Strategy.POINTWISE and by_rows:
        return _promoted_to_rowwise(group, node)
    return None


def _fits_rows(group: Group, node: Node) -> bool:
    """Whether a node has a rowwise group's loops outside, and a short row within."""
    space = group.iteration_space
    if not _is_prefix(space, node.shape):
        return False
    if space == () and max(node.size, *(operand.size for operand in node.inputs), 0) > TINY:
        return False
    return math.prod(node.shape[len(space) :]) <= ROW_LIMIT


def _promoted_to_rowwise(group: Group, node: Node) -> Loops | None:
    """A pointwise group becomes a rowwise one when a reduction along its rows follows."""
    space = group.iteration_space
    if not all(member.op.is_inlinable for member in group.members):
        return None
    if not _is_prefix(node.shape, space) or math.prod(space[node.ndim :]) > ROW_LIMIT:
        return None
    if node.shape == () and math.prod(space) > TINY:
        return None
    return Strategy.ROWWISE, node.shape


def _is_prefix(shorter: Shape, shape: Shape) -> bool:
    return shape[: len(shorter)] == shorter


def _is_aligned(strategy: Strategy, read: Read, depth: int) -> bool:
    by_rows = strategy is Strategy.ROWWISE
    return read.is_aligned_up_to(depth) if by_rows else read.is_aligned


def _may_overwrite(strategy: Strategy, group: Group, node: Node, ordered: Ordered) -> bool:
    old = ordered.writes.get(node)
    if old is None:
        return True
    if not ordered.checks.isdisjoint(group.members):
        return False  # a step that fails must leave every state as it was
    if old not in group.reads:
        return True
    if strategy is Strategy.ROWWISE and len(group.iteration_space) != node.ndim:
        return False
    reads = [read for member in group.members for read in ordered.materialized.reads[member]]
    return all(read.is_aligned for read in reads if read.node is old)


def _is_related(loops: Loops, group: Group, reads: tuple[Read, ...]) -> bool:
    """Whether unconnected work should share the loop: it reads the same data, or both are small."""
    strategy, space = loops
    if strategy in GEMMS:
        return False
    shares = any(read.node in group.reads for read in reads)
    if strategy is Strategy.ROWWISE:
        return shares and space != ()
    return shares or math.prod(space) <= SMALL
