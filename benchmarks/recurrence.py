"""A recurrence of growing length: what is traced and compiled stays, what runs grows with it.

python benchmarks/recurrence.py

A step of training: h = tanh(x W + h U), 6 inputs, 16 units, batch 4, mean squared error of every h,
gradient by backward(), one step of SGD. Each length is compiled in an empty cache.
"""

from __future__ import annotations

import os
import tempfile
import time

import smelt
from smelt import optim

LENGTHS = (8, 64, 512, 4096)
INPUTS, UNITS, BATCH = 6, 16, 4
ROUNDS = 30


def step_of(length: int) -> tuple[smelt.CompiledStep, tuple[smelt.Tensor, smelt.Tensor]]:
    """Returns the compiled step and its arguments."""
    smelt.manual_seed(0)
    w = (smelt.randn(INPUTS, UNITS) * 0.3).requires_grad_()
    u = (smelt.randn(UNITS, UNITS) * 0.2).requires_grad_()
    optimizer = optim.SGD([w, u], lr=1e-3)

    def turn(h: smelt.Tensor, x: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor]:
        h = smelt.tanh(x + h @ u)  # (B, H)
        return h, h

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        _, rows = smelt.scan(turn, smelt.zeros(BATCH, UNITS), x @ w)  # (T, B, H)
        loss = ((rows - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, (smelt.randn(length, BATCH, INPUTS), smelt.randn(length, BATCH, UNITS))


def best_of(step: smelt.CompiledStep, arguments: tuple[smelt.Tensor, smelt.Tensor]) -> float:
    """Returns the seconds of the quickest of several calls."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        step(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Prints one line per length."""
    print("length  operations  kernels  code bytes  compiled in s  run us  us a turn")
    for length in LENGTHS:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["SMELT_CACHE"] = cache
            step, arguments = step_of(length)
            step(*arguments)
        version = step.executables.newest
        seconds = best_of(step, arguments)
        kernels, code = len(version.stages.program.kernels), len(version.native.code)
        print(
            f"{length:>6}{len(version.stages.traced.nodes()):>12}{kernels:>9}{code:>12,}"
            f"{version.times.trace + version.times.compile:>15.3f}{1e6 * seconds:>8.0f}"
            f"{1e6 * seconds / length:>11.2f}"
        )


if __name__ == "__main__":
    main()
