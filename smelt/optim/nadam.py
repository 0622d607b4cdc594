"""NAdam (Dozat 2016): Adam that looks ahead, as Nesterov's momentum does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.optim.subnormal import without_subnormals
from smelt.tensor import Tensor
from smelt.tensor.elementary import sqrt

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """Adam whose step combines the gradient and the next step's momentum.

        g <- g + weight_decay * x                   (or x <- x * (1 - lr * weight_decay), decoupled)
        mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
        p <- p * mu(t)
        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        d = sqrt(v / (1 - beta2^t)) + eps
        x <- x - lr * ((1 - mu(t)) / (1 - p) * g + mu(t + 1) / (1 - p * mu(t + 1)) * m) / d

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        betas: beta1 and beta2, each in [0, 1).
        eps: added so that the division stays finite.
        weight_decay: factor of the L2 penalty.
        momentum_decay: how fast mu grows toward beta1.
        decoupled_weight_decay: whether the decay is decoupled from the gradient, as in AdamW.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a setting outside its range.
    """

    single_numbers: ClassVar[tuple[str, ...]] = ("mu_product",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps}
        settings |= {"weight_decay": weight_decay, "momentum_decay": momentum_decay}
        settings |= {"decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def init_state(self, group: Group) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0, "mu_product": 1.0}

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        (beta1, beta2), lr = group["betas"], group["lr"]
        mu, mu_next = (
            beta1 * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"])) for step in (t, t + 1)
        )
        return beta1, beta2, lr, mu, mu_next, 1 - beta2**t, 1 - lr * group["weight_decay"]

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        beta1, beta2, lr, mu, mu_next, bias_correction2, decay = scalars
        m, v, product = state["exp_avg"], state["exp_avg_sq"], state["mu_product"]
        if is_used(group["weight_decay"]):
            if group["decoupled_weight_decay"]:
                x = x.copy_(x * decay)
            else:
                g = g + group["weight_decay"] * x
        product.copy_(product * mu)
        m.copy_(without_subnormals(m + (1 - beta1) * (g - m)))
        v.copy_(without_subnormals(beta2 * v + (1 - beta2) * (g * g)))
        denominator = sqrt(v / bias_correction2) + group["eps"]
        ahead = (1 - mu) / (1 - product) * g + mu_next / (1 - product * mu_next) * m
        x.copy_(x - lr * ahead / denominator)
