"""Pack: a matrix that all iterations of a loop multiply by is packed into panels before the loop.

    before: scan: y = h @ w                       w float32[256, 1024]
    after:  panels = permute(reshape(w))          float32[16, 256, 64]
            scan: y = reshape(permute(h @ panels))

The rows of a large matrix are so far apart that each is on a page of its own. So a product packs it
first (`loops/plan.py`), which a loop, such as a recurrence's over time, would repeat in each
iteration. Sums, and their order, stay the same.
"""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.graph.applied import applied
from smelt.ir.graph import Graph, Node, carry_count, own_operands, rebuilt
from smelt.ir.operation import Pattern
from smelt.ir.symbolic import is_symbolic
from smelt.ops import movement
from smelt.ops.contraction import matmul

COLUMNS = 64  # of a panel: some vectors of any width
FAR_BYTES = 1 << 18  # of a matrix that is packed, at least
ROWS = 64  # to multiply by it, over all iterations, at least


def pack_panels(graph: Graph) -> Graph:
    """Returns an equal graph whose loops multiply by panels that are packed before them."""
    if all(node.op.pattern is not Pattern.REGION for node in graph.nodes()):
        return graph
    return rebuilt(graph, _packed)


def _packed(node: Node) -> Node:
    if node.op.pattern is not Pattern.REGION:
        return node
    bodies = tuple([pack_panels(body) for body in node.attributes["bodies"]])
    node = replace(node, attributes={**node.attributes, "bodies": bodies})
    length = node.attributes.get("length")
    if length is None or is_symbolic(length):
        return node
    (body,), carried = bodies, carry_count(node)
    factors = _factors(body, node.attributes["scanned"], length)
    if not factors:
        return node
    inputs = [
        _panels(x) if k >= carried and body.arguments[k - carried] in factors else x
        for k, x in enumerate(own_operands(node))
    ]
    inputs += node.inputs[len(inputs) :]
    attributes = {**node.attributes, "bodies": (_multiplied(body, factors),)}
    return replace(node, inputs=tuple(inputs), attributes=attributes)


def _factors(body: Graph, scanned: int, length: int) -> set[Node]:
    """Returns the large arguments of a body that are used only as right factors of products."""
    found = {x for x in body.arguments[scanned:] if _is_large(x)}
    found -= set(body.roots)
    for node in body.nodes():
        for number, operand in enumerate(node.inputs):
            is_factor = number == 1 and node.op is matmul and node.inputs[0].ndim == 2
            if operand in found and not (is_factor and length * node.shape[0] >= ROWS):
                found.discard(operand)
    return found


def _is_large(x: Node) -> bool:
    if x.ndim != 2 or any(map(is_symbolic, x.shape)) or x.shape[1] % COLUMNS:
        return False
    return x.shape[1] > COLUMNS and x.size * x.dtype.itemsize > FAR_BYTES


def _panels(w: Node) -> Node:
    """Returns (panels, K, COLUMNS) of a matrix (K, N)."""
    depth, columns = w.shape
    split = applied(movement.reshape, w, shape=(depth, columns // COLUMNS, COLUMNS))
    return applied(movement.permute, split, axes=(1, 0, 2))


def _multiplied(body: Graph, factors: set[Node]) -> Graph:
    """Returns a body that multiplies by panels."""
    places = {
        x: replace(x, shape=(x.shape[1] // COLUMNS, x.shape[0], COLUMNS)) if x in factors else x
        for x in body.arguments
    }
    packed = {places[x] for x in factors}

    def change(node: Node) -> Node:
        if node in places:
            return places[node]
        if node.op is not matmul or node.inputs[1] not in packed:
            return node
        count, rows = node.inputs[1].shape[0], node.shape[0]
        panels = replace(node, shape=(count, rows, COLUMNS))
        beside = applied(movement.permute, panels, axes=(1, 0, 2))  # (rows, panels, COLUMNS)
        return applied(movement.reshape, beside, shape=node.shape)

    changed = rebuilt(body, change)
    return replace(changed, arguments=tuple([places[x] for x in body.arguments]))
