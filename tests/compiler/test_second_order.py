"""Gradients of gradients inside a compiled step: a gradient penalty, against PyTorch's results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import nn, optim

STORED = np.load(Path(__file__).parent.parent / "references" / "penalty.npz")


def critic() -> nn.Module:
    """Returns the critic with PyTorch's weights."""
    model = nn.Sequential(
        nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 1)
    ).to(smelt.float64)
    weights = {name[6:]: STORED[name] for name in STORED.files if name.startswith("start.")}
    model.load_state_dict({name: smelt.tensor(array) for name, array in weights.items()})
    return model


def penalty(model: nn.Module, x: smelt.Tensor) -> smelt.Tensor:
    """mean(D(x)) + 10 * mean((|dD/dx| - 1)^2)"""
    slope = smelt.grad(lambda x: model(x).sum())(x)
    return model(x).mean() + 10 * ((slope.norm(dim=1) - 1) ** 2).mean()


def as_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """The eager engine."""
    return function


@pytest.mark.parametrize("engine", [as_is, smelt.compile], ids=["eager", "compiled"])
def test_gradient_penalty_agrees_with_pytorch(engine: Callable[..., Any]) -> None:
    """Five steps of training through second derivatives: losses and weights to 1e-10."""
    model = critic()
    optimizer = optim.SGD(model.parameters(), lr=0.05)

    @engine
    def step(x: smelt.Tensor) -> smelt.Tensor:
        loss = penalty(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(smelt.tensor(x)).item() for x in STORED["points"]]
    np.testing.assert_allclose(losses, STORED["losses"], rtol=1e-10)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), STORED[f"end.{name}"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", [as_is, smelt.compile], ids=["eager", "compiled"])
def test_gradients_of_the_penalty_agree_with_pytorch(engine: Callable[..., Any]) -> None:
    """The gradient of the penalty by every weight, returned from the step."""
    model = critic()
    names = [name for name, _ in model.named_parameters()]

    @engine
    def gradients(x: smelt.Tensor) -> list[smelt.Tensor]:
        model.zero_grad()
        penalty(model, x).backward()
        return [parameter.grad for parameter in model.parameters()]

    for name, gradient in zip(names, gradients(smelt.tensor(STORED["points"][0])), strict=True):
        np.testing.assert_allclose(
            gradient.numpy(), STORED[f"grad.{name}"], rtol=1e-9, atol=1e-12, err_msg=name
        )
