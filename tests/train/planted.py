"""Ten networks with thirty places where a nan or an infinity can be planted.

A line with `here("place")` computes something that is not finite, or has a derivative that is not,
when that place is chosen; else it hands on what it got. `PLACES` says what must be found there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim

_chosen: list[str] = []
Step = Callable[..., Any]


def here(place: str) -> bool:
    """Whether a nan is to be made at this place."""
    return place in _chosen


@dataclass(frozen=True)
class Place:
    """What is to be found: the operation, its module, and the operation whose backward it is."""

    network: str
    operation: str
    module: str
    backward_of: str = ""


def line_of(place: str) -> str:
    """Returns `file:line` of the place."""
    wanted = f'here("{place}")'
    lines = Path(__file__).read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if wanted in line]
    return f"{__file__}:{number}"


def made(place: str, network: str) -> tuple[Step, tuple[Any, ...]]:
    """Returns a network's training step with a nan planted, and its arguments."""
    _chosen[:] = [place]
    smelt.manual_seed(0)
    return NETWORKS[network]()


def numbers(*shape: int, seed: int = 0) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def overwrite(weight: nn.Parameter, number: float) -> None:
    with smelt.no_grad():
        weight.copy_(smelt.full(weight.shape, number))


def classes(count: int, kinds: int) -> smelt.Tensor:
    return smelt.tensor(np.arange(count) % kinds)


def training(model: nn.Module, loss_of: Step, optimizer: Any = optim.SGD) -> Step:
    """Returns the ordinary step."""
    opt = optimizer(model.parameters(), lr=1e-2)

    def step(*arguments: Any) -> Any:
        loss = loss_of(*arguments)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    return step


class Perceptron(nn.Module):
    def __init__(self) -> None:
        self.hidden = nn.Linear(6, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        h = F.relu(self.hidden(x))
        h = smelt.log(h * 0.0) if here("mlp: log of 0") else h
        h = h + smelt.sqrt(h * 0.0) if here("mlp: slope of a root at 0") else h
        return self.output(h)


def perceptron() -> tuple[Step, tuple[Any, ...]]:
    model = Perceptron()

    def loss_of(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        return loss / (loss - loss) if here("mlp: division by 0") else loss

    return training(model, loss_of), (numbers(5, 6), classes(5, 3))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 4, 3)
        self.output = nn.Linear(4, 3)
        if _chosen == ["cnn: weights too large"]:
            overwrite(self.second.weight, 1e38)

    def forward(self, x: Any) -> Any:
        x = self.pool(F.relu(self.first(x)))
        x = self.second(x * 30.0)  # here("cnn: weights too large")
        x = x - (-x.abs()).sqrt() if here("cnn: root of less than 0") else x
        x = x + smelt.where(x > 1e9, (x * 0.0).log(), 0.0) if here("cnn: unchosen log") else x
        return self.output(x.mean((2, 3)))


def convolutions() -> tuple[Step, tuple[Any, ...]]:
    model = Convolutions()
    step = training(model, lambda x, y: F.cross_entropy(model(x), y))
    return step, (numbers(4, 1, 8, 8), classes(4, 3))


class Normalized(nn.Module):
    def __init__(self) -> None:
        self.hidden = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8, eps=1e-60 if _chosen == ["norm: no eps"] else 1e-5)
        self.tail = nn.Sequential(nn.Linear(8, 8), Root(), nn.Linear(8, 1))

    def forward(self, x: Any) -> Any:
        x = self.hidden(x)
        x = x * 0.0 if _chosen == ["norm: no eps"] else x
        return self.tail(self.norm(x))  # here("norm: no eps")


class Root(nn.Module):
    def forward(self, x: Any) -> Any:
        x = (x.abs() + 1.0) ** 500.0 if here("norm: large power") else x
        return x + smelt.acos(x * 0.0 + 1.0) if here("norm: slope of acos at 1") else x


def normalized() -> tuple[Step, tuple[Any, ...]]:
    model = Normalized()
    step = training(model, lambda x, y: F.mse_loss(model(x)[:, 0], y), optim.Adam)
    return step, (numbers(5, 6), numbers(5))


class Recurrent(nn.Module):
    def __init__(self, layer: Any) -> None:
        self.layer = layer(4, 6)
        self.head = Head()

    def forward(self, x: Any) -> Any:
        x = x * 1e38 * 1e3 if here("lstm: inputs overflow") else x
        x = (x * 1e20).square() if here("gru: squares overflow") else x
        return self.head(self.layer(x)[0])


