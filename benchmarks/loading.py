"""Batches made beside training: seconds an epoch, near the larger of the two alone if all is well.

    python benchmarks/loading.py

Samples wait, as those that come from a disk or a network, or count in Python, which holds its lock:
for the former threads are enough, for the latter there are processes. A worker that raises, dies or
hangs is timed until it is reported.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.data import DataLoader, Dataset

BATCHES, SIZE, WIDTH = 60, 32, 512
LIMIT = 2.0  # seconds that a worker may take for a batch


class Waiting(Dataset):
    """Samples that each wait, or count."""

    def __init__(self, seconds: float, counts: bool) -> None:
        self.seconds = seconds
        self.counts = counts
        self.x = np.random.default_rng(0).normal(size=WIDTH).astype(np.float32)

    def __len__(self) -> int:
        return BATCHES * SIZE

    def __getitem__(self, index: int) -> Any:
        if not self.counts:
            time.sleep(self.seconds)
        end = time.thread_time() + self.seconds
        while self.counts and time.thread_time() < end:
            pass
        return self.x, index % 10


class Troubled(Waiting):
    """Samples of which number 700 raises, hangs, or ends its process."""

    def __init__(self, trouble: str) -> None:
        super().__init__(0, False)
        self.trouble = trouble

    def __getitem__(self, index: int) -> Any:
        if index == 700:
            if self.trouble == "raises":
                raise LookupError("gone")
            if self.trouble == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(1000)
        return super().__getitem__(index)


def training_step(layers: int) -> Any:
    inner = [layer for _ in range(layers) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    model = nn.Sequential(*inner, nn.Linear(WIDTH, 10))
    opt = optim.SGD(model.parameters(), lr=1e-3)

    @smelt.compile
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    return step


def seconds(batches: Iterator[Any], step: Any) -> float:
    start = time.perf_counter()
    for x, y in batches:
        if step is not None:
            step(x, y)
    return time.perf_counter() - start


def epoch(dataset: Dataset, step: Any, workers: int, context: str | None = None) -> float:
    loader = DataLoader(
        dataset, SIZE, num_workers=workers, multiprocessing_context=context, prefetch_factor=4
    )
    return seconds(iter(loader), step)


def compare() -> None:
    step = training_step(8)
    ready = list(DataLoader(Waiting(0, False), SIZE))
    seconds(iter(ready), step)
    alone = seconds(iter(ready), step)
    print(f"{BATCHES} steps alone: {alone:.2f} s")
    heading = ["loading", "workers", "alone, s", "beside, s", "of the larger"]
    print("".join(f"{word:>16}" for word in heading))
    for counts in (False, True):
        delay = alone / BATCHES / SIZE  # as slow as the steps, in one thread
        dataset = Waiting(delay, counts)
        for workers, context in ((0, None), (1, None), (2, None), (1, "fork"), (2, "fork")):
            loading = epoch(dataset, None, workers, context)
            together = epoch(dataset, step, workers, context)
            row = ["counts" if counts else "waits", f"{workers} {context or 'threads'}"]
            row += [f"{loading:.2f}", f"{together:.2f}", f"{together / max(alone, loading):.2f}"]
            print("".join(f"{cell:>16}" for cell in row))


def trouble() -> None:
    for kind in ("raises", "dies", "hangs"):
        loader = DataLoader(
            Troubled(kind), SIZE, num_workers=2, multiprocessing_context="fork", timeout=LIMIT
        )
        start = time.perf_counter()
        try:
            for _ in loader:
                pass
        except Exception as error:
            took = time.perf_counter() - start
            print(f"a worker that {kind}: {took:.2f} s until {type(error).__name__}")


if __name__ == "__main__":
    compare()
    trouble()
