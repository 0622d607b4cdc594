"""Fuse: stored nodes that can share a loop become one group, and later one kernel.

Kinds of groups:

- "flat": every member has the shape of the loops and computes one element per turn (Adam's three
  updates; sums over leading axes with what follows). Members hand values on in registers.
- "rows": the loops run over leading axes (`outer`); each member loops further inside (softmax,
  layer norm). Members hand rows on in a small local buffer.
- "tiles": a matrix product and the elementwise work on its result, done while it is in registers.
- "alone": a running sum, a scatter, a sort, random bits.
- "control": a loop or a branch with its results; what it runs is fused by itself (`bodies`).

A stored node joins a group unless there is one of these reasons to stop:

- a group that it must come after lies behind the candidate;
- the loops differ;
- it reads a member elsewhere than in step (at another index than the one just computed);
- it overwrites a state that a member reads elsewhere than in step, or beside a check;
- it is dear, and the group a product of one column: that is vectorised along its sum;
- the group is full (`MEMBER_LIMIT`), or shares no data with it and is large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from smelt.compiler.graph.materialize import Read
from smelt.compiler.graph.order import Ordered, order
from smelt.ir.graph import Graph, Leaf, Node
from smelt.ir.operation import EXPENSIVE, Pattern
from smelt.ops.op import Shape

MEMBER_LIMIT = 24
SMALL = 1 << 16  # elements up to which unrelated work may share a loop
TINY = 1 << 12  # elements up to which a full reduction may share a kernel with other small work
WORKSPACE = Leaf("workspace")
SCRATCH_LIMIT = 1 << 14  # elements of a row that may stay in a local buffer


@dataclass(slots=True, eq=False)
class Group:
    """Stored nodes that one kernel computes, in order; a sort also needs memory to work in."""

    kind: str
    outer: Shape
    members: list[Node] = field(default_factory=list)
    reads: set[Node] = field(default_factory=set)
    workspace: list[Node] = field(default_factory=list)
    bodies: list[Fused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fused:
    """Groups in the order in which they run, and the order they came from."""

    ordered: Ordered
    groups: tuple[Group, ...]


def fuse(graph: Graph) -> Fused:
    """Returns the groups of a graph's stored nodes."""
    ordered = order(graph)
    groups: list[Group] = []
    place: dict[Node, int] = {}
    for node in ordered.nodes:
        first = max([place[before] for before in ordered.after[node]], default=0)
        reads = ordered.stored.reads(node)
        number = _find(groups, first, node, reads, ordered)
        if node.op.pattern is Pattern.RESULT:
            number = place[node.inputs[0]]
        if number is None:
            number = len(groups)
            groups.append(Group(*_own_loops(node)))
            if node.op.needs_workspace:
                groups[number].workspace.append(_workspace(node))
            if node.op.pattern is Pattern.REGION:
                groups[number].bodies += map(fuse, node.attributes["bodies"])
        group = groups[number]
        group.members.append(node)
        group.reads.update(read.node for read in reads)
        place[node] = number
    return Fused(ordered, tuple(groups))


def _find(
    groups: list[Group], first: int, node: Node, reads: tuple[Read, ...], ordered: Ordered
) -> int | None:
    """Returns the first group from `first` on that the node fits into, converted if need be."""
    for number in range(first, len(groups)):
        group = groups[number]
        if len(group.members) >= MEMBER_LIMIT:
            continue
        kind = _fits(group, node, reads, ordered)
        if kind is not None:
            group.kind, group.outer = kind
            return number
    return None


def operations(group: Group, ordered: Ordered) -> list[str]:
    """Returns the names of what a group computes, in order, for people.

    Of what is inlined only the dear is named: reads at computed places.
    """
    names: list[str] = []
    for member in group.members:
        hidden, stack = [], list(member.inputs)
        while stack:
            node = stack.pop()
            if not ordered.stored.has(node):
                stack += node.inputs
                if node.op.name == "take" and "take" not in hidden:
                    hidden.append(node.op.name)
        names += [name for name in hidden if name not in names]
        names.append("copy" if member.op.is_movement else member.op.name)
    return names


def _workspace(node: Node) -> Node:
    return Node(WORKSPACE, (), {}, node.shape, node.dtype)


