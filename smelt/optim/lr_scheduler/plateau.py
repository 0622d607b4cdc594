"""ReduceLROnPlateau: the rate falls when a metric has stopped improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from smelt.dtypes import float64
from smelt.errors import ArgumentError
from smelt.optim.checks import not_negative, per_group
from smelt.optim.group import Group, scalar
from smelt.optim.lr_scheduler.schedule import Schedule, count
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import logical_and, maximum, where
from smelt.tracing.engine import no_grad

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Schedule):
    """Multiplies the rates by `factor` when the metric has not improved for `patience` steps.

    Args:
        optimizer: the optimizer whose groups get the rates.
        mode: "min" when a lower metric is better, "max" when a higher one is.
        factor: below 1.
        patience: number of steps without improvement that are tolerated.
        threshold: minimum change that counts as an improvement.
        threshold_mode: "rel" (best * (1 -+ threshold)) or "abs" (best -+ threshold).
        cooldown: number of steps after a reduction that are not counted.
        min_lr: the lowest rate, or one per group.
        eps: smaller reductions are skipped.

    Raises:
        ArgumentError: a setting outside its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"ReduceLROnPlateau: unknown mode {mode!r} or threshold_mode {threshold_mode!r}"
            )
        name = "ReduceLROnPlateau"
        not_negative(name, factor=factor, patience=patience, threshold=threshold)
        not_negative(name, cooldown=cooldown, eps=eps)
        if not factor < 1.0:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        self._check_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        lowest = per_group(name, "min_lr", min_lr, groups)
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs: tuple[Any, ...] = lowest
        self.eps = eps
        self.best: Tensor = scalar(math.inf if mode == "min" else -math.inf)
        self.num_bad_epochs: Tensor = count()
        self.cooldown_counter: Tensor = count()
        self.last_epoch: Tensor = count()
        self._last_rates = [scalar(group["lr"]) for group in optimizer.param_groups]
        self._is_one_min_lr = not isinstance(min_lr, Sequence)

    def step(self, metrics: float | Tensor) -> None:
        """Looks at a metric (a number, or a tensor of shape ()) and sets the learning rates."""
        self._note()
        with no_grad():
            now = as_tensor(metrics, float64).to(float64).reshape(())
            better = self._is_better(now)
            self.best.copy_(where(better, now, self.best))
            bad = where(better, 0, self.num_bad_epochs + 1)
            cooling = self.cooldown_counter > 0
            bad = where(cooling, 0, bad)
            left = where(cooling, self.cooldown_counter - 1, self.cooldown_counter)
            stuck = bad > self.patience
            for index, group in enumerate(self.optimizer.param_groups):
                self._reduce(group, self._lowest(index), stuck)
            self.cooldown_counter.copy_(where(stuck, self.cooldown, left))
            self.num_bad_epochs.copy_(where(stuck, 0, bad))
            self.last_epoch.copy_(self.last_epoch + 1)
            self._remember_rates()

    def _is_better(self, now: Tensor) -> Tensor:
        margin = -self.threshold if self.mode == "min" else self.threshold
        best = self.best
        goal = best * (1.0 + margin) if self.threshold_mode == "rel" else best + margin
        return now < goal if self.mode == "min" else now > goal

    def _lowest(self, index: int) -> float:
        if index < len(self.min_lrs):
            return self.min_lrs[index]
        if self._is_one_min_lr:
            return self.min_lrs[0]
        raise ArgumentError(
            f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr, but group {index} was added to the "
            "optimizer later; make a new schedule"
        )

    def _reduce(self, group: Group, lowest: float, stuck: Tensor) -> None:
        rate = group["lr"]
        lower = maximum(rate * self.factor, lowest)
        group["lr"] = where(logical_and(stuck, rate - lower > self.eps), lower, rate)
