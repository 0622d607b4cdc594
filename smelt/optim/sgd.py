"""SGD: stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's form (1983)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.errors import ArgumentError
from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import where

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent.

        g <- g + weight_decay * x
        b <- momentum * b + (1 - dampening) * g     (b = g at the first update)
        x <- x - lr * b                             (x - lr * (g + momentum * b) with nesterov)

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        momentum: factor of the running sum of gradients; 0 for none.
        dampening: the share of a gradient that does not enter the sum.
        weight_decay: factor of the L2 penalty.
        nesterov: whether to use Nesterov momentum.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a negative setting, or nesterov without momentum or with dampening.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening}
        defaults |= {"weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize}
        super().__init__(params, defaults)

    def check_group(self, group: Group) -> None:
        if group["nesterov"] and (not is_used(group["momentum"]) or group["dampening"] != 0):
            raise ArgumentError("SGD: nesterov needs a momentum and no dampening")

    def init_state(self, group: Group) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if is_used(group["momentum"]) else {}

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        damped = 1 - group["dampening"]
        is_damped = is_used(group["dampening"])
        gradient_weight = where(t == 1, 1.0, damped * (t * 0 + 1)) if is_damped else 1.0
        return group["lr"], group["momentum"], gradient_weight

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        lr, momentum, gradient_weight = scalars
        if is_used(group["weight_decay"]):
            g = g + group["weight_decay"] * x
        if is_used(group["momentum"]):
            b = state["momentum_buffer"]
            b.copy_(without_subnormals(momentum * b + gradient_weight * g))
            g = g + momentum * b if group["nesterov"] else b
        x.copy_(x - lr * g)