class Head(nn.Module):
    def __init__(self) -> None:
        self.output = nn.Linear(6, 1)

    def forward(self, h: Any) -> Any:
        y = self.output(h[-1])[:, 0]
        y = y / (y * 0.0) if here("lstm: division by 0") else y
        y = y.exp() * smelt.exp(y * 0.0 + 100.0) if here("gru: overflow of exp") else y
        y = y + (y * 0.0) ** 0.5 if here("lstm: slope of a power at 0") else y
        return y + (h * 0.0).sum().sqrt() if here("gru: slope of a root at 0") else y


def recurrent(layer: Any) -> tuple[Step, tuple[Any, ...]]:
    model = Recurrent(layer)
    step = training(model, lambda x, y: F.mse_loss(model(x), y), optim.RMSprop)
    return step, (numbers(7, 3, 4), numbers(3))


class Translator(nn.Module):
    def __init__(self) -> None:
        self.embedding = nn.Embedding(11, 8)
        self.blocks = nn.Sequential(Block(), Block())
        self.output = nn.Linear(8, 11)

    def forward(self, x: Any) -> Any:
        return self.output(self.blocks(self.embedding(x)))


class Block(nn.Module):
    def __init__(self) -> None:
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        causal = smelt.tensor(np.triu(np.ones((5, 5), bool), 1))
        x = x + self.attention(x, x, x, attn_mask=causal)[0]
        x = x / (x - x) if here("transformer: 0 / 0") else x
        x = x + smelt.log1p(x * 0.0 - 1.0) if here("transformer: log1p of -1") else x
        x = x + (x - x).square().sum(-1, True).sqrt() if here("transformer: slope of norm") else x
        return self.mix(self.norm(x))


def translator() -> tuple[Step, tuple[Any, ...]]:
    model = Translator()

    def loss_of(x: Any) -> Any:
        return F.cross_entropy(model(x[:, :-1]).reshape(-1, 11), x[:, 1:].reshape(-1))

    return training(model, loss_of, optim.AdamW), (classes(18, 11).reshape(3, 6),)


class Attention(nn.Module):
    """Attention by hand, with the mask of -inf that everybody writes."""

    def __init__(self) -> None:
        self.query = nn.Linear(4, 4)
        self.key = nn.Linear(4, 4)

    def forward(self, x: Any, mask: Any) -> Any:
        scores = self.query(x) @ self.key(x).mT
        scores = scores * smelt.exp(scores * 0.0 + 90.0) if here("mask: overflow") else scores
        scores = smelt.where(mask, scores, -math.inf)
        top = scores.amax(-1, True)
        shifted = scores - top  # here("mask: nothing to see")
        powers = smelt.exp(shifted)
        weights = powers / powers.sum(-1, True)
        entropy = (weights * smelt.log(weights)).sum() if here("mask: 0 log 0") else 0.0
        return weights @ x + entropy


def attention() -> tuple[Step, tuple[Any, ...]]:
    model = Attention()
    mask = np.tril(np.ones((4, 4), bool))
    mask[2] &= _chosen != ["mask: nothing to see"]
    step = training(model, lambda x, mask: model(x, mask).square().mean())
    return step, (numbers(2, 4, 4), smelt.tensor(mask))


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        self.encoder = nn.Linear(6, 4)
        self.decoder = nn.Linear(2, 6)

    def forward(self, x: Any) -> Any:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        log_variance = log_variance + (200.0 if _chosen == ["vae: variance overflows"] else 0.0)
        spread = smelt.exp(log_variance)  # here("vae: variance overflows")
        spread = (spread * 0.0 - 1.0) ** 0.5 if here("vae: root of -1") else spread.sqrt()
        z = mean + spread * smelt.randn_like(mean)
        z = z + smelt.asin(z * 0.0 - 1.0) if here("vae: slope of asin at -1") else z
        divergence = 0.5 * (mean**2 + spread**2 - 1.0).mean() - spread.log().mean()
        return F.sigmoid(self.decoder(z)), divergence


def autoencoder() -> tuple[Step, tuple[Any, ...]]:
    model = Autoencoder()

    def loss_of(x: Any) -> Any:
        y, divergence = model(x)
        return F.binary_cross_entropy(y, x) + divergence

    return training(model, loss_of, optim.Adam), (F.sigmoid(numbers(5, 6)),)


class Generator(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, z: Any) -> Any:
        y = self.layers(z)
        return y + (y / 0.0 - y / 0.0) if here("gan: inf - inf") else y


class Discriminator(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(), nn.Linear(8, 1))

    def forward(self, x: Any) -> Any:
        score = F.sigmoid(self.layers(x))
        score = score * 0.0 + 1.0 if _chosen == ["gan: log(1 - 1)"] else score
        slope = (score * 0.0).rsqrt() if here("gan: rsqrt of 0") else 0.0
        return score + slope


