"""What `fit` costs beside the compiled step: microseconds a step, with the epoch's share.

    python benchmarks/fit_cost.py

A small network (64-32-10, batch 64, Adam) is trained by `fit`, without validation and without
progress, and by `step.over`, in turn; the cost is the difference.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train

SIZE = 64


class Clock(train.Callback):
    """Notes when epochs end."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def epoch(self, epoch: train.Epoch) -> None:
        self.times.append(time.perf_counter())


def data(steps: int) -> tuple[Any, Any]:
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(SIZE * steps, 64)).astype(np.float32)
    return smelt.tensor(x), smelt.tensor(numbers.integers(0, 10, SIZE * steps))


def measure(steps: int, epochs: int, rounds: int) -> tuple[float, float]:
    """Returns seconds a step of `over`, and of `fit`."""
    x, y = data(steps)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = optim.Adam(model.parameters())
    step = train.training_step(model, optimizer, F.cross_entropy)
    step.over(x, y, batch_size=SIZE, shuffle=True)

    def over() -> float:
        start = time.perf_counter()
        for _ in range(epochs):
            step.over(x, y, batch_size=SIZE, shuffle=True)
        return (time.perf_counter() - start) / epochs / steps

    def fitted() -> float:
        clock, before = Clock(), 5  # epochs until calls have as many steps as they will
        train.fit(
            model, F.cross_entropy, optimizer, (x, y), epochs=epochs + before, batch_size=SIZE,
            progress=False, callbacks=[clock],
        )  # fmt: skip
        return (clock.times[-1] - clock.times[before - 1]) / epochs / steps

    found = np.asarray([(over(), fitted()) for _ in range(rounds)])
    return float(np.median(found[:, 0])), float(np.median(found[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"{'steps an epoch':>16}{'over, us':>12}{'fit, us':>12}{'cost, us':>12}")
    for steps in (10, 100, 1000):
        over, fitted = measure(steps, max(3, 3000 // steps), rounds)
        cells = (over * 1e6, fitted * 1e6, (fitted - over) * 1e6)
        print(f"{steps:16}" + "".join(f"{cell:12.2f}" for cell in cells))


if __name__ == "__main__":
    main()
