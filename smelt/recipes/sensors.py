"""Sensors: a GRU tells what a person does from an accelerometer in the pocket, made by a simulator.

A signal has 128 time steps, 50 per second, on three axes, in units of gravity. Sitting and standing
are gravity in different directions with a slight sway; walking, running, climbing stairs and
cycling add their own rhythm: its rate, how hard a step hits, how much of it is vertical, forward
and sideways. The phone lies in the pocket at random: rotated about the vertical axis by any angle,
tilted by up to 20 degrees. Persons differ in rate and force, and there is noise.

The network is a GRU over the 128 time steps and a linear layer on the mean of its states. Test
signals come from another seed. A linear model of the 384 numbers, printed for comparison, is far
worse, since the rhythm may begin at any time. Settings were chosen on validation signals.
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
from smelt.data import TensorDataset
from smelt.export.inference import Inference
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.inference import classifier
from smelt.recipes.linear import logistic_regression
from smelt.recipes.recipe import BatchSize, Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["ACTIVITIES", "inference", "make_model", "measure", "run"]

LENGTH, RATE = 128, 50  # moments of a signal, and a second
NOISE = 0.05
VALIDATION, TEST = 1024, 1024  # signals
HIDDEN = 48

# of each activity: steps a second, from and to; strength of the vertical, forward and sideways
# movement; how sharp a step is; how far the thigh is from the vertical, in degrees
ACTIVITIES = {
    "sitting": ((0.2, 0.4), (0.01, 0.01, 0.01), 0.0, 80.0),
    "standing": ((0.2, 0.5), (0.02, 0.02, 0.02), 0.0, 0.0),
    "walking": ((1.6, 2.1), (0.30, 0.20, 0.10), 0.4, 0.0),
    "running": ((2.4, 3.1), (0.90, 0.40, 0.20), 0.6, 0.0),
    "stairs": ((1.2, 1.7), (0.40, 0.10, 0.10), 0.8, 20.0),
    "cycling": ((1.1, 1.7), (0.25, 0.25, 0.05), 0.0, 45.0),
}


def measure(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns a signal of each activity, float32 (n, LENGTH, 3).

    Args:
        labels: numbers of activities (n,).
        random: the generator of persons, phones and noise.
    """
    n, time = len(labels), np.arange(LENGTH) / RATE
    rates, strengths, sharp, lean = map(np.array, zip(*ACTIVITIES.values(), strict=True))

    def draw(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, (n, 1))

    low, high = rates[labels].T[..., None]  # (n, 1) each
    angle = 2 * np.pi * (draw(0, 1) * (high - low) + low) * time + draw(0, 2 * np.pi)  # (n, LENGTH)
    force = draw(0.7, 1.4)
    second = sharp[labels, None]
    vertical = np.cos(angle) + second * np.cos(2 * angle) + second**2 * np.cos(3 * angle)
    moved = np.stack([np.sin(angle), np.cos(angle / 2), vertical], axis=-1)  # (n, LENGTH, 3)
    moved *= strengths[labels][:, None, [1, 2, 0]] * force[..., None]
    moved[..., 2] += 1.0  # gravity
    rotated = moved @ rotations(draw(-20, 20)[:, 0] + lean[labels], draw(0, 360)[:, 0])
    return (rotated + NOISE * random.normal(size=rotated.shape)).astype(np.float32)


def rotations(tilt: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Returns matrices (n, 3, 3) that tilt about the first axis and then turn about the third.

    Args:
        tilt: degrees (n,).
        turn: degrees (n,).
    """
    (c, s), (d, e) = ((np.cos(a), np.sin(a)) for a in (np.radians(tilt), np.radians(turn)))
    zero, one = np.zeros_like(c), np.ones_like(c)
    tilting = np.array([[one, zero, zero], [zero, c, s], [zero, -s, c]])
    turning = np.array([[d, e, zero], [-e, d, zero], [zero, zero, one]])
    return np.einsum("ijn,jkn->nik", tilting, turning)


def made(count: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns signals (count, LENGTH, 3) and the numbers of their activities (count,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(ACTIVITIES), count)
    return smelt.from_numpy(measure(labels, random)), smelt.tensor(labels)


class Recognizer(nn.Module):
    """A GRU over the time steps, and a linear layer on the mean of its states."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, len(ACTIVITIES))

    def forward(self, signals: Tensor) -> Tensor:
        states, _ = self.gru(signals)  # (n, LENGTH, HIDDEN)
        return self.head(states.mean(1))  # (n, 6)


def make_model() -> Recognizer:
    """Returns the network with initial weights: signals (n, LENGTH, 3) to (n, 6) logits."""
    return Recognizer()


def run(
    folder: str | os.PathLike[str],
    *,
    samples: Annotated[int, Within(64)] = 4096,
    epochs: Epochs = 16,
    lr: Rate = 3e-3,
    batch_size: BatchSize = 64,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on simulated signals, tests on others, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        samples: how many signals to train on.
        epochs: passes over the training data.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        batch_size: signals per step.
        seed: random seed of the signals, the initial weights and the order.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    settings = {"samples": samples, "epochs": epochs, "lr": lr, "batch_size": batch_size}
    training, validation, test = (
        made(count, [seed, part]) for part, count in enumerate((samples, VALIDATION, TEST))
    )
    manual_seed(seed)
    model = make_model()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    steps = epochs * -(-samples // batch_size)
    run_folder = train.RunFolder(
        folder, model, {"recipe": "sensors", **settings, "seed": seed}, resume=resume
    )
    history = train.fit(
        model,
        F.cross_entropy,
        optimizer,
        training,
        epochs=epochs,
        batch_size=batch_size,
        validation=validation,
        metrics=["accuracy"],
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps),
        scheduler_interval="step",
        max_grad_norm=1.0,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    if history.interrupted:
        return Result({}, history, run_folder.training.update.steps)
    linear = logistic_regression(*training, len(ACTIVITIES))
    figures = {
        "test_accuracy": train.evaluate(model, test, ["accuracy"])["accuracy"],
        "test_accuracy_of_a_linear_model": train.evaluate(linear, test, ["accuracy"])["accuracy"],
    }
    draw(run_folder.path, model, history, TensorDataset(*test))
    return Result(figures, history, run_folder.training.update.steps)


def draw(folder: Path, model: nn.Module, history: train.History, test: TensorDataset) -> None:
    """Draws loss and accuracy, the confusion matrix, and a signal of each activity."""
    signals, labels = (tensor.numpy() for tensor in test.tensors)
    outputs = train.predict(model, signals)
    train.save_predictions(folder, labels, F.softmax(outputs, dim=1), classes=list(ACTIVITIES))
    predicted = outputs.argmax(1)
    confusion = train.confusion_matrix(predicted, labels, len(ACTIVITIES))
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    plot.save(plot.confusion(confusion, list(ACTIVITIES)), folder / "confusion.png")
    strength = {
        name: np.linalg.norm(signals[np.argmax(labels == number)], axis=1)
        for number, name in enumerate(ACTIVITIES)
    }
    figure = plot.loss_curves(
        strength, title="Acceleration", x_label="moment (50 a second)", y_label="g", log=False
    )
    plot.save(figure, folder / "signals.png")


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: the probability of each activity."""
    signal = f"acceleration along three axes, in units of gravity, {RATE} times a second"
    return classifier("sensors", folder, make_model(), (LENGTH, 3), signal, list(ACTIVITIES))
