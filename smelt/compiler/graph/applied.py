"""Applying an operation to a node within a pass."""

from __future__ import annotations

from smelt.ir.graph import Node
from smelt.ops.op import Op


def applied(op: Op, x: Node, **attributes: object) -> Node:
    """Returns an operation on a node, as if it had been traced at the same place."""
    kind = op.infer(x, **attributes)
    return Node(op, (x,), attributes, kind.shape, kind.dtype, x.origin)
