"""What the recipes on pictures share: a block of layers, held-out pictures, plots of a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import smelt.nn.functional as F
from smelt import nn, plot, train
from smelt.tensor import Tensor

__all__ = ["Pictures", "block", "draw_test", "hold_out", "seconds_to"]

HELD_OUT = 12  # one picture in so many, those at the end of the training file
MISTAKES = 24

Pictures = tuple[Tensor, Tensor]  # (n, height, width) or (n, channels, height, width); labels (n,)
Load = Callable[..., Pictures]


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """Returns a convolution with normalization, and a pooling that halves height and width: (n,
    inputs, h, w) to (n, outputs, h // 2, w // 2).
    """
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]


def hold_out(load: Load, data: Path | str | None, samples: int | None) -> tuple[Pictures, Pictures]:
    """Returns training pictures, and the last twelfth of the training file, 5,000 of 60,000.

    Args:
        load: `load_mnist`, or a function with the same arguments.
        data: the folder of the data sets.
        samples: how many to train on; all that are not held out when None.
    """
    images, labels = load("train", data)
    end = len(images) - len(images) // HELD_OUT
    chosen = slice(0, end if samples is None else min(samples, end))
    return (images[chosen], labels[chosen]), (images[end:], labels[end:])


def seconds_to(accuracy: float, history: train.History) -> float | str:
    """Returns the training time until the end of the first epoch with this held-out accuracy, if
    there was one.
    """
    seconds = 0.0
    for epoch in history.epochs:
        seconds += epoch.seconds
        if epoch.held_out["accuracy"] >= accuracy:
            return seconds
    return "not reached"


def draw_test(
    folder: Path, model: nn.Module, history: train.History, test: Pictures, names: Sequence[str]
) -> float:
    """Draws loss and accuracy by epoch, the confusion matrix of the test pictures, and some of the
    misread ones; returns the share of those read correctly.
    """
    images, labels = test
    chances, true = F.softmax(train.predict(model, images), dim=1).numpy(), labels.numpy()
    predicted = chances.argmax(1)
    train.save_predictions(folder, true, chances, classes=names, inputs=images.numpy())
    confusion = train.confusion_matrix(predicted, true, len(names))
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    plot.save(plot.confusion(confusion, names), folder / "confusion.png")
    wrong = np.flatnonzero(predicted != true)[:MISTAKES]
    if len(wrong):
        titles = [f"{names[true[n]]},\nread as {names[predicted[n]]}" for n in wrong]
        shown = images.numpy()[wrong]
        plot.save(plot.images(shown, titles=titles, columns=6), folder / "mistakes.png")
    return float((predicted == true).mean())
