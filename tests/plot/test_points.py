"""Points of classes, borders between them, samples of generators."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt import nn, plot
from smelt.errors import ArgumentError, ShapeError

pytest.importorskip("matplotlib")

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = [0, 1, 1, 0]


def test_each_class_has_its_points_its_color_and_its_mark() -> None:
    (axes,) = plot.scatter(SQUARE, XOR, names=["even", "odd"], x_limits=(-1, 2)).axes
    even, odd = axes.lines
    assert (even.get_label(), odd.get_label()) == ("even", "odd")
    assert even.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert even.get_color() != odd.get_color()
    assert even.get_marker() != odd.get_marker()
    assert axes.get_xlim() == (-1, 2)


def test_colors_can_be_chosen() -> None:
    (axes,) = plot.scatter(SQUARE, XOR, colors=("red", "blue")).axes
    assert [line.get_color() for line in axes.lines] == ["red", "blue"]
    assert axes.lines[0].get_label() == "class 0"


def regions(model: object, labels: list[int] = XOR) -> np.ndarray:
    (axes,) = plot.decision_boundary(model, SQUARE, labels, resolution=8).axes
    return axes.images[0].get_array()


@pytest.mark.parametrize(
    "model",
    [
        lambda x: x[:, 0] - 0.5,
        lambda x: x[:, :1] - 0.5,
        lambda x: smelt.stack([0.5 - x[:, 0], x[:, 0] - 0.5], 1),
    ],
)
def test_the_plane_has_the_colors_of_its_classes(model: object) -> None:
    shades = regions(model)
    assert (shades[:, :4] == shades[0, 0]).all()
    assert (shades[:, 4:] == shades[0, -1]).all()
    assert (shades[0, 0] != shades[0, -1]).any()


def test_three_classes_have_three_borders() -> None:
    figure = plot.decision_boundary(
        lambda x: smelt.stack([x[:, 0], x[:, 1], 1 - x[:, 0] - x[:, 1]], 1), SQUARE, [2, 1, 0, 1]
    )
    assert len(np.unique(np.reshape(figure.axes[0].images[0].get_array(), (-1, 3)), axis=0)) == 3


def test_a_module_is_asked_without_gradients() -> None:
    model = nn.Linear(2, 1)
    regions(model)
    assert model.weight.grad is None


def test_samples_lie_over_their_target() -> None:
    (axes,) = plot.samples(np.zeros((50, 2)), SQUARE, centers=[[-2, 0], [2, 0]]).axes
    assert [line.get_label() for line in axes.lines] == ["target", "generated", "centers"]
    assert axes.get_xlim() == (-4, 4)
    assert axes.lines[1].get_marker() == "x"


def test_variants_share_their_axes() -> None:
    figure = plot.sample_variants(
        np.zeros((5, 2)), {"minimax": SQUARE, "WGAN-GP": SQUARE}, notes={"WGAN-GP": "99 %"}
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["minimax", "WGAN-GP\n99 %"]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ShapeError, lambda: plot.scatter(SQUARE.T, XOR)),
        (ShapeError, lambda: plot.scatter(SQUARE, XOR[:3])),
        (ShapeError, lambda: plot.scatter(SQUARE, XOR, names=["one"])),
        (ShapeError, lambda: plot.scatter(np.zeros((0, 2)), [])),
        (ShapeError, lambda: plot.samples(SQUARE, [1.0, 2.0])),
        (ShapeError, lambda: plot.decision_boundary(lambda x: x.sum(), SQUARE, XOR)),
        (ArgumentError, lambda: plot.decision_boundary(lambda x: x, SQUARE, XOR, resolution=1)),
        (ArgumentError, lambda: plot.decision_boundary(lambda x: x, SQUARE * np.nan, XOR)),
        (ArgumentError, lambda: plot.scatter(SQUARE, np.asarray(XOR) + 0.5)),
        (ArgumentError, lambda: plot.scatter(SQUARE, ["a", "b", "b", "a"])),
        (ArgumentError, lambda: plot.sample_variants(SQUARE, {})),
        (ArgumentError, lambda: plot.sample_variants(SQUARE, {"a": SQUARE}, notes={"b": ""})),
    ],
)
def test_what_does_not_fit_is_refused(error: type[Exception], call: object) -> None:
    with pytest.raises(error):
        call()  # type: ignore[operator]
