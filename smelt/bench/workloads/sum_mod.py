"""E8.1: the sum-mod Transformer. 16 digits, 2 blocks of width 64, mean pooling; Adam, batch 128."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.bench.workload import (
    Library,
    Step,
    Weights,
    Workload,
    linear,
    loaded,
    norm,
    normal,
    trained,
)
from smelt.bench.workloads import attention

BATCH, T, C, HIDDEN, HEADS, BLOCKS, CLASSES, P, RATE = 128, 16, 64, 256, 4, 2, 5, 0.1, 1e-3
STYLE: dict[str, Any] = {"causal": False, "gelu": "tanh"}


def weights() -> Weights:
    """First values as the book draws them."""
    values = {"token.weight": normal((10, C), 0)}
    for block in range(BLOCKS):
        values |= attention.block_weights(f"blocks.{block}", C, HIDDEN, 100 * (block + 1))
    return values | norm("norm", C) | linear("head", C, CLASSES, 1)


def arrays() -> tuple[np.ndarray, ...]:
    """Random digits, and their sums modulo 5."""
    digits = np.random.default_rng(0).integers(0, 10, (BATCH, T))
    return digits, digits.sum(1) % CLASSES


def positions() -> np.ndarray:
    """Sines beside cosines, as the book's companion has them."""
    angles = np.arange(T)[:, None] * 10000.0 ** (-np.arange(0, C, 2) / C)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


def step(lib: Library, weights: Weights, exact: bool) -> Step:
    """Cross-entropy over the classes; without dropout when `exact`."""
    nn, F, p = lib.nn, lib.F, 0.0 if exact else P
    encoding = lib.tensor(positions())

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(10, C)
            blocks = [
                attention.make_block(lib, C, HEADS, HIDDEN, p=p, **STYLE) for _ in range(BLOCKS)
            ]
            self.blocks = nn.Sequential(*blocks)
            self.norm, self.head = nn.LayerNorm(C), nn.Linear(C, CLASSES)

        def forward(self, digits: Any) -> Any:
            x = self.blocks(F.dropout(self.token(digits) + encoding, p))
            return self.head(self.norm(x).mean(1))

    model = loaded(lib, Classifier(), weights)
    optimizer = lib.optim.Adam(model.parameters(), lr=RATE)
    return trained(lib, model, optimizer, lambda x, y: F.cross_entropy(model(x), y))


def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
    """The same."""
    import jax

    from smelt.bench.jax_parts import adam_step, cross_entropy, dropout, layer_norm, linear

    p, encoding = 0.0 if exact else P, positions()

    def loss_of(weights: Any, key: Any, digits: Any, labels: Any) -> Any:
        first, *keys = jax.random.split(key, 1 + 3 * BLOCKS)
        x = dropout(weights["token.weight"][digits] + encoding, p, first)
        for block in range(BLOCKS):
            own = keys[3 * block : 3 * block + 3]
            x = attention.jax_block(weights, f"blocks.{block}", x, HEADS, own, p=p, **STYLE)
        x = layer_norm(weights, "norm", x).mean(1)
        return cross_entropy(linear(weights, "head", x), labels)

    return adam_step(loss_of, weights, RATE)


WORKLOAD = Workload(
    "E8.1 sum-mod Transformer, batch 128",
    BLOCKS * attention.products(BATCH * T, T, C, HIDDEN) + 6.0 * BATCH * C * CLASSES,
    10,
    weights,
    arrays,
    step,
    jax_step,
)
