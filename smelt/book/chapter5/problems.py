"""P5.2, P5.3, P5.4: gradients of a loss and of a unit; the curve of ReLU."""

from __future__ import annotations

import math

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import plot
from smelt.book.entry import Page, entry


@entry("P5.2", "Gradient of a squared error")
def squared_error(page: Page) -> None:
    """L = (y - yhat)^2 at y = 3, yhat = 2: dL/dyhat = -2 (y - yhat) = -2, so yhat must grow."""
    loss, gradient = smelt.value_and_grad(lambda yhat: (3.0 - yhat) ** 2)(smelt.tensor(2.0))
    page.print("loss", loss.item(), "gradient", gradient.item())
    page.claim("loss", 1.0, loss, loss.item() == 1)
    page.claim("dL/dyhat", -2.0, gradient, gradient.item() == -2)


@entry("P5.3", "One neuron by hand")
def neuron(page: Page) -> None:
    """W = (0.3, 0.6), b = 0.1, x = (2, -1): z = 0.6 - 0.6 + 0.1 = 0.1, and ReLU lets it through.

    So d out / dx = w; had z been negative, it would be 0.
    """
    w = smelt.tensor([0.3, 0.6], dtype=smelt.float64)
    x = smelt.tensor([2.0, -1.0], dtype=smelt.float64)
    out, slopes = smelt.value_and_grad(lambda x: F.relu(w.dot(x) + 0.1))(x)
    page.print("out", out.item(), "d out / dx", slopes.tolist())
    page.claim("ReLU(z)", 0.1, out, math.isclose(out.item(), 0.1))
    page.claim("d out / dx1", 0.3, slopes[0], slopes[0].item() == 0.3)


@entry("P5.4", "The curve of ReLU")
def relu_curve(page: Page) -> None:
    """ReLU at the 101 points -5, -4.9, ..., 5."""
    figure = plot.activations({"ReLU": F.relu}, limits=(-5.0, 5.0), points=101)
    page.figure("relu", figure)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    x, y = np.array(lines["value"].get_xydata()).T
    page.claim("points", 101, len(x), len(x) == 101)
    wrong = int((y != np.maximum(x, 0)).sum())
    page.claim("points where y is not max(x, 0)", 0, wrong, wrong == 0)
