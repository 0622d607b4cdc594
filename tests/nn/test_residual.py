"""Residual and Heun blocks."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn
from tests.references.running import ENGINES, on


def test_a_residual_block_adds() -> None:
    inner, x = nn.Linear(3, 3), smelt.randn(4, 3)
    np.testing.assert_array_equal(
        nn.Residual(inner)(x).detach().numpy(), (x + inner(x)).detach().numpy()
    )
    wide, shortcut = nn.Linear(3, 5), nn.Linear(3, 5, bias=False)
    found = nn.Residual(wide, shortcut)(x)
    np.testing.assert_array_equal(found.detach().numpy(), (shortcut(x) + wide(x)).detach().numpy())


class Decay(nn.Module):
    """f(x) = -x, so that x' = f(x) gives x e^-t."""

    def forward(self, x):
        return -x


@pytest.mark.parametrize(("block", "order"), [("euler", 1), ("heun", 2)])
def test_blocks_are_steps_of_their_methods_order(block: str, order: int) -> None:
    """Half the step makes the error at t = 1 smaller by 2^order."""

    class Scaled(nn.Module):
        def __init__(self, step):
            self.step = step

        def forward(self, x):
            return -self.step * x

    def error(steps: int) -> float:
        one = Scaled(1 / steps)
        layer = nn.Residual(one) if block == "euler" else nn.HeunBlock(Decay(), step=1 / steps)
        x = smelt.ones(1, dtype="float64")
        for _ in range(steps):
            x = layer(x)
        return abs(x.item() - np.exp(-1))

    assert error(64) / error(128) == pytest.approx(2**order, rel=0.05)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("channels", "stride"), [(3, 1), (3, 2), (2, 1)])
def test_a_basic_block_is_its_formula(channels: int, stride: int, engine: str) -> None:
    smelt.manual_seed(0)
    block = nn.BasicBlock(channels, 3, stride, dtype="float64").eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    x = smelt.tensor(np.random.default_rng(0).normal(size=(2, channels, 5, 6)))
    w = block.state_dict()

    def norm(y: smelt.Tensor, name: str) -> smelt.Tensor:
        parts = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(y, *parts)

    y = F.relu(norm(F.conv2d(x, w["conv1.weight"], stride=stride, padding=1), "bn1"))
    y = norm(F.conv2d(y, w["conv2.weight"], padding=1), "bn2")
    if (channels, stride) != (3, 1):
        x_or_less = norm(F.conv2d(x, w["downsample.0.weight"], stride=stride), "downsample.1")
    else:
        x_or_less = x
    expected = F.relu(y + x_or_less)
    found = on(engine, lambda x: block(x))(x)
    assert found.shape == (2, 3, -(-5 // stride), 6 // stride)
    np.testing.assert_allclose(found.detach().numpy(), expected.numpy(), rtol=1e-10)


def test_heun_asks_its_function_twice() -> None:
    smelt.manual_seed(0)
    inner = nn.Sequential(nn.Linear(3, 3, dtype="float64"), nn.Tanh())
    x = smelt.tensor(np.random.default_rng(0).normal(size=(2, 3)))
    first = inner(x)
    expected = x + 0.25 * (first + inner(x + 0.5 * first))
    block = nn.HeunBlock(inner, step=0.5)
    np.testing.assert_allclose(block(x).detach().numpy(), expected.detach().numpy(), rtol=1e-14)
    assert smelt.gradcheck(block, x, order=2)


def test_gradients_pass_a_deep_stack() -> None:
    smelt.manual_seed(0)

    def slope(layers) -> float:
        x = smelt.randn(8, 4).requires_grad_()
        nn.Sequential(*layers)(x).sum().backward()
        return float(np.abs(x.grad.numpy()).mean())

    plain = [nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(40)]
    assert slope(plain) < 1e-6
    assert slope([nn.Residual(layer) for layer in plain]) > 1e-2


@pytest.mark.parametrize("block", [nn.Residual, nn.HeunBlock])
def test_a_change_of_another_shape_is_refused(block) -> None:
    with pytest.raises(errors.ShapeError, match=r"\(4, 1\) cannot be added to the input \(4, 3\)"):
        block(nn.Linear(3, 1))(smelt.ones(4, 3))
