"""Gradient descent and its three ways to stop (algorithm 2.1, figure 2.5)."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.errors import ArgumentError
from smelt.optim.descent import gradient_descent
from smelt.tensor import Tensor, as_tensor

start = as_tensor(np.array([3.0, -2.0]))


def bowl(x: Tensor) -> Tensor:
    return (x * x).sum()


def test_a_short_step_stops_it() -> None:
    result = gradient_descent(bowl, start, lr=0.25, tolerance=1e-3)
    # x halves each time, so a step is as long as the point that it leads to: sqrt(13) / 2^n <= 1e-3
    assert result.converged
    assert result.iterations == 12
    np.testing.assert_allclose(result.x.numpy(), start.numpy() / 2**12)
    np.testing.assert_allclose(result.history, [13 / 4**n for n in range(13)])


def test_the_iterations_end() -> None:
    result = gradient_descent(bowl, start, lr=0.01, max_iterations=5)
    assert not result.converged
    assert result.iterations == 5
    np.testing.assert_allclose(result.x.numpy(), start.numpy() * 0.98**5)
    still = gradient_descent(bowl, start, lr=0.01, max_iterations=0)
    assert still.iterations == 0
    assert still.history == (13.0,)


def test_a_large_rate_diverges_and_is_stopped() -> None:
    result = gradient_descent(bowl, start, lr=1e80, max_iterations=100)
    assert not result.converged
    assert result.iterations < 5
    assert np.isfinite(result.x.numpy()).all()
    climbing = gradient_descent(bowl, start, lr=1.1, max_iterations=10)
    assert climbing.history[-1] > climbing.history[0]


def test_trees_plain_numbers_and_the_callback() -> None:
    seen = []
    result = gradient_descent(
        lambda p: (p["a"] - 1.0) ** 2 + (p["b"] - 2.0) ** 2,
        {"a": 0.0, "b": 0.0},
        lr=0.5,
        callback=lambda number, point, value: seen.append((number, point["b"].item(), value)),
    )
    assert result.x["a"].item() == 1.0
    assert result.x["b"].item() == 2.0
    assert result.converged
    assert seen == [(0, 0.0, 5.0), (1, 2.0, 0.0)]


def test_the_start_and_parameters_stay_as_they_are() -> None:
    x = as_tensor(np.array([3.0])).requires_grad_()
    result = gradient_descent(bowl, x, lr=0.25)
    assert x.tolist() == [3.0]
    assert x.grad is None
    assert not result.x.requires_grad


@pytest.mark.parametrize(
    "settings", [{"lr": 0.0}, {"lr": 0.1, "tolerance": -1.0}, {"lr": 0.1, "max_iterations": -1}]
)
def test_mistakes_are_explained(settings) -> None:
    with pytest.raises(ArgumentError, match="lr > 0, tolerance >= 0 and max_iterations >= 0"):
        gradient_descent(bowl, start, **settings)
