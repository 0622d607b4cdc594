"""RMSprop (Hinton's lecture 6e of 2012; centered form: Graves 2013)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import sqrt

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Divides the gradient by the root of a running mean of its squares.

        g <- g + weight_decay * x
        v <- alpha * v + (1 - alpha) * g^2
        a <- alpha * a + (1 - alpha) * g            (centered; else a = 0)
        b <- momentum * b + g / (sqrt(v - a^2) + eps)
        x <- x - lr * b

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        alpha: how slowly the running averages decay, in [0, 1].
        eps: added so that the division stays finite.
        weight_decay: factor of the L2 penalty.
        momentum: factor of the running sum of updates; 0 for none.
        centered: whether to divide by the root of the variance instead of the mean square.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a negative setting.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "alpha": alpha, "eps": eps}
        settings |= {"weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**settings, "centered": centered, "maximize": maximize})

    def init_state(self, group: Group) -> dict[str, float]:
        averages = {"square_avg": 0.0} | ({"grad_avg": 0.0} if group["centered"] else {})
        return averages | ({"momentum_buffer": 0.0} if is_used(group["momentum"]) else {})

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        return group["lr"], group["momentum"]

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        (lr, momentum), alpha, v = scalars, group["alpha"], state["square_avg"]
        if is_used(group["weight_decay"]):
            g = g + group["weight_decay"] * x
        v.copy_(without_subnormals(alpha * v + (1 - alpha) * (g * g)))
        variance = v
        if group["centered"]:
            a = state["grad_avg"]
            a.copy_(without_subnormals(a + (1 - alpha) * (g - a)))
            variance = v - a * a
        change = g / (sqrt(variance) + group["eps"])
        if is_used(group["momentum"]):
            buffer = state["momentum_buffer"]
            change = buffer.copy_(without_subnormals(momentum * buffer + change))
        x.copy_(x - lr * change)
