"""Iteration: the operands of a scan, and one iteration of it computed again inside another loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smelt.autodiff.record import tracked
from smelt.control.body_tracer import Direction
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.tuple import get_element
from smelt.ir.graph import Graph, Leaf, Node
from smelt.tensor import Tensor
from smelt.tracing.engine import enable_grad


@dataclass(frozen=True, slots=True)
class ScanOperands:
    """A loop's operands by what they are for, and its residuals of every iteration."""

    graph: Graph
    initial: tuple[Tensor, ...]
    rows: tuple[Tensor, ...]
    captured: tuple[Tensor, ...]
    residuals: tuple[Tensor, ...]
    direction: Direction

    @property
    def before(self) -> tuple[Node, ...]:
        """The nodes that stand for the carry before an iteration."""
        return self.graph.states

    @property
    def after(self) -> list[Node]:
        """The nodes of the carry after an iteration."""
        return self.graph.next_states

    @property
    def sliced(self) -> tuple[Tensor, ...]:
        """What an iteration that is computed again needs slices of."""
        return (*self.residuals, *self.rows)

    @property
    def residual_nodes(self) -> tuple[Node, ...]:
        """The nodes of which `residuals` hold every iteration's value."""
        return self.graph.outputs[len(self.graph.outputs) - len(self.residuals) :]

    @property
    def moving(self) -> list[int]:
        """The numbers of the carried tensors that have derivatives."""
        return [k for k, node in enumerate(self.before) if node.dtype.is_float]


def scan_operands(
    result_tuple: Tensor | None, inputs: tuple[Tensor, ...], attributes: dict[str, Any]
) -> ScanOperands:
    """Returns the operands of a scan; without its result tuple, all but the residuals."""
    (graph,), scanned = attributes["bodies"], attributes["scanned"]
    carried, length = len(graph.states), attributes["length"]
    first = len(graph.outputs) - (attributes["residuals"] if result_tuple is not None else 0)
    residuals = [
        get_element(result_tuple, number, node, length)
        for number, node in enumerate(graph.outputs[first:], carried + first)
        if result_tuple is not None
    ]
    return ScanOperands(
        graph,
        inputs[:carried],
        inputs[carried : carried + scanned],
        inputs[carried + scanned :],
        tuple(residuals),
        Direction(length, attributes["reverse"]),
    )


class Iteration:
    """One iteration of a loop, computed again from its residuals, with its history.

    `slices` are those of the residuals and of the inputs. `given` are the tensors that stand for
    the leaves of its body, `values` those of all its nodes.
    """

    def __init__(self, operands: ScanOperands, slices: Sequence[Tensor]) -> None:
        graph, count = operands.graph, len(operands.rows)
        nodes = (*operands.residual_nodes, *graph.arguments[:count])
        sliced = dict(zip(nodes, slices, strict=True))
        leaves = {node: x for node, x in sliced.items() if isinstance(node.op, Leaf)}
        leaves |= zip(graph.arguments[count:], operands.captured, strict=True)
        known = {node: x for node, x in sliced.items() if not isinstance(node.op, Leaf)}
        with enable_grad():
            self.given: dict[Node, Tensor] = {
                node: tracked(x, "scan") if x.dtype.is_float else x for node, x in leaves.items()
            }
            self.values: dict[Node, Tensor] = evaluate_graph(
                [*operands.after, *graph.outputs], self.given, known
            )
