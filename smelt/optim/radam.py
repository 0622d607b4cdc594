"""RAdam (Liu et al. 2020): Adam that divides only when its variance estimate is reliable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import sqrt, where

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """Adam whose first steps follow only the mean gradient.

        g <- g + weight_decay * x                   (or x <- x * (1 - lr * weight_decay), decoupled)
        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        R = 2 / (1 - beta2) - 1,  r = R - 2 t beta2^t / (1 - beta2^t)
        s = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)) * sqrt(1 - beta2^t) / (sqrt(v) + eps)
        x <- x - lr / (1 - beta1^t) * m * (s where r > 5, else 1)

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        betas: beta1 and beta2, each in [0, 1).
        eps: added so that the division stays finite.
        weight_decay: factor of the L2 penalty.
        decoupled_weight_decay: whether the decay is decoupled from the gradient, as in AdamW.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a setting outside its range.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps}
        settings |= {"decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
        super().__init__(params, {**settings, "weight_decay": weight_decay})

    def init_state(self, group: Group) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        (beta1, beta2), lr = group["betas"], group["lr"]
        left = 1 - beta2**t
        most = 2 / (1 - beta2) - 1
        length = most - 2 * t * beta2**t / left
        r = where(length > 5, length, 4.0)  # at 4 the variance is not known, and s is 0
        rectified = sqrt((r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r) * left)
        return beta1, beta2, lr / (1 - beta1**t), rectified, 1 - lr * group["weight_decay"]

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        beta1, beta2, step_size, rectified, decay = scalars
        m, v = state["exp_avg"], state["exp_avg_sq"]
        if is_used(group["weight_decay"]):
            if group["decoupled_weight_decay"]:
                x = x.copy_(x * decay)
            else:
                g = g + group["weight_decay"] * x
        m.copy_(without_subnormals(m + (1 - beta1) * (g - m)))
        v.copy_(without_subnormals(beta2 * v + (1 - beta2) * (g * g)))
        adapted = rectified / (sqrt(v) + group["eps"])
        x.copy_(x - step_size * m * where(rectified > 0, adapted, 1.0))
