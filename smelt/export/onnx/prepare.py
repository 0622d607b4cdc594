"""Prepare: a traced graph -> one without what inference does not need.

The compiler's `simplify` chooses orders of sums and shapes for machine code, and asks how long
lengths are. Here only what is done for nothing goes: checks, results of loops that nobody reads,
movements to where things are already, repetition that the operation around does by itself.
"""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.graph.dead_results import Regions
from smelt.compiler.graph.simplify import fold
from smelt.export.onnx.writer import same, same_shape
from smelt.ir.graph import CONSTANT, Graph, Node
from smelt.ir.symbolic import is_symbolic
from smelt.ops import movement
from smelt.ops.elementwise import Elementwise
from smelt.ops.op import Op, Shape


def prepared(graph: Graph) -> Graph:
    """Returns a graph, or that of a body, that computes the same results."""
    regions = Regions(replace(graph, assertions=()), prepared)
    new: dict[Node, Node] = {}
    for node in replace(graph, assertions=()).nodes():
        known = regions.simplified(node)
        inputs = tuple([new[operand] for operand in node.inputs])
        new[node] = _simplified(replace(known, inputs=inputs))
        if inputs == node.inputs and known is node and new[node].op is node.op:
            new[node] = node
    simpler = replace(
        graph,
        outputs=tuple([new[node] for node in graph.outputs]),
        updates=tuple([(old, new[value]) for old, value in graph.updates]),
        assertions=(),
    )
    return prepared(simpler) if Regions(simpler, prepared).has_dead_results() else simpler


def _simplified(node: Node) -> Node:
    if isinstance(node.op, Elementwise):
        node = _without_broadcasts(node)
    elif node.op.is_movement and _is_no_op(node):
        return node.inputs[0]
    operands = node.inputs
    small = operands and all(operand.op is CONSTANT for operand in operands)
    if not isinstance(node.op, Op):
        return node
    return fold(node) or node if small and not _depends_on_lengths(node) else node


def _is_no_op(node: Node) -> bool:
    """Whether a movement leaves all elements where they are."""
    moves = node.op in (movement.permute, movement.flip)
    return not moves and len(node.inputs) == 1 and same_shape(node.shape, node.inputs[0].shape)


def _without_broadcasts(node: Node) -> Node:
    """f(broadcast(x), y) -> f(x, y), where y has the shape of the result"""
    inputs = list(node.inputs)
    for number, operand in enumerate(inputs):
        if operand.op is movement.broadcast_to:
            bare = operand.inputs[0]
            others = [x.shape for x in (*inputs[:number], bare, *inputs[number + 1 :])]
            if _broadcast(others, node.ndim, node.shape):
                inputs[number] = bare
    return replace(node, inputs=tuple(inputs))


def _broadcast(shapes: list[Shape], ndim: int, shape: Shape) -> bool:
    """Whether shapes surely broadcast to a shape: each extent stands in one of them."""
    for axis in range(-ndim, 0):
        extents = [one[axis] for one in shapes if len(one) >= -axis]
        if not any(same(extent, shape[axis]) for extent in extents):
            return False
    return True


def _depends_on_lengths(node: Node) -> bool:
    numbers = [*node.shape]
    for value in node.attributes.values():
        numbers += value if isinstance(value, tuple) else [value]
    return any(map(is_symbolic, numbers))
