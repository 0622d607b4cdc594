"""Adagrad (Duchi, Hazan and Singer 2011)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt.optim.checks import is_used
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.elementary import sqrt

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of all its squares so far.

        g <- g + weight_decay * x
        s <- s + g^2
        x <- x - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        params: the parameters, or groups of them.
        lr: learning rate.
        lr_decay: how fast the learning rate falls.
        weight_decay: factor of the L2 penalty.
        initial_accumulator_value: initial value of the sums of squares.
        eps: added so that the division stays finite.
        maximize: whether to maximize instead of minimizing.

    Raises:
        ArgumentError: a negative setting.
    """

    is_elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        settings |= {"initial_accumulator_value": initial_accumulator_value}
        super().__init__(params, {**settings, "maximize": maximize})

    def init_state(self, group: Group) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def step_scalars(self, group: Group, t: Tensor) -> tuple[Any, ...]:
        return (group["lr"] / (1 + (t - 1) * group["lr_decay"]),)

    def update(
        self, x: Tensor, g: Tensor, state: dict[str, Tensor], group: Group, *scalars: Any
    ) -> None:
        (step_size,), s = scalars, state["sum"]
        if is_used(group["weight_decay"]):
            g = g + group["weight_decay"] * x
        s.copy_(s + g * g)
        x.copy_(x - step_size * g / (sqrt(s) + group["eps"]))
