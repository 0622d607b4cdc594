"""What the operator Gradient differentiates: nodes that stand before it, as a graph of its own.

The operator names a value y and others, xs, that y is computed from. It is read as one with a body,
as loops are: a graph of the nodes between them, which sees all other names around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smelt.export.onnx.load.messages import (
    AttributeMessage,
    GraphMessage,
    NodeMessage,
    ValueMessage,
)

__all__ = ["GRADIENT", "names_read", "with_body"]

GRADIENT = ("ai.onnx.preview.training", "Gradient")
GRAPH = 5  # onnx.AttributeProto.GRAPH


def with_body(node: NodeMessage, before: Sequence[NodeMessage]) -> NodeMessage:
    """Returns a node of Gradient with the graph that it differentiates.

    Args:
        node: without it.
        before: the nodes that stand before it.
    """
    settings = {one.name: one for one in node.attribute}
    given = [name for key in ("xs", "zs") if key in settings for name in settings[key].strings]
    result = settings["y"].s if "y" in settings else ""
    body = GraphMessage(
        node=_between(given, result, before),
        input=[ValueMessage(name) for name in given],
        output=[ValueMessage(result)],
    )
    return replace(node, attribute=[*node.attribute, AttributeMessage("body", GRAPH, g=body)])


def _between(given: Sequence[str], result: str, before: Sequence[NodeMessage]) -> list[NodeMessage]:
    """Returns the nodes, in order, that a result is computed by from what is given."""
    needed, found = {result}.difference(given), []
    for node in reversed(before):
        if needed.intersection(node.output):
            found.append(node)
            needed |= names_read(node).difference(given)
    return found[::-1]


def names_read(node: NodeMessage) -> set[str]:
    """Returns the names that a node reads, and those that its bodies mention."""
    found = set(node.input)
    pending = [one.g for one in node.attribute if one.g is not None]
    while pending:
        graph = pending.pop()
        found.update(value.name for value in graph.output)
        for inner in graph.node:
            found.update(inner.input)
            pending += [one.g for one in inner.attribute if one.g is not None]
    return found
