"""What options of `fit` cost: validation beside training, and 16-bit storage.

    python benchmarks/fit_options.py

Steps a second with validation after each epoch, beside the next one, and none; then bytes and
milliseconds of a step in float32 and with `precision="bfloat16"`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train

SIZE, EPOCHS = 64, 8


def network() -> nn.Module:
    smelt.manual_seed(0)
    hidden = [layer for _ in range(2) for layer in (nn.Linear(256, 256), nn.GELU())]
    return nn.Sequential(nn.Linear(64, 256), nn.GELU(), *hidden, nn.Linear(256, 10))


def samples(count: int) -> tuple[Any, Any]:
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(count, 64)).astype(np.float32)
    return smelt.tensor(x), smelt.tensor(numbers.integers(0, 10, count))


def steps_a_second(**options: Any) -> float:
    model = network()
    optimizer = optim.Adam(model.parameters())
    data = samples(200 * SIZE)
    given = model, F.cross_entropy, optimizer, data
    train.fit(*given, epochs=1, batch_size=SIZE, progress=False, **options)  # compiles
    start = time.perf_counter()
    train.fit(*given, epochs=EPOCHS, batch_size=SIZE, progress=False, **options)
    return EPOCHS * 200 / (time.perf_counter() - start)


def beside(rounds: int) -> None:
    held_out = samples(400 * SIZE)
    kinds: dict[str, dict[str, Any]] = {
        "no validation": {},
        "after each epoch": {"validation": held_out, "metrics": ["accuracy"]},
    }
    kinds["beside the next"] = {**kinds["after each epoch"], "background_validation": True}
    print("validation of twice the training data, steps a second:")
    for threads in (1, 2):
        found: dict[str, list[float]] = {name: [] for name in kinds}
        with smelt.settings(threads=threads):
            for _ in range(rounds):
                for name, options in kinds.items():
                    found[name].append(steps_a_second(**options))
        cells = ", ".join(f"{name} {np.median(rates):,.0f}" for name, rates in found.items())
        print(f"  {threads} thread{'s' * (threads > 1)}: {cells}")


def steps() -> dict[str, tuple[nn.Module, Any, Any]]:
    numbers = np.random.default_rng(0)
    images = numbers.normal(size=(64, 1, 28, 28)).astype(np.float32)
    words = numbers.normal(size=(32, 64, 64)).astype(np.float32)
    return {
        "GELU network, batch 1024": (network(), *samples(1024)),
        "CNN, 64 images": (
            nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4608, 10),
            ),
            images,
            numbers.integers(0, 10, 64),
        ),
        "Transformer, 2 blocks": (
            nn.Sequential(
                *[nn.TransformerEncoderLayer(64, 4, 128, batch_first=True) for _ in range(2)],
                nn.Linear(64, 10), nn.Flatten(0, 1),
            ),
            words,
            numbers.integers(0, 10, 32 * 64),
        ),
    }  # fmt: skip


def precision(rounds: int) -> None:
    print("a step, peak bytes and milliseconds:")
    for name, (model, x, y) in steps().items():
        cells = []
        for kind in ("float32", "bfloat16"):
            optimizer = optim.Adam(model.parameters())
            step = train.training_step(model, optimizer, F.cross_entropy, precision=kind)
            step(x, y)
            times = []
            for _ in range(rounds * 5):
                start = time.perf_counter()
                step(x, y)
                times.append(time.perf_counter() - start)
            cells.append(
                f"{kind} {step.memory().peak / 1e6:.1f} MB {np.median(times) * 1e3:.1f} ms"
            )
        print(f"  {name}: {', '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    beside(rounds)
    precision(rounds)


if __name__ == "__main__":
    main()
