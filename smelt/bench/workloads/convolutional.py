"""Convolutions of 3x3 between as many channels, on images of any size; Adam."""

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
from smelt.bench.workloads.images import conv

CLASSES, RATE = 10, 1e-3


@dataclass(frozen=True)
class Size:
    """Channels of all layers, height and width of the images, and images in a batch."""

    channels: int
    side: int
    batch: int


def convolutional(title: str, size: Size) -> Workload:
    """Returns the training step of two convolutions without padding and one linear layer, on the
    mean of each channel.
    """
    C, S, B = size.channels, size.side, size.batch
    # the gradient by the images is not needed: the first layer has two products, not three
    positions = 2 * (S - 2) ** 2 + 3 * (S - 4) ** 2
    products = 2.0 * B * (9 * C * C * positions + 3 * C * CLASSES)

    def weights() -> Weights:
        return conv("first", C, C, 0) | conv("second", C, C, 2) | linear("head", C, CLASSES, 4)

    def arrays() -> tuple[np.ndarray, ...]:
        return normal((B, C, S, S), 0), np.random.default_rng(1).integers(0, CLASSES, B)

    def step(lib: Library, weights: Weights, exact: bool) -> Step:
        nn, F = lib.nn, lib.F
        layers = {"first": nn.Conv2d(C, C, 3), "second": nn.Conv2d(C, C, 3)}
        model = nn.ModuleDict({**layers, "head": nn.Linear(C, CLASSES)})
        loaded(lib, model, weights)
        optimizer = lib.optim.Adam(model.parameters(), lr=RATE)

        def loss_of(x: Any, y: Any) -> Any:
            x = F.relu(model["second"](F.relu(model["first"](x))))  # (B, C, S - 4, S - 4)
            return F.cross_entropy(model["head"](x.mean((2, 3))), y)

        return trained(lib, model, optimizer, loss_of)

    def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
        import jax

        from smelt.bench.jax_parts import adam_step, conv2d, cross_entropy, linear

        def loss_of(weights: Any, key: Any, x: Any, y: Any) -> Any:
            for layer in ("first", "second"):
                x = jax.nn.relu(conv2d(weights, layer, x))
            return cross_entropy(linear(weights, "head", x.mean((2, 3))), y)

        return adam_step(loss_of, weights, RATE)

    return Workload(title, products, steps_for(products), weights, arrays, step, jax_step)