def gan() -> tuple[Step, tuple[Any, ...]]:
    generator, discriminator = Generator(), Discriminator()
    first = optim.Adam(generator.parameters(), lr=1e-3)
    second = optim.Adam(discriminator.parameters(), lr=1e-3)

    def step(real: Any) -> Any:
        fake = generator(smelt.randn(4, 2))
        wrong = -smelt.log(1.0 - discriminator(fake.detach())).mean()  # here("gan: log(1 - 1)")
        loss = wrong - smelt.log(discriminator(real)).mean()
        second.zero_grad()
        loss.backward()
        second.step()
        fooled = -smelt.log(discriminator(fake)).mean()
        first.zero_grad()
        fooled.backward()
        first.step()
        return loss, fooled

    return step, (numbers(4, 4),)


class Loops(nn.Module):
    def __init__(self) -> None:
        self.weight = nn.Parameter(numbers(4, 4) * 0.1)

    def turn(self, h: Any, x: Any) -> Any:
        h = smelt.tanh(x + h @ self.weight)
        h = h / (h - h) if here("loops: in scan") else h
        h = h + (h * h * 0.0).sqrt() if here("loops: slope in scan") else h
        return h, h.sum()

    def forward(self, x: Any) -> Any:
        h, sums = smelt.scan(self.turn, smelt.zeros(4), x)

        def halved(carry: Any) -> Any:
            size, turns = carry
            size = (size * 0.0).log() if here("loops: in while") else size * 0.5
            return size, turns + 1

        size, _ = smelt.while_loop(
            lambda carry: carry[1] < 3, halved, (h.abs().sum(), smelt.tensor(0)), max_steps=5
        )
        return sums.mean() + size


def loops() -> tuple[Step, tuple[Any, ...]]:
    model = Loops()
    return training(model, lambda x: model(x)), (numbers(6, 4),)


NETWORKS: dict[str, Callable[[], tuple[Step, tuple[Any, ...]]]] = {
    "mlp": perceptron,
    "cnn": convolutions,
    "norm": normalized,
    "lstm": lambda: recurrent(nn.LSTM),
    "gru": lambda: recurrent(nn.GRU),
    "transformer": translator,
    "mask": attention,
    "vae": autoencoder,
    "gan": gan,
    "loops": loops,
}
PLACES = {
    "mlp: log of 0": Place("mlp", "log", "perceptron"),
    "mlp: slope of a root at 0": Place("mlp", "div", "perceptron", "sqrt"),
    "mlp: division by 0": Place("mlp", "div", ""),
    "cnn: weights too large": Place("cnn", "convolution", "convolutions.second"),
    "cnn: root of less than 0": Place("cnn", "sqrt", "convolutions"),
    "cnn: unchosen log": Place("cnn", "div", "convolutions", "log"),
    "norm: no eps": Place("norm", "div", "normalized.norm"),
    "norm: large power": Place("norm", "pow", "normalized.tail.1"),
    "norm: slope of acos at 1": Place("norm", "div", "normalized.tail.1", "acos"),
    "lstm: inputs overflow": Place("lstm", "mul", "recurrent"),
    "lstm: division by 0": Place("lstm", "div", "recurrent.head"),
    "lstm: slope of a power at 0": Place("lstm", "pow", "recurrent.head", "pow"),
    "gru: squares overflow": Place("gru", "mul", "recurrent"),
    "gru: overflow of exp": Place("gru", "exp", "recurrent.head"),
    "gru: slope of a root at 0": Place("gru", "div", "recurrent.head", "sqrt"),
    "transformer: 0 / 0": Place("transformer", "div", "translator.blocks.0"),
    "transformer: log1p of -1": Place("transformer", "log1p", "translator.blocks.0"),
    "transformer: slope of norm": Place("transformer", "div", "translator.blocks.1", "sqrt"),
    "mask: overflow": Place("mask", "exp", "attention"),
    "mask: nothing to see": Place("mask", "sub", "attention"),
    "mask: 0 log 0": Place("mask", "log", "attention"),
    "vae: variance overflows": Place("vae", "exp", "autoencoder"),
    "vae: root of -1": Place("vae", "pow", "autoencoder"),
    "vae: slope of asin at -1": Place("vae", "div", "autoencoder", "asin"),
    "gan: inf - inf": Place("gan", "div", "generator"),
    "gan: log(1 - 1)": Place("gan", "log", ""),
    "gan: rsqrt of 0": Place("gan", "div", "discriminator"),
    "loops: in scan": Place("loops", "div", "loops"),
    "loops: slope in scan": Place("loops", "div", "loops", "sqrt"),
    "loops: in while": Place("loops", "log", "loops"),
}
