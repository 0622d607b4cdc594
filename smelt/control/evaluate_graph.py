"""Evaluate a graph: its operations once more, on tensors, under whichever engine is current.

This is how the graph of a body is differentiated, batched, or written into another graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smelt.ir.graph import CONSTANT, Node, communicates, own_operands, topological
from smelt.ir.postorder import postorder
from smelt.location import computed_again
from smelt.ops.op import Op
from smelt.tensor import Tensor
from smelt.tensor.apply import apply
from smelt.tracing.engine import current_engine


def evaluate_graph(
    roots: Iterable[Node], given: Mapping[Node, Tensor], known: Mapping[Node, Tensor] | None = None
) -> dict[Node, Tensor]:
    """Returns a tensor for every node below `roots`.

    Args:
        roots: the nodes that are wanted.
        given: a tensor for each leaf.
        known: what is known already of other nodes: their results have this data, and the history
            of the operation, so that what need not be computed again can still be differentiated.
    """
    values = dict(given)
    known = known or {}
    for node in _needed(list(roots), given):
        values[node] = _constant(node) if node.op is CONSTANT else _applied(node, values)
        if node in known:
            current_engine().note_known(values[node].stored)
            values[node]._data = known[node].stored
    return values


def _needed(roots: list[Node], given: Mapping[Node, Tensor]) -> list[Node]:
    """Returns the nodes below `roots` in order, without collectives that only come before some."""
    order = topological(roots, given)
    if not any(communicates(node.op, node.attributes) for node in order):
        return order
    needed = set(postorder(roots, own_operands, given))
    return [node for node in order if node in needed]


def _constant(node: Node) -> Tensor:
    return Tensor(current_engine().literal(node.attributes["array"], node.dtype), node.dtype)


def _applied(node: Node, values: Mapping[Node, Tensor]) -> Tensor:
    assert isinstance(node.op, Op)
    origin = node.origin
    operands = tuple([values[operand] for operand in own_operands(node)])
    with computed_again(origin.line, origin.module, origin.derivative):
        return apply(node.op, operands, node.attributes)
