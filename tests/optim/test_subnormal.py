"""Averages that decay end at zero, not among subnormal numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt
from smelt import optim
from smelt.optim.subnormal import without_subnormals

OPTIMIZERS = {
    "SGD": (optim.SGD, {"lr": 0.1, "momentum": 0.5}),
    "Adam": (optim.Adam, {"betas": (0.5, 0.5)}),
    "AdamW": (optim.AdamW, {"betas": (0.5, 0.5)}),
    "NAdam": (optim.NAdam, {"betas": (0.5, 0.5)}),
    "RAdam": (optim.RAdam, {"betas": (0.5, 0.5)}),
    "Adamax": (optim.Adamax, {"betas": (0.5, 0.5)}),
    "RMSprop": (optim.RMSprop, {"alpha": 0.5, "momentum": 0.5, "centered": True}),
    "Adadelta": (optim.Adadelta, {"rho": 0.5}),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "native"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_of_a_gradient_that_vanishes_become_zero(name: str, compiled: bool) -> None:
    make, options = OPTIMIZERS[name]
    x = smelt.ones(20).requires_grad_()
    optimizer = make([x], **options)

    def step(scale: smelt.Tensor) -> None:
        optimizer.zero_grad()
        (x * scale).sum().backward()
        optimizer.step()

    run: Any = smelt.compile(step) if compiled else step
    run(smelt.tensor(1e-3))
    for _ in range(200):
        run(smelt.tensor(0.0))
    smallest = np.finfo(np.float32).smallest_normal
    for moment, value in optimizer.state[x].items():
        small = np.abs(value.numpy()) < smallest
        assert (value.numpy()[small] == 0).all(), moment
    assert np.isfinite(x.detach().numpy()).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_only_subnormal_numbers_become_zero(dtype: str) -> None:
    numbers = [0.0, -0.0, 1e-3, -1e-3, float("nan"), float("inf"), -float("inf")]
    given = smelt.tensor(numbers, dtype=getattr(smelt, dtype))
    found = without_subnormals(given).to(smelt.float64).numpy()
    np.testing.assert_array_equal(found, given.to(smelt.float64).numpy())
    if dtype in ("float32", "float64"):
        info = np.finfo(dtype)
        edge = np.array(
            [info.smallest_normal, -info.smallest_normal, info.smallest_normal / 2], dtype
        )
        assert without_subnormals(smelt.tensor(edge)).tolist() == [*edge[:2].tolist(), 0.0]
