"""Matrix products, float32 or float64, of any sizes and either operand transposed: Smelt, NumPy
(OpenBLAS) and PyTorch (MKL), each into a matrix that exists.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SECONDS = 0.02  # that a measurement takes, at least
FEWEST, GROWTH = 3, 10  # products of a measurement, and how many times as many the next try has


@dataclass(frozen=True)
class Product:
    """A product of (m, k) and (k, n), of which either may lie transposed in memory."""

    m: int
    k: int
    n: int
    transposed: tuple[bool, bool] = (False, False)
    dtype: str = "float32"

    @property
    def operations(self) -> float:
        """A multiply-add counts as two."""
        return 2.0 * self.m * self.k * self.n

    def operands(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns both matrices as they lie in memory."""
        generator = np.random.default_rng(0)
        shapes = (self.m, self.k), (self.k, self.n)
        a, b = (
            generator.random(shape[::-1] if is_transposed else shape, np.float32)
            for shape, is_transposed in zip(shapes, self.transposed, strict=True)
        )
        return a.astype(self.dtype), b.astype(self.dtype)


def smelt_product(product: Product) -> Iterator[dict[str, Any]]:
    """A compiled product, repeated natively: what it costs within a step."""
    import smelt

    result = smelt.zeros(product.m, product.n, dtype=getattr(smelt, product.dtype))
    a, b = (smelt.tensor(x) for x in product.operands())

    @smelt.compile
    def step(a: Any, b: Any) -> None:
        left, right = product.transposed
        result.copy_((a.mT if left else a) @ (b.mT if right else b))

    return _timed(lambda count: step.repeat(count, a, b))


def numpy_product(product: Product) -> Iterator[dict[str, Any]]:
    """`np.matmul`."""
    a, b = _transposed(product, product.operands(), np.transpose)
    out = np.empty((product.m, product.n), product.dtype)

    def run(count: int) -> None:
        for _ in range(count):
            np.matmul(a, b, out=out)

    return _timed(run)


def torch_product(product: Product) -> Iterator[dict[str, Any]]:
    """`torch.matmul`."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_grad_enabled(False)
    matrices = map(torch.tensor, product.operands())
    a, b = _transposed(product, tuple(matrices), lambda x: x.mT)
    out = torch.empty(product.m, product.n, dtype=getattr(torch, product.dtype))

    def run(count: int) -> None:
        for _ in range(count):
            torch.matmul(a, b, out=out)

    return _timed(run)


def _transposed(
    product: Product, matrices: tuple[Any, ...], transpose: Callable[[Any], Any]
) -> list[Any]:
    pairs = zip(matrices, product.transposed, strict=True)
    return [transpose(x) if is_transposed else x for x, is_transposed in pairs]


def _timed(run: Callable[[int], None]) -> Iterator[dict[str, Any]]:
    run(FEWEST)
    count = FEWEST
    while (taken := _seconds(run, count)) < SECONDS:
        count *= min(GROWTH, 1 + int(SECONDS / taken))
    yield {}
    while True:
        yield {"call": _seconds(run, count) / count}


def _seconds(run: Callable[[int], None], count: int) -> float:
    """Returns how long so many products take."""
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start
