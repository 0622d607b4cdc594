"""Cats: a small convolutional network learns from 209 photographs whether there is a cat.

So few photographs are soon memorized. Therefore each is changed at random whenever it is shown: it
is cropped, perhaps mirrored, and its colors are made lighter, darker, paler or stronger. Both
classes count equally in the loss, although cats are a third of the training photographs.

The settings were chosen by cross-validation on the training photographs; `--cross-validate` repeats
it, and shows the table. The 50 test photographs are used only once, at the end; with so few, an
accuracy of 85 % has a standard error of 5 %.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import load_catvnoncat, transforms
from smelt.export.inference import Inference
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.inference import classifier
from smelt.recipes.pictures import Pictures, block
from smelt.recipes.recipe import DataFolder, Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["CatNet", "choose", "classify", "inference", "make_model", "run"]

SIDE = 32  # pixels: half of what the photographs have
KINDS = ["no cat", "cat"]
FOLDS, SHUFFLE = 5, 0  # of the cross-validation, and the seed of what is in which fold
CHOICES: Sequence[Mapping[str, Any]] = [  # each in the place of settings of the run
    {},
    {"epochs": 100},
    {"epochs": 100, "area": 0.5},
    {"epochs": 100, "area": 1.0},
    {"epochs": 50, "area": 0.5},
    {"epochs": 100, "area": 0.5, "width": 8},
    {"epochs": 100, "area": 0.5, "jitter": 0.0},
]
SHOWN = 24  # test photographs


class CatNet(nn.Module):
    """Tells photographs of cats from others; in training each is changed first."""

    def __init__(self, width: int, area: float, jitter: float) -> None:
        self.change = transforms.Compose([
            transforms.RandomResizedCrop(SIDE, scale=(area, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(jitter, jitter, jitter),
        ])  # fmt: skip
        self.shrink = transforms.Resize(SIDE)
        self.layers = nn.Sequential(
            *block(3, width),  # (n, width, 16, 16)
            *block(width, 2 * width),  # (n, 2 width, 8, 8)
            *block(2 * width, 4 * width),  # (n, 4 width, 4, 4)
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),  # (n, 4 width)
            nn.Dropout(0.3),
            nn.Linear(4 * width, 2),  # (n, 2)
        )

    def forward(self, photographs: Tensor) -> Tensor:  # (n, 3, 64, 64)
        x = self.change(photographs) if self.training else self.shrink(photographs)
        return self.layers(x - 0.5)  # of (n, 3, 32, 32)


def make_model(width: int = 16, area: float = 0.25, jitter: float = 0.3) -> CatNet:
    """Returns the network with initial weights: (n, 3, 64, 64) photographs to (n, 2) logits.

    Args:
        width: channels of the first convolution.
        area: the smallest part of a photograph that is shown in training.
        jitter: how much brightness, contrast and saturation change.
    """
    return CatNet(width, area, jitter)


def fitted(
    training: Pictures,
    model: CatNet,
    *,
    epochs: int,
    lr: float,
    batch_size: int,
    **options: Any,
) -> train.History:
    """Trains the network; the options are those of `train.fit`."""
    share = training[1].float().mean().item()  # of cats
    weight = smelt.tensor([0.5 / (1 - share), 0.5 / share])
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    steps = epochs * (len(training[0]) // batch_size)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=max(1, steps))

    def loss(logits: Tensor, kinds: Tensor) -> Tensor:
        return F.cross_entropy(logits, kinds, weight, label_smoothing=0.1)

    return train.fit(
        model,
        loss,
        optimizer,
        training,
        epochs=epochs,
        batch_size=batch_size,
        drop_last=True,
        scheduler=schedule,
        progress=False,
        **options,
    )


def classify(model: CatNet, photographs: Tensor) -> np.ndarray:
    """Returns the probability of a cat (n,), by photographs and their mirror images."""
    logits = train.predict(model, photographs) + train.predict(model, photographs.flip(3))
    return F.softmax(logits / 2, dim=1)[:, 1].numpy()


def run(
    folder: str | os.PathLike[str],
    *,
    epochs: Epochs = 200,
    lr: Rate = 3e-3,
    batch_size: Annotated[int, Within(1, 209)] = 32,
    width: Annotated[int, Within(1)] = 16,
    area: Annotated[float, Within(0.05, 1)] = 0.25,
    jitter: Annotated[float, Within(0, 1)] = 0.3,
    cross_validate: bool = False,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on the training photographs, tests on the test photographs, and keeps everything.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        epochs: passes over the training photographs.
        lr: the highest learning rate; it rises over the first 30 %, then falls to 0.
        batch_size: photographs per step.
        width: channels of the first convolution; the others have two and four times as many.
        area: the smallest part of a photograph that is shown in training.
        jitter: how much its brightness, contrast and saturation change.
        cross_validate: whether to compare these settings with others, which takes some minutes.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the order of the photographs, their changes, and
            dropout.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    training = load_catvnoncat("train", data)
    config = {
        "epochs": epochs, "lr": lr, "batch_size": batch_size, "width": width, "area": area,
        "jitter": jitter,
    }  # fmt: skip
    manual_seed(seed)
    model = make_model(width, area, jitter)
    settings = {"recipe": "cats", **config, "cross_validate": cross_validate, "seed": seed}
    run_folder = train.RunFolder(folder, model, settings, resume=resume)
    history = fitted(
        training,
        model,
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
    )
    figures: dict[str, float | str] = {}
    if history.epochs and not history.interrupted:
        figures = draw(run_folder.path, model, history, load_catvnoncat("test", data))
        if cross_validate:
            figures["cross_validation"] = table(choose(training, config))
    return Result(figures, history, run_folder.training.update.steps)


def draw(
    folder: Path, model: CatNet, history: train.History, test: Pictures
) -> dict[str, float | str]:
    """Draws the loss, the confusion matrix of the test photographs and some of them with the
    network's answers; returns the results.
    """
    chances, true = classify(model, test[0]), test[1].numpy()
    found = (chances > 0.5).astype(np.int64)
    confusion = train.confusion_matrix(found, true, len(KINDS))
    train.save_predictions(folder, true, chances, classes=KINDS, inputs=test[0].numpy())
    photographs = test[0][:SHOWN].permute(0, 2, 3, 1)  # (n, 64, 64, 3)
    titles = [
        f"cat: {chance:.0%}{', wrong' * bool(wrong)}"
        for chance, wrong in zip(chances[:SHOWN], found != true, strict=False)
    ]
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    plot.save(plot.confusion(confusion, KINDS), folder / "confusion.png")
    plot.save(plot.images(photographs, titles=titles, columns=6), folder / "answers.png")
    right = np.diag(confusion)
    return {
        "test_accuracy": float(right.sum() / confusion.sum()),
        "test_accuracy_of_cats": float(right[1] / confusion[1].sum()),
        "test_accuracy_of_others": float(right[0] / confusion[0].sum()),
    }


def choose(training: Pictures, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Compares settings by cross-validation on the training photographs.

    Args:
        training: photographs and classes; the test photographs are not used.
        settings: those of the run, from which the others differ.

    Returns:
        For each of CHOICES what differs -> results of `cross_validated` (folds, 2).
    """
    compared = {}
    for choice in CHOICES:
        named = ", ".join(f"{name} {value}" for name, value in choice.items()) or "as set"
        compared[named] = cross_validated(training, {**settings, **choice})
    return compared


