"""A step of two threads beside another program that keeps one core busy, and beside none.

python benchmarks/neighbor.py [--steps 200]

Prints seconds a step, on one thread and on two, alternating, as medians over rounds. What counts is
that with a neighbor two threads take at most 1.2 times as long as one.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import smelt
import smelt.nn.functional as F
from smelt import nn, optim

SPIN = "while True: pass"
ROUNDS = 5


def transformer_step() -> Callable[[], smelt.Tensor]:
    """Returns a step of a Transformer of width 128, 2 layers, length 64, batch 16."""
    smelt.manual_seed(0)
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    model = nn.TransformerEncoder(layer, 2)
    optimizer = optim.Adam(model.parameters())
    x = smelt.randn(16, 64, 128)

    @smelt.compile
    def step() -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp_step() -> Callable[[], smelt.Tensor]:
    """Returns a step of a multilayer perceptron of width 256, batch 64."""
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))
    optimizer = optim.Adam(model.parameters())
    x = smelt.randn(64, 256)

    @smelt.compile
    def step() -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()
        return loss

    return step


def seconds_a_step(step: Callable[[], smelt.Tensor], threads: int, steps: int) -> float:
    """Returns how long a step takes, of many in a row."""
    with smelt.settings(threads=threads):
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - start) / steps


def measured(step: Callable[[], smelt.Tensor], steps: int) -> dict[int, float]:
    """Returns the medians for one thread and for two."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for threads, found in times.items():
            found.append(seconds_a_step(step, threads, steps))
    return {threads: statistics.median(found) for threads, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    print("ms a step          one thread   two threads   ratio")
    for name, make in {"MLP": mlp_step, "Transformer": transformer_step}.items():
        step = make()
        for neighbors in (0, 1):
            busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(neighbors)]
            try:
                found = measured(step, arguments.steps)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            one, two = 1e3 * found[1], 1e3 * found[2]
            beside = "beside a neighbor" if neighbors else "alone"
            print(f"{name}, {beside:<18} {one:10.3f} {two:13.3f} {two / one:9.2f}", flush=True)


if __name__ == "__main__":
    main()
