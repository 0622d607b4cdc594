"""A training step of which a part is compiled: the model, the loss, or all of it, beside PyTorch.

python benchmarks/parts.py --peers /path/to/python/with/torch

The step of an MLP (64-128-128-10, batch 64) and of a CNN (two convolutions of 3 x 3, 16 and 32
channels, on 28 x 28, batch 32), cross entropy and SGD. `torch` is eager, `torch.compile` compiles
the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from smelt.bench.harness import main

STEPS = 50  # a measurement

Step = Callable[[], Any]


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns a batch for each model."""
    random = np.random.default_rng(0)
    images = random.standard_normal((32, 1, 28, 28), np.float32)
    rows = random.standard_normal((64, 64), np.float32)
    return {
        "mlp": (rows, random.integers(0, 10, 64)),
        "cnn": (images, random.integers(0, 10, 32)),
    }


def models(nn: Any) -> dict[str, Any]:
    """Returns both models, of either library."""
    dense = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    first = nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)
    second = nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 11 * 11, 10)
    return {"mlp": nn.Sequential(*dense), "cnn": nn.Sequential(*first, *second)}


def measured(steps: dict[str, Step]) -> Iterator[dict[str, Any]]:
    """Warms up, then yields the seconds of a step of each model."""
    for step in steps.values():
        for _ in range(5):
            step()
    yield {}
    while True:
        seconds = {}
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            seconds[name] = (time.perf_counter() - start) / STEPS
        yield seconds


def smelt_side(part: str) -> Iterator[dict[str, Any]]:
    """Yields seconds of a step of which `part` is compiled."""
    import smelt
    import smelt.nn.functional as F
    from smelt import nn, optim

    def step_of(model: Any, x: Any, y: Any) -> Step:
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        forward = smelt.compile(model) if part == "model" else model
        criterion = smelt.compile(F.cross_entropy) if part == "loss" else F.cross_entropy

        def step() -> Any:
            optimizer.zero_grad()
            loss = criterion(forward(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return smelt.compile(step) if part == "step" else step

    tensors = {name: tuple(map(smelt.tensor, pair)) for name, pair in data().items()}
    made = models(nn)
    yield from measured({name: step_of(made[name], *tensors[name]) for name in made})


def torch_side(compiled: bool) -> Iterator[dict[str, Any]]:
    """Yields seconds of the same step in PyTorch."""
    import torch

    def step_of(model: Any, x: Any, y: Any) -> Step:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        forward = torch.compile(model) if compiled else model

        def step() -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    tensors = {name: tuple(map(torch.tensor, pair)) for name, pair in data().items()}
    made = models(torch.nn)
    yield from measured({name: step_of(made[name], *tensors[name]) for name in made})


SIDES = {
    "smelt step": lambda: smelt_side("step"),
    "smelt model": lambda: smelt_side("model"),
    "smelt loss": lambda: smelt_side("loss"),
    "smelt eager": lambda: smelt_side("nothing"),
    "torch": lambda: torch_side(compiled=False),
    "torch.compile": lambda: torch_side(compiled=True),
}

if __name__ == "__main__":
    main("a step of which a part is compiled", SIDES)
