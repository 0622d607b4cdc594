"""What is predicted: one of several classes, or a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

import smelt.nn.functional as F
from smelt.errors import StateError
from smelt.tabular.linear import LinearModel, Logistic, Ridge, softmax
from smelt.tensor import Tensor

__all__ = ["Classes", "Numbers", "Task", "task_from"]

LEAST = 1e-12  # a probability that is smaller counts as this one in a logarithm
TEMPERATURES = np.exp(np.linspace(-2.0, 2.0, 401))  # among which the best is looked for


class Task(ABC):
    """Converts targets for the network, and its outputs to predictions.

    Attributes:
        outputs: how many outputs a member of the network has.
    """

    outputs: int

    @abstractmethod
    def target(self, y: np.ndarray) -> np.ndarray:
        """Returns targets (n,) as the network learns them: int64 or float32 (n,)."""

    @abstractmethod
    def linear_model(self, x: np.ndarray, target: np.ndarray) -> LinearModel:
        """Returns the linear model of rows, float64 (n, features), for such targets."""

    @abstractmethod
    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Returns the loss of each row and member, (members, n).

        Args:
            outputs: (members, n, outputs).
            target: (n,).
        """

    @abstractmethod
    def loss(self, outputs: np.ndarray, target: np.ndarray) -> float:
        """Returns the mean loss of outputs (n, outputs) for targets (n,)."""

    @abstractmethod
    def calibrate(self, outputs: np.ndarray, target: np.ndarray) -> None:
        """Calibrates the probabilities with outputs for held-out rows, (n, outputs)."""

    @abstractmethod
    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the joint prediction of outputs (members, n, outputs): probabilities (n,
        classes), or numbers (n,).
        """

    @abstractmethod
    def predicted_tensor(self, outputs: Tensor) -> Tensor:
        """Returns what `predicted` does for a Tensor, within a compiled step: probabilities,
        float32, or numbers, float64.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Returns all of it as plain values."""


class Classes(Task):
    """One of several classes; outputs are logits.

    Args:
        count: how many classes there are; targets are their numbers.
        temperature: by which logits are divided (Guo and others 2017).
    """

    def __init__(self, count: int, temperature: float = 1.0) -> None:
        self.outputs = count
        self.temperature: float = temperature

    def target(self, y: np.ndarray) -> np.ndarray:
        return y.astype(np.int64)

    def linear_model(self, x: np.ndarray, target: np.ndarray) -> LinearModel:
        return Logistic(x, target, self.outputs)

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        members, rows, classes = outputs.shape
        labels = target.unsqueeze(0).expand(members, rows).reshape(-1)
        each = F.cross_entropy(outputs.reshape(-1, classes), labels, reduction="none")
        return each.reshape(members, rows)

    def loss(self, outputs: np.ndarray, target: np.ndarray) -> float:
        chosen = softmax(outputs)[np.arange(len(target)), target]
        return float(-np.log(np.maximum(chosen, LEAST)).mean())

    def calibrate(self, outputs: np.ndarray, target: np.ndarray) -> None:
        losses = [self.loss(outputs / temperature, target) for temperature in TEMPERATURES]
        self.temperature = float(TEMPERATURES[int(np.argmin(losses))])

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        return softmax(outputs / self.temperature).mean(0)

    def predicted_tensor(self, outputs: Tensor) -> Tensor:
        return F.softmax(outputs / self.temperature, -1).mean(0)

    def state_dict(self) -> dict[str, Any]:
        return {"classes": self.outputs, "temperature": self.temperature}


class Numbers(Task):
    """A number; the output is how many deviations it lies from the mean of the training rows.

    Args:
        mean: of the training rows.
        deviation: theirs; 1 where all are the same.
    """

    outputs = 1

    def __init__(self, mean: float, deviation: float) -> None:
        self.mean = mean
        self.deviation = deviation

    def target(self, y: np.ndarray) -> np.ndarray:
        return ((y - self.mean) / self.deviation).astype(np.float32)

    def linear_model(self, x: np.ndarray, target: np.ndarray) -> LinearModel:
        return Ridge(x, target[:, None].astype(np.float64))

    def losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[..., 0] - target).square()

    def loss(self, outputs: np.ndarray, target: np.ndarray) -> float:
        return float(np.square(outputs[:, 0] - target).mean())

    def calibrate(self, outputs: np.ndarray, target: np.ndarray) -> None:
        """Does nothing: numbers have no confidence."""

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[..., 0].mean(0) * self.deviation + self.mean

    def predicted_tensor(self, outputs: Tensor) -> Tensor:
        return outputs[..., 0].mean(0).double() * self.deviation + self.mean

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "deviation": self.deviation}


def task_from(state: Mapping[str, Any]) -> Task:
    """Returns the task that a `state_dict` says.

    Raises:
        StateError: it says none.
    """
    if set(state) == {"classes", "temperature"}:
        return Classes(int(state["classes"]), float(state["temperature"]))
    if set(state) == {"mean", "deviation"}:
        return Numbers(float(state["mean"]), float(state["deviation"]))
    raise StateError(
        f"a task has classes and temperature, or mean and deviation; got {list(state)}"
    )
