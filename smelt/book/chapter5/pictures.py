"""E5.p1 = F5.1 and E5.p2 = F5.2: a loss curve, and points of two classes."""

from __future__ import annotations

import numpy as np

import smelt
from smelt import plot
from smelt.book.entry import Page, entry

EPOCHS = 100
EACH = 25  # points of a class


def simulated_losses() -> np.ndarray:
    """1 / (epoch + 1) + U(-0.01, 0.01) for epochs 0 to 99."""
    epochs = smelt.arange(EPOCHS)
    return (1 / (epochs + 1) + smelt.uniform(-0.01, 0.01, (EPOCHS,))).numpy()


def two_squares() -> tuple[np.ndarray, np.ndarray]:
    """25 points of U(0, 5)^2 and 25 of U(5, 10)^2, and their classes 0 and 1."""
    points = smelt.cat([smelt.uniform(low, low + 5.0, (EACH, 2)) for low in (0.0, 5.0)])
    return points.numpy(), np.repeat([0, 1], EACH)


def draw_losses(page: Page) -> None:
    """Puts the loss curve on the page, and checks what it shows."""
    losses = simulated_losses()
    title = "Simulated Training Loss"
    figure = plot.loss_curves({"Loss": losses}, title=title, x_label="Epoch", y_label="Loss",
                              log=False)  # fmt: skip
    page.figure("training_loss", figure)
    shown = np.array(figure.axes[0].lines[0].get_ydata())
    page.claim("losses on the curve", EPOCHS, len(shown), len(shown) == EPOCHS)
    noise = float(np.abs(shown - 1 / np.arange(1, EPOCHS + 1)).max())
    page.claim("largest distance from 1 / (epoch + 1)", "below 0.01", noise, noise < 0.01 + 1e-6)


def draw_classes(page: Page) -> None:
    """Puts the two classes on the page, and checks what it shows."""
    points, labels = two_squares()
    figure = plot.scatter(
        points, labels, names=["Red Class", "Blue Class"], colors=("#c2331f", "#2563a8"),
        x_label="X", y_label="Y", x_limits=(0, 10), y_limits=(0, 10),
        title="Scatter Plot by Category",
    )  # fmt: skip
    page.figure("scatter_classified", figure)
    red, blue = (np.array(line.get_xydata()) for line in figure.axes[0].lines)
    page.claim("points of each class", (EACH, EACH), (len(red), len(blue)),
               len(red) == len(blue) == EACH)  # fmt: skip
    apart = bool(red.max() < 5 <= blue.min())
    page.claim("the squares do not overlap", True, apart, apart)


@entry("E5.p1", "A simulated loss curve")
def loss_curve(page: Page) -> None:
    """A loss that falls like 1 / (epoch + 1), with some noise, as a line."""
    draw_losses(page)


@entry("F5.1", "A simulated loss curve (figure)")
def loss_figure(page: Page) -> None:
    """What E5.p1 draws."""
    draw_losses(page)


@entry("E5.p2", "A scatter plot of two classes")
def two_classes(page: Page) -> None:
    """25 red points in one square and 25 blue ones in another, each class with its own mark."""
    draw_classes(page)


@entry("F5.2", "A scatter plot of two classes (figure)")
def classes_figure(page: Page) -> None:
    """What E5.p2 draws."""
    draw_classes(page)
