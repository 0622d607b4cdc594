"""Two CNNs on images of 28x28, batch 64, Adam: a small one, and one in the manner of LeNet."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.bench.workload import (
    Library,
    Step,
    Weights,
    Workload,
    linear,
    loaded,
    normal,
    trained,
    uniform,
)

BATCH, RATE, CLASSES = 64, 1e-3, 10


def conv(name: str, channels: int, filters: int, seed: int) -> Weights:
    """Returns first values of a convolution of 3x3."""
    bound = (9 * channels) ** -0.5
    return {
        f"{name}.weight": uniform((filters, channels, 3, 3), bound, seed),
        f"{name}.bias": uniform((filters,), bound, seed + 1),
    }


def small_weights() -> Weights:
    """Those of conv 1-8, linear 1352-10."""
    return conv("0", 1, 8, 0) | linear("4", 8 * 13 * 13, CLASSES, 2)


def large_weights() -> Weights:
    """Those of conv 1-32, conv 32-64, linear 9216-128, linear 128-10."""
    weights = conv("0", 1, 32, 0) | conv("2", 32, 64, 2)
    return weights | linear("6", 9216, 128, 4) | linear("8", 128, CLASSES, 6)


def arrays() -> tuple[np.ndarray, ...]:
    """Random images and labels: the arithmetic does not depend on what they show."""
    return normal((BATCH, 1, 28, 28), 0), np.random.default_rng(1).integers(0, CLASSES, BATCH)


def small(nn: Any) -> Any:
    """One convolution, one pooling, one linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1352, CLASSES)
    )


def large(nn: Any) -> Any:
    """Two convolutions, one pooling, two linear layers."""
    convolutions = nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
    head = nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, CLASSES)
    return nn.Sequential(*convolutions, *head)


def step_of(network: Any) -> Any:
    """Returns the step of a network."""

    def step(lib: Library, weights: Weights, exact: bool) -> Step:
        model = loaded(lib, network(lib.nn), weights)
        optimizer = lib.optim.Adam(model.parameters(), lr=RATE)
        return trained(lib, model, optimizer, lambda x, y: lib.F.cross_entropy(model(x), y))

    return step


def jax_step_of(network: Any) -> Any:
    """Returns the same; `network` gives logits from weights and images."""

    def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
        from smelt.bench.jax_parts import adam_step, cross_entropy

        def loss_of(weights: Any, key: Any, x: Any, y: Any) -> Any:
            return cross_entropy(network(weights, x), y)

        return adam_step(loss_of, weights, RATE)

    return jax_step


def jax_small(weights: Any, x: Any) -> Any:
    """The small network."""
    import jax

    from smelt.bench.jax_parts import conv2d, linear, max_pool2

    x = max_pool2(jax.nn.relu(conv2d(weights, "0", x)))
    return linear(weights, "4", x.reshape(BATCH, -1))


def jax_large(weights: Any, x: Any) -> Any:
    """The large network."""
    import jax

    from smelt.bench.jax_parts import conv2d, linear, max_pool2

    x = jax.nn.relu(conv2d(weights, "0", x))
    x = max_pool2(jax.nn.relu(conv2d(weights, "2", x)))
    x = jax.nn.relu(linear(weights, "6", x.reshape(BATCH, -1)))
    return linear(weights, "8", x)


SMALL = Workload(
    "MNIST CNN, conv 1-8, batch 64",
    2.0 * BATCH * (2 * 8 * 26 * 26 * 9 + 3 * 1352 * CLASSES),
    50,
    small_weights,
    arrays,
    step_of(small),
    jax_step_of(jax_small),
)
LARGE = Workload(
    "LeNet-like CNN, conv 32 and 64, batch 64",
    2.0
    * BATCH
    * (2 * 32 * 26 * 26 * 9 + 3 * 64 * 24 * 24 * 32 * 9 + 3 * (9216 * 128 + 128 * CLASSES)),
    3,
    large_weights,
    arrays,
    step_of(large),
    jax_step_of(jax_large),
)
