"""E7.c: the book's CNN on one 6x6 image: convolution, pooling, one output; gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.bench.workload import Library, Step, Weights, Workload, linear, loaded, trained

RATE = 0.01
CAT = """0 1 1 0 2 3  1 2 0 1 3 1  0 1 1 0 2 2  1 0 2 3 1 0  2 3 1 0 1 2  0 1 0 2 3 1"""
KERNEL = ((0.1, 0.2, -0.1), (0.0, 0.1, 0.1), (-0.2, 0.0, 0.2))


def weights() -> Weights:
    """The book's kernel."""
    return {"0.weight": np.array(KERNEL, np.float32).reshape(1, 1, 3, 3)} | linear("4", 4, 1, 0)


def arrays() -> tuple[np.ndarray, ...]:
    """The book's cat, and its label."""
    image = np.array(CAT.split(), np.float32).reshape(1, 1, 6, 6)
    return image, np.ones((1, 1), np.float32)


def step(lib: Library, weights: Weights, exact: bool) -> Step:
    """Binary cross-entropy of one image."""
    nn, F = lib.nn, lib.F
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 1)
    )
    model = loaded(lib, model, weights)
    optimizer = lib.optim.SGD(model.parameters(), lr=RATE)

    def loss_of(x: Any, y: Any) -> Any:
        return F.binary_cross_entropy_with_logits(model(x), y)

    return trained(lib, model, optimizer, loss_of)


def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
    """The same."""
    import jax
    import jax.numpy as jnp

    from smelt.bench.jax_parts import conv2d, linear, max_pool2

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        x = max_pool2(jax.nn.relu(conv2d(weights, "0", x)))
        z = linear(weights, "4", x.reshape(1, 4))
        return -(y * jax.nn.log_sigmoid(z) + (1 - y) * jax.nn.log_sigmoid(-z)).mean()

    def step(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return jax.tree.map(lambda w, g: w - RATE * g, weights, gradients), loss

    return step, jax.tree.map(jnp.asarray, weights)


WORKLOAD = Workload(
    "E7.c CNN 6x6, one image", 2 * (2 * 16 * 9 + 3 * 4), 1000, weights, arrays, step, jax_step
)
