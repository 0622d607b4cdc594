"""E5.4, E5.m: a forward pass with random weights; a row of numbers as a matrix."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import Tensor
from smelt.book.entry import Page, entry

X = smelt.tensor([0.3, 0.8, 0.5], dtype=smelt.float64)


def forward(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """z1 = W1 x + b1, a1 = ReLU(z1), y = W2 a1 + b2."""
    a1 = F.relu(w1 @ x + b1)  # (4,)
    return w2 @ a1 + b2  # (1,)


def random_parameters() -> list[Tensor]:
    """W1 (4, 3), b1 (4,), W2 (1, 4), b2 (1,), all from N(0, 1)."""
    return [smelt.randn(*shape, dtype=smelt.float64) for shape in ((4, 3), (4,), (1, 4), (1,))]


@entry("E5.4", "Forward pass of a 3-4-1 network")
def untrained(page: Page) -> None:
    """Three numbers go through a hidden layer of four ReLU units to one output.

    All weights are random, so the number that comes out means nothing; the book says so. How
    little it means is measured: over 2,000 such networks the output is spread widely about 0,
    although the answer is always max(0.3, 0.8, 0.5) = 0.8.
    """
    parameters = random_parameters()
    y = forward(X, *parameters)
    page.print("prediction for [0.3, 0.8, 0.5]:", y.item())

    w1, b1, w2, b2 = (parameter.numpy() for parameter in parameters)
    by_hand = w2 @ np.maximum(w1 @ X.numpy() + b1, 0) + b2
    page.claim("agrees with NumPy", by_hand, y, np.allclose(by_hand, y.numpy(), rtol=1e-12))

    outputs = smelt.compile(lambda: forward(X, *random_parameters())).repeat(2000).numpy()
    page.claim("shape of the output", [1], list(y.shape), y.shape == (1,))
    spread = float(np.abs(outputs - 0.8).mean())
    page.claim("mean error of 2,000 untrained networks", "above 1", spread, spread > 1)


@entry("E5.m", "A flat list becomes a matrix")
def matrix(page: Page) -> None:
    """The numbers 1 to 12, row by row, are a matrix of four rows and three columns.

    This is how E5.7 takes the weights of its first layer out of one long list of parameters.
    """
    numbers = smelt.arange(1, 13)
    rows = numbers.reshape(4, 3)
    page.print(rows.tolist())
    expected = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    page.claim("the rows", expected, rows, rows.tolist() == expected)
