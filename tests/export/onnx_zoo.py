"""Networks that are written as ONNX files, each with the axes of its input that may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.tensor import Tensor

Array = np.ndarray
Lengths = dict[str, int]
BATCH = {0: "batch"}
SEQUENCES = {0: "batch", 1: "time"}
VOCABULARY = 17


def floats(*shape: int) -> Array:
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def words(*shape: int) -> Array:
    return np.random.default_rng(7).integers(0, VOCABULARY, shape)


@dataclass(frozen=True)
class Network:
    """A network, its input at given lengths, and which axes of it have these."""

    make: Callable[[], nn.Module]
    input: Callable[[Lengths], Array]
    axes: dict[int, str]
    lengths: list[Lengths] = field(default_factory=lambda: [{"batch": n} for n in (4, 1, 7)])


def rows(*shape: int) -> Callable[[Lengths], Array]:
    return lambda lengths: floats(lengths["batch"], *shape)


def steps(width: int) -> Callable[[Lengths], Array]:
    return lambda lengths: floats(lengths["batch"], lengths["time"], width)


ANY_TIME: list[Lengths] = [
    {"batch": 3, "time": 6},
    {"batch": 1, "time": 9},
    {"batch": 5, "time": 2},
]


class Encoder(nn.Module):
    """Classifies sequences of vectors by the mean of a Transformer's outputs."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.head(self.layers(x).mean(1)), -1)


class CharacterModel(nn.Module):
    """A small GPT: causal attention over characters and their positions."""

    def __init__(self, most: int = 32, width: int = 16) -> None:
        super().__init__()
        self.characters = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(most, width)
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.after = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        time = ids.shape[1]
        x = self.characters(ids) + self.positions(smelt.arange(time))
        y = self.before(x)
        later = smelt.triu(smelt.ones(time, time, dtype=smelt.bool), diagonal=1)
        x = x + self.attention(y, y, y, attn_mask=later, need_weights=False)[0]
        return self.head(x + self.mlp(self.after(x)))


class EmbeddingClassifier(nn.Module):
    """Classifies texts by the mean of the embeddings of what is no padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 8, padding_idx=0)
        self.head = nn.Linear(8, 4)

    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids != 0).to(smelt.float32).unsqueeze(-1)
        total = (self.embedding(ids) * mask).sum(1)
        return self.head(total / mask.sum(1).clamp(min=1.0))


class Decoder(nn.Module):
    """The decoder of a variational autoencoder: probabilities, and their logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 36))

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        logits = self.layers(z).reshape(-1, 1, 6, 6)
        return {"logits": logits, "image": smelt.sigmoid(logits)}


class Masked(nn.Module):
    """A recurrent layer over sequences of several lengths, both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(4, 5, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x[:, :, 0] > -0.5).sum(1)
        return self.layer(x, lengths=lengths)[0]


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout2d(), nn.Flatten(),
        nn.Linear(72, 10),
    )  # fmt: skip


def separable() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), nn.Conv2d(4, 8, 1), nn.ReLU6(),
        nn.Conv2d(8, 8, 3, dilation=2, padding=2, groups=8), nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def waves() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 5, padding=2), nn.GroupNorm(2, 4), nn.SiLU(), nn.MaxPool1d(3, 2, 1),
        nn.Conv1d(4, 3, 3, stride=2, dilation=2), nn.ELU(),
    )  # fmt: skip


def autoencoder() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.LeakyReLU(),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1), nn.Softplus(),
        nn.ConvTranspose2d(2, 2, 3, groups=2, dilation=2), nn.Upsample(scale_factor=2),
    )  # fmt: skip


WAVES: list[Lengths] = [{"batch": 3, "time": n} for n in (20, 15, 32)]
ZOO: dict[str, Network] = {
    "mlp": Network(
        lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10)),
        rows(64),
        BATCH,
    ),
    "lenet": Network(lenet, rows(1, 20, 20), BATCH),
    "separable": Network(separable, rows(4, 9, 9), BATCH),
    "waves": Network(
        waves,
        lambda lengths: floats(lengths["batch"], 2, lengths["time"]),
        {0: "batch", 2: "time"},
        WAVES,
    ),
    "autoencoder": Network(autoencoder, rows(1, 8, 8), BATCH),
    "embedding": Network(
        EmbeddingClassifier,
        lambda lengths: words(lengths["batch"], lengths["time"]),
        SEQUENCES,
        ANY_TIME,
    ),
    "encoder": Network(Encoder, steps(8), SEQUENCES, ANY_TIME),
    "gpt": Network(
        CharacterModel,
        lambda lengths: words(lengths["batch"], lengths["time"]),
        SEQUENCES,
        ANY_TIME,
    ),
    "rnn": Network(lambda: nn.RNN(4, 5, 2, batch_first=True), steps(4), SEQUENCES, ANY_TIME),
    "relu rnn": Network(
        lambda: nn.RNN(4, 5, nonlinearity="relu", batch_first=True), steps(4), SEQUENCES, ANY_TIME
    ),
    "gru": Network(
        lambda: nn.GRU(4, 5, bidirectional=True, batch_first=True), steps(4), SEQUENCES, ANY_TIME
    ),
    "lstm": Network(
        lambda: nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True),
        steps(4),
        SEQUENCES,
        ANY_TIME,
    ),
    "masked gru": Network(Masked, steps(4), SEQUENCES, ANY_TIME),
    "decoder": Network(Decoder, rows(4), BATCH),
    "norms": Network(
        lambda: nn.Sequential(nn.LayerNorm((6, 5)), nn.GroupNorm(3, 6), nn.Softmax(-1)),
        rows(6, 5),
        BATCH,
    ),
}
