"""Logging metrics to TensorBoard and MLflow, each through its own library."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from smelt.errors import MissingExtra
from smelt.train.history import Callback, Epoch, History

__all__ = ["MLflowLogger", "TensorBoardLogger"]


class TensorBoardLogger(Callback):
    """Writes the metrics of each epoch for TensorBoard, with tensorboardX.

    Args:
        path: the log directory of TensorBoard.

    Raises:
        MissingExtra: tensorboardX is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise MissingExtra("writing for TensorBoard", "tensorboard") from None
        self._open = lambda: SummaryWriter(os.fspath(path))

    def start(self, epochs: int) -> None:
        """Opens the file."""
        self._writer = self._open()

    def epoch(self, epoch: Epoch) -> None:
        """Writes a point of each curve."""
        for name, value in figures(epoch).items():
            self._writer.add_scalar(name, value, epoch.number)

    def end(self, history: History) -> None:
        """Closes the file."""
        self._writer.close()


class MLflowLogger(Callback):
    """Writes settings, and the metrics of each epoch, as an MLflow run.

    Args:
        config: the settings of the run.
        experiment: the name of the experiment; MLflow's default when None.
        tracking_uri: where MLflow keeps runs; its default when None.

    Raises:
        MissingExtra: mlflow is not installed.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        try:
            import mlflow
        except ImportError:
            raise MissingExtra("writing for MLflow", "mlflow") from None
        self._mlflow: Any = mlflow
        self._config, self._experiment = dict(config or {}), experiment
        self._tracking_uri = tracking_uri

    def start(self, epochs: int) -> None:
        """Starts the run."""
        if self._tracking_uri is not None:
            self._mlflow.set_tracking_uri(self._tracking_uri)
        if self._experiment is not None:
            self._mlflow.set_experiment(self._experiment)
        self._mlflow.start_run()
        self._mlflow.log_params({"epochs": epochs, **self._config})

    def epoch(self, epoch: Epoch) -> None:
        """Writes the metrics of an epoch."""
        self._mlflow.log_metrics(figures(epoch), step=epoch.number)

    def end(self, history: History) -> None:
        """Ends the run; after Ctrl-C with the status KILLED."""
        self._mlflow.end_run("KILLED" if history.interrupted else "FINISHED")


def figures(epoch: Epoch) -> dict[str, float]:
    """Returns the finite metrics of an epoch, by name."""
    row = {**epoch.row()}
    del row["epoch"]
    return {name: value for name, value in row.items() if math.isfinite(value)}
