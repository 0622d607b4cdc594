"""Loops and branches in ONNX: Scan, Loop and If.

A body becomes a graph inside the node. What it captures keeps its name, since a body sees what
stands around it; what it carries, and its part of each input, are its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from smelt.control.cond_op import cond_op
from smelt.control.scan_op import scan_op
from smelt.control.tuple import GET_ELEMENT
from smelt.control.while_op import while_op
from smelt.dtypes import bool_, int64
from smelt.export.onnx.movement import numbered
from smelt.export.onnx.recurrent import recurrent_layer
from smelt.export.onnx.writer import Rules, Writer
from smelt.ir.graph import Node


def _scan(w: Writer, node: Node, *operands: str) -> list[str]:
    """A loop of no inputs goes along the numbers of its iterations."""
    layer = recurrent_layer(w, node, operands)
    if layer is not None:
        return layer
    (graph,) = node.attributes["bodies"]
    carried, scanned = len(graph.states), node.attributes["scanned"]
    initial, rows = operands[:carried], list(operands[carried : carried + scanned])
    slices = list(graph.arguments[:scanned])
    captured = zip(graph.arguments[scanned:], operands[carried + scanned :], strict=True)
    leaves = _named(w, graph.states, "before") | _named(w, slices, "row")
    inputs = [_type(w, leaves[leaf], leaf) for leaf in (*graph.states, *slices)]
    if not rows:
        rows = [numbered(w, (node.attributes["length"],), 0)]
        inputs.append(w.file.type_of(w.file.name("iteration"), int64, ()))
    if node.attributes["reverse"]:
        rows = [w.flipped(x, [0]) for x in rows]
    roots = [*graph.next_states, *graph.outputs]
    inner, names = w.inner(leaves | dict(captured), roots)
    outputs = [_type(w, name, root) for name, root in zip(names, roots, strict=True)]
    body = inner.body("iteration", inputs, outputs)
    results = w.add_all("Scan", [*initial, *rows], len(roots), body=body, num_scan_inputs=len(rows))
    if node.attributes["reverse"]:
        results[carried:] = [w.flipped(stacked, [0]) for stacked in results[carried:]]
    return results


def _while_loop(w: Writer, node: Node, *operands: str) -> list[str]:
    """The first tensor that it carries is Loop's condition, and false behind it."""
    (graph,) = node.attributes["bodies"]
    carried = len(graph.states)
    leaves = _named(w, graph.states, "before")
    captured = zip(graph.arguments, operands[carried:], strict=True)
    number = w.file.type_of(w.file.name("iteration"), int64, ())
    inputs = [number, *(_type(w, leaves[leaf], leaf) for leaf in graph.states)]
    inner, names = w.inner(leaves | dict(captured), graph.next_states)
    pairs = zip(names, graph.next_states, strict=True)
    body = inner.body("iteration", inputs, [_type(w, name, root) for name, root in pairs])
    last = w.add_all("Loop", ["", *operands[:carried]], carried - 1, body=body)
    return [w.scalar(False, bool_), *last]


def _cond(w: Writer, node: Node, flag: str, *given: str) -> list[str]:
    branches = []
    for graph in node.attributes["bodies"]:  # the first where the flag is false
        inner, names = w.inner(dict(zip(graph.arguments, given, strict=True)), graph.outputs)
        pairs = zip(names, graph.outputs, strict=True)
        branches.append(inner.body("branch", [], [_type(w, name, root) for name, root in pairs]))
    no, yes = branches
    return w.add_all("If", [flag], len(no.output), then_branch=yes, else_branch=no)


def _get_element(w: Writer, node: Node, results: list[str]) -> str:
    return results[node.attributes["number"]]


def _named(w: Writer, leaves: Sequence[Node], stem: str) -> dict[Node, str]:
    return {leaf: w.file.name(stem) for leaf in leaves}


def _type(w: Writer, name: str, node: Node) -> object:
    return w.file.type_of(name, node.dtype, node.shape)


RULES: Final[Rules] = {
    scan_op: _scan,
    while_op: _while_loop,
    cond_op: _cond,
    GET_ELEMENT: _get_element,
}
