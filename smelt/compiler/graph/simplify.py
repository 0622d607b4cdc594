"""Simplify: graph -> graph that computes the same with fewer nodes.

One walk from operands to users. Each node meets, in order: constant folding, the rules of `RULES`,
and the table of nodes seen before (common subexpressions). What nothing needs is never visited
(dead code). Every rule is exact: the same bits come out, also for inf, nan and -0. Only long sums
and products are combined in another order (`split_reductions.py`), as NumPy has an order of its own
there, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from smelt.compiler.graph.compose_movements import (
    joined_flips,
    joined_slices,
    merged_neighbors,
    sliced_concatenation,
)
from smelt.compiler.graph.dead_results import Regions
from smelt.compiler.graph.hoist_slices import narrower_padding, sliced_convolution
from smelt.compiler.graph.split_concatenation import split_concatenation
from smelt.compiler.graph.split_depth import split_convolution, split_product
from smelt.compiler.graph.split_reductions import split_reduction
from smelt.ir.graph import (
    CONSTANT,
    Assertion,
    Graph,
    Leaf,
    Node,
    constant_node,
    scalar_value,
)
from smelt.ir.operation import Pattern
from smelt.ops import contraction, elementwise, movement, reduction
from smelt.ops.elementwise import Elementwise
from smelt.ops.movement import Movement
from smelt.ops.op import REGISTRY, Op

Rule = Callable[[Node], Node | None]
FOLD_LIMIT = 64  # elements of a result that folding may bake into the step
UNFOLDABLE = (Pattern.REGION, Pattern.RESULT, Pattern.COLLECTIVE)  # no NumPy value, or not yet


def simplify(graph: Graph) -> Graph:
    """Returns an equal graph with constants folded, algebra applied, and repetition removed."""
    common: dict[Any, Node] = {}
    new: dict[Node, Node] = {}
    single_use: set[Node] = set()
    uses = _uses(graph)
    regions = Regions(graph, simplify)
    for node in graph.nodes():
        new[node] = _simplified(regions.simplified(node), new, common, single_use)
        if uses[node] == 1:
            single_use.add(new[node])
    simpler = Graph(
        graph.arguments,
        graph.states,
        tuple([new[node] for node in graph.outputs]),
        tuple([(old, new[value]) for old, value in graph.updates if new[value] is not old]),
        tuple([Assertion(new[check.node], check.message) for check in graph.assertions]),
        graph.notes,
    )
    return simplify(simpler) if Regions(simpler, simplify).has_dead_results() else simpler


def _uses(graph: Graph) -> Counter[Node]:
    """Returns how often each node is read, or delivered."""
    return Counter([*graph.roots, *[operand for node in graph.nodes() for operand in node.inputs]])


def _simplified(
    node: Node, new: dict[Node, Node], common: dict[Any, Node], single_use: set[Node]
) -> Node:
    inputs = tuple([new[operand] for operand in node.inputs])
    if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
        node = Node(node.op, inputs, node.attributes, node.shape, node.dtype, node.origin)
    given = node
    changed: Node | None = emptied(node) or node
    while changed is not None:
        node = changed
        changed = (
            fold(node)
            or sliced_convolution(node, single_use)
            or sliced_concatenation(node, single_use)
        )
        for rule in RULES.get(node.op.name, ()) if changed is None else ():
            changed = rule(node)
            if changed is not None:
                break
    return common.setdefault(_key(node), node) if node is given else _known(node, common)


def _known(node: Node, common: dict[Any, Node]) -> Node:
    """Returns a node that a rule made, as the table has it, and likewise the nodes below it."""
    key = _key(node)
    if key in common:
        return common[key]
    inputs = tuple([_known(operand, common) for operand in node.inputs])
    if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
        node = replace(node, inputs=inputs)
        key = _key(node)
    return common.setdefault(key, node)


def _key(node: Node) -> Any:
    """Returns what equal nodes share; leaves, except small constants, equal only themselves."""
    if isinstance(node.op, Leaf):
        array = node.attributes.get("array")
        if array is None or array.size > FOLD_LIMIT:
            return id(node)
        return (CONSTANT.name, node.dtype.name, node.shape, array.tobytes())
    attributes = tuple(sorted(node.attributes.items(), key=lambda pair: pair[0]))
    return (node.op.name, attributes, tuple([id(operand) for operand in node.inputs]))


def fold(node: Node) -> Node | None:
    """f(constants) -> a constant, computed by the operation's own NumPy value"""
    if not node.inputs or node.size > FOLD_LIMIT:
        return None
    if any(operand.op is not CONSTANT for operand in node.inputs) or node.op.pattern in UNFOLDABLE:
        return None
    assert isinstance(node.op, Op)
    if node.op is movement.broadcast_to:
        return None  # a broadcast number stays a number
    arrays = [operand.attributes["array"] for operand in node.inputs]
    with np.errstate(all="ignore"):
        value = node.op.value(*arrays, **node.attributes)
    return constant_node(np.asarray(value, node.dtype.storage), node.dtype, node.origin)


