"""MNIST: a small convolutional network learns to read handwritten digits, 28 x 28 pixels.

Three convolutions with batch normalization are trained on 55,000 digits, each shifted by up to two
pixels whenever it is shown; the shift is part of the compiled step. The last 5,000 of the 60,000
training digits are held out, to choose settings; the time to 99 % is the time until 99 % of them
are read correctly. The 10,000 test digits are used only once, at the end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import load_mnist, transforms
from smelt.export.inference import Inference
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.inference import classifier
from smelt.recipes.pictures import block, draw_test, hold_out, seconds_to
from smelt.recipes.recipe import BatchSize, DataFolder, Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["DigitNet", "inference", "make_model", "run"]

CLASSES = 10
GOAL = 0.99  # of the held-out digits, for the time to it


class DigitNet(nn.Module):
    """Reads digits; in training each is first shifted by up to two pixels."""

    def __init__(self) -> None:
        self.move = transforms.RandomCrop(28, padding=2)
        self.layers = nn.Sequential(
            *block(1, 16),  # (n, 16, 14, 14)
            *block(16, 32),  # (n, 32, 7, 7)
            *block(32, 64),  # (n, 64, 3, 3)
            nn.Flatten(),  # (n, 576)
            nn.Dropout(0.3),
            nn.Linear(576, CLASSES),  # (n, 10)
        )

    def forward(self, images: Tensor) -> Tensor:  # (n, 28, 28)
        x = images.unsqueeze(1)  # (n, 1, 28, 28)
        return self.layers(self.move(x) if self.training else x)


def make_model() -> DigitNet:
    """Returns the network with initial weights: (n, 28, 28) images to (n, 10) logits."""
    return DigitNet()


def run(
    folder: str | os.PathLike[str],
    *,
    epochs: Epochs = 8,
    lr: Rate = 1e-2,
    batch_size: BatchSize = 128,
    samples: Annotated[int, Within(1)] | None = None,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on digits, tests on the test digits, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        epochs: passes over the training digits.
        lr: the highest learning rate; it rises over the first quarter, then falls to 0.
        batch_size: digits per step.
        samples: how many training digits to use; all 55,000 when None.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the order of the digits, their shifts, and
            dropout.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    training, held_out = hold_out(load_mnist, data, samples)
    config = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "samples": samples}
    manual_seed(seed)
    model = make_model()
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    steps = epochs * (len(training[0]) // batch_size)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=max(1, steps), pct_start=0.25
    )
    settings = {"recipe": "mnist", **config, "seed": seed}
    run_folder = train.RunFolder(folder, model, settings, resume=resume)
    history = train.fit(
        model,
        F.cross_entropy,
        optimizer,
        training,
        epochs=epochs,
        batch_size=batch_size,
        drop_last=True,  # a smaller batch would be one more version of the step to compile
        validation=held_out,
        metrics=["accuracy"],
        scheduler=schedule,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    figures: dict[str, float | str] = {}
    if history.epochs and not history.interrupted:
        names = [str(digit) for digit in range(CLASSES)]
        accuracy = draw_test(run_folder.path, model, history, load_mnist("test", data), names)
        figures = {
            "test_accuracy": accuracy,
            "held_out_accuracy": history.epochs[-1].held_out["accuracy"],
            "seconds_to_99_percent": seconds_to(GOAL, history),
        }
    return Result(figures, history, run_folder.training.update.steps)


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: the probability of each digit."""
    pixels = "28 x 28 pixels, row by row, 0 (background) to 1 (ink)"
    return classifier("mnist", folder, make_model(), (28, 28), pixels, range(CLASSES))
