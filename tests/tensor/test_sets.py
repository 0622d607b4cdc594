"""Which elements there are, and their order: edges that the recorded answers do not reach."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
from smelt.errors import ArgumentError, ShapeError, TraceError
from tests.gradients import check_gradient

NAN = math.nan


def test_places_of_what_is_not_zero() -> None:
    x = smelt.tensor([[0.0, 2.0], [3.0, 0.0]])
    assert x.nonzero().tolist() == x.argwhere().tolist() == [[0, 1], [1, 0]]
    assert x[x.nonzero(as_tuple=True)].tolist() == [2, 3]
    assert smelt.tensor(3.0).nonzero().shape == (1, 0)
    assert smelt.tensor(0).nonzero().shape == (0, 0)
    assert smelt.zeros(2, 0).nonzero().shape == (0, 2)
    assert [place.tolist() for place in smelt.tensor(True).nonzero(as_tuple=True)] == [[0]]


@pytest.mark.parametrize("function", [smelt.nonzero, smelt.argwhere, smelt.unique])
def test_what_depends_on_values_is_refused_in_a_step(function) -> None:
    with pytest.raises(TraceError, match=f"{function.__name__.replace('argwhere', 'nonzero')}"):
        smelt.compile(function)(smelt.ones(3))


def test_each_element_once() -> None:
    x = smelt.tensor([[3.0, NAN], [1.0, 3.0]]).bfloat16()
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    assert values.dtype is smelt.bfloat16
    assert values.tolist()[:2] == [1, 3]
    assert inverse.tolist() == [[1, 2], [0, 1]]
    assert counts.tolist() == [1, 2, 1]
    rows = smelt.tensor([[1, 2], [0, 5], [1, 2]])
    assert rows.unique(dim=0).tolist() == [[0, 5], [1, 2]]
    assert smelt.unique(smelt.zeros(0)).shape == (0,)
    assert smelt.unique(smelt.tensor(2)).tolist() == [2]


@pytest.mark.parametrize("compiled", [False, True])
def test_membership(compiled) -> None:
    with smelt.settings(compile=compiled):
        isin = smelt.compile(lambda x, y: smelt.isin(x, y))
        x = smelt.tensor([[1.0, 2.5], [NAN, -math.inf]])
        y = smelt.tensor([-math.inf, 2.5, 2.5, NAN])
        assert isin(x, y).tolist() == [[False, True], [False, True]]
        assert isin(smelt.tensor(3), smelt.tensor([[3]])).tolist() is True
        assert isin(smelt.arange(3), smelt.zeros(0, dtype=smelt.int64)).tolist() == [False] * 3
    assert smelt.isin(smelt.arange(4), 2, invert=True).tolist() == [True, True, False, True]
    assert smelt.isin(3, [1, 3]).item()


def test_the_middle_element() -> None:
    x = smelt.tensor([[4.0, 1.0, 3.0, 2.0], [5.0, NAN, 1.0, NAN]])
    values, indices = x.median(1)
    assert values.tolist()[0] == 2
    assert math.isnan(values.tolist()[1])
    assert indices.tolist() == [3, 1]
    assert math.isnan(x.median().item())
    assert smelt.tensor(7).median(0).indices.shape == ()
    assert x.median(0, keepdim=True).values.shape == (1, 4)
    with pytest.raises(ShapeError, match="no elements"):
        smelt.zeros(2, 0).median(1)


def test_quantiles() -> None:
    x = smelt.tensor([3.0, 1.0, 2.0, 5.0])
    for name, wanted in (("linear", 2.2), ("lower", 2), ("higher", 3), ("midpoint", 2.5)):
        assert smelt.quantile(x, 0.4, interpolation=name).item() == pytest.approx(wanted)
    assert x.quantile(0.5, interpolation="nearest").item() == 3  # place 1.5: the even one
    step = smelt.compile(lambda x, q: x.quantile(q, 0, keepdim=True))
    assert step(x, smelt.tensor([0.0, 1.0])).tolist() == [[1], [5]]
    assert math.isnan(smelt.tensor([1.0, NAN]).quantile(0.0).item())
    for call in (lambda: x.quantile(1.5), lambda: step(x, smelt.tensor([-0.1]))):
        with pytest.raises(ArgumentError, match=r"\[0, 1\]"):
            call()
    with pytest.raises(ArgumentError, match="interpolation"):
        x.quantile(0.5, interpolation="cubic")
    with pytest.raises(ShapeError, match="q must be a number"):
        x.quantile(smelt.ones(2, 2))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.median(1).values ** 3).sum(),
        lambda x: (x.quantile(smelt.tensor([0.3, 0.6], dtype=smelt.float64), 1) ** 3).sum(),
        lambda x: (smelt.hypot(x, x.flip(1)) ** 2 * x).sum(),
        lambda x: (smelt.logaddexp(x, x.flip(0)) ** 2).sum(),
        lambda x: (smelt.logit(x.sigmoid()) ** 3).sum(),
        lambda x: (smelt.kron(x, x) ** 2).sum(),
        lambda x: smelt.tensordot(x, x**2, ([1], [1])).diag(1).sum(),
    ],
)
def test_gradients(function) -> None:
    check_gradient(function, np.random.default_rng(0).standard_normal((3, 4)))


def test_edges_of_elementary_functions() -> None:
    wide = smelt.tensor([1e30, 3.0, math.inf, math.inf, 0.0])
    other = smelt.tensor([1e30, -4.0, NAN, -1.0, 0.0])
    found = smelt.hypot(wide, other).tolist()
    assert found[0] == pytest.approx(math.sqrt(2) * 1e30, rel=1e-6)
    assert found[1:] == [5, math.inf, math.inf, 0]
    slope = smelt.grad(lambda x: smelt.hypot(x, 0.0))
    assert slope(smelt.tensor(0.0)).item() == 0
    infinite = smelt.tensor([math.inf, -math.inf, math.inf, 800.0])
    other = smelt.tensor([math.inf, -math.inf, -math.inf, 800.0])
    assert smelt.logaddexp(infinite, other).tolist()[:3] == [math.inf, -math.inf, math.inf]
    assert smelt.logaddexp(800.0, 800.0).item() == pytest.approx(800.6931)
    assert smelt.logit(smelt.tensor([0.0, 1.0, 2.0])).tolist()[:2] == [-math.inf, math.inf]
    assert smelt.logit(smelt.tensor([0.0]), 0.5).tolist() == [0]
    assert smelt.fmod(smelt.tensor([-7.0, 7.0, 1.0]), [3.0, -3.0, math.inf]).tolist() == [-1, 1, 1]
    assert smelt.fmod(smelt.tensor([-7, 7]), -3).tolist() == [-1, 1]
    assert smelt.frac(smelt.tensor([-1.5, 2.25])).tolist() == [-0.5, 0.25]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: smelt.ones(2, 2, 2).diag(), ShapeError, "vector or a matrix"),
        (lambda: smelt.ones(2).trace(), ShapeError, "needs a matrix"),
        (lambda: smelt.inner(smelt.ones(2), smelt.ones(3)), ShapeError, "last extents"),
        (lambda: smelt.tensordot(smelt.ones(2, 3), smelt.ones(2, 3), 1), ShapeError, "differ in"),
        (
            lambda: smelt.tensordot(smelt.ones(2), smelt.ones(2), 2),
            ArgumentError,
            "cannot sum over 2 axes",
        ),
        (
            lambda: smelt.tensordot(smelt.ones(2), smelt.ones(2), ([0], [])),
            ArgumentError,
            "same number of axes",
        ),
        (lambda: smelt.ones(2).fliplr(), ShapeError, "two axes"),
        (lambda: smelt.tensor(1).flipud(), ShapeError, "no rows"),
        (lambda: smelt.ones(2).diff(-1), ArgumentError, "negative"),
        (lambda: smelt.tensor(1).diff(), ShapeError, r"shape \(\)"),
    ],
)
def test_what_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
