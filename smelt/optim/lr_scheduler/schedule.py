"""The base of all learning-rate schedules: their state, saving and resuming, and stepping.

A schedule changes the current rates, as PyTorch's chainable forms do: changes by another schedule,
or by the user, are kept. Only schedules without such a form set them directly.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from smelt import guards
from smelt.dtypes import float64, int64
from smelt.errors import ArgumentError, StateError
from smelt.ops.op import is_whole_number
from smelt.optim.group import scalar
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.tensor.elementary import where
from smelt.tracing.engine import current_engine, no_grad

__all__ = ["LRScheduler", "Schedule", "choose", "count"]


def count() -> Tensor:
    """Returns a count that starts at 0: a concrete int64 tensor of shape ()."""
    return Tensor(np.zeros((), np.int64), int64)


class Schedule:
    """Changes the learning rates of an optimizer; its own state consists of counts, as tensors."""

    optimizer: Optimizer
    _last_rates: list[Tensor]

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the schedules of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if cls.__module__.startswith("smelt.optim.") and "__init__" in vars(cls):
            schedule: Any = cls
            schedule.__init__ = checked(schedule.__init__, every_kind=True)

    def _check_optimizer(self, given: Any) -> None:
        if not isinstance(given, Optimizer):
            name, kind = type(self).__name__, type(given).__name__
            raise ArgumentError(f"{name} needs an optimizer, got a {kind}")

    def _state(self) -> dict[str, Tensor]:
        own = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        last = {f"last_lr.{index}": rate for index, rate in enumerate(self._last_rates)}
        return own | last

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the schedule's state as tensors; the current rates are the optimizer's state."""
        return {name: tensor.detach() for name, tensor in self._state().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copies what `state_dict` returned; load the optimizer's state too.

        Raises:
            StateError: the keys do not fit; nothing has been changed then.
        """
        own = self._state()
        if own.keys() != state_dict.keys():
            different = ", ".join(sorted(own.keys() ^ state_dict.keys()))
            raise StateError(f"the state_dict does not fit {type(self).__name__}: {different}")
        for name, tensor in own.items():
            tensor.copy_(state_dict[name])

    def get_last_lr(self) -> list[Tensor]:
        """Returns copies of each group's rate after this schedule's last step."""
        later = self.optimizer.param_groups[len(self._last_rates) :]
        return [rate * 1.0 for rate in (*self._last_rates, *(group["lr"] for group in later))]

    def _remember_rates(self) -> None:
        for last, group in zip(self._last_rates, self.optimizer.param_groups, strict=False):
            last.copy_(group["lr"])

    def _note(self) -> None:
        current_engine().note_module(self)  # a trace remembers which settings it was made for

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        guards.changed()

    def fingerprint(self) -> Hashable:
        """Returns a hashable of everything that a compiled step takes as constant."""
        return type(self), guards.frozen(vars(self))


class LRScheduler(Schedule):
    """A schedule that counts its steps. `rate` computes a learning rate directly from the count.

    A schedule that continues from the current rate also has a `next_rate` and a `first_rate`.

    Args:
        optimizer: the optimizer whose groups get the rates.
        last_epoch: -1 for a new schedule. To continue after n steps, n - 1; then the groups must
            have their `initial_lr`, as after the optimizer's `load_state_dict`.

    Raises:
        ArgumentError: not an optimizer, or a group without an `initial_lr`.

    Attributes:
        last_epoch: int64 tensor of shape (), how often `step` was called.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._check_optimizer(optimizer)
        self._check_resumed(optimizer, last_epoch)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", scalar(group["lr"]))
        self._own_bases = [scalar(group["initial_lr"]) for group in optimizer.param_groups]
        self._last_rates = [scalar(group["lr"]) for group in optimizer.param_groups]
        self.last_epoch: Tensor = count()
        self._begin(last_epoch + 1)

    def _check_resumed(self, optimizer: Optimizer, last_epoch: int) -> None:
        name = type(self).__name__
        if not is_whole_number(last_epoch) or last_epoch < -1:
            raise ArgumentError(f"{name}: last_epoch must be -1 or a count, got {last_epoch!r}")
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch >= 0 and "initial_lr" not in group:
                raise ArgumentError(
                    f"{name}: param_groups[{index}] has no initial_lr, which last_epoch="
                    f"{last_epoch} needs; load the optimizer's state first, or leave last_epoch "
                    "out and load the schedule's state"
                )

    @property
    def base_lrs(self) -> list[Tensor]:
        """Each group's first rate, float64 tensors."""
        later = self.optimizer.param_groups[len(self._own_bases) :]
        return [*self._own_bases, *(group["initial_lr"] for group in later)]

    # --- the mathematics, given by each schedule --------------------------------------------------

    def rate(self, t: Tensor, index: int) -> Tensor:
        """Returns the learning rate of group `index` after `t` (float64, shape ()) steps."""
        raise NotImplementedError(f"{type(self).__name__}: rate")

    def next_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        """Returns the learning rate after step `t`, from the current one."""
        return self.rate(t, index)

    def first_rate(self, rate: Tensor, t: Tensor, index: int) -> Tensor:
        """Returns the learning rate with which the schedule begins after `t` steps (mostly 0)."""
        return self.rate(t, index)

    def _move_others(self, t: Tensor, chosen: Tensor | None) -> None:
        """Sets what else the schedule moves besides the rates, where `chosen`."""

    def _check_count(self, following: Tensor, chosen: Tensor | None) -> None:
        """Raises ArgumentError (also within a compiled step) for a count out of bounds."""

    # --- stepping ---------------------------------------------------------------------------------

    def step(self) -> None:
        """Counts one step and sets the learning rates; call it after the optimizer's own."""
        with no_grad():
            self._advance()

    def _begin(self, steps: int) -> None:
        """Sets the count, and the rates with which the schedule begins."""
        with no_grad():
            self.last_epoch.copy_(steps)
            t = self.last_epoch.to(float64)
            for index, group in enumerate(self.optimizer.param_groups):
                group["lr"] = self.first_rate(group["lr"], t, index)
            self._move_others(t, None)
            self._remember_rates()

    def _advance(self, chosen: Tensor | None = None, restarts: Tensor | None = None) -> None:
        """Makes a step.

        Args:
            chosen: bool of shape (), whether to make it at all; None for True.
            restarts: bool of shape (), whether to begin anew instead of going on; None for False.
        """
        self._note()
        following = self._following(restarts)
        self._check_count(following, chosen)
        t = following.to(float64)
        for index, group in enumerate(self.optimizer.param_groups):
            rate = self.next_rate(group["lr"], t, index)
            if restarts is not None:
                rate = where(restarts, self.rate(t, index), rate)
            group["lr"] = choose(chosen, rate, group["lr"])
        self._move_others(t, chosen)
        self._count(following, chosen)

    def _following(self, restarts: Tensor | None) -> Tensor:
        onward = self.last_epoch + 1
        return onward if restarts is None else where(restarts, 0, onward)

    def _count(self, following: Tensor, chosen: Tensor | None) -> None:
        self.last_epoch.copy_(choose(chosen, following, self.last_epoch))
        self._remember_rates()

    def _state(self) -> dict[str, Tensor]:
        rates = {f"base_lrs.{index}": rate for index, rate in enumerate(self.base_lrs)}
        return super()._state() | rates


def choose(chosen: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    """Returns `new` if a step is made, which it always is without a condition, else `old`."""
    return new if chosen is None else where(chosen, new, old)
