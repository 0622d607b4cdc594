"""Handwritten digits: a multilayer perceptron, 64-128-64-10, learns 1,437 digits and is tested on
360.

Everything that a training needs is on this page: the data, the network, the optimiser, the loop,
and what it leaves behind.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import TensorDataset, load_digits
from smelt.random import manual_seed
from smelt.tensor import Tensor

__all__ = ["CLASSES", "Result", "make_model", "run"]

CLASSES = 10
DROPOUT = 0.3


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a training.

    Attributes:
        history: of every finished epoch.
        confusion: (10, 10) counts on the held-out digits; a row is a true class.
        step: the compiled training step.
    """

    history: train.History
    confusion: np.ndarray
    step: Any

    @property
    def accuracy(self) -> float:
        """Share of the held-out digits that were named right."""
        return float(np.trace(self.confusion) / self.confusion.sum())


def make_model() -> nn.Sequential:
    """Returns the network with fresh weights: (n, 8, 8) images to (n, 10) logits."""
    return nn.Sequential(
        nn.Flatten(),  # (n, 64)
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(64, CLASSES),  # (n, 10)
    )


def run(
    folder: str | os.PathLike[str],
    *,
    epochs: int = 60,
    lr: float = 5e-3,
    batch_size: int = 64,
    seed: int = 0,
    callbacks: Sequence[train.Callback] = (),
) -> Result:
    """Trains on the bundled digits, tests on those held out, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings and figures.
        epochs: passes over the training digits.
        lr: Adam's learning rate at the start; it falls to 0 along half a cosine.
        batch_size: digits a step.
        seed: of the first weights and of the order of the digits; the split is always the same.
        callbacks: whom else to tell about each epoch.

    Raises:
        FileError: the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    config = {
        "recipe": "digits",
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "seed": seed,
    }
    training, held_out = (TensorDataset(*load_digits(split)) for split in ("train", "test"))
    manual_seed(seed)
    model = make_model()
    optimiser = optim.Adam(model.parameters(), lr=lr)
    steps = epochs * math.ceil(len(training) / batch_size)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=max(steps, 1))
    step = train.training_step(model, optimiser, F.cross_entropy, schedule)
    look = train.examiner(model, {"loss": F.cross_entropy, "accuracy": train.accuracy}, held_out)
    keeper = train.RunFolder(folder, model, config)
    history = train.fit(
        model,
        step,
        training,
        epochs=epochs,
        batch_size=batch_size,
        look=look,
        callbacks=(keeper, *callbacks),
    )
    images, labels = held_out.tensors
    predicted = classify(model, images).argmax(axis=1)
    confusion = train.confusion_matrix(predicted, labels, CLASSES)
    if history.epochs:
        plot.save(
            plot.curves([epoch.row() for epoch in history.epochs]), keeper.path / "curves.png"
        )
    plot.save(plot.confusion(confusion), keeper.path / "confusion.png")
    return Result(history, confusion, step)


def classify(model: nn.Module, images: Tensor) -> np.ndarray:
    """Returns the probability of each class for images (n, 8, 8), as (n, 10)."""
    return F.softmax(train.predict(model, images), dim=1).numpy()
