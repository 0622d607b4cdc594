"""Reshaping inside a network: Flatten and Unflatten."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smelt.nn.module import Module
from smelt.ops.op import normal_axis
from smelt.tensor import Tensor

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Joins the axes `start_dim` to `end_dim` into one: (B, C, H, W) -> (B, C * H * W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x` with the axes joined."""
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits axis `dim` into axes of the sizes `unflattened_size`; undoes Flatten.

    One of the sizes may be -1 and is computed.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size: tuple[int, ...] = tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x` with the axis split."""
        axis = normal_axis(self.dim, x.ndim, "Unflatten")
        sizes = self.unflattened_size
        if -1 in sizes:
            known = max(1, -math.prod(sizes))
            sizes = tuple(x.shape[axis] // known if size == -1 else size for size in sizes)
        return x.reshape((*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
