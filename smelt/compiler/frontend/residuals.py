"""Residuals: which values of a forward pass are kept for the backward pass.

The backward pass reads values of the forward pass. Leaves (arguments, states, constants) are
available anyway. Any other value is kept, unless a few cheap elementwise operations compute it from
values that are kept or available, and keeping those takes less memory.
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
    for node in sorted(border, key=_bytes, reverse=True):  # small values may follow from large ones
        for needed in _cheapest(node, kept):
            kept[needed] = None
    return [node for node in order if node in kept]


def _cheapest(node: Node, kept: Iterable[Node]) -> Sequence[Node]:
    """Returns what else must be kept to have a node: itself, or what it is computed from."""
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
