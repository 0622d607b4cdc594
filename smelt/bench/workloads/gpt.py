"""A GPT of any size on characters; AdamW."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    steps_for,
    trained,
)
from smelt.bench.workloads import attention

VOCABULARY, RATE, DECAY = 65, 1e-3, 0.01
STYLE: dict[str, Any] = {"causal": True, "p": 0.0, "gelu": "none"}


@dataclass(frozen=True)
class Size:
    """Blocks, their width and heads, places in a text, and texts in a batch."""

    blocks: int
    width: int
    heads: int
    length: int
    batch: int


def gpt(title: str, size: Size) -> Workload:
    """Returns the training step of a GPT."""
    rows = size.batch * size.length
    products = size.blocks * attention.products(rows, size.length, size.width, 4 * size.width)
    products += 6.0 * rows * size.width * VOCABULARY
    return Workload(
        title,
        products,
        steps_for(products),
        lambda: _weights(size),
        lambda: _arrays(size),
        _step_of(size),
        _jax_step_of(size),
    )


def _weights(size: Size) -> Weights:
    """First values: tables as in GPT-2, linear layers as PyTorch draws them."""
    C = size.width
    values = {
        "token.weight": 0.02 * normal((VOCABULARY, C), 0),
        "place.weight": 0.02 * normal((size.length, C), 1),
    }
    for block in range(size.blocks):
        values |= attention.block_weights(f"blocks.{block}", C, 4 * C, 100 * (block + 1))
    return values | norm("norm", C) | linear("head", C, VOCABULARY, 2)


def _arrays(size: Size) -> tuple[np.ndarray, ...]:
    """Random characters and what follows each."""
    text = np.random.default_rng(0).integers(0, VOCABULARY, (size.batch, size.length + 1))
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])


def _step_of(size: Size) -> Callable[[Library, Weights, bool], Step]:
    """Cross-entropy of the next character at every place."""
    C = size.width

    def step(lib: Library, weights: Weights, exact: bool) -> Step:
        nn, F = lib.nn, lib.F

        class GPT(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.token, self.place = nn.Embedding(VOCABULARY, C), nn.Embedding(size.length, C)
                self.blocks = nn.Sequential(
                    *(
                        attention.make_block(lib, C, size.heads, 4 * C, **STYLE)
                        for _ in range(size.blocks)
                    )
                )
                self.norm, self.head = nn.LayerNorm(C), nn.Linear(C, VOCABULARY)

            def forward(self, text: Any) -> Any:
                x = self.blocks(self.token(text) + self.place.weight)  # (B, T, C)
                return self.head(self.norm(x))

        model = loaded(lib, GPT(), weights)
        optimizer = lib.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)

        def loss_of(text: Any, following: Any) -> Any:
            return F.cross_entropy(model(text).reshape(-1, VOCABULARY), following.reshape(-1))

        return trained(lib, model, optimizer, loss_of)

    return step


def _jax_step_of(size: Size) -> Callable[[Weights, bool], tuple[Step, Any]]:
    """The same."""

    def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
        from smelt.bench.jax_parts import adam_step, cross_entropy, layer_norm, linear

        def loss_of(weights: Any, key: Any, text: Any, following: Any) -> Any:
            x = weights["token.weight"][text] + weights["place.weight"]
            for block in range(size.blocks):
                name = f"blocks.{block}"
                x = attention.jax_block(weights, name, x, size.heads, (None,) * 3, **STYLE)
            x = layer_norm(weights, "norm", x)
            return cross_entropy(linear(weights, "head", x), following)

        return adam_step(loss_of, weights, RATE, DECAY)

    return jax_step


CHAR_GPT = gpt("char-GPT, 4 blocks, width 128, batch 12 x 64", Size(4, 128, 4, 64, 12))
