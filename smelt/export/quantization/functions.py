"""Functions of one number: what a chain of elementwise operations is on int8."""

from __future__ import annotations

import math

import numpy as np

from smelt.export.quantization.analysis import Analysis
from smelt.export.quantization.fixed_point import LARGEST
from smelt.ir.graph import Node
from smelt.ops.op import Op
from smelt.tracing.engine import quietly

__all__ = ["as_clip", "points", "table", "values_within"]

POINTS = 4097
FAR = 16.0  # beyond the bounds of a ReLU6 and its like


def points(bound: float) -> np.ndarray:
    """Returns numbers, float32, at which functions are compared: those seen, and beyond."""
    near = np.linspace(-4 * bound, 4 * bound, POINTS)
    return np.concatenate([near, np.linspace(-FAR, FAR, POINTS)]).astype(np.float32)


def values_within(analysis: Analysis, node: Node, x: np.ndarray) -> dict[Node, np.ndarray]:
    """Returns what a node is, and each one between its root and itself, where the root is x."""
    constants = analysis.captured.constants
    values = {analysis.roots[node]: x}
    for one in analysis.region(node):
        operands = [
            constants[operand].reshape(()) if operand in constants else values[operand]
            for operand in one.inputs
        ]
        assert isinstance(one.op, Op)
        values[one] = np.asarray(quietly(one.op.value, *operands, **one.attributes))
    return values


def as_clip(base: np.ndarray, result: np.ndarray) -> tuple[float, float] | None:
    """Returns bounds with result = clip(base, low, high) at all points; None if there are none."""
    low, high = float(result.min()), float(result.max())
    if math.isnan(low) or not np.array_equal(np.clip(base, low, high), result):
        return None
    return (
        low if low > base.min() else -math.inf,
        high if high < base.max() else math.inf,
    )


def table(analysis: Analysis, node: Node, given: float, scale: float) -> np.ndarray:
    """Returns the int8 results, of a scale, for -128 to 127 of another scale, that of the root."""
    x = (np.arange(-128, 128) * given).astype(np.float32)
    results = np.nan_to_num(values_within(analysis, node, x)[node].astype(np.float64))
    return np.clip(np.rint(results / scale), -LARGEST, LARGEST).astype(np.int8)
