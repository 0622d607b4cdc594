"""Rprop (Riedmiller and Braun 1993): steps that depend only on the sign of the gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.elementary import clamp, sign, where

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """Gives each element its own step size, which grows while its gradient keeps its sign.

        f = etas[1] where g * h > 0, etas[0] where it is < 0, else 1
        s <- min(max(f * s, step_sizes[0]), step_sizes[1])
        h <- 0 where g * h < 0, else g
        x <- x - sign(h) * s

    It is for full-batch training, not for mini-batches, whose gradients change sign at random.

    Args:
        params: the parameters, or groups of them.
        lr: the first step.
        etas: the factors by which steps shrink and grow.
        step_sizes: the shortest and the longest step.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a setting outside its range.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "etas": etas, "step_sizes": step_sizes}
        super().__init__(params, {**settings, "maximize": maximize})

    def init_state(self, group: Group) -> dict[str, float]:
        return {"prev": 0.0, "step_size": float(group["lr"])}

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        (shrinking, growing), (shortest, longest) = group["etas"], group["step_sizes"]
        before, size = state["prev"], state["step_size"]
        flipped = g * before < 0
        changed = where(flipped, size * shrinking, where(g * before > 0, size * growing, size))
        size.copy_(clamp(changed, shortest, longest))
        before.copy_(where(flipped, 0.0, g))
        x.copy_(x - sign(before) * size)
