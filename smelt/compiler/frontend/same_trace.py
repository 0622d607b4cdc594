"""Same trace: whether two traces of a function are equal, and what the first one left behind.

A function that fills a table when it first needs an entry is traced a second time, with the table
filled (`builder.py`). A tensor in the table that depends on no input belongs to the first trace; it
is computed now, and is an ordinary tensor from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from smelt import tree
from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.closure import Change, are_alike
from smelt.compiler.frontend.sources import CONTAINERS, items
from smelt.compiler.graph.simplify import UNFOLDABLE
from smelt.ir.graph import CONSTANT, Graph, Leaf, Node, rebuilt, topological
from smelt.ops.op import Op
from smelt.tensor import Tensor
from smelt.tracing.engine import quietly

Computed = list[tuple[Tensor, Node]]  # tensors that were traced, with their nodes


def compute_constants(changes: Iterable[Change], traced: Traced) -> Computed:
    """Computes the traced tensors that a function has stored in what it reads, if they depend on no
    input of the trace: neither an argument nor a state, such as a generator's.
    """
    found: Computed = []
    pending, seen = [change.now for change in changes], set()
    while pending:
        value = pending.pop()
        if isinstance(value, CONTAINERS) and id(value) not in seen:
            seen.add(id(value))
            pending += items(value)
        elif _belongs_to(value, traced):
            array = _computed(value.stored)
            if array is not None:
                found.append((value, value.stored))
                value._data, value.shape = array, array.shape  # a node's shape may be symbolic
    return found


def _belongs_to(value: Any, traced: Traced) -> bool:
    is_traced = isinstance(value, Tensor) and value.is_traced and not value.requires_grad
    return is_traced and value.stored in traced.born


def _computed(root: Node) -> np.ndarray | None:
    """Returns the value of a node, or None if it depends on more than constants."""
    arrays: dict[Node, np.ndarray] = {}
    for node in topological([root]):
        if node.op is CONSTANT:
            arrays[node] = node.attributes["array"]
        elif isinstance(node.op, Leaf) or node.op.pattern in UNFOLDABLE:
            return None
        else:
            assert isinstance(node.op, Op)
            operands = [arrays[operand] for operand in node.inputs]
            value = quietly(node.op.value, *operands, **node.attributes)
            arrays[node] = np.asarray(value, node.dtype.storage)
    return arrays[root].copy()


def is_same_trace(first: Traced, second: Traced, computed: Computed) -> bool:
    """Returns whether two traces are equal, if computed tensors in the second one count as the
    nodes of the first one that they were computed from.

    The graphs are compared, and also the captured tensors, the `.grad` of each, and what the
    function returns besides tensors.
    """
    given = {id(tensor): node for tensor, node in computed}
    states = [id(tensor) for tensor in second.states]
    replaced = {
        node: given[key]
        for key, node in zip(states, second.graph.states, strict=True)
        if key in given
    }
    kept = tuple([node for node in second.graph.states if node not in replaced])
    graph = replace(rebuilt(second.graph, lambda node: replaced.get(node, node)), states=kept)
    numbers: dict[Any, int] = {}
    return (
        [id(tensor) for tensor in first.states] == [key for key in states if key not in given]
        and _canonical(first.graph, numbers) == _canonical(graph, numbers)
        and list(map(_gradient, first.gradients)) == list(map(_gradient, second.gradients))
        and _is_same_result(first, second)
    )


def _canonical(graph: Graph, numbers: dict[Any, int]) -> tuple[Any, ...]:
    """Returns the value numbers of what a graph computes, which equal graphs share.

    A node that is equal to an earlier one, in either graph, has the same number.
    """
    known: dict[Node, int] = {}
    for kind, leaves in (("argument", graph.arguments), ("state", graph.states)):
        for place, leaf in enumerate(leaves):
            key = kind, place, leaf.shape, leaf.dtype
            known[leaf] = numbers.setdefault(key, len(numbers))
    for node in topological(graph.roots):
        if node not in known:
            operands = tuple([known[operand] for operand in node.inputs])
            attributes = tuple([(name, _value(x, numbers)) for name, x in _sorted(node)])
            row = id(node.op), operands, attributes, node.shape, node.dtype
            known[node] = numbers.setdefault(row, len(numbers))
    updates = {(known.get(state), known[node]) for state, node in graph.updates}
    checks = [(known[check.node], check.message) for check in graph.assertions]
    return [known[node] for node in graph.outputs], updates, checks


def _sorted(node: Node) -> list[tuple[str, Any]]:
    return sorted(node.attributes.items(), key=lambda pair: pair[0])


def _value(attribute: Any, numbers: dict[Any, int]) -> Any:
    if isinstance(attribute, Graph):
        outputs, updates, _ = _canonical(attribute, numbers)
        return tuple(outputs), tuple(sorted(updates))
    if isinstance(attribute, np.ndarray):
        return attribute.dtype.str, attribute.shape, attribute.tobytes()
    if isinstance(attribute, (tuple, list)):
        return tuple([_value(x, numbers) for x in attribute])
    # 0 and -0, 1 and True are equal, but not the same; nan is the same as nan
    return repr(attribute) if isinstance(attribute, (bool, int, float, complex)) else attribute


def _gradient(binding: Any) -> Any:
    ends = binding.entry is None, binding.exit is None
    return id(binding.tensor), binding.looks, binding.sums, binding.sets, ends


def _is_same_result(first: Traced, second: Traced) -> bool:
    places: Any = [object() for _ in first.graph.outputs]
    parts, structure = tree.flatten(first.result(places))
    others, other_structure = tree.flatten(second.result(places))
    return structure == other_structure and all(map(are_alike, parts, others))
