"""Long concatenations become concatenations of shorter ones, so that expressions stay small.

    before: concatenate(x0, x1, ..., x299)
    after:  concatenate(concatenate(x0, ..., x15), ..., concatenate(x288, ..., x299))

An element of a concatenation is chosen among its operands by conditions on its index.
`materialize.py` gives the shorter ones memory if a kernel would choose among too many.
"""

from __future__ import annotations

from dataclasses import replace

from smelt.ir.graph import Node

MANY = 16  # operands that one concatenation may have


def split_concatenation(node: Node) -> Node | None:
    """Concatenate of more than MANY operands -> of concatenations of MANY each"""
    if len(node.inputs) <= MANY:
        return None
    groups = [node.inputs[start : start + MANY] for start in range(0, len(node.inputs), MANY)]
    return replace(node, inputs=tuple([_joined(node, group) for group in groups]))


def _joined(node: Node, operands: tuple[Node, ...]) -> Node:
    """Returns the concatenation of some operands of a longer one."""
    if len(operands) == 1:
        return operands[0]
    axis = node.attributes["axis"]
    extent = sum(operand.shape[axis] for operand in operands)
    shape = (*node.shape[:axis], extent, *node.shape[axis + 1 :])
    return replace(node, inputs=operands, shape=shape)
