"""E5.7: a network 3-4-1 that learns the largest of three numbers, one sample, gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.bench.workload import Library, Step, Weights, Workload, linear, loaded, trained

RATE = 0.001


def weights() -> Weights:
    """Random ones: the book's equal ones would make all units alike."""
    return linear("0", 3, 4, 0) | linear("2", 4, 1, 2)


def arrays() -> tuple[np.ndarray, ...]:
    """The book's first sample."""
    return np.array([3, 5, 2], np.float32), np.array([5], np.float32)


def step(lib: Library, weights: Weights, exact: bool) -> Step:
    """Squared error of one sample."""
    nn = lib.nn
    model = loaded(lib, nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), weights)
    optimizer = lib.optim.SGD(model.parameters(), lr=RATE)
    return trained(lib, model, optimizer, lambda x, y: ((model(x) - y) ** 2).sum())


def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
    """The same."""
    import jax
    import jax.numpy as jnp

    from smelt.bench.jax_parts import linear

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        hidden = jax.nn.relu(linear(weights, "0", x))
        return ((linear(weights, "2", hidden) - y) ** 2).sum()

    def step(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return jax.tree.map(lambda w, g: w - RATE * g, weights, gradients), loss

    return step, jax.tree.map(jnp.asarray, weights)


WORKLOAD = Workload(
    "E5.7 max-of-three, one sample", 2 * (12 + 4) * 3, 2000, weights, arrays, step, jax_step
)
