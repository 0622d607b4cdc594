"""The GAN of the recipe denoise: two networks, two compiled steps and its own loop.

D judges how real a picture of a class looks, G draws pictures of a class from random numbers:

    loss of D = softplus(-D(real)) + softplus(D(G(z)))        loss of G = softplus(-D(G(z)))

(Goodfellow et al. 2014, with the non-saturating loss of G; convolutions as in Radford et al. 2016;
the class enters D as in Miyato and Koyama 2018.)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.random import Generator as Random
from smelt.random import get_rng_state, set_rng_state
from smelt.recipes.fashion import KINDS
from smelt.recipes.pictures import Pictures
from smelt.recipes.recipe import Result
from smelt.tensor import Tensor

__all__ = ["GAN", "Discriminator", "Generator", "run"]

NOISE, BATCH, LR = 64, 64, 1e-3
JUDGED = 20_000  # pictures from which a judge learns


class Generator(nn.Module):
    """Draws a picture of each class from random numbers."""

    def __init__(self) -> None:
        self.layers = nn.Sequential(
            nn.Linear(NOISE + len(KINDS), 48 * 7 * 7, bias=False),
            nn.Unflatten(1, (48, 7, 7)),  # (n, 48, 7, 7)
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.ConvTranspose2d(48, 24, 4, stride=2, padding=1, bias=False),  # (n, 24, 14, 14)
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.ConvTranspose2d(24, 1, 4, stride=2, padding=1),  # (n, 1, 28, 28)
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor, kinds: Tensor) -> Tensor:  # (n, NOISE), (n,)
        return self.layers(smelt.cat([z, F.one_hot(kinds, len(KINDS)).float()], 1)).squeeze(1)


class Discriminator(nn.Module):
    """Returns the logit that a picture is a real one of its class, not a drawn one."""

    def __init__(self) -> None:
        self.layers = nn.Sequential(
            nn.Conv2d(1, 24, 4, stride=2, padding=1),  # (n, 24, 14, 14)
            nn.LeakyReLU(0.2),
            nn.Conv2d(24, 48, 4, stride=2, padding=1),  # (n, 48, 7, 7)
            nn.LeakyReLU(0.2),
            nn.Flatten(),  # (n, 2352)
        )
        self.head = nn.Linear(48 * 7 * 7, 1)
        self.kinds = nn.Embedding(len(KINDS), 48 * 7 * 7)
        nn.init.normal_(self.kinds.weight, std=0.01)

    def forward(self, pictures: Tensor, kinds: Tensor) -> Tensor:  # (n, 28, 28), (n,)
        seen = self.layers(pictures.unsqueeze(1))
        return self.head(seen).squeeze(1) + (self.kinds(kinds) * seen).sum(1)  # (n,)


class GAN(nn.Module):
    """The two networks, which are saved in one file."""

    def __init__(self) -> None:
        self.generator, self.discriminator = Generator(), Discriminator()

    def forward(self, z: Tensor, kinds: Tensor) -> Tensor:
        return self.generator(z, kinds)


class Training:
    """The two steps, and everything they depend on."""

    def __init__(self, model: GAN, pictures: Pictures, epochs: int) -> None:
        self.model, (self.images, self.kinds) = model, pictures
        self.steps = -(-len(self.images) // BATCH)  # an epoch
        parts = {"discriminator": model.discriminator, "generator": model.generator}
        self.optimizers = {
            name: optim.Adam(part.parameters(), lr=LR, betas=(0.5, 0.99))
            for name, part in parts.items()
        }
        self.schedules = {
            name: optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=self.steps * epochs)
            for name, optimizer in self.optimizers.items()
        }
        self.history = train.History()
        self.drawn: list[Tensor] = []  # a picture of each kind after each epoch
        self.tell, self.make = smelt.compile(self._tell), smelt.compile(self._make)

    def _tell(self) -> Tensor:
        """Makes D tell real pictures from drawn ones."""
        model, rows = self.model, smelt.randint(0, len(self.images), (BATCH,))
        real, kinds = self.images[rows], self.kinds[rows]
        drawn = model.generator(smelt.randn(BATCH, NOISE), kinds).detach()
        loss = F.softplus(-model.discriminator(real, kinds)).mean()
        return self._step(
            "discriminator", loss + F.softplus(model.discriminator(drawn, kinds)).mean()
        )

    def _make(self) -> Tensor:
        """Makes G draw what D takes for real."""
        model, kinds = self.model, smelt.randint(0, len(KINDS), (BATCH,))
        drawn = model.generator(smelt.randn(BATCH, NOISE), kinds)
        return self._step("generator", F.softplus(-model.discriminator(drawn, kinds)).mean())

    def _step(self, name: str, loss: Tensor) -> Tensor:
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()
        self.schedules[name].step()
        return loss

    def epoch(self) -> train.Epoch:
        """Runs the steps of an epoch, and draws a picture of each class."""
        start = time.perf_counter()
        losses = np.array([(self.tell().item(), self.make().item()) for _ in range(self.steps)])
        told, made = losses.mean(0)
        seconds = time.perf_counter() - start
        epoch = train.Epoch(len(self.history.epochs) + 1, made, {"discriminator": told}, seconds)
        self.history.epochs.append(epoch)
        z = smelt.randn(len(KINDS), NOISE, generator=Random(0))  # the same after each epoch
        self.drawn.append(
            train.predict(self.model, (z, smelt.arange(len(KINDS))), has_target=False)
        )
        return epoch

    def _parts(self) -> dict[str, Any]:
        schedules = {f"schedule of the {name}": part for name, part in self.schedules.items()}
        return {"model": self.model, **self.optimizers, **schedules}

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the next epoch depends on."""
        return {
            "parts": {name: part.state_dict() for name, part in self._parts().items()},
            "generator": get_rng_state(),
            "epochs": [asdict(epoch) for epoch in self.history.epochs],
            "drawn": self.drawn,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state that `state_dict` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        set_rng_state(state["generator"])
        self.history.epochs[:] = [train.Epoch(**row) for row in state["epochs"]]
        self.drawn[:] = state["drawn"]


def run(
    folder: train.RunFolder,
    model: GAN,
    pictures: Pictures,
    test: Pictures,
    epochs: int,
    callbacks: Sequence[train.Callback],
) -> Result:
    """Trains both networks in turn, and measures how good the drawn pictures are.

    Args:
        folder: of the run.
        model: with initial weights.
        pictures: real ones for training, and their classes.
        test: other real ones.
        epochs: passes over the pictures.
        callbacks: called after each epoch.
    """
    training = Training(model, pictures, epochs)
    if folder.resume:
        training.load_state_dict(train.read_checkpoint(folder.path))
    loop(training, folder, epochs, callbacks)
    history = training.history
    figures: dict[str, float | str] = {}
    if history.epochs and not history.interrupted:
        draw(folder.path, training)
        figures = {"loss_of_G": history.epochs[-1].loss, **judged(model, pictures, test)}
    return Result(figures, history, (training.tell, training.make))


def loop(
    training: Training, folder: train.RunFolder, epochs: int, callbacks: Sequence[train.Callback]
) -> None:
    """Runs the remaining epochs; Ctrl-C ends them, and keeps the last finished one."""
    history, told = training.history, [*callbacks, folder]
    for callback in reversed(told):
        callback.start(epochs)
    for epoch in history.epochs:  # of the run that goes on
        folder.epoch(epoch)
    folder.save_checkpoint(training.state_dict())
    try:
        while len(history.epochs) < epochs:
            epoch = training.epoch()
            folder.save_checkpoint(training.state_dict())
            for callback in told:
                callback.epoch(epoch)
    except train.StopTraining as stop:
        history.stopped = str(stop)
    except KeyboardInterrupt:
        history.interrupted = True
        training.load_state_dict(train.read_checkpoint(folder.path))
    finally:
        for callback in told:
            callback.end(history)


def judged(model: GAN, pictures: Pictures, test: Pictures) -> dict[str, float | str]:
    """Returns how good drawn pictures are, by networks trained on real or on drawn ones."""
    real = pictures[0][:JUDGED], pictures[1][:JUDGED]
    kinds = smelt.arange(len(real[0])) % len(KINDS)
    z = smelt.randn(len(kinds), NOISE)
    drawn = train.predict(model, (z, kinds), has_target=False), kinds
    knows_real, knows_drawn = judge(real), judge(drawn)
    return {
        "accuracy_on_real_of_a_judge_of_real": accuracy(knows_real, test),
        "accuracy_on_drawn_of_a_judge_of_real": accuracy(knows_real, drawn),
        "accuracy_on_real_of_a_judge_of_drawn": accuracy(knows_drawn, test),
    }


def judge(pictures: Pictures) -> nn.Module:
    """Returns a small network trained to classify these pictures."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, len(KINDS)))
    optimizer = optim.Adam(model.parameters())
    train.fit(model, F.cross_entropy, optimizer, pictures, epochs=5, progress=False)
    return model


def accuracy(model: nn.Module, pictures: Pictures) -> float:
    """Returns the share of pictures that a network classifies as what they are, or should be."""
    return train.evaluate(model, pictures, ["accuracy"])["accuracy"]


def draw(folder: Path, training: Training) -> None:
    """Draws both losses, and the pictures that G drew from the same numbers after each epoch."""
    rows = [epoch.row() for epoch in training.history.epochs]
    losses = {
        "G": [row["loss"] for row in rows],
        "D": [row["held_out_discriminator"] for row in rows],
    }
    curves = plot.loss_curves(losses, title="Losses", x_label="epoch", start=1, log=False)
    plot.save(curves, folder / "curves.png")
    grid = plot.images(
        smelt.cat(training.drawn),
        titles=[*KINDS, *[""] * (len(KINDS) * (len(rows) - 1))],
        columns=len(KINDS),
        title="Drawn from the same random numbers after each epoch",
    )
    plot.save(grid, folder / "drawn.png")
