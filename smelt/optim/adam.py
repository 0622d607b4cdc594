"""Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import maximum, sqrt

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Steps along the running mean of gradients, divided by the root of the running mean square.

        g <- g + weight_decay * x
        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        x <- x - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        betas: beta1 and beta2, each in [0, 1).
        eps: added so that the division stays finite.
        weight_decay: factor of the L2 penalty.
        amsgrad: whether to divide by the largest v so far (Reddi et al. 2018).
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a setting outside its range.
    """

    decoupled = False
    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "amsgrad": amsgrad, "maximize": maximize})

    def init_state(self, group: Group) -> dict[str, float]:
        moments = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return moments | ({"max_exp_avg_sq": 0.0} if group["amsgrad"] else {})

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        step_size, bias_correction2_sqrt = lr / (1 - beta1**t), sqrt(1 - beta2**t)
        return beta1, beta2, step_size, bias_correction2_sqrt, 1 - lr * group["weight_decay"]

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        beta1, beta2, step_size, bias_correction2_sqrt, decay = scalars
        weight_decay, m, v = group["weight_decay"], state["exp_avg"], state["exp_avg_sq"]
        decayed = x * decay if is_used(weight_decay) and self.decoupled else x
        if is_used(weight_decay) and not self.decoupled:
            g = g + weight_decay * x
        m.copy_(without_subnormals(m + (1 - beta1) * (g - m)))
        v.copy_(without_subnormals(beta2 * v + (1 - beta2) * (g * g)))
        second_moment = v
        if group["amsgrad"]:
            second_moment = state["max_exp_avg_sq"]
            second_moment.copy_(maximum(second_moment, v))
        denominator = sqrt(second_moment) / bias_correction2_sqrt + group["eps"]
        x.copy_(decayed - step_size * m / denominator)


class AdamW(Adam):
    """Adam with weight decay decoupled from the gradient.

    x <- x * (1 - lr * weight_decay), then as Adam without weight decay
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
