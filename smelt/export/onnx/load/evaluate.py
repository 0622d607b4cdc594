"""Evaluate: the nodes of a graph, one after the other, on values of Smelt."""

from __future__ import annotations

from smelt.errors import ArgumentError
from smelt.export.onnx.load.card import Call, Scope
from smelt.export.onnx.load.graph import Graph
from smelt.export.onnx.load.known import Value
from smelt.location import running

__all__ = ["evaluated"]


def evaluated(graph: Graph, scope: Scope, inputs: list[Value]) -> list[Value]:
    """Returns the outputs of a graph.

    Args:
        graph: to be computed.
        scope: what stands around it; the names of the graph are added.
        inputs: in the graph's order.
    """
    values, path = scope.values, running.modules
    for name, place in graph.initializers.items():
        values[name] = scope.bound.get(place)  # None where nobody reads it
    for declared, value in zip(graph.inputs, inputs, strict=True):
        values[declared.name] = value
    for node in graph.nodes:
        path.append(node.name or node.op_type)
        try:
            results = Call(node, scope).results()
            results = results if isinstance(results, tuple) else (results,)
            for number, name in enumerate(node.outputs):
                if name and number >= len(results):
                    raise ArgumentError(f"{node.label} gives no output {number} here")
                if name:
                    values[name] = results[number]
        finally:
            path.pop()
        for name in graph.ends.get(node, ()):
            values.pop(name, None)
    return [values[name] for name in graph.outputs]
