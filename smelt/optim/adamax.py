"""Adamax (Kingma and Ba 2015): Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import maximum

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Steps along the running mean of gradients, divided by their decaying maximum.

        g <- g + weight_decay * x
        m <- beta1 * m + (1 - beta1) * g
        u <- max(beta2 * u, |g| + eps)
        x <- x - lr / (1 - beta1^t) * m / u

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        betas: beta1 and beta2, each in [0, 1).
        eps: added so that the division stays finite.
        weight_decay: factor of the L2 penalty.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a setting outside its range.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps}
        super().__init__(params, {**settings, "weight_decay": weight_decay, "maximize": maximize})

    def init_state(self, group: Group) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_inf": 0.0}

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        beta1, beta2 = group["betas"]
        return beta1, beta2, group["lr"] / (1 - beta1**t)

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        (beta1, beta2, step_size), m, u = scalars, state["exp_avg"], state["exp_inf"]
        if is_used(group["weight_decay"]):
            g = g + group["weight_decay"] * x
        m.copy_(without_subnormals(m + (1 - beta1) * (g - m)))
        u.copy_(maximum(beta2 * u, abs(g) + group["eps"]))
        x.copy_(x - step_size * m / u)
