"""Keywords: a convolutional network recognizes ten short words, made by a synthesizer.

The words are not recorded: a word is a glide from one vowel to another ("ai", "ia", "au", ...),
made of two formants, which are sines of changing frequency, modulated by the pitch of a voice.
Speakers differ in the length of their vocal tract (all formants up to 15 % higher or lower), in
pitch, speed and starting time; noise is added, with up to 16 times the power of the voice (-12 to 6
dB). A signal has 8,000 samples, one second.

From samples to a spectrogram: frames of 32 ms with a Hann window, each multiplied by sines and
cosines (a convolution with fixed weights), powers, 32 mel bands, logarithms. The network is a
DS-CNN (Zhang et al., "Hello Edge", 2017): a convolution, then blocks of a depthwise and a pointwise
convolution.

Test signals come from another seed. A linear model of the samples, printed for comparison, does
little better than guessing, since no sample means anything by itself. Settings were chosen on
validation signals.
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

__all__ = ["WORDS", "Spectrogram", "inference", "make_model", "run", "speak"]

RATE = 8000  # samples a second; a signal is one second
VOWELS = {"a": (750, 1250), "e": (450, 1900), "i": (300, 2300), "o": (450, 850), "u": (320, 1100)}
WORDS = ("ai", "ia", "au", "ua", "ei", "ie", "ao", "oa", "iu", "ui")
FRAME, HOP, BANDS = 256, 128, 32
CHANNELS, BLOCKS = 32, 3
VALIDATION, TEST = 1024, 1024  # signals
AT_ONCE = 256  # signals that are made together


def speak(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns a signal for each word, float32 (n, RATE).

    Args:
        labels: numbers of words (n,).
        random: the generator of speakers, starting times and noise.
    """
    n, time = len(labels), np.arange(RATE) / RATE
    vowels = np.array([[VOWELS[vowel] for vowel in word] for word in WORDS])  # (10, 2, 2)

    def draw(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, (n, 1))

    length, tract, pitch, louder = draw(0.4, 0.7), draw(0.85, 1.15), draw(90, 220), draw(-12, 6)
    inside = (time - draw(0.0, 1.0) * (1 - length)) / length  # (n, RATE), 0 to 1 within the word
    glide = 1 / (1 + np.exp(-12 * (inside - draw(0.4, 0.6))))
    envelope = np.where((inside > 0) & (inside < 1), np.sin(np.pi * inside.clip(0, 1)) ** 0.5, 0)
    voice = np.zeros((n, RATE))
    for formant, strength in ((0, 1.0), (1, 0.7)):
        first, last = (vowels[labels, place, formant, None] for place in (0, 1))
        frequency = tract * (first + (last - first) * glide)
        phase = 2 * np.pi * (np.cumsum(frequency, axis=1) / RATE + draw(0, 1))
        voice += strength * np.sin(phase)
    voice *= envelope * (0.6 + 0.4 * np.cos(2 * np.pi * (pitch * time + draw(0, 1))))
    power = (voice**2).mean(axis=1, keepdims=True) / 10 ** (louder / 10)
    return (voice + np.sqrt(power) * random.normal(size=voice.shape)).astype(np.float32)


