"""EarlyStopping: ends a training that no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smelt.errors import ArgumentError
from smelt.tensor import Tensor
from smelt.train.history import Callback, Epoch, History, StopTraining
from smelt.train.monitor import Mode, Monitor

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """Ends a training when a metric has not improved for some epochs (Prechelt 1998).

    Args:
        monitor: a metric of the held-out data, such as "loss" or "accuracy", also written
            "val_loss"; "train_loss" is the loss of the training data.
        patience: number of epochs without a better value after which training ends.
        min_delta: minimum change that counts as an improvement.
        mode: "min" or "max", whether the lowest or the highest value is best; None: as the metric
            says.
        restore_best: whether to restore the weights of the best epoch at the end.

    Attributes:
        best: the best value so far, None before the first.
        best_epoch: the number of its epoch.

    Raises:
        ArgumentError: `patience` is below 1, or `mode` or `min_delta` is out of range.
    """

    def __init__(
        self,
        monitor: str = "loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: Mode | None = None,
        restore_best: bool = True,
    ) -> None:
        if patience < 1:
            raise ArgumentError(f"EarlyStopping: patience={patience} must be at least 1")
        self.patience = patience
        self.restore_best = restore_best
        self._monitor = Monitor(monitor, mode, min_delta)
        self._weights: dict[str, Tensor] = {}

    @property
    def monitor(self) -> Monitor:
        """What is monitored, and its best value."""
        return self._monitor

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self._monitor.best

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, 0 before the first."""
        return self._monitor.epoch

    def _check(self) -> None:
        self._monitor.check(self.training)

    def epoch(self, epoch: Epoch) -> None:
        """Keeps the weights of a better epoch; ends the training when patience runs out.

        Raises:
            StopTraining: the metric has not improved for `patience` epochs.
        """
        if self._monitor.improves(epoch, self.training):
            if self.restore_best:
                model = self.training.update.model
                self._weights = {name: x.clone() for name, x in model.state_dict().items()}
        elif epoch.number - self.best_epoch >= self.patience:
            raise StopTraining(self._reason(epoch))

    def _reason(self, epoch: Epoch) -> str:
        if self.best is None:
            return f"{self._monitor.title} was never a number in {epoch.number} epochs"
        waited = epoch.number - self.best_epoch
        return (
            f"{self._monitor.title} has not improved for {waited} epoch{'s' * (waited != 1)} "
            f"(best: {self.best:.6g} in epoch {self.best_epoch})"
        )

    def end(self, history: History) -> None:
        """Restores the weights of the best epoch."""
        if self._weights and not history.interrupted:
            self.training.update.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value, its epoch and its weights."""
        return {"monitor": self._monitor.state_dict(), "weights": dict(self._weights)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._monitor.load_state_dict(state_dict["monitor"])
        self._weights = dict(state_dict["weights"])
