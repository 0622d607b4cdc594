"""Fashion-MNIST: a convolutional network learns to tell ten kinds of clothing, 28 x 28 pixels.

Three convolutions with batch normalization are trained on 55,000 pictures; each is mirrored or not,
and shifted by up to a pixel, whenever it is shown; that is part of the compiled step. In tests the
network gets a picture and its mirror image. The last 5,000 of the 60,000 training pictures are held
out, to choose settings, such as the use of the mirror image. The 10,000 test pictures are used only
once, at the end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import load_fashion_mnist, transforms
from smelt.export.inference import Inference
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.inference import classifier
from smelt.recipes.pictures import block, draw_test, hold_out
from smelt.recipes.recipe import BatchSize, DataFolder, Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["KINDS", "ClothingNet", "inference", "make_model", "run"]

KINDS = [
    "T-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "boot",
]  # fmt: skip


class ClothingNet(nn.Module):
    """Classifies clothing; in training each picture is first mirrored or not, and shifted."""

    def __init__(self) -> None:
        self.change = transforms.Compose(
            [transforms.RandomHorizontalFlip(), transforms.RandomCrop(28, padding=1)]
        )
        self.layers = nn.Sequential(
            *block(1, 24),  # (n, 24, 14, 14)
            *block(24, 48),  # (n, 48, 7, 7)
            *block(48, 96),  # (n, 96, 3, 3)
            nn.Flatten(),  # (n, 864)
            nn.Dropout(0.3),
            nn.Linear(864, len(KINDS)),  # (n, 10)
        )

    def forward(self, images: Tensor) -> Tensor:  # (n, 28, 28)
        x = images.unsqueeze(1)  # (n, 1, 28, 28)
        if self.training:
            return self.layers(self.change(x))
        return (self.layers(x) + self.layers(x.flip(3))) / 2  # and of its mirror image


def make_model() -> ClothingNet:
    """Returns the network with initial weights: (n, 28, 28) images to (n, 10) logits."""
    return ClothingNet()


def run(
    folder: str | os.PathLike[str],
    *,
    epochs: Epochs = 15,
    lr: Rate = 1e-2,
    batch_size: BatchSize = 128,
    samples: Annotated[int, Within(1)] | None = None,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on pictures, tests on the test pictures, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        epochs: passes over the training pictures.
        lr: the highest learning rate; it rises over the first quarter, then falls to 0.
        batch_size: pictures per step.
        samples: how many training pictures to use; all 55,000 when None.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the order of the pictures, their changes, and
            dropout.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    training, held_out = hold_out(load_fashion_mnist, data, samples)
    config = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "samples": samples}
    manual_seed(seed)
    model = make_model()
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    steps = epochs * (len(training[0]) // batch_size)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=max(1, steps), pct_start=0.25
    )
    settings = {"recipe": "fashion", **config, "seed": seed}
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
        accuracy = draw_test(
            run_folder.path, model, history, load_fashion_mnist("test", data), KINDS
        )
        figures = {
            "test_accuracy": accuracy,
            "held_out_accuracy": history.epochs[-1].held_out["accuracy"],
        }
    return Result(figures, history, run_folder.training.update.steps)


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: the probability of each kind of clothing."""
    pixels = "28 x 28 pixels, row by row, 0 (background) to 1"
    return classifier("fashion", folder, make_model(), (28, 28), pixels, KINDS)
