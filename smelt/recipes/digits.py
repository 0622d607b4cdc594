"""Handwritten digits: a multilayer perceptron learns to read 8 x 8 pixels.

The network 64-128-64-10 is trained with Adam on 1,437 digits, which are bundled with Smelt, and
tested on 360 others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import DataLoader, TensorDataset, load_digits
from smelt.data.digits import TRAINING, samples
from smelt.export.inference import Inference
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.inference import classifier
from smelt.recipes.recipe import Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["CLASSES", "classify", "inference", "make_model", "run"]

CLASSES = 10
DROPOUT = 0.3


def make_model() -> nn.Sequential:
    """Returns the network with initial weights: (n, 8, 8) images to (n, 10) logits."""
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
    epochs: Epochs = 60,
    lr: Rate = 5e-3,
    batch_size: Annotated[int, Within(1, TRAINING)] = 64,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on the bundled digits, tests on those held out, and keeps everything in a folder.

    After Ctrl-C the folder has everything except the figures.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        epochs: passes over the training digits.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        batch_size: digits per step.
        seed: random seed of the initial weights and of the order of the digits; the split is always
            the same.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    config = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    training, held_out = (TensorDataset(*load_digits(split)) for split in ("train", "test"))
    manual_seed(seed)
    model = make_model()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    steps = max(1, epochs * len(DataLoader(training, batch_size)))
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    settings = {"recipe": "digits", **config}
    run_folder = train.RunFolder(folder, model, settings, resume=resume)
    history = train.fit(
        model,
        F.cross_entropy,
        optimizer,
        training,
        epochs=epochs,
        batch_size=batch_size,
        validation=held_out,
        metrics={"accuracy": train.accuracy},
        scheduler=schedule,
        scheduler_interval="step",
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    if history.epochs and not history.interrupted:
        draw(run_folder.path, model, history, held_out)
    figures = {"test_accuracy": history.epochs[-1].held_out["accuracy"]} if history.epochs else {}
    return Result(figures, history, run_folder.training.update.steps, next(samples()))


def draw(folder: Path, model: nn.Module, history: train.History, held_out: TensorDataset) -> None:
    """Draws loss, accuracy and the confusion matrix on held-out digits."""
    images, labels = held_out.tensors
    chances = classify(model, images)
    train.save_predictions(folder, labels, chances, inputs=images)
    predicted = chances.argmax(axis=1)
    confusion = train.confusion_matrix(predicted, labels, CLASSES)
    curves = plot.curves([epoch.row() for epoch in history.epochs])
    plot.save(curves, folder / "curves.png")
    plot.save(plot.confusion(confusion), folder / "confusion.png")


def classify(model: nn.Module, images: Tensor) -> np.ndarray:
    """Returns the probability of each class for images (n, 8, 8), as (n, 10)."""
    return F.softmax(train.predict(model, images), dim=1).numpy()


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: the probability of each digit."""
    pixels = "8 x 8 pixels, row by row, 0 (paper) to 1 (ink); the digit fills the picture"
    return classifier("digits", folder, make_model(), (8, 8), pixels, range(CLASSES))
