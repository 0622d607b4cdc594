"""Denoising: an autoencoder learns to restore pictures of clothing, or a GAN to draw them.

Both learn from the first 55,000 training pictures of Fashion-MNIST, 28 x 28 pixels.

The variational autoencoder (`--model vae`) gets each picture with noise of a random strength, and
restores the original. Its output is a distribution over pictures of 256 gray levels, so its
evidence lower bound is a bound on the log-probability of a whole picture, in nats; for comparison,
the log-probability under independent pixels is printed too. The last 5,000 training pictures are
held out, to choose settings. At the end noisy test pictures are restored, and compared with a mean
over neighboring pixels.

The generative adversarial network (`--model gan`) draws a picture of a given class. Its pictures
are judged in two ways: whether a network trained on real pictures classifies them correctly, and
how well a network trained only on drawn pictures classifies real ones. The second suffers if the
drawings are bad, and also if they are all alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import load_fashion_mnist
from smelt.dtypes import float32, int32
from smelt.errors import ArgumentError
from smelt.export.inference import Inference, InferenceTensor
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes import gan
from smelt.recipes.fashion import KINDS
from smelt.recipes.inference import Applied
from smelt.recipes.pictures import hold_out
from smelt.recipes.recipe import DataFolder, Result, Seed
from smelt.tensor import Tensor

__all__ = ["VAE", "inference", "log_likelihood", "make_model", "restoration", "run"]

LATENT = 24  # numbers that stand for a picture
NOISE = 0.5  # standard deviation of the strongest noise, and of that of the test
LEVELS = 256  # of gray
EPOCHS = {"vae": 12, "gan": 4}
LR, BATCH = 2e-3, 128
SHOWN = 10


class VAE(nn.Module):
    """Returns the negative evidence lower bound, as a mean over pictures."""

    def __init__(self) -> None:
        self.encoder = nn.Sequential(
            nn.Flatten(),  # (n, 784)
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Linear(256, 2 * LATENT),  # a mean and the logarithm of a variance for each number
        )
        self.decoder = nn.Sequential(
            nn.Linear(LATENT, 256),
            nn.ReLU(),
            nn.Linear(256, 512),
            nn.ReLU(),
            nn.Linear(512, 2 * 784),
            nn.Unflatten(1, (2, 28, 28)),  # (n, 2, 28, 28): a center and a width for each pixel
        )

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean (n, LATENT) of the latent variables of pictures, and their log
        variance.
        """
        mean, log_variance = self.encoder(pictures).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the center (n, 28, 28) of each pixel's distribution, and its log width."""
        center, width = self.decoder(z).unbind(1)
        return center + 0.5, (width - 3.0).clamp(-7.0, 2.0)

    def forward(self, pictures: Tensor) -> Tensor:  # (n, 28, 28)
        seen = pictures
        if self.training:
            seen = noisy(pictures, NOISE * smelt.rand(pictures.shape[0], 1, 1))
        mean, log_variance = self.encode(seen)
        center, log_width = self.decode(F.reparameterize(mean, log_variance))
        divergence = F.kl_divergence_normal(mean, log_variance).sum(1)  # (n,)
        return (divergence - log_likelihood(pictures, center, log_width)).mean()

    def restore(self, pictures: Tensor) -> Tensor:
        """Returns pictures (n, 28, 28) without their noise."""
        return self.decode(self.encode(pictures)[0])[0].clamp(0.0, 1.0)


def noisy(pictures: Tensor, strength: Tensor | float) -> Tensor:
    """Returns pictures with normal noise added to every pixel."""
    return pictures + strength * smelt.randn_like(pictures)


def log_likelihood(pictures: Tensor, center: Tensor, log_width: Tensor) -> Tensor:
    """Returns the log-probability (n,) of pictures of 256 levels, 0 to 1, in nats.

    Each pixel has a logistic distribution, divided into intervals around the levels; the first and
    the last extend to infinity. With a and b as the ends of an interval, and s the sigmoid,
    s(b) - s(a) = s(b) s(-a) (1 - exp(a - b)), which cannot round to 0.
    """
    sharpness, half = smelt.exp(-log_width), 0.5 / (LEVELS - 1)
    above = F.logsigmoid((pictures - center + half) * sharpness)
    below = F.logsigmoid((center - pictures + half) * sharpness)
    between = smelt.log(-smelt.expm1(-2 * half * sharpness))
    is_first, is_last = pictures < half, pictures > 1 - half
    inside = above + below + between
    each = smelt.where(is_first, above, smelt.where(is_last, below, inside))
    return each.sum((1, 2))


def make_model(model: Literal["vae", "gan"] = "vae") -> VAE | gan.GAN:
    """Returns networks with initial weights.

    Raises:
        ArgumentError: there is no such model.
    """
    if model not in EPOCHS:
        raise ArgumentError(f"denoise: model={model!r} must be one of {', '.join(EPOCHS)}")
    return VAE() if model == "vae" else gan.GAN()


