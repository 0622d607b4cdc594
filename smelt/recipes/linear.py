"""A linear model, which recipes train as the simplest baseline."""

from __future__ import annotations

import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.tensor import Tensor

__all__ = ["logistic_regression"]


def logistic_regression(
    x: Tensor, y: Tensor, classes: int, *, epochs: int = 20, batch_size: int = 64
) -> nn.Module:
    """Returns a linear classifier of standardized features, trained with Adam.

    Args:
        x: features (n, ...).
        y: class numbers (n,).
        classes: number of classes.
        epochs: passes over the data.
        batch_size: samples per step.
    """
    model = nn.Sequential(Standardized(x.flatten(1)), nn.Linear(x[0].numel(), classes))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    train.fit(
        model, F.cross_entropy, optimizer, (x, y), epochs=epochs, batch_size=batch_size,
        progress=False,
    )  # fmt: skip
    return model


class Standardized(nn.Module):
    """Features (n, ...) flattened to a row each, with mean 0 and standard deviation 1 over the
    training samples.

    Args:
        x: those samples (n, features).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("deviation", x.std(0, correction=0) + 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) / self.deviation
