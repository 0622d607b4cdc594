"""Images, kernels, feature maps, attention, matrices."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt import nn, plot
from smelt.errors import ShapeError

pytest.importorskip("matplotlib")


def shown(figure: object) -> list[object]:
    return [axes for axes in figure.axes if axes.images]  # type: ignore[attr-defined]


def test_small_images_show_their_numbers() -> None:
    pixels = np.arange(8).reshape(2, 2, 2)
    first, second = shown(plot.images(pixels, titles=["cat", "not cat"], values=True))
    assert [text.get_text() for text in first.texts] == ["0", "1", "2", "3"]
    assert second.get_title(loc="left") == "not cat"
    assert first.images[0].get_clim() == (0, 7) == second.images[0].get_clim()


def test_images_may_have_colors() -> None:
    (axes,) = shown(plot.images(np.zeros((1, 4, 4, 3))))
    assert axes.images[0].get_array().shape == (4, 4, 3)


def test_kernels_are_colored_about_zero() -> None:
    weights = smelt.tensor([[[[1.0, 0.0], [0.0, -3.0]]]])
    (axes,) = shown(plot.kernels(weights))
    assert axes.images[0].get_clim() == (-3, 3)
    assert [text.get_text() for text in axes.texts] == ["1", "0", "0", "-3"]


def test_kernels_with_several_inputs_have_a_row_for_each_output() -> None:
    panels = shown(plot.kernels(np.zeros((4, 3, 5, 5))))
    assert len(panels) == 12
    assert {panel.get_gridspec().get_geometry() for panel in panels} == {(4, 3)}


def test_feature_maps_share_a_scale_and_stand_beside_their_image() -> None:
    maps = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    image, *channels = shown(plot.feature_maps(maps, image=np.eye(4)))
    assert image.get_title(loc="left") == "image"
    assert [one.get_title(loc="left") for one in channels] == ["channel 0", "channel 1"]
    assert {one.images[0].get_clim() for one in channels} == {(0, 1)}


def test_attention_names_its_tokens() -> None:
    weights = np.full((4, 3, 3), 1 / 3)
    heads = shown(plot.attention(weights, ["i", "love", "it"]))
    assert [axes.get_title(loc="left") for axes in heads] == [f"head {n}" for n in (1, 2, 3, 4)]
    for labels in (heads[0].get_xticklabels(), heads[0].get_yticklabels()):
        assert [label.get_text() for label in labels] == ["i", "love", "it"]


def test_attention_says_which_axis_is_which() -> None:
    heads = shown(plot.attention(np.full((3, 2, 2), 0.5), columns=2))
    assert [axes.get_ylabel() for axes in heads] == ["query", "", "query"]
    assert [axes.get_xlabel() for axes in heads] == ["", "key", "key"]


def test_cross_attention_has_other_names_for_its_rows() -> None:
    (axes,) = shown(plot.attention(np.ones((1, 2)), ["a", "b"], queries=["q"]))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["q"]


@pytest.mark.parametrize(("low", "limits"), [(-1.0, (-2, 2)), (0.0, (0, 2))])
def test_a_matrix_of_both_signs_is_balanced(low: float, limits: tuple[float, float]) -> None:
    (axes,) = shown(plot.heatmap([[low, 2.0]]))
    assert axes.images[0].get_clim() == limits


def test_numbers_are_written_into_small_matrices_only() -> None:
    small, large = (shown(plot.heatmap(np.full((n, n), -0.001)))[0] for n in (3, 30))
    assert {text.get_text() for text in small.texts} == {"0.00"}
    assert not large.texts


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.images(np.zeros((4, 4))),
        lambda: plot.images(np.zeros((2, 4, 4)), titles=["one"]),
        lambda: plot.kernels(np.zeros((3, 3))),
        lambda: plot.kernels(nn.Conv2d(1, 1, 3)),
        lambda: plot.feature_maps(np.zeros((1, 1, 4, 4))),
        lambda: plot.feature_maps(np.zeros((2, 4, 4)), names=["a"]),
        lambda: plot.attention(np.zeros((2, 2, 3, 3))),
        lambda: plot.attention(np.zeros((3, 3)), ["a"]),
        lambda: plot.attention(np.zeros((2, 3)), ["a", "b", "c"], queries=["a"]),
        lambda: plot.heatmap([1.0]),
        lambda: plot.heatmap([[1.0]], x_names=["a", "b"]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: object) -> None:
    with pytest.raises(ShapeError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(4, 3), (1, 30), (30, 2)])
def test_the_title_of_a_matrix_fits(shape: tuple[int, int]) -> None:
    figure = plot.heatmap(np.zeros(shape), title="Weights after 1,000 epochs: all the same unit")
    figure.draw_without_rendering()
    (title,) = (text for text in figure.texts if text.get_text())
    assert title.get_window_extent().x1 < figure.bbox.x1
