"""Dead results: loops and branches lose results that nothing reads; their bodies are simplified.

A loop saves for each iteration what its derivatives may read. Here it is known what they do read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smelt.ir.graph import Graph, Node, carry_count
from smelt.ir.operation import Pattern


class Regions:
    """The loops and branches of one graph, and which of their results are read."""

    def __init__(self, graph: Graph, simplify: Callable[[Graph], Graph]) -> None:
        self._simplify = simplify
        self._live: dict[Node, set[int]] = {}
        self._new_numbers: dict[Node, dict[int, int]] = {}
        for node in graph.nodes():
            if node.op.pattern is Pattern.REGION:
                self._live.setdefault(node, set())
            if _is_result(node):
                self._live[node.inputs[0]].add(node.attributes["number"])

    def has_dead_results(self) -> bool:
        """Returns whether a body has an output that nothing reads."""
        return any(
            len(node.attributes["bodies"][0].outputs) > len(self._live_outputs(node))
            for node in self._live
        )

    def simplified(self, node: Node) -> Node:
        """Returns a region with simpler bodies, or a result with its new number; any other node as
        it is.
        """
        if _is_result(node):
            number = self._new_numbers[node.inputs[0]][node.attributes["number"]]
            return replace(node, attributes={**node.attributes, "number": number})
        if node.op.pattern is not Pattern.REGION:
            return node
        carried, live = carry_count(node), self._live_outputs(node)
        bodies = [
            self._simplify(_with_outputs(body, [body.outputs[k] for k in live]))
            for body in node.attributes["bodies"]
        ]
        outputs = list(zip(*(body.outputs for body in bodies), strict=True))
        distinct = list(dict.fromkeys(outputs))
        self._new_numbers[node] = {number: number for number in range(carried)} | {
            carried + old: carried + distinct.index(output)
            for old, output in zip(live, outputs, strict=True)
        }
        bodies = [
            _with_outputs(body, [output[k] for output in distinct]) for k, body in enumerate(bodies)
        ]
        return replace(node, attributes={**node.attributes, "bodies": tuple(bodies)})

    def _live_outputs(self, node: Node) -> list[int]:
        """Returns which outputs of a region's bodies are read, in order."""
        carried = carry_count(node)
        return sorted(number - carried for number in self._live[node] if number >= carried)


def _is_result(node: Node) -> bool:
    return node.op.pattern is Pattern.RESULT and node.size > 0


def _with_outputs(body: Graph, outputs: list[Node]) -> Graph:
    return replace(body, outputs=tuple(outputs))
