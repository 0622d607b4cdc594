"""Gradient, an operator of ONNX that differentiates the nodes before it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import export
from smelt.errors import CompileError, FileError
from tests.export.onnx_zoo import floats

onnx = pytest.importorskip("onnx")

from onnx import helper  # noqa: E402

from tests.export.test_load_onnx import graph_file  # noqa: E402

TRAINING = "ai.onnx.preview.training"


def gradient(inputs: list[str], outputs: list[str], **settings: Any) -> Any:
    return helper.make_node("Gradient", inputs, outputs, domain=TRAINING, **settings)


def loaded(path: Path, nodes: list[Any], inputs: list[str], outputs: list[str]) -> Any:
    made = graph_file(path / "model.onnx", nodes, inputs, outputs, {"two": np.float32([2])},
                      **{TRAINING: 1})  # fmt: skip
    return export.load_onnx(made)


LAYERS = [
    helper.make_node("MatMul", ["x", "w"], ["h"]),
    helper.make_node("Tanh", ["h"], ["t"]),
    helper.make_node("Mul", ["t", "two"], ["scaled"]),
    helper.make_node("ReduceSum", ["scaled"], ["y"], keepdims=0),
]


def value(x: Any, w: Any) -> Any:
    return (smelt.tanh(x @ w) * 2.0).sum()


def test_gradients_are_those_of_the_nodes(tmp_path: Path) -> None:
    node = gradient(["x", "w"], ["dx", "dw"], xs=["x", "w"], y="y")
    model = loaded(tmp_path, [*LAYERS, node], ["x", "w"], ["y", "dx", "dw"])
    x, w = smelt.tensor(floats(3, 4)), smelt.tensor(floats(4, 2))
    for run in (model, smelt.compile(model)):
        y, *found = run(x, w)
        np.testing.assert_allclose(y, value(x, w), 1e-5)
        for got, want in zip(found, smelt.grad(value, (0, 1))(x, w), strict=True):
            np.testing.assert_allclose(got, want, 1e-5, 1e-6)


def test_a_gradient_is_taken_at_what_is_given(tmp_path: Path) -> None:
    """By a value within the graph, with another input held fixed, at other numbers than theirs."""
    node = gradient(["other", "x"], ["dh"], xs=["h"], zs=["x"], y="y")
    model = loaded(tmp_path, [*LAYERS, node], ["x", "w", "other"], ["dh"])
    other = smelt.tensor(floats(5, 5))
    found = model(smelt.ones(3, 4), smelt.ones(4, 2), other)
    np.testing.assert_allclose(found, 2 * (1 - smelt.tanh(other) ** 2), 1e-5, 1e-6)


def test_a_gradient_of_a_gradient(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Mul", ["square", "x"], ["cube"]),
        gradient(["x"], ["first"], xs=["x"], y="cube"),
        gradient(["x"], ["second"], xs=["x"], y="first"),
    ]
    model = loaded(tmp_path, nodes, ["x"], ["first", "second"])
    first, second = model(floats(4))
    np.testing.assert_allclose(first, 3 * floats(4) ** 2, 1e-5)
    np.testing.assert_allclose(second, 6 * floats(4), 1e-5)


def test_what_is_no_gradient_is_refused(tmp_path: Path) -> None:
    node = gradient(["x"], ["dx"], xs=["x", "w"], y="y")
    with pytest.raises(CompileError, match=r"Gradient: 1 inputs for \('x', 'w'\)"):
        loaded(tmp_path, [*LAYERS, node], ["x", "w"], ["dx"])
    node = gradient(["x"], ["dx"], xs=["x"], y="absent")
    with pytest.raises(FileError, match="output 'absent', which nothing gives"):
        loaded(tmp_path, [*LAYERS, node], ["x", "w"], ["dx"])


def test_very_many_gradients_are_refused_in_little_time(tmp_path: Path) -> None:
    nodes = [gradient(["x"], [f"d{number}"], xs=["x"], y="x") for number in range(10_000)]
    start = time.process_time()
    with pytest.raises(FileError, match="more memory than"):
        loaded(tmp_path, nodes, ["x"], ["d0"])
    assert time.process_time() - start < 30
