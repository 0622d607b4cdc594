"""Bodies: the graphs inside of loops and branches, simplified, without the results nobody asks for.

A loop keeps of each turn what its derivatives may want. Here it is known what they did want.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smelt.ir.graph import Graph, Node, carry_count
from smelt.ir.operation import Pattern


class Bodies:
    """The loops and branches of one graph, and which of their results are asked for."""

    def __init__(self, graph: Graph, simplify: Callable[[Graph], Graph]) -> None:
        self._simplify = simplify
        self._asked: dict[Node, set[int]] = {}
        self._numbers: dict[Node, dict[int, int]] = {}
        for node in graph.nodes():
            if node.op.pattern is Pattern.REGION:
                self._asked.setdefault(node, set())
            if node.op.pattern is Pattern.RESULT and node.size:
                self._asked[node.inputs[0]].add(node.attributes["number"])

    def make_in_vain(self) -> bool:
        """Returns whether a body has an output that nobody asks for."""
        return any(
            len(node.attributes["bodies"][0].outputs) > sum(k >= carry_count(node) for k in asked)
            for node, asked in self._asked.items()
        )

    def simplified(self, node: Node) -> Node:
        """Returns a token with simpler bodies, or a part with its result's new number; any other
        node as it is.
        """
        if node.op.pattern is Pattern.RESULT and node.size:
            number = self._numbers[node.inputs[0]][node.attributes["number"]]
            return replace(node, attributes={**node.attributes, "number": number})
        if node.op.pattern is not Pattern.REGION:
            return node
        bodies = node.attributes["bodies"]
        carried = carry_count(node)
        kept = sorted(number - carried for number in self._asked[node] if number >= carried)
        bodies = [self._simplify(_with_outputs(body, kept)) for body in bodies]
        rows = list(zip(*(body.outputs for body in bodies), strict=True))
        distinct = list(dict.fromkeys(rows))
        numbers = {
            carried + old: carried + distinct.index(row)
            for old, row in zip(kept, rows, strict=True)
        }
        self._numbers[node] = numbers | {number: number for number in range(carried)}
        bodies = [
            replace(body, outputs=tuple([row[place] for row in distinct]))
            for place, body in enumerate(bodies)
        ]
        return replace(node, attributes={**node.attributes, "bodies": tuple(bodies)})


def _with_outputs(body: Graph, kept: list[int]) -> Graph:
    return replace(body, outputs=tuple([body.outputs[number] for number in kept]))
