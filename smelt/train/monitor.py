"""The best value of a metric so far, for early stopping and the best checkpoint."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from smelt.errors import ArgumentError
from smelt.train.history import Epoch
from smelt.train.metrics.named import BY_NAME, metric_named, near_figure
from smelt.train.training import Training

__all__ = ["Monitor"]

Mode = Literal["min", "max"]
TRAINING = "train_loss"
PREFIX = re.compile(r"^(val|held_out)_")


class Monitor:
    """Tracks one metric of the epochs.

    Args:
        name: of a metric on held-out data, such as "loss" or "accuracy", also with Keras's prefix,
            "val_loss"; "train_loss" is the loss of the training data.
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
            raise ArgumentError(f"mode={mode!r} must be 'min', 'max' or None")
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
        figures = {**epoch.held_out, TRAINING: epoch.loss}
        name = self._known_as(figures)
        if name not in figures:
            raise self._unknown(list(epoch.held_out))
        return figures[name]

    def check(self, training: Training) -> None:
        """Raises ArgumentError, before the first step, for a metric that will not be measured."""
        if training.figures is None:
            return
        known = [*training.figures, TRAINING]
        name = self._known_as(known)
        # a metric may have several figures, `name_part`, which are known when it is measured
        is_part = any(name.startswith(f"{one}_") for one in known)
        if name not in known and (name in BY_NAME or not is_part):
            raise self._unknown(list(training.figures))

    def _known_as(self, figures: Collection[str]) -> str:
        """Returns the name among those that are measured; "val_loss" and "held_out_loss" are other
        names of "loss".
        """
        plain = PREFIX.sub("", self.name)
        return self.name if self.name in figures or not plain else plain

    def _unknown(self, held_out: list[str]) -> ArgumentError:
        plain = PREFIX.sub("", self.name)
        if not held_out:
            return ArgumentError(
                f"monitor={self.name!r}: nothing is measured on held-out data; give fit "
                f"validation=, or monitor {TRAINING!r}, the loss of the training data"
            )
        metric = metric_named(plain)
        hint = near_figure(self.name, [*held_out, TRAINING])
        if not hint and metric:
            hint = f"; give fit metrics=[{metric!r}] to measure it"
        return ArgumentError(
            f"monitor={self.name!r} is not measured; there are {', '.join(map(repr, held_out))} of "
            f"held-out data and {TRAINING!r}{hint}"
        )

    @property
    def figure(self) -> str:
        """The name in the rows of metrics.jsonl: "held_out_loss", "held_out_accuracy"; "loss" is
        that of the training data.
        """
        return "loss" if self.name == TRAINING else f"held_out_{PREFIX.sub('', self.name)}"

    @property
    def title(self) -> str:
        """The name in words: "held-out loss"; "training loss" is that of the training data."""
        if self.name == TRAINING:
            return "training loss"
        return f"held-out {PREFIX.sub('', self.name).replace('_', ' ')}"

    def improves(self, epoch: Epoch, training: Training) -> bool:
        """Returns whether an epoch is better than all before, and stores it if so."""
        value = self.value(epoch)
        sign = 1.0 if self._required_mode(training) == "max" else -1.0
        if self.best is not None and not sign * (value - self.best) > self.min_delta:
            return False
        if math.isnan(value):
            return False
        self.best, self.epoch = value, epoch.number
        return True

    def best_is(self, training: Training) -> Mode | None:
        """Returns whether the lowest or the highest value is best; None if nobody has said it."""
        if self.mode is not None:
            return self.mode
        higher = training.higher_is_better.get(self._known_as(training.higher_is_better))
        if higher is not None:
            return "max" if higher else "min"
        return "min" if "loss" in self.name or "error" in self.name else None

    def _required_mode(self, training: Training) -> Mode:
        mode = self.best_is(training)
        if mode is None:
            raise ArgumentError(
                f"monitor={self.name!r}: it is not known whether a higher or a lower value is "
                "better; give mode='max' or mode='min' beside monitor="
            )
        return mode

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value and its epoch."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.best, self.epoch = state_dict["best"], state_dict["epoch"]
