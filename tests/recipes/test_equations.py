"""The recipe equations: the reference, the residuals, the solver, and a training of each kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.errors import ArgumentError
from smelt.recipes import equations
from smelt.recipes.equations import Burgers, Poisson, Solution, cole_hopf, solve
from tests.recipes.recipe_runs import FILES, check_goes_on

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")
STEP = 1e-4  # of differences


def height(model: Solution, point: Any) -> float:
    """Returns the network's u at a point (2,)."""
    return model.at(model.weights, smelt.tensor(np.array(point))).item()


def differences(u: Callable[[np.ndarray], Any], point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first and second derivatives of u along both axes, by central differences."""
    first, second = [], []
    for axis in STEP * np.eye(2):
        low, middle, high = (float(u(point + k * axis)) for k in (-1, 0, 1))
        first.append((high - low) / (2 * STEP))
        second.append((high - 2 * middle + low) / STEP**2)
    return np.array(first), np.array(second)


def test_the_reference_solves_burgers_equation() -> None:
    for point in ([0.3, 0.2], [0.05, 0.5], [-0.4, 0.9]):
        first, second = differences(cole_hopf, np.array(point))
        left_over = first[1] + cole_hopf(np.array(point)) * first[0]
        assert left_over == pytest.approx(equations.VISCOSITY * second[0], abs=1e-4)
    x = np.linspace(-1, 1, 21)
    at_start = cole_hopf(np.stack([x, np.zeros(21)], axis=1))
    np.testing.assert_allclose(at_start, -np.sin(math.pi * x), atol=1e-12)


def test_the_reference_does_not_depend_on_the_number_of_nodes() -> None:
    points = np.random.default_rng(0).uniform([-1, 0.01], [1, 1], (200, 2))
    np.testing.assert_allclose(cole_hopf(points), cole_hopf(points, nodes=300), atol=1e-13)


def test_the_residuals_are_those_of_the_equations() -> None:
    smelt.manual_seed(0)
    burgers, poisson = Burgers(), Poisson()
    point = np.array([0.3, 0.6])
    for model, expected in (
        (burgers, lambda u, first, second: first[1] + u * first[0] - 0.1 * second[0]),
        (poisson, lambda u, first, second: second.sum() + source(point)),
    ):
        u = partial(height, model)
        got = model.residual(model.weights, smelt.tensor(point)).item()
        assert got == pytest.approx(expected(u(point), *differences(u, point)), abs=1e-5)


def source(point: np.ndarray) -> float:
    """Returns f = -(u_xx + u_yy) of u = exp(x) sin(pi x) sin(2 pi y), by hand."""
    x, y = point
    curved = (1 - 5 * math.pi**2) * math.sin(math.pi * x) + 2 * math.pi * math.cos(math.pi * x)
    return -math.exp(x) * curved * math.sin(2 * math.pi * y)


def test_borders_hold_by_construction() -> None:
    smelt.manual_seed(0)
    burgers, poisson = Burgers(), Poisson()
    assert height(burgers, [0.3, 0.0]) == pytest.approx(-math.sin(0.3 * math.pi))
    assert height(burgers, [1.0, 0.7]) == pytest.approx(0, abs=1e-15)
    assert height(burgers, [-0.4, 0.7]) == pytest.approx(-height(burgers, [0.4, 0.7]))
    assert height(poisson, [0.0, 0.4]) == height(poisson, [0.4, 1.0]) == 0


def test_the_solver_agrees_with_lapack() -> None:
    random = np.random.default_rng(0)
    columns, right = random.normal(size=(30, 50)), random.normal(size=30)
    matrix = columns @ columns.T
    got = smelt.compile(solve)(smelt.tensor(matrix), smelt.tensor(right)).numpy()
    np.testing.assert_allclose(got, np.linalg.solve(matrix, right), rtol=1e-9)


def test_poisson_is_solved_in_a_moment(tmp_path: Path) -> None:
    result = equations.run(tmp_path / "run", equation="poisson", epochs=3, points=300)
    assert result.history.epochs[-1].loss < 1e-2 * result.history.epochs[0].loss
    assert result.figures["relative_error"] < 1e-2
    drawn = {"error.png", "solution.png"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES | drawn


def test_a_training_that_goes_on_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equations, "STEPS", 3)
    check_goes_on(equations.run, tmp_path, equation="burgers", epochs=2, points=100, seed=5)


def test_an_equation_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="must be one of burgers, poisson"):
        equations.run(tmp_path / "run", equation="heat")
