"""Diagrams hold what they are of, within their sheet, and no two texts lie on each other."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest

import smelt
from smelt import nn, plot
from smelt.errors import ArgumentError

pytest.importorskip("matplotlib")

CAT = [("input", "1 x 6 x 6"), ("conv 3 x 3", "1 x 4 x 4"), ("ReLU", ""), ("max pool 2 x 2", ""),
       ("flatten", "4"), ("linear", "1"), ("sigmoid", "1")]  # fmt: skip
WORDS = ["i", "love", "this", "movie"]
ALL: dict[str, Callable[[], Any]] = {
    "network": lambda: plot.network((3, 4, 1), title="A network"),
    "large": lambda: plot.network((784, 128, 10)),
    "perceptron": lambda: plot.perceptron(3, title="A perceptron"),
    "one input": lambda: plot.perceptron(1),
    "pipeline": lambda: plot.pipeline(CAT, title="A CNN"),
    "unrolled": lambda: plot.unrolled(3, title="An RNN"),
    "many to one": lambda: plot.unrolled(
        4, outputs=[3], input_names=WORDS, output_names=["positive"]
    ),
    "encoder-decoder": lambda: plot.encoder_decoder(WORDS, ["le", "chat", "<end>"]),
    "LSTM": lambda: plot.lstm_cell(title="An LSTM cell"),
    "GAN": lambda: plot.gan(title="A GAN"),
    "pre-norm": lambda: plot.transformer_block(),
    "post-norm": lambda: plot.transformer_block(norm_first=False),
    "deadlock": lambda: plot.deadlock(title="Nobody goes on"),
    "two threads": lambda: plot.deadlock(["A", "B"]),
}


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("name", ALL)
def test_texts_lie_apart_and_on_the_sheet(name: str) -> None:
    figure = ALL[name]()
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts]
    sheet = figure.bbox
    for text, box in boxes:
        assert sheet.x0 <= box.x0, text
        assert box.x1 <= sheet.x1, text
        assert sheet.y0 <= box.y0, text
        assert box.y1 <= sheet.y1, text
    for (one, first), (two, second) in combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} and {two!r}"


def test_a_network_has_a_line_for_each_weight() -> None:
    axes = plot.network((3, 4, 1)).axes[0]
    assert len(axes.patches) == 8
    assert len(axes.lines) == 3 * 4 + 4 * 1


def test_a_large_layer_is_abridged() -> None:
    figure = plot.network((784, 10))
    assert len(figure.axes[0].patches) == 14
    assert texts(figure).count("⋮") == 2
    assert "784" in texts(figure)


def test_steps_without_input_or_output_have_none() -> None:
    assert {"x(1)", "x(2)", "y(1)", "y(2)"} <= set(texts(plot.unrolled(2)))
    found = texts(plot.unrolled(3, inputs=[0], outputs=[1, 2], input_names=["image"]))
    assert [text for text in found if text.startswith("y(")] == ["y(2)", "y(3)"]
    assert "image" in found
    assert found.count("RNN") == 3


def test_the_decoder_reads_what_was_said_before() -> None:
    found = texts(plot.encoder_decoder(["the", "cat"], ["le", "chat"]))
    assert found.count("<start>") == 1
    assert found.count("le") == 2  # said, and read
    assert found.count("chat") == 1
    assert "context c" in found


def test_the_norm_stands_first_or_last() -> None:
    first, last = (
        [text for text in texts(plot.transformer_block(norm_first=norm)) if len(text) > 1]
        for norm in (True, False)
    )
    assert first[0].startswith("layer")
    assert last[-1].startswith("layer")
    assert sorted(first) == sorted(last)


def test_an_architecture_names_layers_and_shapes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5408, 10))
    found = texts(plot.architecture(model, smelt.ones(64, 1, 28, 28)))
    assert found[:4] == ["input", "(64, 1, 28, 28)", "Conv2d", "(64, 8, 26, 26)"]
    assert found[-2:] == ["Linear", "(64, 10)"]


def test_own_diagrams_can_be_drawn() -> None:
    diagram = plot.Diagram(4, 1.2, "Mine")
    linear = diagram.box(1, 0.6, "linear", note="4")
    unit = diagram.circle(3, 0.6, "f")
    diagram.arrow(linear.right, unit.left, "z", bend=0.2, dashed=True)
    assert linear.right == (1.6, 0.6)
    assert unit.left == (2.78, 0.6)
    assert texts(diagram.figure) == ["Mine", "linear", "4", "f", "z"]


def test_a_notebook_shows_the_picture() -> None:
    diagram = plot.Diagram(4, 1.2, "A layer")
    for shown in (diagram, diagram.figure, plot.bars({"a": 1.0})):
        picture, size = shown._repr_png_()
        assert picture.startswith(b"\x89PNG")
        assert 300 < size["width"] < 1000
    assert pickle.loads(pickle.dumps(diagram.figure)) is not None


def test_a_long_text_is_written_smaller() -> None:
    diagram = plot.Diagram(3, 1)
    diagram.box(1.5, 0.5, "a very long name for a box", width=1.2)
    (text,) = diagram.figure.axes[0].texts
    diagram.figure.canvas.draw()
    assert text.get_window_extent().width < 1.2 * diagram.figure.dpi


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.network((3,)),
        lambda: plot.network((3, 0)),
        lambda: plot.network((3, 1), names=["a"]),
        lambda: plot.perceptron(0),
        lambda: plot.perceptron(9),
        lambda: plot.pipeline([]),
        lambda: plot.unrolled(0),
        lambda: plot.unrolled(2, inputs=[2]),
        lambda: plot.unrolled(2, input_names=["a"]),
        lambda: plot.encoder_decoder([], ["a"]),
        lambda: plot.deadlock(["A"]),
    ],
)
def test_what_cannot_be_drawn_is_refused(call: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError):
        call()
