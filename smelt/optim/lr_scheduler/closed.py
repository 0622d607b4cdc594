"""The simple schedules, each one a formula of the step count `t`.

PyTorch computes each rate from the one before, these from the first rate; the values are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from smelt.errors import ArgumentError
from smelt.optim.lr_scheduler.schedule import LRScheduler
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.elementary import cos, minimum, where

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """`lr = base * f(t)`.

    Args:
        optimizer: the optimizer whose groups get the rates.
        lr_lambda: a function of `t`, or one per group. It gets a tensor of shape () and must return
            a number or a tensor, using `smelt.where` instead of `if`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[Tensor], Any] | Sequence[Callable[[Tensor], Any]],
    ) -> None:
        self._check_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ArgumentError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} groups")
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.base_lrs[index] * self.lr_lambdas[index](t)


class StepLR(LRScheduler):
    """`lr = base * gamma^floor(t / step_size)`."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        _positive("StepLR", step_size=step_size)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.base_lrs[index] * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """`lr = base * gamma^(number of milestones that t has reached)`."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = tuple(sorted(milestones))
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        rate = self.base_lrs[index] * 1.0
        for milestone in self.milestones:
            rate = rate * where(t >= milestone, self.gamma, t * 0 + 1)
        return rate


class ConstantLR(LRScheduler):
    """`lr = base * factor` for `total_iters` steps, `base` from then on."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5) -> None:
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        base = self.base_lrs[index]
        return where(t < self.total_iters, base * self.factor, base)


class LinearLR(LRScheduler):
    """`lr = base * (start + (end - start) * min(t, n) / n)`, the warm-up; n is `total_iters`."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        _positive("LinearLR", start_factor=start_factor, total_iters=total_iters)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        done = minimum(t, self.total_iters) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * done
        return self.base_lrs[index] * factor


class ExponentialLR(LRScheduler):
    """`lr = base * gamma^t`."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.base_lrs[index] * self.gamma**t


class PolynomialLR(LRScheduler):
    """`lr = base * (1 - min(t, n) / n)^power`; n is `total_iters`."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        _positive("PolynomialLR", total_iters=total_iters)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        left = 1.0 - minimum(t, self.total_iters) / self.total_iters
        return self.base_lrs[index] * left**self.power


class CosineAnnealingLR(LRScheduler):
    """`lr = eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2`.

    Loshchilov and Hutter 2017, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        _positive("CosineAnnealingLR", T_max=T_max)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        height = 0.5 * (1.0 + cos(math.pi * t / self.T_max))
        return self.eta_min + (self.base_lrs[index] - self.eta_min) * height


class SequentialLR(LRScheduler):
    """One schedule after the other; each counts from 0 at its milestone.

    Args:
        optimizer: the optimizer whose groups get the rates.
        schedulers: schedules of the same optimizer, in order.
        milestones: at which step each but the first begins, rising.

    Raises:
        ArgumentError: schedules and milestones do not fit, or milestones do not rise.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]
    ) -> None:
        if len(milestones) != len(schedulers) - 1 or list(milestones) != sorted(set(milestones)):
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} rising "
                f"milestones, got {list(milestones)}"
            )
        if any(type(schedule).rate is LRScheduler.rate for schedule in schedulers):
            raise ArgumentError("SequentialLR: a schedule without a closed form cannot take part")
        self.schedulers = list(schedulers)
        self.milestones = tuple(milestones)
        super().__init__(optimizer)

    def rate(self, t: Tensor, index: int) -> Tensor:
        rate = self.schedulers[0].rate(t, index)
        for milestone, scheduler in zip(self.milestones, self.schedulers[1:], strict=True):
            rate = where(t >= milestone, scheduler.rate(t - milestone, index), rate)
        return rate


def _positive(owner: str, **settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise ArgumentError(f"{owner}: {name} must be positive, got {value}")
