"""Store: which nodes of a graph get memory of their own, and how the rest is read.

A node is either stored (a kernel writes it) or inlined: computed inside the loop of whoever reads
it. Leaves are stored by nature. A node is stored when

- the step must deliver it: an output, a new state, a check;
- it is a reduction, contraction, running sum, scatter, sort or draw of random bits: a loop of its
  own;
- it is read by several and dear, or each element is read many times and it is not free;
- it is read by several and finishes a product that nothing else reads: stored in its place;
- the expression has grown too large to be inlined further.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from smelt.compiler.graph.gemm_blocking import reads_by_element
from smelt.ir.graph import Graph, Leaf, Node, scalar_value
from smelt.ir.loops import Expression, Variable, index_variable
from smelt.ir.operation import Axes, Pattern
from smelt.ops import elementwise, indexing, movement
from smelt.ops.convolution import convolution
from smelt.ops.op import Inlined, Reader

INLINE_LIMIT = 64  # cost up to which an expression is inlined
REPEAT_LIMIT = 3  # cost up to which an expression is computed again for each reader
DEPTH_LIMIT = 60  # nested operations in one expression


@dataclass(frozen=True, slots=True)
class Read:
    """A stored node that a kernel reads, and which of its axes run along with which loops."""

    node: Node
    loops: Axes

    @property
    def in_step(self) -> bool:
        """Whether every axis is read at the index of the loop with its own number."""
        return self.in_step_up_to(self.node.ndim)

    def in_step_up_to(self, count: int) -> bool:
        """Whether the first `count` axes are read at the indices of the first `count` loops.

        An axis of one element is read at 0, as its loop is.
        """
        if len(self.loops) < count:
            return False
        pairs = enumerate(self.loops[:count])
        return all(loop == axis or self.node.shape[axis] == 1 for axis, loop in pairs)


class Stored:
    """The stored nodes of a graph, in an order in which they can be computed."""

    def __init__(self, graph: Graph, kept: Set[Node] = frozenset()) -> None:
        """`kept` are nodes that must be stored, since what reads them may run late."""
        self.graph = graph
        self._kept = kept
        self._axes: dict[Node, tuple[Axes, ...]] = {}
        self.nodes = self._choose()
        self.set = frozenset(self.nodes)
        self._reads: dict[Node, tuple[Read, ...]] = {}

    def has(self, node: Node) -> bool:
        """Whether a node has memory of its own."""
        return isinstance(node.op, Leaf) or node in self.set

    def reads(self, node: Node) -> tuple[Read, ...]:
        """Returns what the kernel of a stored node reads, looking through what is inlined.

        Loops are numbered: first the axes of the result, then those that the operation runs over.
        """
        found = self._reads.get(node)
        if found is None:
            found = tuple(dict.fromkeys(self._walk(node)))
            self._reads[node] = found
        return found

    def _walk(self, root: Node) -> Iterator[Read]:
        inlinable = root.op.is_inlinable
        first = self.operand_axes(root) if inlinable else root.op.operand_loops(root)
        stack = list(zip(root.inputs, first, strict=True))
        seen = set()
        while stack:
            node, loops = stack.pop()
            if (node, loops) in seen:
                continue
            seen.add((node, loops))
            if self.has(node):
                if scalar_value(node) is None:
                    yield Read(node, loops)
                continue
            for operand, axes in zip(node.inputs, self.operand_axes(node), strict=True):
                through = tuple([None if axis is None else loops[axis] for axis in axes])
                stack.append((operand, through))

    def operand_axes(self, node: Node) -> tuple[Axes, ...]:
        """Returns, for each operand of an inlined node, which result axis each of its axes follows.

        Found by lowering the operation once with plain variables as indices: no second table of
        rules.
        """
        found = self._axes.get(node)
        if found is None:
            found = self._axes[node] = _operand_axes(node)
        return found

    # --- the choice ------------------------------------------------------------------------------

    def _choose(self) -> list[Node]:
        order = self.graph.nodes()
        readers: dict[Node, list[tuple[Node, int]]] = {node: [] for node in order}
        for node in order:
            for number, operand in enumerate(node.inputs):
                readers[operand].append((node, number))
        wanted = {*self.graph.roots, *self._kept}
        for node in order:
            if node.op.pattern is Pattern.REGION:
                wanted.update(node.inputs)  # a body reads them from memory
        often = _read_often(order, readers)
        alone = _read_by_element(order, readers)
        cost: dict[Node, int] = {}
        depth: dict[Node, int] = {}
        finishing = _finish_products(order, readers)
        stored = []
        for node in order:
            cost[node] = node.op.cost + sum(cost[operand] for operand in node.inputs)
            depth[node] = 1 + max([depth[operand] for operand in node.inputs], default=0)
            leaf = isinstance(node.op, Leaf)
            delivered = node in wanted or (node in often and cost[node] > 0) or node in alone
            delivered |= node in finishing and len(readers[node]) > 1
            if leaf or self._must_store(node, delivered, cost[node], depth[node], readers[node]):
                cost[node] = depth[node] = 0
                if not leaf or node in wanted:
                    stored.append(node)
        return [node for node in stored if not isinstance(node.op, Leaf)]

    def _must_store(
        self, node: Node, delivered: bool, cost: int, depth: int, readers: list[tuple[Node, int]]
    ) -> bool:
        if delivered or not node.op.is_inlinable:
            return True
        if cost > INLINE_LIMIT or depth > DEPTH_LIMIT:
            return True
        return len(readers) > 1 and cost > REPEAT_LIMIT


def _read_often(order: list[Node], readers: dict[Node, list[tuple[Node, int]]]) -> set[Node]:
    """Returns the nodes of which elements are read many times, perhaps through movements."""
    often: set[Node] = set()
    for node in reversed(order):
        for reader, number in readers[node]:
            through = reader.op.is_movement and reader in often
            if through or _repeats(reader, number, node):
                often.add(node)
    return often


def _finish_products(order: list[Node], readers: dict[Node, list[tuple[Node, int]]]) -> set[Node]:
    """Returns the elementwise nodes on a product that nothing else reads: a kernel computes them
    while the product is in registers.
    """
    open_ended: set[Node] = set()
    found: set[Node] = set()
    for node in order:
        goes_on = any(one in open_ended and one.shape == node.shape for one in node.inputs)
        if goes_on and isinstance(node.op, elementwise.Elementwise):
            found.add(node)
        if len(readers[node]) == 1 and (node in found or node.op.pattern is Pattern.CONTRACTION):
            open_ended.add(node)
    return found


def _read_by_element(order: list[Node], readers: dict[Node, list[tuple[Node, int]]]) -> set[Node]:
    """Returns the nodes of which convolutions read one element at a time and that are not ready.

    Of what is padded, each read would ask anew whether it lies in the padding; a kernel that is
    turned, for a gradient, would be read across its rows.
    """
    found: set[Node] = set()
    turned: set[Node] = set()
    for node in reversed(order):
        for reader, number in readers[node]:
            direct = reader.op is convolution and node in reads_by_element(reader)
            if direct or (reader.op.is_movement and reader in found):
                found.add(node)
            if direct and number == 1 and node.op in (movement.permute, movement.flip):
                turned.add(node)
    return turned | {node for node in found if node.op in (movement.pad, movement.concatenate)}


def _repeats(reader: Node, number: int, node: Node) -> bool:
    if reader.op.rereads_operands:
        return True
    if reader.op is indexing.take and number == 0:
        return True
    broadcasts = reader.op is movement.broadcast_to or isinstance(
        reader.op, elementwise.Elementwise
    )
    return broadcasts and reader.size > node.size


def _operand_axes(node: Node) -> tuple[Axes, ...]:
    index = tuple([index_variable(f"i{axis}") for axis in range(node.ndim)])
    place = {id(variable): axis for axis, variable in enumerate(index)}
    found: dict[int, Axes] = {}

    def reader(number: int, operand: Node) -> Reader:
        def read(at: tuple[Expression, ...], mask: Expression | None = None) -> Expression:
            axes = tuple([place.get(id(part)) for part in at])
            both = zip(axes, found.get(number, axes), strict=True)  # all its reads must agree
            found[number] = tuple([one if one == other else None for one, other in both])
            return Variable("element", operand.dtype)

        return read

    readers = tuple([reader(number, operand) for number, operand in enumerate(node.inputs)])
    assert isinstance(node.op, Inlined)
    node.op.lower(readers, index, node)
    return tuple([found.get(number, ()) for number in range(len(node.inputs))])
