"""The order of kernels: what ends the lives of large values comes as soon as it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim

ROWS, WIDTH = 512, 64
ARRAY = 4 * ROWS * WIDTH


def arena_of(depth: int, activation: Callable[[smelt.Tensor], smelt.Tensor]) -> float:
    """Returns the temporaries of a training step, in arrays of one layer."""
    layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(depth)])
    optimizer = optim.Adam(layers.parameters())

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        y = x
        for layer in layers:
            y = activation(layer(y))
        loss = (y**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step(smelt.ones(ROWS, WIDTH))
    memory = step.memory()
    return memory.arena / ARRAY


@pytest.mark.parametrize(
    ("activation", "kept"),
    [
        (F.relu, 1),
        (F.tanh, 1),
        (F.gelu, 2),
        (lambda x: F.gelu(x, approximate="tanh"), 2),
        (F.silu, 2),
    ],
    ids=["relu", "tanh", "gelu", "gelu, tanh", "silu"],
)
def test_a_gradient_lives_until_the_weight_before_it_is_updated(
    activation: Callable[[smelt.Tensor], smelt.Tensor], kept: int
) -> None:
    """A layer keeps its output, and a derivative where that does not follow from it; no gradient
    waits for the end of the step.
    """
    short, long = arena_of(4, activation), arena_of(12, activation)
    assert (long - short) / 8 == pytest.approx(kept, abs=0.05)


def test_a_softmax_keeps_its_result_alone() -> None:
    def arena(depth: int) -> float:
        weights = [smelt.randn(WIDTH, WIDTH).requires_grad_() for _ in range(depth)]

        @smelt.compile
        def step(x: smelt.Tensor) -> list[smelt.Tensor]:
            for weight in weights:
                x = F.softmax(x @ weight, -1)
            return smelt.autograd.grad(x.square().sum(), weights)

        step(smelt.ones(ROWS, WIDTH))
        return step.memory().arena / ARRAY

    assert (arena(12) - arena(4)) / 8 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("depth", [3, 40])  # 6 and 80 parameters
def test_a_weight_is_updated_in_the_kernel_of_its_gradient(depth: int) -> None:
    layers = nn.ModuleList([nn.Linear(128, 128) for _ in range(depth)])
    optimizer = optim.AdamW(layers.parameters())

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        y = x
        for layer in layers:
            y = F.gelu(layer(y))
        optimizer.zero_grad()
        loss = (y**2).mean()
        loss.backward()
        optimizer.step()
        return loss

    step(smelt.ones(256, 128))
    fused = step.executables.newest.stages.fused
    weights = {new for old, new in fused.graph.updates if old.shape == (128, 128)}
    assert len(weights) == 3 * depth  # with two moments each
    for group in fused.groups:
        if not weights.isdisjoint(group.members):
            assert group.members[0].op.name == "matmul"
            assert len(weights.intersection(group.members)) == 3
