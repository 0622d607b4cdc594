"""OneCycleLR: the rate rises, falls, and falls further; the momentum changes inversely."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from smelt.dtypes import int64
from smelt.errors import ArgumentError
from smelt.optim.checks import fraction, per_group, positive
from smelt.optim.group import scalar
from smelt.optim.lr_scheduler.schedule import LRScheduler, choose
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.elementary import cos, logical_and, where
from smelt.tracing.engine import current_engine

__all__ = ["OneCycleLR"]

Phase = tuple[float, float, float]  # (last step, value at its start, value at its end)


class OneCycleLR(LRScheduler):
    """One cycle over the whole training (Smith and Topin 2018).

    The rate rises from `max_lr / div_factor` to `max_lr`, then falls to the first rate divided by
    `final_div_factor`; with `three_phase` it first falls symmetrically to its rise.

    Args:
        optimizer: the optimizer whose groups get the rates.
        max_lr: the highest rate, or one per group.
        total_steps: length of the cycle; or give `epochs` and `steps_per_epoch`.
        epochs: number of epochs.
        steps_per_epoch: number of steps in each.
        pct_start: the share of the cycle in which the rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether momentum (or beta1) changes too.
        base_momentum: the momentum when the rate is highest, or one per group.
        max_momentum: the momentum at the ends, or one per group.
        div_factor: first rate = max_lr / div_factor.
        final_div_factor: last rate = first rate / final_div_factor.
        three_phase: whether the rate falls in two phases, first to its initial value.
        last_epoch: see `LRScheduler`.

    Raises:
        ArgumentError: a setting outside its range; or more than `total_steps` steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.total_steps: int = _length(total_steps, epochs, steps_per_epoch)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"OneCycleLR: anneal_strategy={anneal_strategy!r} must be 'cos' or 'linear'"
            )
        fraction("OneCycleLR", pct_start=pct_start)
        positive("OneCycleLR", div_factor=div_factor, final_div_factor=final_div_factor)
        self._check_optimizer(optimizer)
        groups = len(optimizer.param_groups)
        self.max_lrs: tuple[Any, ...] = per_group("OneCycleLR", "max_lr", max_lr, groups)
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        lowest = per_group("OneCycleLR", "base_momentum", base_momentum, groups)
        highest = per_group("OneCycleLR", "max_momentum", max_momentum, groups)
        self.momenta: tuple[tuple[Any, Any], ...] = tuple(zip(lowest, highest, strict=True))
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = three_phase
        if last_epoch == -1:
            for rate, group in zip(self.max_lrs, optimizer.param_groups, strict=True):
                group.data["initial_lr"] = scalar(rate / div_factor)
        self.cycled: list[Tensor] = (
            [_momentum_of(group) for group in optimizer.param_groups] if cycle_momentum else []
        )
        super().__init__(optimizer, last_epoch)

    def _check_count(self, following: Tensor, chosen: Tensor | None) -> None:
        beyond = following > self.total_steps
        if chosen is not None:
            beyond = logical_and(beyond, chosen)
        message = f"OneCycleLR: more steps than total_steps={self.total_steps}"
        current_engine().require(beyond.to(int64), message, ArgumentError)

    def _move_others(self, t: Tensor, chosen: Tensor | None) -> None:
        for momentum, (lowest, highest) in zip(self.cycled, self.momenta, strict=False):
            moved = self._along(t, self._phases(highest, lowest, highest))
            momentum.copy_(choose(chosen, moved, momentum))

    def rate(self, t: Tensor, index: int) -> Tensor:
        if index >= len(self.max_lrs):
            raise ArgumentError(
                f"OneCycleLR: {len(self.max_lrs)} max_lr, but group {index} was added to the "
                "optimizer later; make a new schedule"
            )
        first = self.max_lrs[index] / self.div_factor
        return self._along(
            t, self._phases(first, self.max_lrs[index], first / self.final_div_factor)
        )

    def _phases(self, first: float, middle: float, last: float) -> list[Phase]:
        top, end = self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0
        if not self.three_phase:
            return [(top, first, middle), (end, middle, last)]
        down = 2.0 * self.pct_start * self.total_steps - 2.0
        return [(top, first, middle), (down, middle, first), (end, first, last)]

    def _along(self, t: Tensor, phases: list[Phase]) -> Tensor:
        """Returns the value at step `t`, in the first phase that has not ended, or the last."""
        starts = [0.0, *(end for end, _, _ in phases[:-1])]
        anneal = _ANNEAL[self.anneal_strategy]
        value = None
        for start, (end, low, high) in reversed(list(zip(starts, phases, strict=True))):
            here = anneal(low, high, (t - start) / (end - start) if end != start else t * 0 + 1)
            value = here if value is None else where(t <= end, here, value)
        assert value is not None, "there are always phases"
        return value


def _cosine(start: float, end: float, share: Tensor) -> Tensor:
    return end + (start - end) / 2.0 * (1.0 + cos(math.pi * share))


def _linear(start: float, end: float, share: Tensor) -> Tensor:
    return start + (end - start) * share


_ANNEAL: dict[str, Callable[[float, float, Tensor], Tensor]] = {"cos": _cosine, "linear": _linear}


def _length(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ArgumentError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
        positive("OneCycleLR", epochs=epochs, steps_per_epoch=steps_per_epoch)
        total_steps = epochs * steps_per_epoch
    positive("OneCycleLR", total_steps=total_steps)
    return total_steps


def _momentum_of(group: Any) -> Tensor:
    """Returns a group's momentum or beta1 as a tensor that steps can change."""
    if "betas" in group:
        return group.make_traced("betas", 0)
    if not isinstance(group.get("momentum"), Tensor) and not group.get("momentum"):
        raise ArgumentError(
            "OneCycleLR cycles the momentum, but the optimizer was made without one; give it a "
            "momentum, or use cycle_momentum=False"
        )
    return group.make_traced("momentum")
