"""Fold states: what follows from tensors that a step does not change is computed at export.

What is exported has them as constants, in flash. A value that is computed from them alone would
take RAM, and would be computed in every step. Before:

    scale = 1 / sqrt(running_var + 1e-5) * weight     a kernel, and float32[64] of RAM
    transposed = permute(weight_hh, (1, 0))          a copy for a loop, float32[32, 128] of RAM

After: `scale` and `transposed` are constants, and `running_var` and `weight_hh` are gone, if
nothing else reads them.

A value is folded if it would get memory of its own, if it is no larger than the tensors that it
follows from, and if its operations give the same bits everywhere: movements and arithmetic that
IEEE 754 rounds correctly. A step that runs in Python cannot do so: there tensors may be changed
from outside.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smelt.compiler.graph.materialize import materialize
from smelt.ir.graph import CONSTANT, STATE, Graph, Leaf, Node, constant_node, rebuilt
from smelt.ops import elementwise
from smelt.ops.op import Op

# the same bits in NumPy and in C; a maximum may give either zero
EXACT = (
    elementwise.add,
    elementwise.sub,
    elementwise.mul,
    elementwise.div,
    elementwise.neg,
    elementwise.abs,
    elementwise.sqrt,
)

Sources = dict[Node, frozenset[Node]]  # of a value: the leaves that it is computed from


def fold_states(graph: Graph, contents: Mapping[Node, np.ndarray]) -> Graph:
    """Returns a graph with constants for what unchanged states determine.

    Args:
        graph: a simplified graph.
        contents: what the states hold, as they are stored.
    """
    changed = {old for old, new in graph.updates if old is not new}
    fixed = {node: array for node, array in contents.items() if node not in changed}
    sources = _sources(graph, fixed)
    roots = set(graph.roots)
    values: dict[Node, np.ndarray] = dict(fixed)
    folded: dict[Node, Node] = {}
    for node in materialize(graph, None).nodes:
        leaves = sources.get(node, frozenset())
        has_states = any(leaf.op is STATE for leaf in leaves)
        if node not in roots and has_states and _nbytes(node) <= sum(map(_nbytes, leaves)):
            array = np.ascontiguousarray(_value(node, values), node.dtype.storage)
            folded[node] = constant_node(array, node.dtype, node.origin)
    return rebuilt(graph, lambda node: node, folded)


def _sources(graph: Graph, fixed: Mapping[Node, np.ndarray]) -> Sources:
    """Returns the leaves below each value that is known at export and exact."""
    found: Sources = {}
    for node in graph.nodes():
        if node.op is CONSTANT or node in fixed:
            found[node] = frozenset([node])
        elif _is_exact(node) and all(operand in found for operand in node.inputs):
            found[node] = frozenset().union(*[found[operand] for operand in node.inputs])
    return found


def _is_exact(node: Node) -> bool:
    """Whether NumPy computes a value from its operands with the bits of every other engine."""
    if isinstance(node.op, Leaf) or not node.inputs:
        return False
    if node.op.is_movement:
        return True
    return node.op in EXACT and node.dtype.compute is node.dtype


def _value(node: Node, values: dict[Node, np.ndarray]) -> np.ndarray:
    """Returns the value of a known node; `values` remembers those below it."""
    if node not in values:
        if node.op is CONSTANT:
            values[node] = node.attributes["array"]
        else:
            assert isinstance(node.op, Op)
            operands = [_value(operand, values) for operand in node.inputs]
            with np.errstate(all="ignore"):
                values[node] = np.asarray(node.op.value(*operands, **node.attributes))
    return values[node]


def _nbytes(node: Node) -> int:
    return node.size * node.dtype.itemsize
