"""Schedules composed of schedules: one after the other, and several at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from smelt.errors import ArgumentError
from smelt.optim.lr_scheduler.schedule import LRScheduler, choose
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.elementary import logical_and
from smelt.tracing.engine import no_grad

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Together(LRScheduler):
    """A schedule made of others, which are its state, too."""

    schedulers: list[LRScheduler]

    def _take(self, schedulers: Sequence[Any], optimizer: Any) -> None:
        """Checks the schedules and keeps them."""
        name = type(self).__name__
        for place, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                kind = type(scheduler).__name__
                raise ArgumentError(
                    f"{name}: schedulers[{place}] is a {kind}, whose step cannot be called without "
                    "a metric; step it on its own"
                    if hasattr(scheduler, "step")
                    else f"{name}: schedulers[{place}] must be a schedule, got a {kind}"
                )
        self._check_optimizer(optimizer)
        for place, scheduler in enumerate(schedulers):
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(f"{name}: schedulers[{place}] belongs to another optimizer")
        self.schedulers = list(schedulers)

    def _state(self) -> dict[str, Tensor]:
        return super()._state() | {
            f"schedulers.{place}.{name}": value
            for place, scheduler in enumerate(self.schedulers)
            for name, value in scheduler._state().items()
        }


class SequentialLR(_Together):
    """One schedule after the other; each counts from 0 at its milestone.

    Args:
        optimizer: the optimizer whose groups get the rates.
        schedulers: schedules of the same optimizer, in order.
        milestones: the step at which each schedule except the first begins, increasing.
        last_epoch: -1; resume with `load_state_dict`.

    Raises:
        ArgumentError: schedules and milestones do not fit, or milestones do not increase; a
            schedule of another optimizer, or one whose `step` needs a metric.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(milestones) != len(schedulers) - 1 or list(milestones) != sorted(set(milestones)):
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} rising "
                f"milestones, got {list(milestones)}"
            )
        if last_epoch != -1:
            raise ArgumentError("SequentialLR: last_epoch must be -1; resume with load_state_dict")
        self._take(schedulers, optimizer)
        self.milestones: tuple[int, ...] = tuple(milestones)
        super().__init__(optimizer)

    def _begin(self, steps: int) -> None:
        # what the schedules did to the rates when they were made is undone
        with no_grad():
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"]
            for scheduler in self.schedulers:
                scheduler.last_epoch.copy_(-1)
        self.schedulers[bisect_right(self.milestones, 0)]._begin(0)
        with no_grad():
            self.last_epoch.copy_(steps)
            self._remember_rates()

    def _advance(self, chosen: Tensor | None = None, restarts: Tensor | None = None) -> None:
        self._note()
        following = self._following(restarts)
        starts = [0, *self.milestones]
        ends = [*self.milestones, None]
        for scheduler, start, end in zip(self.schedulers, starts, ends, strict=True):
            current = following >= start
            if end is not None:
                current = logical_and(current, following < end)
            current = choose(chosen, current, following < 0)
            scheduler._advance(current, following == start)
        self._count(following, chosen)


class ChainedScheduler(_Together):
    """Several schedules at once: a step is a step of each, in order.

    Args:
        schedulers: schedules of one optimizer.
        optimizer: that optimizer; it need not be given.

    Raises:
        ArgumentError: no schedules, schedules of different optimizers, or one whose `step` needs a
            metric.
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ArgumentError("ChainedScheduler: give at least one schedule")
        if optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self._take(schedulers, optimizer)
        self._begins_anew = False  # the schedules have begun when they were made
        super().__init__(self.schedulers[0].optimizer)
        self._begins_anew = True

    def _begin(self, steps: int) -> None:
        if self._begins_anew:
            for scheduler in self.schedulers:
                scheduler._begin(steps)
        with no_grad():
            self.last_epoch.copy_(steps)
            self._remember_rates()

    def _advance(self, chosen: Tensor | None = None, restarts: Tensor | None = None) -> None:
        self._note()
        for scheduler in self.schedulers:
            scheduler._advance(chosen, restarts)
        self._count(self._following(restarts), chosen)
