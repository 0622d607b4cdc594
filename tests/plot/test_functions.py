"""Functions of one and of two numbers."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt import plot
from smelt.errors import ArgumentError, ShapeError

pytest.importorskip("matplotlib")


def curve(axes: object, label: str) -> np.ndarray:
    lines = {line.get_label(): line for line in axes.lines}  # type: ignore[attr-defined]
    return np.array(lines[label].get_xydata())


def test_an_activation_is_drawn_with_its_slope() -> None:
    (axes,) = plot.activations({"square": lambda x: x * x}, limits=(-2, 2), points=5).axes
    assert axes.get_title(loc="left") == "square"
    assert curve(axes, "value").tolist() == [[-2, 4], [-1, 1], [0, 0], [1, 1], [2, 4]]
    assert curve(axes, "slope")[:, 1].tolist() == [-4, -2, 0, 2, 4]


def test_relu_has_as_many_points_as_asked_for() -> None:
    (axes,) = plot.activations({"ReLU": smelt.relu}, points=101, derivatives=False).axes
    found = curve(axes, "value")
    assert found.shape == (101, 2)
    assert found[1, 0] - found[0, 0] == pytest.approx(0.1)
    assert (found[:, 1] == np.maximum(found[:, 0], 0)).all()


def test_a_jump_is_a_gap() -> None:
    axes = plot.activations().axes[0]
    assert axes.get_title(loc="left") == "step"
    assert np.isnan(curve(axes, "value")).any()


def test_all_activations_of_the_book_are_there() -> None:
    titles = {axes.get_title(loc="left") for axes in plot.activations().axes}
    assert {"step", "sigmoid", "tanh", "ReLU", "leaky ReLU (0.01)", "GELU", "identity"} <= titles


def test_a_descent_stands_on_its_curve() -> None:
    (axes,) = plot.descent(lambda w: w * w, {"small": [2.0, 1.0], "large": [1.0, -5.0]}).axes
    assert curve(axes, "small").tolist() == [[2, 4], [1, 1]]
    assert axes.get_xlim() == (-3, 3)
    assert axes.get_ylim()[1] < 25


def test_contour_draws_points_their_steps_and_paths() -> None:
    figure = plot.contour(
        lambda x, y: -(x**2) - y**2,
        points={"x1": (1.0, 0.0), "x3": (0.0, 1.0)},
        against=("x3",),
        paths={"Adam": [[1.0, 1.0], [0.5, 0.5]]},
    )
    axes = figure.axes[0]
    arrows = [note for note in axes.texts if note.arrow_patch is not None]
    uphill, downhill = (np.subtract(note.xy, note.xyann) for note in arrows)
    assert uphill[0] < 0  # toward the peak
    assert downhill[1] > 0  # away from it
    assert {text.get_text() for text in axes.texts} == {"", "x1", "x3"}
    assert curve(axes, "Adam").tolist() == [[1, 1], [0.5, 0.5]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.activations({}),
        lambda: plot.activations([smelt.relu]),
        lambda: plot.activations({"ReLU": "relu"}),
        lambda: plot.activations(limits=(1, 1)),
        lambda: plot.descent(smelt.relu, {}, limits=(2, 1)),
        lambda: plot.contour(lambda x, y: x * y, against=("x9",)),
    ],
)
def test_settings_out_of_range_are_refused(call: object) -> None:
    with pytest.raises(ArgumentError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.activations({"sum": lambda x: x.sum()}),
        lambda: plot.descent(smelt.relu, {"a": [[1.0]]}),
        lambda: plot.contour(lambda x, y: (x * y).sum()),
        lambda: plot.contour(lambda x, y: x * y, paths={"a": [1.0, 2.0]}),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: object) -> None:
    with pytest.raises(ShapeError):
        call()  # type: ignore[operator]
