"""Loop-invariant code motion: what every iteration computes alike is computed once, outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smelt.control.body_tracer import CAPTURED
from smelt.control.evaluate_graph import evaluate_graph
from smelt.ir.graph import CONSTANT, Leaf, Node, own_operands, topological
from smelt.ir.operation import Pattern
from smelt.ops import movement
from smelt.ops.collective import barrier
from smelt.tensor import Tensor


def hoist_invariant(
    roots: Sequence[Node], moving: set[Node], captured: Mapping[Node, Tensor]
) -> tuple[list[Node], dict[Node, Tensor]]:
    """Returns `roots` with what does not depend on `moving` made an input, and these inputs.

        before: `h @ transpose(W)`     after: `h @ c`, where c is transpose(W), computed once

    Numbers stay inside, and so do broadcasts, which cost nothing there.
    """
    order = topological(roots)
    varies = {*moving, *(node for node in order if node.op is barrier)}  # one in each iteration
    for node in order:
        if any(operand in varies for operand in own_operands(node)):
            varies.add(node)
    inside = _inside(order, set(roots), varies)
    read = {operand for node in order if node in inside for operand in own_operands(node)}
    border = (read | set(roots)) - inside
    ordered = [node for node in order if node in border]
    given = {node: captured[node] for node in ordered if node.op is CAPTURED}
    outer = evaluate_graph([node for node in ordered if node not in given], captured)
    new: dict[Node, Node] = {}
    for number, node in enumerate(ordered):
        if node not in given:
            new[node] = Node(CAPTURED, (), {"number": -1 - number}, node.shape, node.dtype)
            given[new[node]] = outer[node]
    for node in order:
        if node not in inside:
            continue
        operands = (*own_operands(node), *_before(node, inside))
        inputs = tuple([new.get(operand, operand) for operand in operands])
        if inputs != node.inputs:
            new[node] = Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.origin)
    return [new.get(node, node) for node in roots], given


def _before(node: Node, inside: set[Node]) -> tuple[Node, ...]:
    """Returns the collective that a node comes after, of those that are not computed outside."""
    before = node.inputs[len(own_operands(node)) :]
    while before and before[0] not in inside:
        (hoisted,) = before
        if hoisted.op.pattern is Pattern.RESULT:
            (hoisted,) = hoisted.inputs
        before = hoisted.inputs[len(own_operands(hoisted)) :]
    return before


def _inside(order: list[Node], roots: set[Node], varies: set[Node]) -> set[Node]:
    """Returns the nodes that an iteration computes: what varies, and the numbers and broadcasts it
    reads.
    """
    inside = set(varies)
    read = {operand for node in varies for operand in node.inputs} | roots
    for node in reversed(order):
        if node in inside or node not in read:
            continue
        number = node.op is CONSTANT and node.size == 1
        spread = node.op is movement.broadcast_to
        if number or (spread and not isinstance(node.op, Leaf)):
            inside.add(node)
            read.update(node.inputs)
    return inside