def made(count: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns signals (count, RATE) and the numbers of their words (count,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(WORDS), count)
    parts = [speak(labels[n : n + AT_ONCE], random) for n in range(0, count, AT_ONCE)]
    return smelt.from_numpy(np.concatenate(parts)), smelt.tensor(labels)


def spectrograms(signals: Tensor, labels: Tensor) -> TensorDataset:
    """Returns the network's inputs for signals (n, RATE), with their labels (n,)."""
    return TensorDataset(train.predict(Spectrogram(), signals), labels)


class Spectrogram(nn.Module):
    """Turns signals (n, RATE) into log powers (n, 1, BANDS, frames)."""

    waves: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        time, tone = np.arange(FRAME), np.arange(FRAME // 2 + 1)
        angle = 2 * np.pi * tone[:, None] * time / FRAME
        window = 0.5 - 0.5 * np.cos(2 * np.pi * time / FRAME)
        waves = np.concatenate([np.cos(angle), np.sin(angle)]) * window
        self.register_buffer("waves", smelt.tensor(waves[:, None].astype(np.float32)))
        self.register_buffer("bands", smelt.tensor(triangles().astype(np.float32)))

    def forward(self, signals: Tensor) -> Tensor:
        parts = F.conv1d(signals.unsqueeze(1), self.waves, stride=HOP)  # (n, 258, frames)
        cosines, sines = parts.chunk(2, dim=1)
        power = self.bands @ (cosines**2 + sines**2)  # (n, BANDS, frames)
        return smelt.log(power + 1e-3).unsqueeze(1)


def triangles() -> np.ndarray:
    """Returns the weight of each of FRAME // 2 + 1 frequencies in each band, (BANDS, frequencies):
    overlapping triangles of equal width on the mel scale.
    """
    hertz = np.concatenate([[60.0], np.linspace(0, RATE / 2, FRAME // 2 + 1)])
    lowest, *frequencies = 2595 * np.log10(1 + hertz / 700)  # mel
    centers = np.linspace(lowest, frequencies[-1], BANDS + 2)
    rising = (frequencies - centers[:-2, None]) / np.diff(centers)[:-1, None]
    falling = (centers[2:, None] - frequencies) / np.diff(centers)[1:, None]
    return np.minimum(rising, falling).clip(0)


def make_model() -> nn.Sequential:
    """Returns the network with initial weights: spectrograms (n, 1, BANDS, frames) to (n, 10)."""
    return nn.Sequential(
        nn.BatchNorm2d(1),
        nn.Conv2d(1, CHANNELS, (8, 4), stride=2, padding=(3, 1), bias=False),  # (n, 32, 16, 30)
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        *[block() for _ in range(BLOCKS)],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),  # (n, 32)
        nn.Linear(CHANNELS, len(WORDS)),  # (n, 10)
    )


def block() -> nn.Sequential:
    """Returns a depthwise separable convolution, which keeps the shape."""
    return nn.Sequential(
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False),
        nn.BatchNorm2d(CHANNELS),
        nn.ReLU(),
    )


def run(
    folder: str | os.PathLike[str],
    *,
    samples: Annotated[int, Within(64)] = 4096,
    epochs: Epochs = 6,
    lr: Rate = 5e-3,
    batch_size: BatchSize = 64,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on synthetic words, tests on others, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        samples: how many words to train on.
        epochs: passes over the training data.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        batch_size: words per step.
        seed: random seed of the words, the initial weights and the order.
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
        folder, model, {"recipe": "keywords", **settings, "seed": seed}, resume=resume
    )
    history = train.fit(
        model,
        F.cross_entropy,
        optimizer,
        spectrograms(*training),
        epochs=epochs,
        batch_size=batch_size,
        validation=spectrograms(*validation),
        metrics=["accuracy"],
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps),
        scheduler_interval="step",
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    if history.interrupted:
        return Result({}, history, run_folder.training.update.steps)
    linear = logistic_regression(*training, len(WORDS), epochs=5)
    figures = {
        "test_accuracy": train.evaluate(model, spectrograms(*test), ["accuracy"])["accuracy"],
        "test_accuracy_of_a_linear_model": train.evaluate(linear, test, ["accuracy"])["accuracy"],
    }
    draw(run_folder.path, model, history, spectrograms(*test))
    return Result(figures, history, run_folder.training.update.steps)


def draw(folder: Path, model: nn.Module, history: train.History, test: TensorDataset) -> None:
    """Draws loss and accuracy, the confusion matrix, and a spectrogram."""
    images, labels = test.tensors
    outputs = train.predict(model, images)
    chances, predicted = F.softmax(outputs, dim=1), outputs.argmax(1)
    train.save_predictions(folder, labels, chances, classes=WORDS, inputs=images)
    confusion = train.confusion_matrix(predicted, labels, len(WORDS))
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    plot.save(plot.confusion(confusion, WORDS), folder / "confusion.png")
    figure = plot.heatmap(
        images[0, 0] - images[0, 0].median(),  # about 0 where there is noise only
        x_label="frame, one every 16 ms",
        y_label="band, the lowest on top",
        title=f'"{WORDS[int(labels[0])]}": logarithm of the power above the median',
        write=False,
    )
    plot.save(figure, folder / "spectrogram.png")


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes from samples: the probability of each word."""
    model, spectrogram = make_model(), Spectrogram()
    samples = f"the samples of one second, {RATE} of them; the loudest are about 2"
    return classifier(
        "keywords",
        folder,
        model,
        (RATE,),
        samples,
        WORDS,
        lambda model, signals: model(spectrogram(signals)),
    )
