"""Gradients of slices: parts that are put together at once, in a time linear in their number."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.autodiff import gradcheck

READS = {
    "all rows": lambda x: smelt.stack([x[t] ** 2 for t in range(x.shape[0])]).sum(),
    "some rows": lambda x: (x[1] * x[3]).sum() + x[4].exp().sum(),
    "one row": lambda x: (x[2] ** 3).sum(),
    "a row twice": lambda x: (x[1] * x[1].exp()).sum() + (x[1] ** 2).sum(),
    "windows": lambda x: sum((x[t : t + 3] ** 2).sum() * (t + 1) for t in range(3)),
    "neighbors": lambda x: sum(((x[t + 1] - x[t]) ** 2).sum() * (t + 1) for t in range(4)),
    "columns": lambda x: (x[:, 1] * x[:, 0] * x[:, 3]).sum(),
    "rows and columns": lambda x: (x[1] ** 2).sum() + (x[:, 2] ** 3).sum() + x[0, 0] * x[4, 3],
    "steps": lambda x: (x[::2] ** 2).sum() + (x[1::2] ** 3).sum() + x.flip(0)[1].sum(),
    "chunks": lambda x: sum((part**k).sum() for k, part in enumerate(x.chunk(4, -1), 1)),
    "whole and part": lambda x: (x**2).sum() + (x[1:4] * 3).sum() + x.sum() * x[0].sum(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_gradients_of_parts_to_second_order(read: Any) -> None:
    x = smelt.tensor(np.random.default_rng(0).normal(size=(5, 4)))
    gradcheck(read, x, order=2)
    eager = smelt.grad(read)(x).numpy()
    compiled = smelt.compile(smelt.grad(read))(x).numpy()
    np.testing.assert_allclose(compiled, eager, rtol=1e-12, atol=1e-12)


def test_many_parts_in_compiled_code() -> None:
    def loss(x: Tensor) -> Tensor:
        return sum((x[t] ** 2).sum() * (t + 1) for t in range(40))  # type: ignore[return-value]

    x = smelt.tensor(np.random.default_rng(0).normal(size=(40, 3)))
    wanted = 2 * x.numpy() * np.arange(1, 41)[:, None]
    np.testing.assert_allclose(smelt.compile(smelt.grad(loss))(x).numpy(), wanted, rtol=1e-12)


def seconds(length: int) -> float:
    x = smelt.randn(length, 500).requires_grad_()
    best = 1e9
    for _ in range(3):
        total = smelt.stack([x[t] * 2.0 for t in range(length)]).sum()
        start = time.process_time()
        total.backward()
        best = min(best, time.process_time() - start)
    return best


def test_the_time_is_linear_in_the_number_of_parts() -> None:
    assert seconds(1600) < 16 * seconds(200)  # 8 times as many; the square would be 64


def test_running_products_are_differentiated_in_a_time_that_is_nearly_linear() -> None:
    x = (1.0 + 0.01 * smelt.randn(5000)).requires_grad_()
    start = time.process_time()
    x.cumprod(0).sum().backward()
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("zeros", [(), (2,), (0,), (5,), (1, 3), (1, 2, 4)])
def test_running_products_with_zeros_to_second_order(zeros: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(2, 6)) + 2
    values[0, list(zeros)] = 0
    x, weights = smelt.tensor(values), smelt.tensor(np.random.default_rng(1).normal(size=(2, 6)))
    gradcheck(lambda x: (x.cumprod(1) * weights).sum(), x, order=2)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_running_products_beyond_the_range_have_the_right_gradient(scale: float) -> None:
    x = smelt.tensor([scale, scale, 0.5, 1 / scale, 1 / scale]).requires_grad_()
    x.cumprod(0)[2:3].sum().backward()
    wide = smelt.tensor(x.numpy(), dtype=smelt.float64).requires_grad_()
    wide.cumprod(0)[2:3].sum().backward()
    with np.errstate(over="ignore"):
        wanted = wide.grad.numpy().astype(np.float32)  # type: ignore[union-attr]
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-5)  # type: ignore[union-attr]
