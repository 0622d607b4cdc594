"""Distances between vectors."""

from __future__ import annotations

from typing import Any

from smelt.tensor import Tensor
from smelt.tensor.apply import floats

__all__ = ["pairwise_distance"]


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Returns the p-norm of x1 - x2 + eps along the last axis.

    Args:
        x1: (..., D).
        x2: (..., D); both broadcast.
        p: of the norm.
        eps: keeps the root away from 0, where it has no derivative.
        keepdim: whether the axis is kept, with size 1.
    """
    x1, x2 = floats(x1, x2)
    return (x1 - x2 + eps).norm(p, -1, keepdim)
