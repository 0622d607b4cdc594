"""Weights computed from a length and a direction."""

from __future__ import annotations

import copy

import pytest

import smelt
from smelt import nn, optim
from smelt.errors import ArgumentError, AssignmentError
from smelt.nn.utils import remove_weight_norm, weight_norm


def test_the_weight_stays_what_it_was_and_has_two_parts() -> None:
    layer = nn.Linear(2, 3)
    with smelt.no_grad():
        layer.weight.copy_(smelt.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]))
    x, before = smelt.ones(1, 2), layer(smelt.ones(1, 2))
    assert weight_norm(layer) is layer
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.tolist() == [[5], [2], [1]]
    assert smelt.allclose(layer(x), before)
    with smelt.no_grad():
        layer.weight_g.mul_(2)
    assert layer.weight.tolist()[0] == pytest.approx([6, 8])
    assert smelt.allclose(copy.deepcopy(layer)(x), layer(x))
    with pytest.raises(AssignmentError, match="computed"):
        layer.weight = nn.Parameter(smelt.ones(3, 2))
    after = layer(x)
    assert remove_weight_norm(layer) is layer
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert smelt.allclose(layer(x), after)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_both_parts_are_trained_eagerly_as_compiled(dim) -> None:
    smelt.manual_seed(0)
    layers = [weight_norm(nn.Conv1d(2, 3, 2), dim=dim)]
    layers.append(copy.deepcopy(layers[0]))
    x = smelt.randn(4, 2, 5)
    for layer, compiled in zip(layers, (False, True), strict=True):
        opt = optim.SGD(layer.parameters(), lr=0.1)

        @smelt.compile
        def step(layer=layer, opt=opt):
            opt.zero_grad()
            (layer(x) ** 2).mean().backward()
            opt.step()

        start = layer.weight_v.clone()
        with smelt.settings(compile=compiled):
            step()
            step()
        assert not smelt.allclose(layer.weight_v, start)
    for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert smelt.allclose(one, other, 1e-5)


def test_layers_that_read_weights_by_name() -> None:
    lstm = nn.LSTM(2, 3)
    x = smelt.randn(4, 1, 2)
    before = lstm(x)[0]
    weight_norm(lstm, "weight_hh_l0")
    assert smelt.allclose(lstm(x)[0], before, 1e-5)
    lstm(x)[0].sum().backward()
    assert lstm.weight_hh_l0_g.grad is not None


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no parameter 'wieght'; it has weight, bias"):
        weight_norm(nn.Linear(2, 2), "wieght")
    with pytest.raises(ArgumentError, match="axis 2"):
        weight_norm(nn.Linear(2, 2), dim=2)
    with pytest.raises(ArgumentError, match="not computed by weight_norm"):
        remove_weight_norm(nn.Linear(2, 2))
