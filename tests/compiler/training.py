"""A small training step that several tests share."""

from __future__ import annotations

import numpy as np

import smelt
from smelt import nn, optim
from smelt.nn import functional as F


def numbers(*shape: int, seed: int = 0) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def both(make):
    """Returns what `make(compile)` gives with an eager and with a compiled step."""
    return make(lambda function: function), make(smelt.compile)


def assert_same(eager, compiled, rtol: float = 1e-5) -> None:
    left, kind = smelt.tree.flatten(eager)
    right, other = smelt.tree.flatten(compiled)
    assert kind == other
    for a, b in zip(left, right, strict=True):
        if isinstance(a, smelt.Tensor):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=1e-6)
        else:
            assert a == b


class Training:
    """A small network with its optimizer, dropout included."""

    def __init__(self, compile, dropout: float = 0.0) -> None:
        smelt.manual_seed(7)
        layers = [nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)]
        self.model = nn.Sequential(*layers)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.step = compile(self._step)

    def _step(self, x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        loss = F.cross_entropy(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> list[np.ndarray]:
        own = [x.numpy().copy() for x in self.model.state_dict().values()]
        generator = smelt.default_generator().state.numpy().copy()
        return [*own, generator]


DATA = numbers(64, 6, seed=1)
LABELS = smelt.tensor(np.random.default_rng(2).integers(0, 3, 64))
