"""Eager execution beside PyTorch's: training steps, evaluation and sampling of four networks.

    python benchmarks/eager.py --peers /path/to/python/with/torch

A training step is the forward pass, cross entropy, `backward` and Adam, none of it compiled. "eval"
is the forward pass under `no_grad`, "sample" draws one token at a time from the Transformer.

- MLP: 64-128-128-10, batch 64.
- CNN: two convolutions of 3 x 3 with 16 and 32 channels, pooled, on 28 x 28, batch 32.
- Transformer: two blocks of width 64, 4 heads, 64 tokens of 65 kinds, batch 8.
- LSTM: 32 steps of 32 features, hidden width 128, batch 32.
- RNN, GRU and LSTM of width 4: 32 steps of 4 features, batch 8, which cost what their calls cost.

`call` is the cost of `x + y` on tensors of shape (1,) with history, `matmul` that of a product of
2 x 2 with history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from smelt.bench.harness import main

Step = Callable[[], Any]
WIDTH, HEADS, TOKENS, KINDS = 64, 4, 64, 65
SMALL = ("rnn", "gru", "lstm")
COUNTS = {"call": 20_000, "matmul": 10_000, "mlp": 50, "cnn": 5, "transformer": 4, "lstm": 4}
COUNTS |= {f"{kind} of 4": 20 for kind in SMALL}


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns a batch for each network."""
    random = np.random.default_rng(0)
    text = random.integers(0, KINDS, (8, TOKENS + 1))
    small = random.standard_normal((8, 32, 4), np.float32), random.integers(0, 4, 8)
    return {f"{kind} of 4": small for kind in SMALL} | {
        "mlp": (random.standard_normal((64, 64), np.float32), random.integers(0, 10, 64)),
        "cnn": (random.standard_normal((32, 1, 28, 28), np.float32), random.integers(0, 10, 32)),
        "transformer": (text[:, :-1], text[:, 1:]),
        "lstm": (random.standard_normal((32, 32, 32), np.float32), random.integers(0, 10, 32)),
    }


def networks(lib: Any, nn: Any, F: Any) -> dict[str, Any]:
    """Returns the four networks, of either library."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            batch, places = x.shape[:2]
            q, k, v = (
                part.reshape(batch, places, HEADS, WIDTH // HEADS).transpose(1, 2)
                for part in self.qkv(self.norm1(x)).chunk(3, -1)
            )
            seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(batch, places, WIDTH))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(KINDS, WIDTH), nn.Embedding(TOKENS, WIDTH)
            self.blocks = nn.ModuleList([Block(), Block()])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, KINDS)

        def forward(self, ids: Any) -> Any:
            x = self.tokens(ids) + self.places(lib.arange(ids.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)).reshape(-1, KINDS)

    class Recurrent(nn.Module):
        def __init__(self, kind: str, features: int, width: int, classes: int) -> None:
            super().__init__()
            self.layer = getattr(nn, kind.upper())(features, width, batch_first=True)
            self.head = nn.Linear(width, classes)

        def forward(self, x: Any) -> Any:
            return self.head(self.layer(x)[0][:, -1])

    dense = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    first = nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)
    second = nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 11 * 11, 10)
    return {
        "mlp": nn.Sequential(*dense),
        "cnn": nn.Sequential(*first, *second),
        "transformer": Transformer(),
        "lstm": Recurrent("lstm", 32, 128, 10),
        **{f"{kind} of 4": Recurrent(kind, 4, 4, 4) for kind in SMALL},
    }


def side(lib: Any, nn: Any, F: Any, optim: Any) -> Iterator[dict[str, Any]]:
    """Warms up, then yields the seconds of every measurement, of either library."""
    batches = {name: tuple(map(lib.tensor, pair)) for name, pair in data().items()}
    models = networks(lib, nn, F)

    def trained(name: str) -> Step:
        model, (x, y) = models[name], batches[name]
        optimizer = optim.Adam(model.parameters(), lr=1e-3)

        def step() -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y.reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        return step

    def evaluated(name: str) -> Step:
        model, (x, _) = models[name], batches[name]

        def step() -> Any:
            with lib.no_grad():
                return model(x)

        return step

    def sample() -> Any:
        ids = batches["transformer"][0][:1, :1]
        with lib.no_grad():
            for _ in range(8):
                logits = models["transformer"](ids[:, -TOKENS:])[-1:]
                drawn = lib.multinomial(F.softmax(logits, -1), 1)
                ids = lib.cat([ids, drawn], 1)
        return ids

    x, y = (lib.tensor([1.0]).requires_grad_() for _ in range(2))
    a, b = (lib.ones(2, 2).requires_grad_() for _ in range(2))
    jobs: dict[str, tuple[Step, int]] = {
        "call": (lambda: x + y, COUNTS["call"]),
        "matmul": (lambda: a @ b, COUNTS["matmul"]),
    }
    for name in models:
        jobs[name] = trained(name), COUNTS[name]
        jobs[f"{name} eval"] = evaluated(name), 3 * COUNTS[name]
    jobs["sample"] = sample, 2
    yield from measured(jobs)


def measured(jobs: dict[str, tuple[Step, int]]) -> Iterator[dict[str, Any]]:
    """Warms up, then yields the seconds of each job."""
    for job, _ in jobs.values():
        for _ in range(3):
            job()
    yield {}
    while True:
        seconds = {}
        for name, (job, count) in jobs.items():
            start = time.process_time()
            for _ in range(count):
                job()
            seconds[name] = (time.process_time() - start) / count
        yield seconds


def smelt_side() -> Iterator[dict[str, Any]]:
    """Smelt, eagerly."""
    import smelt
    import smelt.nn.functional as F
    from smelt import nn, optim

    yield from side(smelt, nn, F, optim)


def torch_side() -> Iterator[dict[str, Any]]:
    """PyTorch, eagerly, on one thread."""
    import torch

    torch.set_num_threads(1)
    yield from side(torch, torch.nn, torch.nn.functional, torch.optim)


if __name__ == "__main__":
    main("eager", {"smelt": smelt_side, "torch": torch_side}, threads=(1,), by_quantity=True)
