"""First values: their limits, moments and structure."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
from smelt import errors, nn
from smelt.nn import init


def weight(*shape: int, dtype: str = "float64") -> nn.Parameter:
    smelt.manual_seed(3)
    return nn.Parameter(smelt.zeros(*shape, dtype=dtype))


@pytest.mark.parametrize(
    ("fill", "limit"),
    [
        (lambda w: init.uniform_(w, -0.5, 0.5), 0.5),
        (lambda w: init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(6 / 300)),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(100)),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out"), math.sqrt(6 / 200)),
    ],
)
def test_uniform_fills_its_interval(fill, limit: float) -> None:
    values = fill(weight(200, 100)).numpy()
    assert np.abs(values).max() <= limit
    assert np.abs(values).max() > 0.999 * limit
    assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert values.mean() == pytest.approx(0.0, abs=0.02 * limit)


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda w: init.normal_(w, 0.0, 3.0), 3.0),
        (lambda w: init.xavier_normal_(w), math.sqrt(2 / 300)),
        (lambda w: init.kaiming_normal_(w, nonlinearity="relu"), math.sqrt(2 / 100)),
    ],
)
def test_normal_has_its_deviation(fill, std: float) -> None:
    values = fill(weight(200, 100)).numpy()
    assert values.std() == pytest.approx(std, rel=0.02)
    assert values.mean() == pytest.approx(0.0, abs=0.03 * std)
    assert np.abs(values).max() > 3 * std


def test_fans_of_a_convolution() -> None:
    assert init.fans(weight(8, 3, 5, 5)) == (75, 200)


def test_truncated_normal_keeps_to_its_bounds() -> None:
    values = init.trunc_normal_(weight(100, 200), 1.0, 2.0, -1.0, 2.0).numpy()
    assert values.min() >= -1.0
    assert values.max() <= 2.0
    # mean of N(1, 4) between -1 and 2: 1 + 2 (phi(-1) - phi(1/2)) / (Phi(1/2) - Phi(-1))
    assert values.mean() == pytest.approx(1 + 2 * (0.241971 - 0.352065) / 0.532807, abs=0.02)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 2, 3), (3, 3)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    matrix = init.orthogonal_(weight(*shape), gain=2.0).numpy().reshape(shape[0], -1)
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(square, 4 * np.eye(len(square)), atol=1e-12)


def test_constants() -> None:
    assert init.constant_(weight(2), 0.5).tolist() == [0.5, 0.5]
    assert init.ones_(weight(2, dtype="float32")).tolist() == [1.0, 1.0]
    assert init.zeros_(init.ones_(weight(2))).tolist() == [0.0, 0.0]
    assert init.eye_(weight(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_seed_repeats_and_moves_on() -> None:
    first = init.normal_(weight(5)).tolist()
    second = init.normal_(nn.Parameter(smelt.zeros(5, dtype="float64"))).tolist()
    assert init.normal_(weight(5)).tolist() == first
    assert second != first


def test_gains() -> None:
    assert init.calculate_gain("linear") == 1.0
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)


@pytest.mark.parametrize(
    ("fill", "error", "message"),
    [
        (lambda: init.calculate_gain("bent"), errors.ArgumentError, "'bent'"),
        (lambda: init.xavier_uniform_(weight(3)), errors.ShapeError, "at least 2 axes"),
        (lambda: init.kaiming_normal_(weight(0, 3)), errors.ShapeError, "2 axes"),
        (lambda: init.kaiming_normal_(weight(3, 3), mode="in"), errors.ArgumentError, "'in'"),
        (lambda: init.normal_(weight(3), std=-1.0), errors.ArgumentError, "got -1.0"),
        (
            lambda: init.trunc_normal_(weight(3), a=50.0, b=60.0),
            errors.ArgumentError,
            "no probability",
        ),
        (lambda: init.trunc_normal_(weight(3), std=0.0), errors.ArgumentError, "std"),
        (lambda: init.eye_(weight(3)), errors.ShapeError, "matrix"),
        (lambda: init.orthogonal_(weight(3)), errors.ShapeError, "2 axes"),
    ],
)
def test_misuse_is_refused(fill, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fill()


@pytest.mark.parametrize("ends", [(1, 0), (math.nan, 1), (0, math.nan)])
def test_an_empty_range_is_refused(ends) -> None:
    with pytest.raises(errors.ArgumentError, match=f"low must be at most high, got {ends[0]}"):
        init.uniform_(nn.Parameter(smelt.zeros(2)), *ends)
    with pytest.raises(errors.ArgumentError, match="deviation is negative, got nan"):
        init.normal_(nn.Parameter(smelt.zeros(2)), std=math.nan)


DRAWING = {
    "uniform_": lambda shape, source: smelt.uniform(-1, 3, shape, smelt.float64, source),
    "normal_": lambda shape, source: smelt.normal(-1, 3, shape, smelt.float64, source),
}


@pytest.mark.parametrize("name", DRAWING)
def test_the_numbers_are_those_of_the_function_of_this_name(name: str) -> None:
    drawn = getattr(init, name)(weight(4, 5), -1, 3, generator=smelt.Generator(7))
    assert drawn.tolist() == DRAWING[name]((4, 5), smelt.Generator(7)).tolist()


@pytest.mark.parametrize(
    "name",
    "uniform_ normal_ trunc_normal_ orthogonal_ xavier_uniform_ xavier_normal_ kaiming_uniform_ "
    "kaiming_normal_".split(),
)
def test_another_generator_leaves_the_default_one_alone(name: str) -> None:
    def filled() -> list[list[float]]:
        empty = nn.Parameter(smelt.zeros(4, 5))
        return getattr(init, name)(empty, generator=smelt.Generator(7)).tolist()

    smelt.manual_seed(1)
    following = smelt.rand(2).tolist()
    smelt.manual_seed(1)
    assert filled() == filled()
    assert smelt.rand(2).tolist() == following
