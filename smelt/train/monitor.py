"""The best value of a metric so far, for early stopping and the best checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from smelt.errors import ArgumentError
from smelt.train.history import Epoch
from smelt.train.metrics.named import BY_NAME, near_figure
from smelt.train.training import Training

__all__ = ["Monitor"]

Mode = Literal["min", "max"]


class Monitor:
    """Tracks one metric of the epochs.

    Args:
        name: of a metric on held-out data, such as "loss" or "accuracy"; "train_loss" is the loss
            of the training data.
        mode: whether the lowest or the highest value is best. None: as the metric says; lowest for
            losses and errors.
        min_delta: minimum change that counts as an improvement.

    Attributes:
        best: the best value so far; None before the first.
        epoch: the number of its epoch; 0 before the first.

    Raises:
        ArgumentError: `mode` is neither, or `min_delta` negative or nan.
    """

    def __init__(self, name: str, mode: Mode | None = None, min_delta: float = 0.0) -> None:
        if mode not in (None, "min", "max"):
            raise ArgumentError(f"mode={mode!r}; there are 'min' and 'max'")
        if not 0.0 <= min_delta < math.inf:
            raise ArgumentError(f"min_delta={min_delta!r} must be a number, at least 0")
        self.name = name
        self.mode = mode
        self.min_delta = min_delta
        self.best: float | None = None
        self.epoch: int = 0

    def value(self, epoch: Epoch) -> float:
        """Returns the value of an epoch.

        Raises:
            ArgumentError: the epochs have no such metric.
        """
        figures = {**epoch.held_out, "train_loss": epoch.loss}
        if self.name not in figures:
            raise self._unknown(list(figures))
        return figures[self.name]

    def check(self, training: Training) -> None:
        """Raises ArgumentError, before the first step, for a metric that will not be measured."""
        if training.figures is None:
            return
        known = [*training.figures, "train_loss"]
        # a metric may have several figures, `name_part`, which are known when it is measured
        is_part = any(self.name.startswith(f"{one}_") for one in known)
        if self.name not in known and (self.name in BY_NAME or not is_part):
            raise self._unknown(known)

    def _unknown(self, figures: list[str]) -> ArgumentError:
        hint = near_figure(self.name, figures)
        if not hint and figures == ["train_loss"]:
            hint = "; give fit validation= for metrics of held-out data"
        return ArgumentError(
            f"monitor={self.name!r}: the epochs have {', '.join(figures)} only{hint}"
        )

    def improves(self, epoch: Epoch, training: Training) -> bool:
        """Returns whether an epoch is better than all before, and stores it if so."""
        value = self.value(epoch)
        sign = 1.0 if self._mode(training) == "max" else -1.0
        if self.best is not None and not sign * (value - self.best) > self.min_delta:
            return False
        if math.isnan(value):
            return False
        self.best, self.epoch = value, epoch.number
        return True

    def _mode(self, training: Training) -> Mode:
        if self.mode is not None:
            return self.mode
        higher = training.higher_is_better.get(self.name)
        if higher is not None:
            return "max" if higher else "min"
        if "loss" in self.name or "error" in self.name:
            return "min"
        raise ArgumentError(
            f"monitor={self.name!r}: whether more or less of it is better is not known; say "
            "mode='max' or mode='min'"
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value and its epoch."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.best, self.epoch = state_dict["best"], state_dict["epoch"]