def emptied(node: Node) -> Node | None:
    """f(...) without elements -> a constant without elements, so that no pass meets an empty
    loop
    """
    if node.size or isinstance(node.op, Leaf):
        return None
    return constant_node(np.empty(node.shape, node.dtype.storage), node.dtype, node.origin)


# --- the rules: each returns the simpler node, or None --------------------------------------------


def unit_factor(node: Node) -> Node | None:
    """`x * 1` -> `x`,  `1 * x` -> `x`,  `x / 1` -> `x`"""
    a, b = node.inputs
    if scalar_value(b) == 1 and a.shape == node.shape:
        return a
    if node.op is elementwise.mul and scalar_value(a) == 1 and b.shape == node.shape:
        return b
    return None


def zero_subtrahend(node: Node) -> Node | None:
    """`x - 0` -> `x`   (`x + 0` would lose the sign of -0)"""
    a, b = node.inputs
    return a if scalar_value(b) == 0 and not _negative_zero(b) and a.shape == node.shape else None


def _negative_zero(node: Node) -> bool:
    return bool(np.signbit(node.attributes["array"])) if node.dtype.is_float else False


def double_negation(node: Node) -> Node | None:
    """-(-x) -> x"""
    (x,) = node.inputs
    return x.inputs[0] if x.op is node.op else None


def no_op_movement(node: Node) -> Node | None:
    """reshape, broadcast, permute, slice or cast to what x is already -> x"""
    x = node.inputs[0]
    if x.shape != node.shape or x.dtype is not node.dtype:
        return None
    if node.op is movement.permute and list(node.attributes["axes"]) != sorted(
        node.attributes["axes"]
    ):
        return None
    return x


def repeated_movement(node: Node) -> Node | None:
    """reshape(reshape(x)) -> reshape(x),  broadcast(broadcast(x)) -> broadcast(x)"""
    (x,) = node.inputs
    return replace(node, inputs=x.inputs) if x.op is node.op else None


def joined_permutes(node: Node) -> Node | None:
    """permute(permute(x)) -> permute(x)"""
    (x,) = node.inputs
    if x.op is not movement.permute:
        return None
    inner, outer = x.attributes["axes"], node.attributes["axes"]
    axes = tuple(inner[axis] for axis in outer)
    if axes == tuple(range(node.ndim)):
        return x.inputs[0]
    return replace(node, inputs=x.inputs, attributes={"axes": axes})


def transposed_product(node: Node) -> Node | None:
    """(a @ b).T -> b.T @ a.T: the same sums, in the layout that is wanted"""
    (x,) = node.inputs
    axes = node.attributes["axes"]
    swapped = (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2)
    if x.op is not contraction.matmul or axes != swapped or {a.ndim for a in x.inputs} != {2}:
        return None
    operands = [
        Node(node.op, (a,), {"axes": (1, 0)}, a.shape[::-1], a.dtype, a.origin)
        for a in reversed(x.inputs)
    ]
    operands = [joined_permutes(operand) or operand for operand in operands]
    return replace(x, inputs=tuple(operands), shape=node.shape)


