"""Costs that ought to be those of the arithmetic: functions of large tensors beside PyTorch's.

    python benchmarks/costs.py --peers /path/to/python/with/torch

A line for each: CPU time on one thread, and how many times PyTorch's it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from smelt.bench.harness import main

Job = Callable[[], Any]


def jobs(lib: Any, F: Any) -> dict[str, Job]:
    """Returns the functions to time, of either library."""
    lib.manual_seed(0)
    line = (1.0 + 0.01 * lib.randn(5000)).requires_grad_()
    many, scores = lib.randn(1_000_000), lib.randn(64, 10_000)
    parts = [lib.randn(64, 64).requires_grad_() for _ in range(100)]
    steps, weight = lib.randn(200, 32, 64), lib.randn(64, 64) * 0.1
    images = lib.randn(8, 64, 32, 32)
    weight = weight.requires_grad_()

    def loop() -> Any:
        rows = steps.requires_grad_()
        rows.grad = weight.grad = None
        h, outputs = rows[0], []
        for t in range(200):
            h = lib.tanh(rows[t] + h @ weight)
            outputs.append(h)
        lib.stack(outputs).sum().backward()

    def gradient(function: Job, *leaves: Any) -> Job:
        def run() -> None:
            for leaf in leaves:
                leaf.grad = None
            function().sum().backward()

        return run

    return {
        "cumprod, 5,000": lambda: line.cumprod(0),
        "gradient of it": gradient(lambda: line.cumprod(0), line),
        "topk(10) of 10^6": lambda: many.topk(10),
        "topk(10) of 64 rows": lambda: scores.topk(10, -1),
        "sort of 10^6": lambda: many.sort(),
        "randperm(100,000)": lambda: lib.randperm(100_000),
        "cat of 50": lambda: lib.cat(parts[:50]),
        "stack of 100": lambda: lib.stack(parts),
        "gradient of cat": gradient(lambda: lib.cat(parts[:50]), *parts[:50]),
        "gradient of stack": gradient(lambda: lib.stack(parts), *parts),
        "loop of 200, stacked": loop,
        "reflecting padding": lambda: F.pad(images, (1, 1, 1, 1), mode="reflect"),
    }


def side(lib: Any, F: Any) -> Iterator[dict[str, Any]]:
    """Warms up, then yields the seconds of each job."""
    made = jobs(lib, F)
    for job in made.values():
        job()
    yield {}
    while True:
        yield {name: seconds_of(job) for name, job in made.items()}


def seconds_of(job: Job) -> float:
    """Returns the CPU time of one call, from as many as fill 20 ms."""
    count, start = 0, time.process_time()
    while True:
        job()
        count += 1
        taken = time.process_time() - start
        if taken > 0.02:
            return taken / count


def smelt_side() -> Iterator[dict[str, Any]]:
    """Smelt, eagerly."""
    import smelt
    import smelt.nn.functional as F

    yield from side(smelt, F)


def torch_side() -> Iterator[dict[str, Any]]:
    """PyTorch, on one thread."""
    import torch

    torch.set_num_threads(1)
    yield from side(torch, torch.nn.functional)


if __name__ == "__main__":
    main("costs", {"smelt": smelt_side, "torch": torch_side}, threads=(1,), by_quantity=True)
