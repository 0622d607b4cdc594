"""Modules for estimators."""

from __future__ import annotations

from smelt import nn


def two_layers(n_features: int, n_outputs: int, width: int = 16) -> nn.Module:
    """Returns a network for any data; the estimator says how many features and outputs."""
    return nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, n_outputs))


class Perceptron(nn.Module):
    """A class with arguments of its own."""

    def __init__(self, inputs: int = 4, width: int = 8, outputs: int = 3, p: float = 0.0) -> None:
        self.hidden, self.drop = nn.Linear(inputs, width), nn.Dropout(p)
        self.output = nn.Linear(width, outputs)

    def forward(self, x):
        return self.output(self.drop(self.hidden(x).tanh()))
