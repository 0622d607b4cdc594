"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

import smelt.functional as F
from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.tensor import Tensor

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, sets each element to 0 with probability `p` and divides the rest by `1 - p`.

    In evaluation mode it returns its input.

    Args:
        p: the probability, from 0 to 1.

    Raises:
        ArgumentError: `p` is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p must lie between 0 and 1, got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