def reshaped_number(node: Node) -> Node | None:
    """Reshape or permute of a repeated number -> the number repeated"""
    (x,) = node.inputs
    if x.op is movement.broadcast_to and not x.inputs[0].shape:
        return replace(node, op=x.op, inputs=x.inputs, attributes={"shape": node.shape})
    return None


def implicit_broadcast(node: Node) -> Node | None:
    """f(broadcast(x), y) -> f(x, y) while y still has the full shape: elementwise operands
    broadcast
    """
    inputs = list(node.inputs)
    for position, operand in enumerate(node.inputs):
        if operand.op is movement.broadcast_to:
            without = [*inputs[:position], operand.inputs[0], *inputs[position + 1 :]]
            shapes = [x.shape for x in without]
            if movement.broadcast_shapes(node.op.name, *shapes) == node.shape:
                inputs = without
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return None
    return replace(node, inputs=tuple(inputs))


def sunk_broadcast(node: Node) -> Node | None:
    """f(broadcast(x)) -> broadcast(f(x)),  f(broadcast(x), 2) -> broadcast(f(x, 2)): computed
    once
    """
    large = [operand for operand in node.inputs if operand.size != 1 or operand.ndim]
    if len(large) != 1 or large[0].shape != node.shape:
        return None
    (broadcast,) = large
    if broadcast.op is not movement.broadcast_to:
        return None
    bare = broadcast.inputs[0]
    inputs = tuple([bare if operand is broadcast else operand for operand in node.inputs])
    inner = replace(node, inputs=inputs, shape=bare.shape)
    return _moved(movement.broadcast_to, inner, node)


def empty_reduction(node: Node) -> Node | None:
    """A product, maximum or minimum over axes of extent 1 -> reshape; a sum -> 0 + reshape"""
    (x,) = node.inputs
    if any(x.shape[axis] != 1 for axis in node.attributes["axes"]):
        return None
    result = _moved(movement.reshape, x, node)
    result = repeated_movement(result) or result
    result = no_op_movement(result) or result
    if node.op is not reduction.sum or not node.dtype.is_float:
        return result
    zero = constant_node(np.zeros((), node.dtype.storage), node.dtype)  # a sum of -0 is 0
    return Node(elementwise.add, (result, zero), {}, node.shape, node.dtype, node.origin)


def _moved(op: Op, x: Node, node: Node) -> Node:
    """Returns the reshape or broadcast of x to the shape of a node, in its place."""
    return replace(node, op=op, inputs=(x,), attributes={"shape": node.shape})


def first_operand(node: Node) -> Node:
    """known_derivative(y, x, derivative), known_softmax(y, x) or composite(y, ...) -> y"""
    return node.inputs[0]


def _rules() -> dict[str, tuple[Rule, ...]]:
    table: dict[str, tuple[Rule, ...]] = {}
    for name, op in REGISTRY.items():
        if isinstance(op, Elementwise):
            table[name] = (implicit_broadcast, sunk_broadcast)
        elif isinstance(op, Movement) and op is not movement.concatenate:
            table[name] = (no_op_movement,) if op is not movement.flip else (joined_flips,)
        elif isinstance(op, reduction.Reduction):
            table[name] = (empty_reduction, split_reduction)
    table["mul"] = (unit_factor, *table["mul"])
    table["div"] = (unit_factor, *table["div"])
    table["sub"] = (zero_subtrahend, *table["sub"])
    table["neg"] = (double_negation, *table["neg"])
    table["cast"] = (no_op_movement, *table["cast"])
    table["reshape"] = (no_op_movement, repeated_movement, reshaped_number)
    table["slice"] = (no_op_movement, joined_slices, narrower_padding)
    table["permute"] = (no_op_movement, joined_permutes, reshaped_number, transposed_product)
    table["broadcast_to"] = (no_op_movement, repeated_movement)
    for name in ("known_derivative", "known_softmax", "composite"):
        table[name] = (first_operand,)
    table["matmul"] = (split_product,)
    table["convolution"] = (split_convolution,)
    table["concatenate"] = (merged_neighbors, split_concatenation)
    return table


RULES: dict[str, tuple[Rule, ...]] = _rules()
