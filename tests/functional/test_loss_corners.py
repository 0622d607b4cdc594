"""Losses of probabilities at exactly 0 and 1: the numbers are PyTorch's, first and second order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.autodiff import gradcheck
from smelt.errors import ShapeError

inf, nan = math.inf, math.nan
modes = pytest.mark.parametrize("mode", [lambda f: f, smelt.compile], ids=["eager", "compiled"])


def orders(loss: Callable[..., Any], mode: Callable[..., Any], *given: Any) -> list[list[float]]:
    """The losses, their derivatives by the first operand, and the second derivatives."""

    def slope(x, *rest):
        return smelt.grad(lambda x: loss(x, *rest).sum())(x)

    def curvature(x, *rest):
        return smelt.grad(lambda x: slope(x, *rest).sum())(x)

    return [mode(function)(*given).tolist() for function in (loss, slope, curvature)]


@modes
@pytest.mark.parametrize("dtype", [smelt.float32, smelt.float64], ids=repr)
def test_binary_cross_entropy(mode, dtype) -> None:
    x = smelt.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1e-30, 0.5], dtype=dtype)
    t = smelt.tensor([0.0, 1.0, 0.25, 0.0, 1.0, 0.25, 1.0, 1.0], dtype=dtype)
    found = orders(lambda x, t: F.binary_cross_entropy(x, t, reduction="none"), mode, x, t)
    values, slopes, curvatures = (np.array(numbers) for numbers in found)
    np.testing.assert_allclose(values, [0, 100, 25, 100, 0, 75, 69.0775528, math.log(2)], 1e-6)
    np.testing.assert_allclose(slopes, [0, -1e12, -2.5e11, 1e12, 0, 7.5e11, -1e12, -2], 1e-6)
    np.testing.assert_allclose(curvatures, [0, 1e24, 2.5e23, 1e24, 0, 7.5e23, 1e24, 4], 1e-6)


@modes
def test_binary_cross_entropy_loses_nothing_near_0(mode) -> None:
    tiny, zero = smelt.tensor([1e-9]), smelt.tensor([0.0])
    assert mode(F.binary_cross_entropy)(tiny, zero).item() == pytest.approx(1e-9)


@modes
def test_binary_cross_entropy_by_its_target(mode) -> None:
    x = smelt.tensor([0.0, 1.0, 0.5])

    def slope(x, t):
        return smelt.grad(lambda t: F.binary_cross_entropy(x, t, reduction="sum"))(t)

    assert mode(slope)(x, smelt.tensor([0.25] * 3)).tolist() == [100.0, -100.0, 0.0]


@pytest.mark.parametrize("mode", [smelt.jacfwd, smelt.jacrev])
def test_a_network_that_is_surely_wrong_learns(mode) -> None:
    x = smelt.tensor([40.0], dtype=smelt.float32)  # whose sigmoid is 1
    slope = mode(lambda x: F.binary_cross_entropy(x, smelt.zeros(1)))(smelt.sigmoid(x))
    assert slope.item() == pytest.approx(1e12)


@modes
def test_binary_cross_entropy_with_logits(mode) -> None:
    x = smelt.tensor([0.0, 800.0, -800.0, inf], dtype=smelt.float64)
    t = smelt.tensor([1.0, 1.0, 1.0, 0.0], dtype=smelt.float64)
    loss = lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none")  # noqa: E731
    values, slopes, curvatures = orders(loss, mode, x, t)
    np.testing.assert_allclose(values, [math.log(2), 0, 800, inf])
    np.testing.assert_allclose(slopes, [-0.5, 0, -1, 1])
    np.testing.assert_allclose(curvatures, [0.25, 0, 0, 0])


@modes
def test_kl_div(mode) -> None:
    x = smelt.tensor([0.0, -inf, -800.0, -1.0], dtype=smelt.float64)
    t = smelt.tensor([0.0, 1.0, 0.0, 1.0], dtype=smelt.float64)
    values, slopes, _ = orders(lambda x, t: F.kl_div(x, t, reduction="none"), mode, x, t)
    assert values == [0.0, inf, 0.0, 1.0]
    assert slopes == [0.0, -1.0, 0.0, -1.0]


@modes
def test_poisson_nll_loss(mode) -> None:
    x, t = smelt.tensor([0.0, 0.0, 1e-9]), smelt.tensor([0.0, 1.0, 1.0])
    loss = lambda x, t: F.poisson_nll_loss(x, t, log_input=False, reduction="none")  # noqa: E731
    values, slopes, curvatures = orders(loss, mode, x, t)
    np.testing.assert_allclose(values, [0, -math.log(1e-8), -math.log(1.1e-8)], 1e-6)
    np.testing.assert_allclose(slopes, [1, 1 - 1e8, 1 - 1 / 1.1e-8], 1e-6)
    np.testing.assert_allclose(curvatures, [0, 1e16, 1 / 1.21e-16], 1e-6)


@modes
def test_gaussian_nll_loss(mode) -> None:
    var = smelt.tensor([0.0, 1e-6, 1e-9], dtype=smelt.float64)
    difference = smelt.tensor([0.0, 1e-3, 0.0], dtype=smelt.float64)
    loss = lambda v, x: F.gaussian_nll_loss(x, x * 0.0, v, reduction="none")  # noqa: E731
    values, slopes, _ = orders(loss, mode, var, difference)
    np.testing.assert_allclose(values, [0.5 * math.log(1e-6) + more for more in (0, 0.5, 0)])
    np.testing.assert_allclose(slopes, [5e5, 0, 5e5], atol=1e-6)


@modes
def test_cross_entropy_where_a_class_is_impossible(mode) -> None:
    x = smelt.tensor([[0.0, -inf], [-inf, 0.0]])
    values, slopes, _ = orders(
        lambda x, t: F.cross_entropy(x, t, reduction="none"), mode, x, smelt.tensor([0, 0])
    )
    assert values == [0.0, inf]
    assert slopes == [[0.0, 0.0], [-1.0, 1.0]]
    log_p = smelt.tensor([[0.0, -inf], [-inf, 0.0]])
    assert F.nll_loss(log_p, smelt.tensor([0, 0]), reduction="none").tolist() == [0.0, inf]


@modes
def test_a_triplet_with_swapped_distance(mode) -> None:
    anchor, positive, negative = (
        smelt.tensor([[0.0, 0.0], [0.0, 0.0]]),
        *smelt.tensor([[[3.0, 4.0], [0.0, 1.0]], [[6.0, 8.0], [0.0, 3.0]]]),
    )
    loss = lambda *x: F.triplet_margin_loss(*x, margin=2.0, swap=True, reduction="none")  # noqa: E731
    # |a - p| = 5 and 1; |a - n| = 10 and 3; |p - n| = 5 and 2
    np.testing.assert_allclose(mode(loss)(anchor, positive, negative).numpy(), [2, 1], 1e-5)
    gradcheck(loss, anchor, positive, negative + 0.3)
    layer = nn.TripletMarginLoss(margin=2.0, swap=True)
    assert layer(anchor, positive, negative).item() == pytest.approx(1.5, rel=1e-5)


@modes
def test_a_target_of_gaussian_nll_loss_broadcasts(mode) -> None:
    x, var = smelt.randn(2, 3), smelt.rand(2, 3) + 0.5
    for target in (smelt.randn(1, 3), smelt.randn(3), smelt.randn(4, 1, 3), smelt.tensor(0.5)):
        shape = (x + target).shape
        found = mode(F.gaussian_nll_loss)(x, target, var)
        wanted = F.gaussian_nll_loss(x.expand(shape), target.expand(shape), var.expand(shape))
        assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    with pytest.raises(ShapeError, match="gaussian_nll_loss: shapes"):
        F.gaussian_nll_loss(x, smelt.randn(2, 4), var)
