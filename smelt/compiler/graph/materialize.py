"""Materialize: which nodes of a graph get memory of their own, and how the others are read.

A node is either materialized (a kernel writes it) or inlined: computed inside the loops of its
readers. Leaves are in memory anyway. A node is materialized if

- the step must deliver it: an output, a new state, a check;
- it cannot be inlined: a reduction, contraction, running sum, scatter, sort, draw of random bits;
- it is expensive and has several readers, or each element is read many times and is not free (only
  movements are free, except those that choose among several operands);
- it is padded, and a product reads it that is not a blocked convolution;
- a large product reads it across its rows, which are long (`product_blocking.py`);
- it is a factor of a derivative, kept in place of the values that it is made of (`keep`);
- it finishes a product that nothing else reads, and has several readers: it replaces the product;
- it is the int8 that a product or a sum becomes, which takes four times the bytes;
- the expression has grown too large to be inlined further.

A 16-bit float that is widened is stored in 16 bits, and each reader widens it: half the memory from
the forward pass to the backward pass. Narrow integers are treated alike. Only what is delivered is
stored as it is.

This file also decides, once, which products are blocked, since that says how operands are read.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Set
from dataclasses import dataclass
from typing import cast

from smelt.compiler.cpu import CPU
from smelt.compiler.graph.gemm_blocking import Blocking, choose_blocking
from smelt.compiler.graph.product_blocking import (
    ProductBlocking,
    choose_product_blocking,
    copies_left,
)
from smelt.dtypes import int8
from smelt.ir.graph import Graph, Leaf, Node, scalar_value
from smelt.ir.loops import Expression, Variable, index_variable
from smelt.ir.operation import Axes, Pattern
from smelt.ops import elementwise, indexing, movement
from smelt.ops.convolution import convolution
from smelt.ops.known_derivative import keep
from smelt.ops.op import Inlined, Reader

INLINE_LIMIT = 64  # cost up to which an expression is inlined
RECOMPUTE_LIMIT = 3  # cost up to which an expression is computed again for each reader
DEPTH_LIMIT = 60  # nested operations in one expression
WIDTH_LIMIT = 32  # reads of memory in one expression

Blockings = dict[Node, Blocking | ProductBlocking]  # of the contractions that are blocked
Readers = dict[Node, list[tuple[Node, int]]]  # of each node: who reads it, as which operand


@dataclass(frozen=True, slots=True)
class Read:
    """A materialized node that a kernel reads, and which loop indexes each of its axes."""

    node: Node
    loops: Axes

    @property
    def is_aligned(self) -> bool:
        """Whether every axis is read at the index of the loop with its own number."""
        return self.is_aligned_up_to(self.node.ndim)

    def is_aligned_up_to(self, count: int) -> bool:
        """Whether the first `count` axes are read at the indices of the first `count` loops.

        An axis of one element is read at 0, as its loop is.
        """
        if len(self.loops) < count:
            return False
        pairs = enumerate(self.loops[:count])
        return all(loop == axis or self.node.shape[axis] == 1 for axis, loop in pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Materialized:
    """The materialized nodes of a graph, in an order in which they can be computed.

    `reads` says what the kernel of each reads, through inlined nodes; `blockings` has the
    contractions that are blocked, `reasons` why each node has memory, for reports.
    """

    graph: Graph
    nodes: tuple[Node, ...]
    reasons: dict[Node, str]
    reads: dict[Node, tuple[Read, ...]]
    blockings: Blockings

    def __contains__(self, node: Node) -> bool:
        return isinstance(node.op, Leaf) or node in self.reads


def materialize(graph: Graph, cpu: CPU | None, needs_copy: Set[Node] = frozenset()) -> Materialized:
    """Returns the nodes of a graph that get memory.

    Those that need a copy are among them, since the copy may run late. Products are blocked for the
    caches of `cpu`; without one they are not.
    """
    order = graph.nodes()
    blockings = {} if cpu is None else _blockings(order, cpu)
    reasons = _chosen(order, {*graph.roots, *needs_copy}, blockings)
    nodes = [node for node in order if node in reasons]
    chosen = frozenset(nodes)
    operand_axes: dict[Node, list[Axes]] = {}
    reads = {node: tuple(dict.fromkeys(_reads(node, chosen, operand_axes))) for node in nodes}
    return Materialized(graph, tuple(nodes), reasons, reads, blockings)


def _blockings(order: list[Node], cpu: CPU) -> Blockings:
    options = {node: choose_blocking(node) or choose_product_blocking(node, cpu) for node in order}
    return {node: option for node, option in options.items() if option is not None}


# --- the choice -----------------------------------------------------------------------------------


def _chosen(order: list[Node], delivered: set[Node], blockings: Blockings) -> dict[Node, str]:
    """Returns the nodes to materialize, the delivered ones among them, and why each is."""
    readers = _readers(order)
    delivered = delivered | _operands_in_memory(order)
    wanted = _wanted(order, readers, delivered, blockings)
    reread = _reread(order, readers, wanted)
    cost: dict[Node, int] = {}
    depth: dict[Node, int] = {}
    width: dict[Node, int] = {}
    chosen: dict[Node, str] = {}
    for node in order:
        width[node] = sum(width[operand] for operand in node.inputs)
        if width[node] > WIDTH_LIMIT:
            for operand in node.inputs:
                if width[operand] > 1:
                    chosen.setdefault(operand, "its reader would read too much in one expression")
                    width[operand] = 1
            width[node] = len(node.inputs)
        cost[node] = node.op.element_cost(node) + sum(cost[operand] for operand in node.inputs)
        depth[node] = 1 + max([depth[operand] for operand in node.inputs], default=0)
        reason = wanted.get(node)
        if reason is None and not isinstance(node.op, Leaf):
            reason = _reason(node, len(readers[node]), node in reread, cost[node], depth[node])
        if reason is not None or isinstance(node.op, Leaf):
            cost[node] = depth[node] = 0
            width[node] = 1
            if reason is not None and node not in delivered and _widens(node):
                (node,) = node.inputs
            if reason is not None and not isinstance(node.op, Leaf):
                chosen.setdefault(node, reason)
    return chosen


def _widens(node: Node) -> bool:
    """Whether a node is a 16-bit float as a wider float, or an integer as a wider integer."""
    before = node.inputs[0].dtype if node.op is elementwise.cast else node.dtype
    is_narrow = before.compute is not before if before.is_float else before.kind == "int"
    is_same_kind = before.kind == node.dtype.kind
    return is_narrow and is_same_kind and before.itemsize < node.dtype.itemsize


def _reason(node: Node, readers: int, is_reread: bool, cost: int, depth: int) -> str | None:
    """Returns why a node is stored that need not be in memory; None if it is inlined."""
    if not node.op.is_inlinable:
        return "it has loops of its own"
    if is_reread and cost:
        return f"each element, of cost {cost}, is read many times"
    if cost > INLINE_LIMIT or depth > DEPTH_LIMIT:
        return f"its expression is large: cost {cost}, depth {depth}"
    if readers > 1 and cost > RECOMPUTE_LIMIT:
        return f"{readers} read it, and an element costs {cost}"
    return None


def _wanted(
    order: list[Node], readers: Readers, delivered: set[Node], blockings: Blockings
) -> dict[Node, str]:
    """Returns the nodes that must be in memory whatever they cost, and why."""
    finishing = {node for node in _finish_products(order, readers) if len(readers[node]) > 1}
    groups = (
        (_operands_in_memory(order), "a loop, a branch or a collective reads it"),
        (delivered, "the step delivers it"),
        ({node for node in order if node.op is keep}, "kept in place of what it is made of"),
        (finishing, "it finishes a product, and takes its place"),
        (_narrowed(order, readers), "it finishes a sum in a quarter of the bytes"),
        (_padded_factors(order, readers, blockings), "a product reads what is padded many times"),
        (_across(order, blockings), "a product reads it across"),
        (_read_by_element(order, readers, blockings), "a convolution reads it element by element"),
    )
    wanted: dict[Node, str] = {}
    for nodes, reason in groups:
        for node in nodes:
            wanted.setdefault(node, reason)
    return wanted


def _across(order: list[Node], blockings: Blockings) -> set[Node]:
    """Returns the left operands that are copied before a product, into rows."""
    return {node.inputs[0] for node in order if copies_left(node, blockings.get(node))}


def _readers(order: list[Node]) -> Readers:
    readers: Readers = {node: [] for node in order}
    for node in order:
        for position, operand in enumerate(node.inputs):
            readers[operand].append((node, position))
    return readers


def _operands_in_memory(order: list[Node]) -> set[Node]:
    """Returns what loops, branches and collectives read, which must be in memory."""
    readers = (node for node in order if node.op.pattern in (Pattern.REGION, Pattern.COLLECTIVE))
    return {operand for node in readers for operand in node.inputs}


def _reread(order: list[Node], readers: Readers, wanted: Container[Node]) -> set[Node]:
    """Returns the nodes whose elements are read many times, perhaps through movements that are
    not stored themselves.
    """
    reread: set[Node] = set()
    for node in reversed(order):
        for reader, position in readers[node]:
            is_stored = reader in wanted or reader.op.element_cost(reader) > 0
            through = reader.op.is_movement and reader in reread and not is_stored
            if through or _rereads(reader, position, node):
                reread.add(node)
    return reread


def _rereads(reader: Node, position: int, node: Node) -> bool:
    if reader.op.rereads_operands or (reader.op is indexing.take and position == 0):
        return True
    broadcasts = reader.op is movement.broadcast_to or isinstance(
        reader.op, elementwise.Elementwise
    )
    return broadcasts and reader.size > node.size


def _finish_products(order: list[Node], readers: Readers) -> set[Node]:
    """Returns the elementwise nodes on a product that nothing else reads: a kernel computes them
    while the product is in registers.
    """
    open_ended: set[Node] = set()
    finishing: set[Node] = set()
    for node in order:
        goes_on = any(one in open_ended and one.shape == node.shape for one in node.inputs)
        if goes_on and isinstance(node.op, elementwise.Elementwise):
            finishing.add(node)
        is_product = node in finishing or node.op.pattern is Pattern.CONTRACTION
        if is_product and len(readers[node]) == 1:
            open_ended.add(node)
    return finishing


def _narrowed(order: list[Node], readers: Readers) -> set[Node]:
    """Returns the int8 that are made of sums that nothing else reads, element by element, and that
    are read by something else.
    """
    open_ended: set[Node] = set()
    narrowed: set[Node] = set()
    for node in order:
        goes_on = isinstance(node.op, elementwise.Elementwise) and any(
            one in open_ended and one.shape == node.shape for one in node.inputs
        )
        if goes_on and node.dtype is int8:
            beside = (reader for reader, _ in readers[node])
            if any(not _follows(reader, node) for reader in beside):
                narrowed.add(node)
        is_sum = node.op.pattern in (Pattern.CONTRACTION, Pattern.REDUCTION)
        if (goes_on or is_sum) and len(readers[node]) == 1:
            open_ended.add(node)
    return narrowed


def _follows(reader: Node, node: Node) -> bool:
    return isinstance(reader.op, elementwise.Elementwise) and reader.shape == node.shape


def _padded_factors(order: list[Node], readers: Readers, blockings: Blockings) -> set[Node]:
    """Returns the padded nodes that are factors of a product, perhaps through movements.

    Each element is read many times, with a test for padding each time. Blocked convolutions read it
    once while they pack it.
    """
    factors: set[Node] = set()
    for node in reversed(order):
        for reader, _ in readers[node]:
            is_product = reader.op.pattern is Pattern.CONTRACTION
            packs = reader.op is convolution and reader in blockings
            through = reader.op.is_movement and reader in factors
            if (is_product and not packs) or through:
                factors.add(node)
    return {node for node in factors if node.op is movement.pad}


def _read_by_element(order: list[Node], readers: Readers, blockings: Blockings) -> set[Node]:
    """Returns the padded or flipped nodes that convolutions read one element at a time.

    Each read of a padded node would test for padding again; a kernel that is flipped, for a
    gradient, would be read across its rows.
    """
    by_element: set[Node] = set()
    flipped: set[Node] = set()
    for node in reversed(order):
        for reader, position in readers[node]:
            blocking = blockings.get(reader)
            direct = isinstance(blocking, Blocking) and (
                reader.inputs[blocking.scalar_operand] is node
            )
            if direct or (reader.op.is_movement and reader in by_element):
                by_element.add(node)
            if direct and position == 1 and node.op in (movement.permute, movement.flip):
                flipped.add(node)
    padded = (movement.pad, movement.concatenate)
    return flipped | {node for node in by_element if node.op in padded}


# --- what is read ---------------------------------------------------------------------------------


def _reads(
    root: Node, chosen: frozenset[Node], operand_axes: dict[Node, list[Axes]]
) -> Iterator[Read]:
    """Yields what the kernel of a node reads; `operand_axes` caches what is known of inlined nodes.

    Loops are numbered: first the axes of the result, then those that the operation runs over.
    """

    def axes_of(node: Node) -> list[Axes]:
        if node not in operand_axes:
            operand_axes[node] = _operand_axes(node)
        return operand_axes[node]

    own_loops = axes_of(root) if root.op.is_inlinable else root.op.operand_loops(root)
    stack = list(zip(root.inputs, own_loops, strict=True))
    seen = set()
    while stack:
        node, loops = stack.pop()
        if (node, loops) in seen:
            continue
        seen.add((node, loops))
        if node in chosen or isinstance(node.op, Leaf):
            if scalar_value(node) is None:
                yield Read(node, loops)
            continue
        for operand, axes in zip(node.inputs, axes_of(node), strict=True):
            through = tuple([None if axis is None else loops[axis] for axis in axes])
            stack.append((operand, through))


def _operand_axes(node: Node) -> list[Axes]:
    """Returns, for each operand of an inlined node, which result axis each of its axes follows.

    Found by lowering the operation once with plain variables as indices: no second table of rules.
    """
    index = tuple([index_variable(f"i{axis}") for axis in range(node.ndim)])
    axis_of = {id(variable): axis for axis, variable in enumerate(index)}
    found: dict[int, Axes] = {}

    def reader(position: int, operand: Node) -> Reader:
        def read(at: tuple[Expression, ...], mask: Expression | None = None) -> Expression:
            axes = tuple([axis_of.get(id(part)) for part in at])
            pairs = zip(axes, found.get(position, axes), strict=True)  # all its reads must agree
            found[position] = tuple([axis if axis == known else None for axis, known in pairs])
            return Variable("element", operand.dtype)

        return read

    readers = tuple([reader(position, operand) for position, operand in enumerate(node.inputs)])
    cast(Inlined, node.op).lower(readers, index, node)
    return [found.get(position, ()) for position in range(len(node.inputs))]
