"""Twenty networks that are exported to C: for inference, and with their training step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.tensor import Tensor

Batch = tuple[np.ndarray, ...]
Random = np.random.Generator


@dataclass(frozen=True)
class Network:
    """A network: how it is made, the loss of a batch, and a batch of random data.

    `inputs` says how many arrays of a batch the network itself gets, for inference.
    """

    make: Callable[[], nn.Module]
    loss: Callable[..., Tensor]
    batch: Callable[[Random], Batch]
    inputs: int = 1
    optimizer: Callable[..., optim.Optimizer] = lambda parameters: optim.Adam(parameters, lr=1e-3)


def training_step(network: Network, model: nn.Module) -> Callable[..., Any]:
    """Returns a step that trains a model."""
    optimizer = network.optimizer(model.parameters())

    def step(*batch: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = network.loss(model, *batch)
        loss.backward()
        optimizer.step()
        return loss

    return step


# --- parts ----------------------------------------------------------------------------------------


def floats(random: Random, *shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


def labels(random: Random, count: int, *shape: int) -> np.ndarray:
    return random.integers(0, count, shape)


def classified(classes: int, *shape: int) -> Callable[[Random], Batch]:
    """Returns what makes batches of arrays of a shape, the first extent samples, with labels."""
    return lambda random: (floats(random, *shape), labels(random, classes, shape[0]))


def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y)


def squared(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return ((model(x) - y) ** 2).mean()


class Recurrent(nn.Module):
    """A recurrent layer, and a linear one on its last output."""

    def __init__(self, layer: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:  # (n, t, c)
        y, _ = self.layer(x)
        return self.head(y[:, -1])


class Residual(nn.Module):
    """Two convolutions with batch normalization, and what they are added to."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.short = nn.Conv2d(channels, outputs, 1, stride=stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(y)) + self.short(x))


def depthwise(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class GPT(nn.Module):
    """A character model: embeddings, causal transformer layers, logits."""

    def __init__(self, characters: int, length: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(characters, width)
        self.places = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, characters)
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        y = self.embed(x) + self.places(smelt.arange(self.length))
        mask = nn.Transformer.generate_square_subsequent_mask(self.length)
        return self.head(self.layers(y, mask=mask))


class VAE(nn.Module):
    """Pictures to a normal distribution of codes, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 8))
        self.decoder = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 64))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x)[:, :4])

    def loss(self, x: Tensor) -> Tensor:
        mean, log_width = self.encoder(x).chunk(2, dim=1)
        z = mean + smelt.exp(log_width) * smelt.randn(*mean.shape)
        misfit = ((self.decoder(z) - x) ** 2).sum(1)
        divergence = 0.5 * (mean**2 + smelt.exp(2 * log_width) - 1 - 2 * log_width).sum(1)
        return (misfit + divergence).mean()


class GAN(nn.Module):
    """A generator and a discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Linear(32, 64), nn.Sigmoid()
        )
        self.discriminator = nn.Sequential(nn.Linear(64, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def discriminator_loss(self, x: Tensor) -> Tensor:
        drawn = self.generator(smelt.randn(x.shape[0], 8)).detach()
        real, false = self.discriminator(x), self.discriminator(drawn)
        return (F.softplus(-real) + F.softplus(false)).mean()

    def generator_loss(self, x: Tensor) -> Tensor:
        return F.softplus(-self.discriminator(self.generator(smelt.randn(x.shape[0], 8)))).mean()


class Physics(nn.Module):
    """A network u(x) that learns u'' + u = 0, by derivatives of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh())
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.net(x))

    def loss(self, x: Tensor) -> Tensor:
        def u(point: Tensor) -> Tensor:
            return self(point.reshape(1, 1)).reshape(())

        second = smelt.vmap(smelt.grad(smelt.grad(u)))(x[:, 0])
        values = smelt.vmap(u)(x[:, 0])
        start = (u(smelt.zeros(())) - 1.0) ** 2
        return ((second + values) ** 2).mean() + start


class Waves(nn.Module):
    """Sines of random frequencies, then a linear layer; sine activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 24), nn.Linear(24, 24), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(smelt.sin(self.second(smelt.sin(3.0 * self.first(x)))))


class Words(nn.Module):
    """The mean of the vectors of words, classified."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(100, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x).mean(1))


class Bayesian(nn.Module):
    """Two layers whose weights are drawn anew in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.VariationalLinear(8, 16), nn.VariationalLinear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)))


