"""A small GPT on characters: 4 blocks, 4 heads, width 128, 64 places, 65 characters; AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np

from steps import attention
from steps.workload import Library, Step, Weights, Workload, linear, loaded, norm, normal, trained

BATCH, T, C, HEADS, BLOCKS, VOCABULARY, RATE, DECAY = 12, 64, 128, 4, 4, 65, 1e-3, 0.01
STYLE: dict[str, Any] = {"causal": True, "p": 0.0, "gelu": "none"}


def weights() -> Weights:
    """First values: tables as in GPT-2, linear layers as PyTorch draws them."""
    values = {
        "token.weight": 0.02 * normal((VOCABULARY, C), 0),
        "place.weight": 0.02 * normal((T, C), 1),
    }
    for block in range(BLOCKS):
        values |= attention.block_weights(f"blocks.{block}", C, 4 * C, 100 * (block + 1))
    return values | norm("norm", C) | linear("head", C, VOCABULARY, 2)


def arrays() -> tuple[np.ndarray, ...]:
    """Random characters and what follows each."""
    text = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, T + 1))
    return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])


def step(lib: Library, weights: Weights, exact: bool) -> Step:
    """Cross-entropy of the next character at every place."""
    nn, F = lib.nn, lib.F

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(VOCABULARY, C), nn.Embedding(T, C)
            blocks = [attention.make_block(lib, C, HEADS, 4 * C, **STYLE) for _ in range(BLOCKS)]
            self.blocks = nn.Sequential(*blocks)
            self.norm, self.head = nn.LayerNorm(C), nn.Linear(C, VOCABULARY)

        def forward(self, text: Any) -> Any:
            x = self.blocks(self.token(text) + self.place.weight)
            return self.head(self.norm(x))

    model = loaded(lib, GPT(), weights)
    optimizer = lib.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)

    def loss_of(text: Any, following: Any) -> Any:
        return F.cross_entropy(model(text).reshape(-1, VOCABULARY), following.reshape(-1))

    return trained(lib, model, optimizer, loss_of)


def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
    """The same."""
    from steps.jax_parts import adam_step, cross_entropy, layer_norm, linear

    def loss_of(weights: Any, key: Any, text: Any, following: Any) -> Any:
        x = weights["token.weight"][text] + weights["place.weight"]
        for block in range(BLOCKS):
            x = attention.jax_block(weights, f"blocks.{block}", x, HEADS, (None,) * 3, **STYLE)
        x = layer_norm(weights, "norm", x)
        return cross_entropy(linear(weights, "head", x), following)

    return adam_step(loss_of, weights, RATE, DECAY)


WORKLOAD = Workload(
    "char-GPT, 4 blocks, width 128, batch 12 x 64",
    BLOCKS * attention.products(BATCH * T, T, C, 4 * C) + 6.0 * BATCH * T * C * VOCABULARY,
    5,
    weights,
    arrays,
    step,
    jax_step,
)
