"""Linear and logistic regression with a penalty on the squares of the weights, in NumPy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

__all__ = ["LinearModel", "Logistic", "Ridge", "softmax"]

STEPS = 500  # of the descent, at most
CLOSE = 1e-5  # the largest entry of the gradient at which it ends
TINY = 1e-9  # a penalty of the bias that only makes the metric one that can be inverted


class LinearModel(ABC):
    """A linear model of some rows, fitted to parts of them again and again."""

    @abstractmethod
    def fit(self, weight: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the slope, float64 (features, outputs), and the bias (outputs,).

        Args:
            weight: float64 (n,), the weight of each row, 0 to 1.
            penalty: of the sum of the squares of the slope, above 0.
        """


class Ridge(LinearModel):
    """Minimizes sum(weight * (y - x slope - bias)²) + penalty * sum(slope²).

    Args:
        x: float64 (n, features).
        y: float64 (n, outputs).
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x = x
        self.y = y

    def fit(self, weight: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        total = weight.sum()
        middle, level = weight @ self.x / total, weight @ self.y / total
        centered = self.x - middle
        weighted = centered.T * weight
        square = weighted @ centered + penalty * np.eye(self.x.shape[1])
        slope = np.linalg.solve(square, weighted @ (self.y - level))
        return slope, level - middle @ slope


class Logistic(LinearModel):
    """Minimizes sum(weight * cross entropy) + penalty / 2 * sum(slope²).

    By Nesterov's method in the metric of Böhning's bound of the curvature (1992), for each class
    X'X / 2 + penalty, whose eigenvectors are used for every fit. It restarts whenever it goes
    uphill (O'Donoghue and Candès 2015).

    Args:
        x: float64 (n, features).
        labels: int (n,), class numbers.
        classes: how many there are.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self.x: np.ndarray = np.column_stack([x, np.ones(len(x))])
        self.target: Any = np.eye(classes)[labels]
        self._values, self._vectors = np.linalg.eigh(self.x.T @ self.x)

    def fit(self, weight: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        total, share = weight.sum(), weight[:, None] / weight.sum()
        decay = np.full((self.x.shape[1], 1), penalty / total)
        decay[-1] = TINY
        curvature = np.maximum(self._values, 0) / (2 * total) + penalty / total
        to_step = (self._vectors / curvature) @ self._vectors.T
        theta = ahead = np.zeros((self.x.shape[1], self.target.shape[1]))
        momentum = 1.0
        for _ in range(STEPS):
            error = share * (softmax(self.x @ ahead) - self.target)
            gradient = self.x.T @ error + decay * ahead
            if np.abs(gradient).max() < CLOSE:
                break
            after = ahead - to_step @ gradient
            if (gradient * (after - theta)).sum() > 0:
                momentum = 1.0
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = after + (momentum - 1) / following * (after - theta)
            theta, momentum = after, following
        return theta[:-1], theta[-1]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities of logits, over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