def bayesian_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y) + 0.01 * nn.kl_divergence(model)


def language_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits = model(x)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))


def momentum(parameters: Any) -> optim.Optimizer:
    return optim.SGD(parameters, lr=0.01, momentum=0.9)


def decayed(parameters: Any) -> optim.Optimizer:
    return optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)


ZOO: dict[str, Network] = {
    "digits": Network(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 64),
            nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10),
        ),
        cross_entropy, classified(10, 16, 8, 8),
    ),
    "lenet": Network(
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5),
            nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 84), nn.Tanh(),
            nn.Linear(84, 10),
        ),
        cross_entropy, classified(10, 2, 1, 28, 28), optimizer=momentum,
    ),
    "keywords": Network(
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, (10, 4), stride=2, padding=(4, 1), bias=False),
            nn.BatchNorm2d(8), nn.ReLU(), depthwise(8), depthwise(8), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(8, 12),
        ),
        cross_entropy, classified(12, 2, 1, 25, 10),
    ),
    "resnet8": Network(
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 32, 2), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(32, 10),
        ),
        cross_entropy, classified(10, 2, 3, 16, 16), optimizer=momentum,
    ),
    "maxpool": Network(
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, dilation=2),
            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 4),
        ),
        cross_entropy, classified(4, 3, 1, 18, 18),
    ),
    "cnn1d": Network(
        lambda: nn.Sequential(
            nn.Conv1d(3, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 16, 5),
            nn.GroupNorm(4, 16), nn.SiLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
            nn.Linear(16, 5),
        ),
        cross_entropy, classified(5, 4, 3, 40),
    ),
    "autoencoder": Network(
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ELU(),
            nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1), nn.Sigmoid(),
        ),
        lambda model, x: squared(model, x, x), lambda random: (floats(random, 3, 1, 12, 12),),
    ),
    "rnn": Network(
        lambda: Recurrent(nn.RNN(4, 16, batch_first=True), 16, 3), cross_entropy,
        classified(3, 4, 10, 4),
    ),
    "lstm": Network(
        lambda: Recurrent(nn.LSTM(4, 32, batch_first=True), 32, 3), cross_entropy,
        classified(3, 4, 10, 4),
    ),
    "gru": Network(
        lambda: Recurrent(nn.GRU(4, 12, 2, batch_first=True, bidirectional=True), 24, 3),
        cross_entropy, classified(3, 4, 8, 4), optimizer=momentum,
    ),
    "transformer": Network(
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True),
            nn.Flatten(), nn.Linear(96, 3),
        ),
        cross_entropy, classified(3, 4, 6, 16), optimizer=decayed,
    ),
    "gpt": Network(
        lambda: GPT(20, 12, 32), language_loss,
        lambda random: (labels(random, 20, 2, 12), labels(random, 20, 2, 12)), optimizer=decayed,
    ),
    "gan_discriminator": Network(
        GAN, lambda model, x: model.discriminator_loss(x), lambda random: (floats(random, 8, 64),),
        inputs=0,
    ),
    "gan_generator": Network(
        GAN, lambda model, x: model.generator_loss(x), lambda random: (floats(random, 8, 64),),
        inputs=0,
    ),
    "vae": Network(
        VAE, lambda model, x: model.loss(x), lambda random: (floats(random, 8, 64),)
    ),
    "bayesian": Network(Bayesian, bayesian_loss, classified(3, 8, 8)),
    "words": Network(
        Words, cross_entropy,
        lambda random: (labels(random, 100, 6, 9), labels(random, 3, 6)),
    ),
    "physics": Network(
        Physics, lambda model, x: model.loss(x), lambda random: (floats(random, 8, 1),)
    ),
    "waves": Network(
        Waves, squared, lambda random: (floats(random, 16, 2), floats(random, 16, 1)),
        optimizer=momentum,
    ),
    "housing": Network(
        lambda: nn.Sequential(
            nn.LayerNorm(8), nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 16), nn.Softplus(),
            nn.Linear(16, 1),
        ),
        lambda model, x, y: F.huber_loss(model(x), y),
        lambda random: (floats(random, 16, 8), floats(random, 16, 1)),
    ),
}  # fmt: skip
