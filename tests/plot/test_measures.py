"""Bars, histograms and timelines."""

from __future__ import annotations

import numpy as np
import pytest

from smelt import nn, plot
from smelt.errors import ArgumentError, ShapeError

pytest.importorskip("matplotlib")


def test_bars_carry_their_numbers_from_the_top() -> None:
    (axes,) = plot.bars({"Python": 50.0, "Smelt": 0.4}, unit="ms", highlight="Smelt").axes
    assert [bar.get_width() for bar in axes.patches] == [50, 0.4]
    assert [text.get_text() for text in axes.texts] == ["50 ms", "0.4 ms"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Python", "Smelt"]
    assert axes.yaxis_inverted()
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()


def test_a_reference_has_a_bar_of_its_own() -> None:
    (axes,) = plot.bars({"a": 1.0, "b": 2.0}, reference={"b": 3.0}, names=("here", "book")).axes
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3"]
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"here", "book"}


def test_a_network_has_a_histogram_for_each_parameter() -> None:
    figure = plot.histograms(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)))
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["0.weight (32)", "0.bias (4)", "1.weight (8)", "1.bias (2)"]
    counted = sum(bar.get_height() for bar in figure.axes[0].patches)
    assert counted == 32


def test_a_long_name_is_broken_before_its_last_part() -> None:
    (axes,) = plot.histograms({"encoder.recurrent.weight_hh_l0": [1.0, 2.0]}).axes
    assert axes.get_title(loc="left") == "encoder.recurrent.\nweight_hh_l0 (2)"


def test_a_histogram_tells_mean_and_spread() -> None:
    (axes,) = plot.histograms({"w": np.array([[1.0, 3.0]])}).axes
    assert axes.get_xlabel() == "mean 2, std 1"


def test_threads_are_lanes() -> None:
    work = {"loader": [(0.0, 1.0, "batch 0"), (1.0, 2.0, "b")], "trainer": [(1.0, 3.0, "batch 0")]}
    (axes,) = plot.timeline(work, title="Loader").axes
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 1), (1, 1), (1, 2)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["loader", "trainer"]
    assert axes.get_title(loc="left") == "Loader"


def test_a_label_that_does_not_fit_is_left_out() -> None:
    (axes,) = plot.timeline({"a": [(0.0, 0.01, "much too long"), (1.0, 9.0, "fits")]}).axes
    assert [text.get_text() for text in axes.texts] == ["fits"]


def test_timelines_share_their_axis() -> None:
    one, two = plot.timelines({"one": {"A": [(0, 4, "")]}, "two": {"A": [(0, 2, "")]}}).axes
    assert one.get_xlim() == two.get_xlim() == (0, 4)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ArgumentError, lambda: plot.bars({})),
        (ArgumentError, lambda: plot.bars({"a": -1.0})),
        (ArgumentError, lambda: plot.bars({"a": 0.0}, log=True)),
        (ArgumentError, lambda: plot.bars({"a": 1.0}, highlight="b")),
        (ArgumentError, lambda: plot.bars({"a": 1.0}, reference={"b": 1.0})),
        (ArgumentError, lambda: plot.histograms(nn.ReLU())),
        (ArgumentError, lambda: plot.histograms([1.0, 2.0])),
        (ShapeError, lambda: plot.histograms({"w": []})),
        (ArgumentError, lambda: plot.timeline({})),
        (ArgumentError, lambda: plot.timeline({"A": [(2.0, 1.0, "back")]})),
    ],
)
def test_what_does_not_fit_is_refused(error: type[Exception], call: object) -> None:
    with pytest.raises(error):
        call()  # type: ignore[operator]