def run(
    folder: str | os.PathLike[str],
    *,
    model: Literal["vae", "gan"] = "vae",
    epochs: Annotated[int, Within(1)] | None = None,
    samples: Annotated[int, Within(1)] | None = None,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on pictures of clothing, tests on others, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        model: a variational autoencoder, or a generative adversarial network.
        epochs: passes over the training pictures; 12 for the vae and 4 for the gan when None.
        samples: how many training pictures to use; all 55,000 when None.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the order of the pictures, and all random numbers.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    manual_seed(seed)
    network = make_model(model)
    training, held_out = hold_out(load_fashion_mnist, data, samples)
    settings = {
        "recipe": "denoise", "model": model, "epochs": epochs, "samples": samples, "seed": seed
    }  # fmt: skip
    run_folder = train.RunFolder(folder, network, settings, resume=resume)
    epochs = EPOCHS[model] if epochs is None else epochs
    test = load_fashion_mnist("test", data)
    if isinstance(network, gan.GAN):
        return gan.run(run_folder, network, training, test, epochs, callbacks)
    optimizer = optim.AdamW(network.parameters(), lr=LR)
    steps = max(1, epochs * (len(training[0]) // BATCH))
    history = train.fit(
        network,
        None,
        optimizer,
        (training[0],),
        epochs=epochs,
        batch_size=BATCH,
        drop_last=True,
        validation=(held_out[0],),
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps),
        max_grad_norm=1000.0,  # of hundreds of nats a picture; the first ones would be longer
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    figures: dict[str, float | str] = {}
    if history.epochs and not history.interrupted:
        manual_seed(seed)
        draw(run_folder.path, network, history, test[0])
        figures = {
            "test_bound_nats": -train.evaluate(network, (test[0],))["loss"],
            "independent_pixels_nats": independent(training[0], test[0]),
            **restoration(network, test[0]),
        }
    return Result(figures, history, run_folder.training.update.steps)


def independent(training: Tensor, test: Tensor) -> float:
    """Returns the mean log-probability of test pictures under a model in which pixels are
    independent, each with its distribution in the training pictures.
    """
    levels, places = [
        (smelt.round(x.flatten(1) * (LEVELS - 1))).numpy().astype(np.int64)
        for x in (training, test)
    ]
    cells = levels + LEVELS * np.arange(levels.shape[1])
    counts = np.bincount(cells.ravel(), minlength=LEVELS * levels.shape[1]).reshape(-1, LEVELS)
    smooth = counts + 1.0 / LEVELS  # a level that was never seen is rare, not impossible
    logs = np.log(smooth / smooth.sum(1, keepdims=True))
    return float(logs[np.arange(levels.shape[1]), places].sum(1).mean())


def restoration(model: VAE, pictures: Tensor) -> dict[str, float]:
    """Returns the root of the mean squared error of noisy pictures, of their mean over 3 x 3
    pixels, and of the pictures that the network restores.
    """
    seen = noisy(pictures, NOISE)
    smooth = F.avg_pool2d(seen.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
    restored = train.predict(model.restore, seen)
    tried = {"noisy": seen, "mean_of_neighbors": smooth, "restored": restored}
    return {
        f"error_{name}": ((found - pictures) ** 2).mean().sqrt().item()
        for name, found in tried.items()
    }


def draw(folder: Path, model: VAE, history: train.History, test: Tensor) -> None:
    """Draws the bound by epoch; test pictures reconstructed, and restored; and new pictures."""
    pictures = test[:SHOWN]
    seen = noisy(pictures, NOISE)
    again, restored = (train.predict(model.restore, x) for x in (pictures, seen))
    rows = {
        "reconstructions": {"picture": pictures, "given back": again},
        "restored": {"picture": pictures, "with noise": seen.clamp(0.0, 1.0), "restored": restored},
    }
    for name, shown in rows.items():
        titles = [title for row in shown for title in [row, *[""] * (SHOWN - 1)]]
        grid = plot.images(smelt.cat(list(shown.values())), titles=titles, columns=SHOWN)
        plot.save(grid, folder / f"{name}.png")
    drawn = train.predict(lambda z: model.decode(z)[0].clamp(0.0, 1.0), smelt.randn(50, LATENT))
    plot.save(plot.images(drawn, columns=SHOWN), folder / "samples.png")
    bounds = {
        "training, with noise": [-epoch.loss for epoch in history.epochs],
        "held out": [-epoch.held_out["loss"] for epoch in history.epochs],
    }
    curves = plot.loss_curves(
        bounds, title="Evidence lower bound", x_label="epoch", y_label="nats", start=1, log=False
    )
    plot.save(curves, folder / "curves.png")


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: pictures without their noise, or drawn ones."""
    model = make_model(config["model"])
    train.read_model(folder, model)
    pixels = {"meaning": "28 x 28 pixels, row by row, 0 (background) to 1"}
    pictures = InferenceTensor("pictures", float32, (28, 28), pixels)
    if isinstance(model, VAE):
        noisy = pictures._replace(name="inputs")
        return Inference("denoise", Applied(model, VAE.restore).eval(), (noisy,), pictures)
    z = InferenceTensor("z", float32, (gan.NOISE,), {"meaning": "numbers of a normal distribution"})
    kinds = InferenceTensor("kinds", int32, (), {"classes": KINDS})
    return Inference("denoise", model.generator.eval(), (z, kinds), pictures)