def runs_over_trailing(node: Node) -> bool:
    """Whether a reduction runs over the last axes of its operand, and so along its rows."""
    ndim, axes = node.inputs[0].ndim, node.attributes["axes"]
    return tuple(axes) == tuple(range(ndim - len(axes), ndim))


def _own_loops(node: Node) -> tuple[str, Shape]:
    """Returns the kind and the loops of a group that begins with this node."""
    if node.op.is_inlinable:
        return "flat", node.shape
    if node.op.pattern is Pattern.REDUCTION:
        return ("rows" if runs_over_trailing(node) else "flat"), node.shape
    if node.op.pattern is Pattern.CONTRACTION:
        return "tiles", node.shape
    if node.op.pattern is Pattern.REGION:
        return "control", ()
    return "alone", node.shape


def _fits(
    group: Group, node: Node, reads: tuple[Read, ...], ordered: Ordered
) -> tuple[str, Shape] | None:
    """Returns the kind and loops of the group with this node in it, or None: a reason to stop."""
    target = _shared_loops(group, node)
    if target is None:
        return None
    kind, outer = target
    if kind == "tiles" and outer[-1] == 1 and _is_dear(node, ordered):
        return None
    inside = [read for read in reads if read.node in group.members]
    if not all(_in_step(kind, read, len(outer)) for read in inside):
        return None
    if not _may_overwrite(kind, group, node, ordered):
        return None
    if not inside and not _related(kind, group, reads, outer):
        return None
    return target


def _is_dear(node: Node, ordered: Ordered) -> bool:
    """Whether an element of a stored node takes a function such as exp."""
    stack = [node]
    while stack:
        one = stack.pop()
        if one.op.cost >= EXPENSIVE:
            return True
        stack += [operand for operand in one.inputs if not ordered.stored.has(operand)]
    return False


def _shared_loops(group: Group, node: Node) -> tuple[str, Shape] | None:
    reduces = node.op.pattern is Pattern.REDUCTION
    if group.kind in ("alone", "control") or not (node.op.is_inlinable or reduces):
        return None
    trailing = reduces and runs_over_trailing(node)
    if group.kind in ("flat", "tiles"):
        if node.shape == group.outer and not trailing:
            return None if reduces and group.kind == "tiles" else (group.kind, group.outer)
        if group.kind == "flat" and trailing:
            return _as_rows(group, node)
        return None
    if not _is_prefix(group.outer, node.shape):
        return None
    if group.outer == () and max(node.size, *(one.size for one in node.inputs), 0) > TINY:
        return None
    if reduces and not trailing:
        return None
    if math.prod(node.shape[len(group.outer) :]) > SCRATCH_LIMIT:
        return None
    return "rows", group.outer


def _as_rows(group: Group, node: Node) -> tuple[str, Shape] | None:
    """A flat group becomes a row group when a reduction along its rows follows."""
    if not _is_prefix(node.shape, group.outer) or not all(
        one.op.is_inlinable for one in group.members
    ):
        return None
    if node.shape == () and max(group.outer, default=0) and math.prod(group.outer) > TINY:
        return None
    if math.prod(group.outer[len(node.shape) :]) > SCRATCH_LIMIT:
        return None
    return "rows", node.shape


def _is_prefix(outer: Shape, shape: Shape) -> bool:
    return shape[: len(outer)] == outer


def _in_step(kind: str, read: Read, depth: int) -> bool:
    return read.in_step_up_to(depth) if kind == "rows" else read.in_step


def _may_overwrite(kind: str, group: Group, node: Node, ordered: Ordered) -> bool:
    old = ordered.writes.get(node)
    checks = {one.node for one in ordered.stored.graph.assertions}
    if old is not None and not checks.isdisjoint(group.members):
        return False  # a step that fails must leave every state as it was
    if old is None or old not in group.reads:
        return True
    if kind == "rows" and len(group.outer) != node.ndim:
        return False
    reads = [read for one in group.members for read in ordered.stored.reads(one)]
    return all(read.in_step for read in reads if read.node is old)


def _related(kind: str, group: Group, reads: tuple[Read, ...], outer: Shape) -> bool:
    """Whether unconnected work should share the loop: it reads the same data, or both are small."""
    if kind == "tiles":
        return False
    shares = any(read.node in group.reads for read in reads)
    if kind == "rows":
        return shares and outer != ()
    return shares or math.prod(outer) <= SMALL
