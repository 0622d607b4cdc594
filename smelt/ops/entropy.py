"""The binary cross entropy of a probability and a target; with its derivatives finite at 0 and 1.

    value    -(t max(log x, -100) + (1 - t) max(log(1 - x), -100))
    by x     (x - t) / max(x (1 - x), 1e-12)

The bounds are PyTorch's. Differentiating the logarithms instead would give an infinite derivative
at the ends, or zero where the bound applies: a network that is confidently wrong would not learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.ir.loops import Binary, Constant, Expression, Unary
from smelt.ops.elementwise import FLOAT, Elementwise

LOWEST = -100.0  # of a logarithm
LEAST = 1e-12  # of the product x (1 - x)


def _value(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    one, lowest = x.dtype.type(1), x.dtype.type(LOWEST)
    yes, no = np.maximum(np.log(x), lowest), np.maximum(np.log1p(-x), lowest)
    return -(t * yes + (one - t) * no)


def _expression(x: Expression, t: Expression) -> Expression:
    one, lowest = Constant(1.0, x.dtype), Constant(LOWEST, x.dtype)
    yes = Binary("maximum", Unary("log", x, x.dtype), lowest)
    no = Binary("maximum", Unary("log1p", -x, x.dtype), lowest)
    return -(t * yes + (one - t) * no)


def _slope_value(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    one, least = x.dtype.type(1), x.dtype.type(LEAST)
    return (x - t) / np.maximum(x * (one - x), least)


def _slope_expression(x: Expression, t: Expression) -> Expression:
    one, least = Constant(1.0, x.dtype), Constant(LEAST, x.dtype)
    return (x - t) / Binary("maximum", x * (one - x), least)


def _curvature(y: Any, x: Any, t: Any) -> Any:
    """Returns t / x^2 + (1 - t) / (1 - x)^2, bounded as the slope is."""
    yes, no = slope(x, 1.0), slope(x, 0.0)
    return t * yes * yes + (1.0 - t) * no * no


slope: Elementwise = Elementwise(
    "binary_cross_entropy_slope",
    _slope_value,
    (_curvature, lambda y, x, t: slope(x, 1.0) - slope(x, 0.0)),
    accepts=FLOAT,
    expression=_slope_expression,
    domain=(0.1, 0.9),
    cost=8,
)
binary_cross_entropy: Elementwise = Elementwise(
    "binary_cross_entropy",
    _value,
    (
        lambda y, x, t: slope(x, t),
        lambda y, x, t: binary_cross_entropy(x, 1.0) - binary_cross_entropy(x, 0.0),
    ),
    accepts=FLOAT,
    expression=_expression,
    domain=(0.1, 0.9),
    cost=30,
)
