"""Residuals: which values of a forward pass are kept for the backward pass.

The backward pass reads values of the forward pass. Leaves (arguments, states, constants) it has
anyway. Of the others each is kept, unless it is computed by a few cheap elementwise operations from
values that are kept or given, and keeping those takes less memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smelt.ir.graph import Leaf, Node, topological

RECOMPUTED_COST = 16  # of the operations that may be repeated for one residual


def choose_residuals(gradients: Iterable[Node], cotangents: Iterable[Node]) -> list[Node]:
    """Returns the nodes to keep.

    Args:
        gradients: what the backward pass computes.
        cotangents: what it is given; a node is part of the backward pass if it depends on one.
    """
    gradients = list(gradients)
    order = topological(gradients)
    backward = set(cotangents)
    for node in order:
        if not backward.isdisjoint(node.inputs):
            backward.add(node)
    read = {operand for node in order if node in backward for operand in node.inputs}
    read |= set(gradients)
    border = [node for node in order if node in read and node not in backward]
    kept: dict[Node, None] = {}
    for node in sorted(border, key=_bytes, reverse=True):  # what is large may give what is small
        for needed in _cheapest(node, kept):
            kept[needed] = None
    return [node for node in order if node in kept]


def _cheapest(node: Node, kept: Iterable[Node]) -> Sequence[Node]:
    """Returns what must be kept besides, so that a node is there: it, or what it is computed of."""
    needed: dict[Node, None] = {}
    cost, seen, stack = 0, {*kept}, [node]
    while stack:
        part = stack.pop()
        if part in seen or isinstance(part.op, Leaf):
            continue
        seen.add(part)
        if part.op.is_inlinable and not part.op.is_worth_saving:
            cost += part.op.cost
            stack += part.inputs
        else:
            needed[part] = None
        if cost > RECOMPUTED_COST or (part is node and part in needed):
            return [node]
    return list(needed) if sum(map(_bytes, needed)) < _bytes(node) else [node]


def _bytes(node: Node) -> int:
    return node.size * node.dtype.itemsize