def cross_validated(training: Pictures, settings: Mapping[str, Any]) -> np.ndarray:
    """Returns results (folds, 2) of networks on the photographs of the fold that they were not
    trained on: the log loss and the accuracy, where each class counts as one half.
    """
    images, kinds = training
    order = np.random.default_rng(SHUFFLE).permutation(len(images))
    figures = []
    for fold in range(FOLDS):
        held_out, learned = order[fold::FOLDS], np.delete(order, np.s_[fold::FOLDS])
        manual_seed(fold)
        model = make_model(*(settings[name] for name in ("width", "area", "jitter")))
        others = {name: settings[name] for name in ("epochs", "lr", "batch_size")}
        if fitted((images[learned], kinds[learned]), model, **others).interrupted:
            raise KeyboardInterrupt
        chances, cats = classify(model, images[held_out]), kinds[held_out].numpy() == 1
        of_the_right_kind = np.where(cats, chances, 1 - chances)
        each = np.stack([-np.log(of_the_right_kind), of_the_right_kind > 0.5])
        figures.append((each[:, cats].mean(1) + each[:, ~cats].mean(1)) / 2)
    return np.array(figures)


def table(compared: Mapping[str, np.ndarray]) -> str:
    """Returns the result of `choose` as lines of text: means, and standard errors over the
    folds.
    """
    width = max(map(len, compared))
    lines = []
    for name, figures in compared.items():
        (loss, accuracy), errors = figures.mean(0), figures.std(0, ddof=1) / FOLDS**0.5
        measured = f"loss {loss:.3f} +- {errors[0]:.3f}  accuracy {accuracy:.1%} +- {errors[1]:.1%}"
        lines.append(f"{name:{width}}  {measured}")
    return "\n".join(lines)


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what `classify` computes with the network of a run: the probability of each kind."""
    model = make_model(*(config[name] for name in ("width", "area", "jitter")))
    pixels = "red, then green, then blue: 64 x 64 pixels, row by row, 0 to 1"
    return classifier("cats", folder, model, (3, 2 * SIDE, 2 * SIDE), pixels, KINDS, both_ways)


def both_ways(model: CatNet, photographs: Tensor) -> Tensor:
    """Returns the mean logits (n, 2) of photographs and their mirror images."""
    return (model(photographs) + model(photographs.flip(3))) / 2
