"""The simple schedules, each a formula of the step count `t`, in closed and in recursive form.

Each continues from the current rate, as in PyTorch, so that several schedules multiply.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from smelt.errors import ArgumentError
from smelt.optim.checks import fraction, not_negative, number, positive
from smelt.optim.lr_scheduler.schedule import LRScheduler
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.elementary import minimum, sin, where

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]


class _PerGroup(LRScheduler):
    """A schedule whose formula is the user's, one per group.

    Args:
        optimizer: the optimizer whose groups get the rates.
        lr_lambda: a function of `t`, or one per group. It gets a tensor of shape () and must return
            a number or a tensor, using `smelt.where` instead of `if`.
        last_epoch: see `LRScheduler`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[Tensor], Any] | Sequence[Callable[[Tensor], Any]],
        last_epoch: int = -1,
    ) -> None:
        self._check_optimizer(optimizer)
        name, groups = type(self).__name__, len(optimizer.param_groups)
        given: list[Any] = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        self.lr_lambdas = given
        if len(self.lr_lambdas) != groups:
            raise ArgumentError(
                f"{name}: got {len(self.lr_lambdas)} functions for {groups} groups of parameters"
            )
        for function in given:
            if not callable(function):
                kind = type(function).__name__
                raise ArgumentError(f"{name}: lr_lambda must be a function, got a {kind}")
        super().__init__(optimizer, last_epoch)

    def _value(self, t: Tensor, index: int) -> Any:
        if index >= len(self.lr_lambdas):
            raise ArgumentError(
                f"{type(self).__name__}: {len(self.lr_lambdas)} functions, but group {index} was "
                "added to the optimizer later; make a new schedule"
            )
        return self.lr_lambdas[index](t)


class LambdaLR(_PerGroup):
    """`lr = base * f(t)`; sets the rate directly."""

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.base_lrs[index] * self._value(t, index)


class MultiplicativeLR(_PerGroup):
    """`lr <- lr * f(t)`."""

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.next_rate(self.optimizer.param_groups[index]["lr"], t, index)

    def next_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return rate * self._value(t, index)

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return rate


class _Factor(LRScheduler):
    """A schedule whose every step multiplies the rate by a factor of its own."""

    def next_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return rate * self._factor(t)

    def _factor(self, t: Tensor) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: _factor")


class StepLR(_Factor):
    """`lr = base * gamma^floor(t / step_size)`, so `lr <- lr * gamma` every `step_size` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        positive("StepLR", step_size=step_size)
        not_negative("StepLR", gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.base_lrs[index] * self.gamma ** (t // self.step_size)

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return where(t == 0, rate, self.next_rate(rate, t, index))

    def _factor(self, t: Tensor) -> Tensor:
        return where(t % self.step_size == 0, self.gamma, t * 0 + 1)


class MultiStepLR(_Factor):
    """`lr = base * gamma^(number of milestones that t has reached)`; each multiplies by gamma."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        number("MultiStepLR", **{f"milestones[{i}]": one for i, one in enumerate(milestones)})
        not_negative("MultiStepLR", gamma=gamma)
        self.milestones: tuple[int, ...] = tuple(sorted(milestones))
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, t: Tensor, index: int) -> Tensor:
        rate = self.base_lrs[index] * 1.0
        for milestone in self.milestones:
            rate = rate * where(t >= milestone, self.gamma, t * 0 + 1)
        return rate

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return self.next_rate(rate, t, index)

    def _factor(self, t: Tensor) -> Tensor:
        factor = t * 0 + 1
        for milestone in self.milestones:
            factor = factor * where(t == milestone, self.gamma, t * 0 + 1)
        return factor


class ExponentialLR(_Factor):
    """`lr = base * gamma^t`, so `lr <- lr * gamma`."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        not_negative("ExponentialLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.base_lrs[index] * self.gamma**t

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return rate

    def _factor(self, t: Tensor) -> float:
        return self.gamma


class _Share(LRScheduler):
    """`lr = floor + (base - floor) * share(t)`, a step multiplies by `share(t) / share(t - 1)`.

    Where `share(t - 1)` is 0, as where a cosine rests, a step adds `(base - floor) * share(t)`.
    """

    floor: float = 0.0

    def rate(self, t: Tensor, index: int) -> Tensor:
        return self.floor + (self.base_lrs[index] - self.floor) * self._share(t)

    def next_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        before, now = self._share(t - 1.0), self._share(t)
        grown = self.floor + (rate - self.floor) * (now / where(before == 0, 1.0, before))
        return where(before == 0, rate + (self.base_lrs[index] - self.floor) * now, grown)

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        first = self.floor + (rate - self.floor) * self._share(t * 0)
        return where(t == 0, first, rate)

    def _share(self, t: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: _share")


class ConstantLR(_Share):
    """`lr = base * factor` for `total_iters` steps, then `base`."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        fraction("ConstantLR", factor=factor)
        number("ConstantLR", total_iters=total_iters)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        return where(t == 0, rate * self.factor, self.next_rate(rate, t, index))

    def _share(self, t: Tensor) -> Tensor:
        return where(t < self.total_iters, self.factor, t * 0 + 1)


class LinearLR(_Share):
    """`lr = base * (start + (end - start) * min(t, n) / n)`, the warm-up; n is `total_iters`."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        positive("LinearLR", start_factor=start_factor, total_iters=total_iters)
        fraction("LinearLR", start_factor=start_factor, end_factor=end_factor)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _share(self, t: Tensor) -> Tensor:
        done = minimum(t, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class PolynomialLR(_Share):
    """`lr = base * (1 - min(t, n) / n)^power`; n is `total_iters`."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        positive("PolynomialLR", total_iters=total_iters)
        not_negative("PolynomialLR", power=power)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _share(self, t: Tensor) -> Tensor:
        return (1.0 - minimum(t, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(_Share):
    """`lr = eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2`.

    Loshchilov and Hutter 2017, without restarts.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        positive("CosineAnnealingLR", T_max=T_max)
        not_negative("CosineAnnealingLR", eta_min=eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    @property
    def floor(self) -> float:  # type: ignore[override]
        """The final rate."""
        return self.eta_min

    def _share(self, t: Tensor) -> Tensor:
        # (1 + cos(a)) / 2 = sin^2((a - pi) / 2), without cancellation and exactly 0 at T_max
        root = sin(math.pi / 2 * ((t - self.T_max) % (2 * self.T_max)) / self.T_max)
        return root * root
