"""The values of traced tensors that depend only on constants, such as shapes."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np

from smelt.ir.graph import CONSTANT, Node, topological
from smelt.ir.operation import Operation
from smelt.ops.op import Op
from smelt.tracing.engine import Eager, current_engine, quietly

__all__ = ["known_value"]

LARGEST = 1024  # elements of what is computed for Python while a step is traced


def known_value(data: Any) -> np.ndarray | None:
    """Returns the values, as stored, of a traced tensor that is computed from constants alone.

    So a value that a step computes with such tensors can be a size, an axis, or the condition of an
    `if`.

    Returns:
        None if the tensor depends on an argument, a state or a random number, is large, or is not
        being traced now.
    """
    if not isinstance(data, Node) or isinstance(current_engine(), Eager):
        return None
    values: dict[Node, np.ndarray] = {}
    for node in topological([data]):
        if node.op is CONSTANT:
            values[node] = node.attributes["array"]
        elif _has_value(node.op) and node.size <= LARGEST:
            inputs = [values[operand] for operand in node.inputs]
            result = quietly(node.op.value, *inputs, **node.attributes)
            values[node] = np.asarray(result, node.dtype.storage)
        else:
            return None
    return values[data]


def _has_value(op: Operation) -> TypeGuard[Op]:
    """Returns whether NumPy computes an operation by itself: no loop, no branch, no argument."""
    return isinstance(op, Op) and type(op).value is not Op.value
