"""Dual numbers: the book's tables and programs (E5.d, E5.5 to E5.7, P5.1); agreement with jvp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt.autodiff as autodiff
from smelt import dual
from smelt.dual import Dual, cst
from smelt.errors import ArgumentError, ShapeError
from smelt.ops import elementwise
from smelt.tensor import Tensor, as_tensor


def pair(number: Dual) -> tuple[float, float]:
    return float(number.x), float(number.dx)


# --- the book -------------------------------------------------------------------------------------


def test_a_dual_has_a_value_and_a_derivative() -> None:
    y = Dual(3.5, 2.0)
    assert y.x == 3.5
    assert y.dx == 2.0
    assert y.x.dtype is y.dx.dtype is as_tensor(np.float64(1)).dtype
    assert repr(y) == "Dual(3.5, 2.0)"


def test_product_with_a_constant() -> None:
    assert pair(Dual(3.0, 1.0) * cst(5.0)) == (15.0, 5.0)
    assert pair(cst(5.0)) == (5.0, 0.0)
    assert pair(cst(5.0) * cst(2.0)) == (10.0, 0.0)


def test_slices_vectors_and_matrices() -> None:
    assert [pair(d) for d in (Dual(1.0, 0.2), Dual(3.9, 5.8))] == [(1.0, 0.2), (3.9, 5.8)]
    vector = [Dual(n, n / 10) for n in (1.0, 2.0, 3.0)]
    assert [pair(d) for d in vector] == [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]
    matrix = [vector, vector]
    product = [sum((a * b for a, b in zip(row, vector, strict=True)), cst(0.0)) for row in matrix]
    np.testing.assert_allclose([pair(d) for d in product], [(14.0, 2.8)] * 2)


@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        (lambda x: x.sin() * x.exp(), 0.7, math.exp(0.7) * (math.sin(0.7) + math.cos(0.7))),
        (lambda x: x.ln() / x.sqrt(), 2.0, (1 - math.log(2) / 2) / 2**1.5),
        (lambda x: x.cos() + x.tan(), 0.4, -math.sin(0.4) + 1 / math.cos(0.4) ** 2),
        (lambda x: x.tanh() - x.sigmoid(), 0.0, 0.75),
        (lambda x: x.pow(3) + 2**x, 2.0, 12 + 4 * math.log(2)),
        (lambda x: 1 / x - x % 3.0, 4.0, -1 / 16 - 1),
        (lambda x: x.abs() + abs(x), -2.0, -2.0),
        (lambda x: x.relu() if x > 0 else cst(0.0), -2.0, 0.0),
        (lambda x: 7.0, 1.0, 0.0),
    ],
)
def test_derivative_of_a_function_of_one_number(function, point, expected) -> None:
    np.testing.assert_allclose(float(dual.diff(function, point)), expected, rtol=1e-14)


def test_gradient_of_a_function_of_two_numbers() -> None:
    partials = dual.grad(lambda v: v[0] * v[1].sin() + v[1] * v[1], [1.0, 2.0])
    np.testing.assert_allclose(
        [float(p) for p in partials], [0.9092974268, 3.5838531635], atol=1e-10
    )
    assert [float(p) for p in dual.grad(lambda v: 3.0, [1.0, 2.0])] == [0.0, 0.0]


@pytest.mark.parametrize(("x", "value", "slope"), [(2.0, 17.0, 14.0), (3.0, 34.0, 20.0)])
def test_problem_1(x, value, slope) -> None:
    assert pair(3.0 * Dual(x, 1.0) ** 2 + 2.0 * Dual(x, 1.0) + 1.0) == (value, slope)


SAMPLES = [
    ([3, 5, 2], 5), ([5, 7, 1], 7), ([1, 9, 4], 9), ([2, 3, 6], 6), ([4, 1, 3], 4),
    ([0, 8, 2], 8), ([7, 2, 1], 7), ([6, 3, 4], 6), ([5, 0, 2], 5), ([2, 6, 9], 9),
]  # fmt: skip


def max_of_three(parameters, x) -> Dual:
    """The 3-4-1 network on a flat list of its 21 parameters: W1 by rows, b1, W2, b2."""
    y = parameters[20]
    for unit in range(4):
        z = parameters[12 + unit]
        for place in range(3):
            z = z + parameters[3 * unit + place] * x[place]
        y = y + parameters[16 + unit] * (z if z > 0 else cst(0.0))
    return y


def test_training_the_max_of_three_network() -> None:
    """E5.7; all of its 1000 epochs take half a minute, so the first 41 stand for them."""
    parameters = [0.1] * 12 + [0.0] * 4 + [0.1] * 4 + [0.0]
    losses = []
    for _ in range(41):
        total = 0.0
        for x, truth in SAMPLES:
            seen = []

            def loss(p, x=x, truth=truth, seen=seen) -> Dual:
                seen.append((max_of_three(p, x) - truth) ** 2)
                return seen[0]

            slopes = dual.grad(loss, parameters)
            total += float(seen[0].x)
            parameters = [p - 0.001 * float(g) for p, g in zip(parameters, slopes, strict=True)]
        losses.append(total)
    np.testing.assert_allclose(
        [losses[epoch] for epoch in (0, 20, 40)], [328.95768, 10.70179, 10.58843], atol=5e-6
    )
    hidden = np.reshape(parameters[:12], (4, 3))
    np.testing.assert_array_equal(hidden, hidden[:1].repeat(4, 0))  # the units stay identical


# --- the rest -------------------------------------------------------------------------------------

FUNCTIONS = ["abs", "cos", "erf", "exp", "log", "log1p", "relu", "sigmoid", "sin", "sqrt", "tanh"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree_with_jvp(name) -> None:
    at = as_tensor(np.array(0.6))
    value, tangent = autodiff.jvp(getattr(elementwise, name), (at,), (as_tensor(np.array(2.0)),))
    got = getattr(dual, name)(Dual(0.6, 2.0))
    assert pair(got) == (value.item(), tangent.item())
    assert pair(getattr(dual, name)(0.6)) == (value.item(), 0.0)


def test_functions_of_two() -> None:
    a, b = Dual(3.0, 1.0), Dual(4.0, 10.0)
    np.testing.assert_allclose(pair(dual.atan2(a, b)), (math.atan2(3, 4), (4 - 30) / 25))
    assert pair(dual.maximum(a, b)) == (4.0, 10.0)
    assert pair(dual.minimum(a, b)) == (3.0, 1.0)
    assert pair(dual.maximum(a, 3.0)) == (3.0, 0.5)
    np.testing.assert_allclose(pair(a**b), (81.0, 4 * 27 + 81 * math.log(3) * 10))
    assert pair(+(-a) - 1 + (2 - a)) == (-5.0, -2.0)


def test_comparisons_look_at_the_value_alone() -> None:
    assert Dual(1.0, 5.0) == Dual(1.0, 7.0) == 1.0
    assert Dual(1.0, 5.0) != 2.0
    assert Dual(1.0, 9.0) < Dual(2.0, 0.0) <= 2.0
    assert 3 > Dual(2.0, 0.0) >= 2
    assert max(Dual(1.0, 2.0), Dual(3.0, 4.0)).dx == 4.0
    assert hash(Dual(1.0, 2.0)) == hash(1.0)
    assert Dual(1.0) != "one"


def test_derivatives_nest_with_the_other_modes() -> None:
    second = autodiff.grad(lambda x: dual.diff(lambda d: d**3, x))(as_tensor(np.array(2.0)))
    assert second.item() == 12.0


NESTED: list[tuple[str, Callable[[Dual], Any], float, float]] = [
    ("outer variable inside", lambda x: x * dual.diff(lambda y: x + y, 1.0), 2.0, 1.0),
    ("outer variable as a factor", lambda x: x * dual.diff(lambda y: x * y * y, x), 3.0, 54.0),
    ("second derivative", lambda x: dual.diff(lambda y: y**3, x), 2.0, 12.0),
    (
        "third derivative",
        lambda x: dual.diff(lambda y: dual.diff(lambda z: z**4, y), x),
        2.0,
        48.0,
    ),
    ("through a function", lambda x: dual.diff(lambda y: dual.sin(x * y), 1.0), 0.5, None),
    ("grad inside", lambda t: dual.grad(lambda v: v[0] * v[1] * t, [t, 3.0])[1], 2.0, 4.0),
    ("a branch", lambda x: dual.diff(lambda y: y * x if y > 0 else x, x), 2.0, 1.0),
]


@pytest.mark.parametrize(
    ("function", "at", "slope"), [n[1:] for n in NESTED], ids=[n[0] for n in NESTED]
)
def test_each_diff_has_its_own_perturbation(function, at, slope) -> None:
    if slope is None:  # d/dx x cos x
        slope = math.cos(at) - at * math.sin(at)
    got = dual.diff(function, at)
    assert isinstance(got, Tensor)
    assert got.shape == ()
    np.testing.assert_allclose(got.item(), slope)


def test_gradients_nest() -> None:
    point = [2.0, 3.0]
    inside = dual.grad(lambda v: dual.diff(lambda t: t * t * v[1], v[0]), point)
    assert [float(part) for part in inside] == [6.0, 4.0]
    both = dual.grad(lambda v: sum(dual.grad(lambda w: w[0] * w[0] * w[1] * v[0], v)), point)
    assert [float(part) for part in both] == [36.0, 8.0]
    hessian = [
        dual.grad(lambda v, row=row: dual.grad(lambda w: w[0] ** 3 * w[1] ** 2, v)[row], point)
        for row in range(2)
    ]
    assert [[float(part) for part in row] for row in hessian] == [[108.0, 72.0], [72.0, 16.0]]


def test_mistakes_are_explained() -> None:
    with pytest.raises(ShapeError, match="one number, got shape"):
        Dual(np.ones(2))
    with pytest.raises(ArgumentError, match="cannot hold a Dual"):
        Dual(Dual(1.0, 1.0), 1.0)
    with pytest.raises(ArgumentError, match="at least one variable"):
        dual.grad(lambda v: 1.0, [])
    with pytest.raises(TypeError, match="must be real number, not Dual"):
        math.sin(Dual(1.0, 1.0))
