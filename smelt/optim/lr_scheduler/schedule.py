"""What all learning-rate schedules share: their state, saved and resumed, and the closed form."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from smelt import guards
from smelt.dtypes import float64, int64
from smelt.errors import ArgumentError, StateError
from smelt.optim.group import scalar
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor
from smelt.tensor.checked import checked
from smelt.tracing.engine import current_engine, no_grad

__all__ = ["LRScheduler", "Schedule", "count"]


def count() -> Tensor:
    """Returns a count that starts at 0: a concrete int64 tensor of shape ()."""
    return Tensor(np.zeros((), np.int64), int64)


class Schedule:
    """Changes the learning rates of an optimizer; its own state are counts, as tensors."""

    optimizer: Optimizer

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the schedules of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if cls.__module__.startswith("smelt.optim.") and "__init__" in vars(cls):
            cls.__init__ = checked(cls.__init__)  # type: ignore[method-assign]

    def _check_optimizer(self, given: Any) -> None:
        if not isinstance(given, Optimizer):
            name, kind = type(self).__name__, type(given).__name__
            raise ArgumentError(f"{name} needs an optimizer, got a {kind}")

    def _state(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the schedule's state as tensors; the present rates are the optimizer's state."""
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
        """Returns the present rate of each group, as tensors that keep their value."""
        return [group["lr"] * 1.0 for group in self.optimizer.param_groups]

    def _note(self) -> None:
        current_engine().note_module(self)  # a trace remembers which settings it was made for

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        guards.changed()

    def fingerprint(self) -> Hashable:
        """Returns a hashable of everything that a compiled step takes for constant."""
        return type(self), guards.frozen(vars(self))


class LRScheduler(Schedule):
    """A schedule with a closed form: `rate` gives the learning rate after `t` calls of `step`.

    Args:
        optimizer: the optimizer whose groups get the rates.

    Raises:
        ArgumentError: something else than an optimizer.

    Attributes:
        last_epoch: int64 tensor of shape (), how often `step` was called.
        base_lrs: each group's first rate, float64 tensors.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._check_optimizer(optimizer)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", scalar(group["lr"]))
        self.last_epoch = count()
        self._set_rates()

    @property
    def base_lrs(self) -> list[Tensor]:
        """Each group's first rate."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rate(self, t: Tensor, index: int) -> Tensor:
        """Returns the learning rate of group `index` after `t` (float64, shape ()) steps."""
        raise NotImplementedError(f"{type(self).__name__}: rate")

    def step(self) -> None:
        """Counts one step and sets the learning rates; call it after the optimizer's own."""
        with no_grad():
            self.last_epoch.copy_(self.last_epoch + 1)
        self._set_rates()

    def _set_rates(self) -> None:
        self._note()
        with no_grad():
            t = self.last_epoch.to(float64)
            for index, group in enumerate(self.optimizer.param_groups):
                group["lr"] = self.rate(t, index)

    def _state(self) -> dict[str, Tensor]:
        rates = {f"base_lrs.{index}": rate for index, rate in enumerate(self.base_lrs)}
        return super()._state() | rates
