"""What a compiled step does with gradients that cross the border of a call: as eagerly, always."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import nn, optim
from smelt.errors import TraceError

Clear = Callable[[nn.Parameter, optim.SGD], None]


def nothing(w: nn.Parameter, optimizer: optim.SGD) -> None:
    """Leaves the gradient."""


def to_none(w: nn.Parameter, optimizer: optim.SGD) -> None:
    """What most people write."""
    optimizer.zero_grad()


def to_zeros(w: nn.Parameter, optimizer: optim.SGD) -> None:
    """The older habit."""
    optimizer.zero_grad(set_to_none=False)


def by_hand(w: nn.Parameter, optimizer: optim.SGD) -> None:
    """Without the optimizer."""
    w.grad = None


def replaced(w: nn.Parameter, optimizer: optim.SGD) -> None:
    """A gradient of the user's own."""
    w.grad = smelt.tensor([10.0])


@pytest.mark.parametrize("clear", [nothing, to_none, to_zeros, by_hand, replaced])
def test_gradients_cleared_outside_the_step(clear: Clear) -> None:
    """Whatever happens to .grad between calls, compiled and eager agree."""

    def run(engine: Callable[..., Any]) -> list[tuple[float, float | None]]:
        w = nn.Parameter(smelt.ones(1))
        optimizer = optim.SGD([w], lr=1.0)

        @engine
        def step(x: smelt.Tensor) -> smelt.Tensor:
            (w * x).sum().backward()
            optimizer.step()
            return w * 1

        seen = []
        for number in range(5):
            clear(w, optimizer)
            value = step(smelt.tensor([1.0 + number])).item()
            seen.append((value, None if w.grad is None else w.grad.item()))
        return seen

    assert run(smelt.compile) == run(lambda function: function)


@pytest.mark.parametrize("second", [smelt.compile, lambda function: function])
def test_one_function_accumulates_and_another_updates(second: Callable[..., Any]) -> None:
    """Two micro-batches a step, in two functions of which one or both are compiled."""

    def run(first: Callable[..., Any], second: Callable[..., Any]) -> list[float]:
        w = nn.Parameter(smelt.ones(3))
        optimizer = optim.SGD([w], lr=0.1, momentum=0.9)

        @first
        def accumulate(x: smelt.Tensor) -> smelt.Tensor:
            loss = (w * x).square().sum()
            loss.backward()
            return loss

        @second
        def update() -> None:
            optimizer.step()
            optimizer.zero_grad()

        losses = []
        for number in range(6):
            losses.append(accumulate(smelt.full((3,), 0.1 * number)).item())
            losses.append(accumulate(smelt.full((3,), 0.5)).item())
            update()
        assert w.grad is None
        return losses

    eager = run(lambda function: function, lambda function: function)
    np.testing.assert_allclose(run(smelt.compile, second), eager, rtol=1e-6)


def test_a_step_without_gradients_skips_what_has_none() -> None:
    """The optimizer alone: with and without a gradient it needs two versions."""
    w = nn.Parameter(smelt.ones(1))
    optimizer = optim.SGD([w], lr=1.0)
    update = smelt.compile(lambda: optimizer.step())
    with pytest.warns(UserWarning, match="no parameter of 1 has a gradient"):
        update()
    assert w.item() == 1
    w.grad = smelt.tensor([0.5])
    update()
    assert w.item() == 0.5
    w.grad = None
    update()
    assert w.item() == 0.5
    assert update.traces == 2


def test_accumulation_repeats_natively() -> None:
    """A step that adds to .grad can be repeated; the sum is there afterwards."""
    w = nn.Parameter(smelt.ones(1))
    step = smelt.compile(lambda x: (w * x).sum().backward())
    step.repeat(5, smelt.tensor([2.0]))
    assert w.grad is not None
    assert w.grad.item() == 10


def test_using_up_gradients_cannot_be_repeated() -> None:
    """Eagerly the second step would find nothing; natively it would find the same again."""
    w = nn.Parameter(smelt.ones(1))
    optimizer = optim.SGD([w], lr=1.0)

    @smelt.compile
    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    w.grad = smelt.tensor([0.5])
    with pytest.raises(TraceError, match="uses up gradients"):
        update.repeat(3)
    assert w.item() == 1


def test_gradients_inside_the_step_are_gone_after_it() -> None:
    """A step that clears first leaves .grad None, whatever stood there."""
    w = nn.Parameter(smelt.ones(1))
    optimizer = optim.SGD([w], lr=1.0)

    @smelt.compile
    def step() -> smelt.Tensor:
        loss = w.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        w.grad = smelt.tensor([7.0])
        step()
        assert w.grad is None
    assert step.traces == 1
