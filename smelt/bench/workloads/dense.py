"""A multilayer perceptron of any size; Adam."""

from __future__ import annotations

from dataclasses import dataclass
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
    steps_for,
    trained,
)

CLASSES, RATE = 10, 1e-3


@dataclass(frozen=True)
class Size:
    """How wide the layers are, how many of them, and samples in a batch."""

    width: int
    layers: int
    batch: int


def perceptron(title: str, size: Size) -> Workload:
    """Returns the training step of `layers` linear layers of a width, and one for the classes."""
    W, B = size.width, size.batch
    # the gradient by the samples is not needed: the first layer has two products, not three
    products = 2.0 * B * W * ((3 * size.layers - 1) * W + 3 * CLASSES)

    def weights() -> Weights:
        values: Weights = {}
        for layer in range(size.layers):
            values |= linear(str(2 * layer), W, W, 2 * layer)
        return values | linear(str(2 * size.layers), W, CLASSES, 2 * size.layers)

    def arrays() -> tuple[np.ndarray, ...]:
        return normal((B, W), 0), np.random.default_rng(1).integers(0, CLASSES, B)

    def step(lib: Library, weights: Weights, exact: bool) -> Step:
        nn = lib.nn
        hidden = [part for _ in range(size.layers) for part in (nn.Linear(W, W), nn.ReLU())]
        model = loaded(lib, nn.Sequential(*hidden, nn.Linear(W, CLASSES)), weights)
        optimizer = lib.optim.Adam(model.parameters(), lr=RATE)
        return trained(lib, model, optimizer, lambda x, y: lib.F.cross_entropy(model(x), y))

    def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
        import jax

        from smelt.bench.jax_parts import adam_step, cross_entropy, linear

        def loss_of(weights: Any, key: Any, x: Any, y: Any) -> Any:
            for layer in range(size.layers):
                x = jax.nn.relu(linear(weights, str(2 * layer), x))
            return cross_entropy(linear(weights, str(2 * size.layers), x), y)

        return adam_step(loss_of, weights, RATE)

    return Workload(title, products, steps_for(products), weights, arrays, step, jax_step)
