"""Run a graph by NumPy, operation by operation, and tell `Births` of every result.

So the first operation of a compiled step that made a nan is found, after it has run natively: from
the same arguments and states, which include those of the random generator. Loops and branches run
here as they run natively, with the nodes of their bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from smelt.control.cond_op import Cond
from smelt.control.scan_op import Scan
from smelt.control.tuple import GetElement, Region
from smelt.control.while_op import WhileLoop
from smelt.dtypes import DType
from smelt.ir.graph import CONSTANT, Graph, Node, own_operands, topological
from smelt.ops.op import Op
from smelt.tracing.births import Births
from smelt.tracing.engine import quietly

Arrays = list[np.ndarray]


class GraphRun:
    """One run: the arrays of a graph's nodes, and the births of what is not finite in them.

    Nodes run in the order in which they were written, as eagerly, where `born` says what that was.
    """

    def __init__(self, births: Births, born: Mapping[Node, int]) -> None:
        self.births = births
        self._born = born

    def values(self, roots: Iterable[Node], given: dict[Node, np.ndarray]) -> dict[Node, Any]:
        """Returns an array, as stored, for every node below `roots`; of a loop, all its results."""
        values: dict[Node, Any] = dict(given)
        for node in sorted(topological(roots, given), key=lambda node: self._born.get(node, 0)):
            values[node] = self._value(node, [values[operand] for operand in own_operands(node)])
        return values

    def _value(self, node: Node, inputs: list[Any]) -> Any:
        op = node.op
        if op is CONSTANT:
            return node.attributes["array"]
        if isinstance(op, Region):
            return _RUNS[type(op)](self, inputs, **node.attributes)
        if isinstance(op, GetElement):
            return inputs[0][node.attributes["number"]]
        assert isinstance(op, Op)
        result = quietly(op.value, *inputs, **node.attributes)
        array = np.asarray(result, node.dtype.storage)
        if node.dtype.is_float:
            kinds = [operand.dtype for operand in own_operands(node)]
            operands = list(zip(inputs, kinds, strict=True))
            made = array, node.dtype
            self.births.examine(op, operands, node.attributes, made, node.origin)
        return array

    def body(self, graph: Graph, states: Arrays, arguments: Arrays) -> tuple[Arrays, Arrays]:
        """Returns what a body carries on and what it gives out, for what it gets."""
        leaves = (*graph.states, *graph.arguments)
        given = dict(zip(leaves, (*states, *arguments), strict=True))
        values = self.values((*graph.next_states, *graph.outputs), given)
        return [values[node] for node in graph.next_states], [values[x] for x in graph.outputs]

    def slice(self, rows: np.ndarray, dtype: DType, place: int) -> np.ndarray:
        """Returns one iteration's part of an input."""
        part = rows[place, ...]
        self.births.follow(part, dtype, rows)
        return part

    def stacked(self, rows: Arrays, dtype: DType) -> np.ndarray:
        """Returns the outputs of all iterations as one array."""
        whole = np.stack(rows)
        births = [birth for row in rows if (birth := self.births.of(row)) is not None]
        if births:
            self.births.keep(whole, min(births, key=lambda birth: birth.number))
        return whole


def _scan(run: GraphRun, inputs: Arrays, **attributes: Any) -> Arrays:
    (graph,), scanned = attributes["bodies"], attributes["scanned"]
    count = len(graph.states)
    carry, captured = inputs[:count], inputs[count + scanned :]
    rows = list(zip(inputs[count:], graph.arguments[:scanned], strict=False))
    places = range(attributes["length"])
    outputs: list[Arrays] = []
    for place in reversed(places) if attributes["reverse"] else places:
        slices = [run.slice(x, node.dtype, place) for x, node in rows]
        carry, output = run.body(graph, carry, [*slices, *captured])
        outputs.append(output)
    if attributes["reverse"]:
        outputs.reverse()
    columns = zip(zip(*outputs, strict=True), graph.outputs, strict=True)
    return [*carry, *(run.stacked(list(column), node.dtype) for column, node in columns)]


def _while_loop(run: GraphRun, inputs: Arrays, **attributes: Any) -> Arrays:
    (graph,) = attributes["bodies"]
    count = len(graph.states)
    carry, captured = inputs[:count], inputs[count:]
    while carry[0]:
        carry, _ = run.body(graph, carry, captured)
    return carry


def _cond(run: GraphRun, inputs: Arrays, **attributes: Any) -> Arrays:
    flag, *given = inputs
    return run.body(attributes["bodies"][bool(flag)], [], given)[1]


_RUNS: dict[type[Region], Callable[..., Arrays]] = {
    Scan: _scan,
    WhileLoop: _while_loop,
    Cond: _cond,
}
