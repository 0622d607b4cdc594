"""Bounds that are nan, infinite or beyond a dtype, in functions that take bounds, in every mode."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.errors import ArgumentError

nan, inf = math.nan, math.inf
NUMBERS = [-2.0, 0.0, 2.0, inf]

WITH_BOUNDS: dict[str, Callable[[smelt.Tensor, object], smelt.Tensor]] = {
    "clamp from": lambda x, bound: x.clamp(min=bound),
    "clamp to": lambda x, bound: x.clamp(max=bound),
    "clamp from, to 1": lambda x, bound: smelt.clamp(x, bound, 1.0),
    "clamp from -1, to": lambda x, bound: x.clip(-1.0, bound),
    "clamp_min": smelt.clamp_min,
    "clamp_max": smelt.clamp_max,
    "hardtanh from": lambda x, bound: F.hardtanh(x, bound, 9.0),
    "hardtanh to": lambda x, bound: F.hardtanh(x, -9.0, bound),
    "maximum": smelt.maximum,
    "minimum": smelt.minimum,
}
functions = pytest.mark.parametrize("function", WITH_BOUNDS.values(), ids=WITH_BOUNDS)


@functions
@pytest.mark.parametrize("dtype", [smelt.float16, smelt.float32, smelt.float64], ids=repr)
def test_a_bound_that_is_nan_makes_nan(function, dtype) -> None:
    x = smelt.tensor(NUMBERS, dtype=dtype)
    for bound in (nan, np.float32(nan), smelt.tensor(nan, dtype=dtype)):
        for result in (function(x, bound), smelt.compile(function)(x, bound)):
            assert result.dtype is dtype
            assert np.isnan(result.numpy()).all()


@functions
def test_an_element_of_a_bound_that_is_nan_makes_an_element_nan(function) -> None:
    x, bound = smelt.tensor(NUMBERS), smelt.tensor([nan, 0.5, nan, 0.5])
    for result in (function(x, bound), smelt.compile(function)(x, bound)):
        assert np.isnan(result.numpy()).tolist() == [True, False, True, False]


def test_derivatives_beside_a_bound_that_is_nan() -> None:
    """The numbers are PyTorch's."""
    bound = smelt.tensor([nan, nan, 1.0, 1.0])
    wanted = {
        "clamp from": ([0, 0, 1, 1], [0, 0, 0, 0]),
        "clamp to": ([0, 0, 0, 0], [0, 0, 1, 1]),
        "maximum": ([1, 1, 1, 1], [1, 1, 0, 0]),
        "minimum": ([1, 1, 0, 0], [1, 1, 1, 1]),
    }
    for name, expected in wanted.items():

        def slopes(x, bound, function=WITH_BOUNDS[name]):
            return smelt.grad(lambda x, bound: function(x, bound).sum(), (0, 1))(x, bound)

        for found in (slopes, smelt.compile(slopes)):
            slope = found(smelt.tensor(NUMBERS), bound)
            assert tuple(s.tolist() for s in slope) == expected, name


def test_integers_beside_bounds_that_they_do_not_have() -> None:
    x = smelt.tensor([-5, 3])
    assert x.clamp(-(2**70), 2**70).tolist() == [-5, 3]
    assert np.isnan(x.clamp(min=1, max=nan).numpy()).all()
    assert x.clamp(max=inf).tolist() == [-5.0, 3.0]
    with pytest.raises(ArgumentError, match="hardtanh"):
        F.hardtanh(x, 0, nan)


@pytest.mark.parametrize(("loss", "name"), [(F.huber_loss, "delta"), (F.smooth_l1_loss, "beta")])
def test_where_a_loss_changes_its_form_is_a_number(loss, name) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must .* got nan"):
        loss(smelt.ones(2), smelt.zeros(2), **{name: nan})


@pytest.mark.parametrize("tolerance", [nan, -1.0])
def test_a_tolerance_is_a_number_that_is_not_negative(tolerance) -> None:
    x = smelt.ones(2)
    for given in ({"rtol": tolerance}, {"atol": tolerance}):
        with pytest.raises(ArgumentError, match="must not be negative"):
            smelt.isclose(x, x, **given)
        with pytest.raises(ArgumentError, match="must not be negative"):
            smelt.allclose(x, x, **given)
