"""Dropout (Srivastava et al. 2014), of elements and of channels (Tompson et al. 2015)."""

from __future__ import annotations

import smelt.functional as F
from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.tensor import Tensor

__all__ = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]


class Dropout(Module):
    """In training, sets each element to 0 with probability `p` and divides the rest by `1 - p`.

    In evaluation mode it returns its input.

    Args:
        p: the probability, from 0 to 1.

    Raises:
        ArgumentError: `p` is not a probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p must lie between 0 and 1, got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout1d(Dropout):
    """Dropout of whole channels of (B, C, L) or (C, L); see `F.dropout1d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout1d(x, self.p, self.training)


class Dropout2d(Dropout):
    """Dropout of whole channels of images, (B, C, H, W), or of (B, C, L); see `F.dropout2d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training)


class Dropout3d(Dropout):
    """Dropout of whole channels of (B, C, D, H, W) or (C, D, H, W); see `F.dropout3d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout3d(x, self.p, self.training)
