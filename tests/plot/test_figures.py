"""Figures become PNG files with what they should show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import nn, plot
from smelt.errors import ArgumentError, FileError, MissingExtra, ShapeError

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

ROWS = [
    {"epoch": n, "loss": 1 / n, "held_out_loss": 2 / n, "held_out_accuracy": 1 - 1 / n}
    for n in range(1, 6)
]


def test_curves_show_both_losses_and_the_accuracy() -> None:
    loss, accuracy = plot.curves(ROWS).axes
    assert [line.get_label() for line in loss.lines] == ["training", "held out"]
    assert loss.get_yscale() == "log"
    assert list(accuracy.lines[0].get_ydata()) == [row["held_out_accuracy"] for row in ROWS]
    assert [text.get_text() for text in accuracy.texts] == ["80.00%"]


def test_ticks_of_the_accuracy_say_where_they_stand() -> None:
    rows = [{"epoch": n, "loss": 1.0, "held_out_accuracy": 0.8 + 0.02 * n} for n in range(1, 6)]
    _, accuracy = plot.curves(rows).axes
    places = accuracy.get_yticks()
    assert any(not (100 * place).is_integer() for place in places)
    labels = [label.get_text() for label in accuracy.get_yticklabels()]
    assert len([label for label in labels if label]) > 3
    for place, label in zip(places, labels, strict=True):
        if label or place <= 1:  # there is room above 100 %, and no number
            assert float(label.removesuffix("%")) == pytest.approx(100 * place)


def test_curves_without_held_out_data_have_one_panel() -> None:
    (loss,) = plot.curves([{"epoch": 1, "loss": 0.5}]).axes
    assert loss.lines[0].get_marker() == "o"


def test_a_loss_that_may_be_negative_is_on_a_linear_scale() -> None:
    (loss,) = plot.curves([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": -0.5}]).axes
    assert loss.get_yscale() == "linear"


def test_no_epochs_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no finished epoch"):
        plot.curves([])


def test_the_confusion_matrix_names_every_count_but_zero() -> None:
    (axes,) = plot.confusion(np.array([[5, 0], [1, 4]]), ["cat", "dog"]).axes
    assert sorted(text.get_text() for text in axes.texts) == ["1", "4", "5"]
    assert axes.get_title(loc="left") == "9 of 10 right (90.00%)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_the_title_of_a_small_confusion_matrix_is_not_cut_off() -> None:
    figure = plot.confusion(np.array([[70812, 20401], [12345, 78699]]), ["blame", "praise"])
    figure.canvas.draw()
    (axes,) = figure.axes
    (title,) = axes.findobj(lambda artist: "right" in getattr(artist, "get_text", str)())
    assert title.get_window_extent().x1 < figure.bbox.x1


def test_an_empty_confusion_matrix_can_be_drawn() -> None:
    (axes,) = plot.confusion(np.zeros((2, 2), int)).axes
    assert axes.get_title(loc="left") == "0 of 0 right"


@pytest.mark.parametrize("counts", [np.zeros((2, 3)), np.zeros(4), np.zeros((3, 3))])
def test_counts_that_do_not_fit_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        plot.confusion(counts, ["a", "b"])


def test_a_saved_figure_is_a_png_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    plot.save(plot.confusion(np.eye(3, dtype=int)), path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="x.png"):
        plot.save(plot.curves(ROWS), tmp_path / "nowhere" / "x.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smelt.plot.style.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[plot\]"):
        plot.curves(ROWS)


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"x.{kind}"
        plot.save(plot.curves(ROWS), path)
        assert path.read_bytes().startswith(start)
    with pytest.raises(ArgumentError, match=r"\.png, \.svg or \.pdf"):
        plot.save(plot.curves(ROWS), tmp_path / "x.bmp")


def test_the_same_figure_gives_the_same_svg() -> None:
    first, second = (plot.to_svg(plot.curves(ROWS)) for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first


def test_png_bytes_are_an_image() -> None:
    assert plot.to_png(plot.curves(ROWS)).startswith(b"\x89PNG")


DRAWING = {
    "activations": lambda: plot.activations(),
    "architecture": lambda: plot.architecture(nn.ReLU(), smelt.ones(1)),
    "attention": lambda: plot.attention([[1.0]]),
    "bars": lambda: plot.bars({"a": 1.0}),
    "calibration": lambda: plot.calibration([{"confidence": 0.5, "accuracy": 0.4, "rows": 3}]),
    "confusion": lambda: plot.confusion(np.eye(2, dtype=int)),
    "contour": lambda: plot.contour(lambda x, y: x * y),
    "curves": lambda: plot.curves(ROWS),
    "deadlock": lambda: plot.deadlock(),
    "decision_boundary": lambda: plot.decision_boundary(lambda x: x, [[0.0, 1.0]], [0]),
    "descent": lambda: plot.descent(smelt.relu, {}),
    "encoder_decoder": lambda: plot.encoder_decoder(),
    "feature_maps": lambda: plot.feature_maps(np.ones((1, 2, 2))),
    "gan": lambda: plot.gan(),
    "gradient_flow": lambda: plot.gradient_flow({"a": [1.0]}),
    "heatmap": lambda: plot.heatmap([[1.0]]),
    "histograms": lambda: plot.histograms({"a": [1.0]}),
    "images": lambda: plot.images(np.ones((1, 2, 2))),
    "kernels": lambda: plot.kernels(np.ones((1, 2, 2))),
    "learning_rates": lambda: plot.learning_rates({0.1: [1.0]}),
    "loss_curves": lambda: plot.loss_curves({"a": [1.0]}),
    "lstm_cell": lambda: plot.lstm_cell(),
    "moving_average": lambda: plot.moving_average([1.0]),
    "network": lambda: plot.network(),
    "perceptron": lambda: plot.perceptron(),
    "pipeline": lambda: plot.pipeline([("a", "b")]),
    "predicted_against_true": lambda: plot.predicted_against_true([1.0, 2.0], [1.0, 3.0]),
    "sample_variants": lambda: plot.sample_variants([[0.0, 1.0]], {"a": [[0.0, 1.0]]}),
    "samples": lambda: plot.samples([[0.0, 1.0]], [[0.0, 1.0]]),
    "scatter": lambda: plot.scatter([[0.0, 1.0]], [0]),
    "timeline": lambda: plot.timeline({"a": [(0.0, 1.0, "")]}),
    "timelines": lambda: plot.timelines({"p": {"a": [(0.0, 1.0, "")]}}),
    "transformer_block": lambda: plot.transformer_block(),
    "unrolled": lambda: plot.unrolled(),
}


def test_every_figure_is_in_the_list() -> None:
    others = {"Diagram", "Place", "gradients_through_time", "require", "save", "to_png", "to_svg"}
    assert set(plot.__all__) - others == set(DRAWING)


@pytest.mark.parametrize("name", DRAWING)
def test_the_smallest_input_is_drawn(name: str) -> None:
    assert plot.to_png(DRAWING[name]()).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", DRAWING)
def test_no_figure_is_drawn_without_matplotlib(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smelt.plot.style.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[plot\]"):
        DRAWING[name]()
