"""Turn: a loop taken apart again, and one turn of it computed anew inside another loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smelt.autodiff.record import tracked
from smelt.control.body import Along, BodyTracer, sliced_by
from smelt.control.parts import part_of
from smelt.control.replay import replay
from smelt.ir.graph import Graph, Leaf, Node
from smelt.tensor import Tensor
from smelt.tracing.engine import enable_grad


@dataclass(frozen=True, slots=True)
class Pieces:
    """A loop's operands by what they are for, and what it kept of every turn."""

    graph: Graph
    initial: tuple[Tensor, ...]
    rows: tuple[Tensor, ...]
    closures: tuple[Tensor, ...]
    kept: tuple[Tensor, ...]
    along: Along

    @property
    def before(self) -> tuple[Node, ...]:
        """The nodes that stand for the carry before a turn."""
        return self.graph.states

    @property
    def after(self) -> list[Node]:
        """The nodes of the carry after a turn."""
        changed = dict(self.graph.updates)
        return [changed.get(node, node) for node in self.before]

    @property
    def kept_nodes(self) -> tuple[Node, ...]:
        """The nodes of which `kept` holds every turn's value."""
        return self.graph.outputs[len(self.graph.outputs) - len(self.kept) :]

    @property
    def moving(self) -> list[int]:
        """The numbers of the carried tensors that have derivatives."""
        return [k for k, node in enumerate(self.before) if node.dtype.is_float]


def pieces_of(
    token: Tensor | None, inputs: tuple[Tensor, ...], attributes: dict[str, Any]
) -> Pieces:
    """Returns the pieces of a loop; without its token, all but what it kept."""
    (graph,), sliced = attributes["bodies"], attributes["sliced"]
    carried, turns = len(graph.states), attributes["turns"]
    first = len(graph.outputs) - (attributes["kept"] if token is not None else 0)
    kept = [
        part_of(token, number, node, turns)
        for number, node in enumerate(graph.outputs[first:], carried + first)
        if token is not None
    ]
    return Pieces(
        graph,
        inputs[:carried],
        inputs[carried : carried + sliced],
        inputs[carried + sliced :],
        tuple(kept),
        Along(turns, attributes["reverse"]),
    )


class Turn:
    """One turn of a loop, computed anew from what was kept, with its history.

    `given` are the tensors that stand for the leaves of its body, `values` those of all its nodes,
    `sliced` what the loop around this turn has to slice.
    """

    def __init__(self, pieces: Pieces, writer: BodyTracer) -> None:
        graph, count = pieces.graph, len(pieces.rows)
        nodes = (*pieces.kept_nodes, *graph.arguments[:count])
        self.sliced = [sliced_by(writer, x) for x in (*pieces.kept, *pieces.rows)]
        slices = {
            node: Tensor(one.node, node.dtype) for node, one in zip(nodes, self.sliced, strict=True)
        }
        leaves = {node: x for node, x in slices.items() if isinstance(node.op, Leaf)}
        leaves |= zip(graph.arguments[count:], pieces.closures, strict=True)
        known = {node: x for node, x in slices.items() if not isinstance(node.op, Leaf)}
        with enable_grad():
            self.given = {
                node: tracked(x, "scan") if x.dtype.is_float else x for node, x in leaves.items()
            }
            self.values = replay([*pieces.after, *graph.outputs], self.given, known)
