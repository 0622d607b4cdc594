"""Adadelta (Zeiler 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import sqrt

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Divides the gradient by the root of its running mean square, and multiplies by that of the
    updates, which gives it the units of x.

        g <- g + weight_decay * x
        v <- rho * v + (1 - rho) * g^2
        d <- sqrt(u + eps) / sqrt(v + eps) * g
        u <- rho * u + (1 - rho) * d^2
        x <- x - lr * d

    Args:
        params: the parameters, or groups of them.
        lr: factor of the update.
        rho: how slowly the running averages decay, in [0, 1].
        eps: keeps the division finite, and makes the first updates nonzero.
        weight_decay: factor of the L2 penalty.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a setting outside its range.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "maximize": maximize})

    def init_state(self, group: Group) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        return (group["lr"],)

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        (lr,), rho, eps = scalars, group["rho"], group["eps"]
        v, u = state["square_avg"], state["acc_delta"]
        if is_used(group["weight_decay"]):
            g = g + group["weight_decay"] * x
        v.copy_(without_subnormals(rho * v + (1 - rho) * (g * g)))
        change = sqrt(u + eps) / sqrt(v + eps) * g
        u.copy_(without_subnormals(rho * u + (1 - rho) * (change * change)))
        x.copy_(x - lr * change)
