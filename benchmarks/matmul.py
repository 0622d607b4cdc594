"""Matrix products of n x n float32 matrices: Smelt, NumPy (OpenBLAS) and PyTorch (MKL), GFLOP/s.

python benchmarks/matmul.py --peers /path/to/python/with/torch
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import harness
import numpy as np

SIZES = (16, 32, 64, 128, 256, 512, 1024)
SECONDS = 0.02


def operands(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns two random matrices."""
    generator = np.random.default_rng(n)
    return generator.random((n, n), np.float32), generator.random((n, n), np.float32)


def repetitions(n: int) -> int:
    """Returns how many products take about `SECONDS` on one core."""
    return max(3, int(SECONDS * 5e10 / (2 * n**3)))


def timed(product: Callable[[int, int], object]) -> dict[str, float]:
    """Returns the seconds of one product by size; `product(n, count)` does `count` of them."""
    seconds = {}
    for n in SIZES:
        count = repetitions(n)
        start = time.perf_counter()
        product(n, count)
        seconds[f"{n}^3"] = (time.perf_counter() - start) / count
    return seconds


def serve(product: Callable[[int, int], object]) -> Iterator[dict[str, float]]:
    """Warms up, then times every size again and again."""
    timed(product)
    yield {}
    while True:
        yield timed(product)


def smelt_side() -> Iterator[dict[str, float]]:
    """A compiled product, repeated natively: what it costs within a step."""
    import smelt

    steps = {}
    for n in SIZES:
        a, b = (smelt.tensor(x) for x in operands(n))
        result = smelt.zeros(n, n)

        @smelt.compile
        def step(a, b, result=result):  # type: ignore[no-untyped-def]
            result.copy_(a @ b)

        steps[n] = (step, a, b)
    return serve(lambda n, count: steps[n][0].repeat(count, *steps[n][1:]))


def numpy_side() -> Iterator[dict[str, float]]:
    """np.matmul into an array that exists."""
    matrices = {n: (*operands(n), np.empty((n, n), np.float32)) for n in SIZES}

    def product(n: int, count: int) -> None:
        a, b, out = matrices[n]
        for _ in range(count):
            np.matmul(a, b, out=out)

    return serve(product)


def torch_side() -> Iterator[dict[str, float]]:
    """torch.matmul into a tensor that exists."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_grad_enabled(False)
    matrices = {n: (*(torch.tensor(x) for x in operands(n)), torch.empty(n, n)) for n in SIZES}

    def product(n: int, count: int) -> None:
        a, b, out = matrices[n]
        for _ in range(count):
            torch.matmul(a, b, out=out)

    return serve(product)


def peak_side() -> Iterator[dict[str, float]]:
    """What a loop of nothing but multiply-adds reaches, as if it were a product of each size."""
    from smelt.compiler.report.roofline import measured_peak

    yield {}  # the peak is measured in its turn, when the other sides rest
    peak = measured_peak(parallel=int(os.environ["SMELT_THREADS"]) > 1)
    while True:
        yield {f"{n}^3": 2 * n**3 / (peak.gflops * 1e9) for n in SIZES}


def show(medians: dict[str, dict[str, float]], unit: str) -> None:
    """Prints GFLOP/s, a line per size and a column per side."""
    print(f"  {'n':>6}" + "".join(f"{name:>14}" for name in medians))
    for n in SIZES:
        rates = (2 * n**3 / seconds_of[f"{n}^3"] / 1e9 for seconds_of in medians.values())
        print(f"  {n:>6}" + "".join(f"{rate:>14.1f}" for rate in rates))


if __name__ == "__main__":
    harness.show = show
    harness.main(
        "matrix products, GFLOP/s",
        {"smelt": smelt_side, "smelt peak": peak_side, "numpy": numpy_side, "torch": torch_side},
    )
