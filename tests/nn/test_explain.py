"""A network's calls, with the shapes on the way."""

from __future__ import annotations

import doctest
import sys
from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import nn
from smelt.errors import ArgumentError, ShapeError


class Twice(nn.Module):
    """Calls one part twice and another never."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.never = nn.ReLU()

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.part(self.part(x))


def test_the_example_is_what_it_says() -> None:
    # smelt.nn.explain is the module, whatever `explain` names elsewhere
    found = doctest.testmod(sys.modules["smelt.nn.explain"])
    assert found.attempted > 0
    assert found.failed == 0


def test_calls_stand_in_order_with_their_shapes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1352, 10))
    found = smelt.explain(model, smelt.ones(2, 1, 28, 28))
    assert [(call.kind, call.output) for call in found.layers] == [
        ("Conv2d", "(2, 8, 26, 26)"),
        ("MaxPool2d", "(2, 8, 13, 13)"),
        ("Flatten", "(2, 1352)"),
        ("Linear", "(2, 10)"),
    ]
    assert found.layers[0].input == "(2, 1, 28, 28)"
    assert found.layers[0].weights == "weight (8, 1, 3, 3), bias (8,)"
    assert "kernel_size" in found.layers[0].settings
    assert found.parameters == 80 + 13_530


def test_a_module_stands_there_as_often_as_it_is_called() -> None:
    found = smelt.explain(Twice(), smelt.ones(2, 3))
    assert [(depth, call.path) for depth, call in found.root.walk()] == [
        (0, ""),
        (1, "part"),
        (2, "part.0"),
        (2, "part.1"),
        (1, "part"),
        (2, "part.0"),
        (2, "part.1"),
    ]
    assert found.parameters == 12


def test_a_shared_module_stands_where_it_is_called() -> None:
    inner = nn.Linear(2, 2)
    model = nn.Sequential(nn.Sequential(inner, nn.ReLU()), nn.Sequential(nn.Tanh(), inner))
    root = smelt.explain(model, smelt.ones(1, 2)).root
    assert [[call.kind for call in half.inside] for half in root.inside] == [
        ["Linear", "ReLU"],
        ["Tanh", "Linear"],
    ]


def test_several_results_are_all_named() -> None:
    (lstm,) = smelt.explain(nn.LSTM(3, 4, batch_first=True), smelt.ones(2, 5, 3)).layers
    assert lstm.output == "(2, 5, 4), (1, 2, 4), (1, 2, 4)"


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    before = model.fingerprint()
    smelt.explain(model, smelt.ones(1, 2))
    with pytest.raises(ShapeError):
        smelt.explain(model, smelt.ones(1, 3))
    assert model.fingerprint() == before
    assert model.training


@pytest.mark.parametrize("look", [smelt.explain, smelt.summary])
def test_only_a_module_is_explained(look: Callable[..., object]) -> None:
    with pytest.raises(ArgumentError, match="must be a Module, got a str"):
        look("model", smelt.ones(1, 2))


def test_an_array_has_its_shape_told_too() -> None:
    explained = smelt.explain(nn.Linear(2, 3), np.ones((5, 2), np.float32))
    assert (explained.root.input, explained.root.output) == ("(5, 2)", "(5, 3)")
