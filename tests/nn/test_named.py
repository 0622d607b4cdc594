"""Submodules added by name, and found by path."""

from __future__ import annotations

import pytest

import smelt
from smelt import nn
from smelt.errors import ArgumentError, ArgumentTypeError


def test_modules_are_added_and_found() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    model.add_module("norm", nn.BatchNorm1d(3))
    model.register_module("none", None)
    assert model(smelt.ones(4, 2)).shape == (4, 3)
    outer = nn.Module()
    outer.add_module("inner", model)
    assert outer.get_submodule("inner.norm") is model.norm
    assert outer.get_submodule("") is outer
    assert outer.get_parameter("inner.0.weight") is model[0].weight
    assert outer.get_buffer("inner.norm.running_mean") is model.norm.running_mean
    assert "inner.norm.weight" in outer.state_dict()


def test_what_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(ArgumentTypeError, match="needs a module"):
        model.add_module("a", 3)
    for name in ("", "a.b"):
        with pytest.raises(ArgumentError, match="empty or contain a dot"):
            model.add_module(name, nn.ReLU())
    with pytest.raises(ArgumentError, match="already"):
        model[0].add_module("weight", nn.ReLU())
    with pytest.raises(ArgumentError, match="method or setting"):
        model.add_module("train", nn.ReLU())
    with pytest.raises(ArgumentError, match="no submodule 'b'; it has 0"):
        model.get_submodule("b")
    with pytest.raises(ArgumentError, match="no parameter 'wieght'; it has weight, bias"):
        model.get_parameter("0.wieght")
    with pytest.raises(ArgumentError, match="no buffer 'weight'; it has none"):
        model.get_buffer("0.weight")
