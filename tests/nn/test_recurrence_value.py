"""Whole sequences by NumPy: the numbers and derivatives of the loop of single steps."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt import nn
from smelt.autodiff import gradcheck
from smelt.errors import ShapeError
from smelt.nn.recurrence_value import Sequence
from smelt.tracing.walk import tape_of

SETTINGS = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "no bias": (nn.GRU, {"bias": False}),
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
    "both directions": (nn.LSTM, {"bidirectional": True, "num_layers": 2}),
    "backward": (nn.GRU, {"bidirectional": True, "batch_first": True}),
    "elman backward": (nn.RNN, {"bidirectional": True}),
}
LENGTHS = {"all": None, "some": [5, 2, 0]}


def made(name: str, dtype: str = "float64") -> tuple[nn.Module, smelt.Tensor, list[smelt.Tensor]]:
    """Returns a layer, its input and its initial states."""
    smelt.manual_seed(3)
    kind, settings = SETTINGS[name]
    layer = kind(4, 3, dtype=dtype, **settings)
    x = smelt.randn(3, 5, 4, dtype=dtype)
    x = x if settings.get("batch_first") else x.transpose(0, 1)
    count = len([key for key in layer.state_dict() if key.startswith("weight_hh")])
    states = [smelt.randn(count, 3, 3, dtype=dtype) for _ in range(1 + (kind is nn.LSTM))]
    return layer, x, states


def run(layer: nn.Module, x: smelt.Tensor, states: list[smelt.Tensor], lengths) -> smelt.Tensor:
    """Returns one number to which all results contribute differently."""
    y, last = layer(x, states[0] if len(states) == 1 else tuple(states), lengths)
    parts = [y, *(last if isinstance(last, tuple) else (last,))]
    return sum(
        (part * smelt.cos(smelt.arange(part.size)).reshape(part.shape)).sum() for part in parts
    )


def gradients(name: str, lengths, watched: bool, dtype: str) -> list[np.ndarray]:
    layer, x, states = made(name, dtype)
    leaves = [x.detach().requires_grad_(), *(s.requires_grad_() for s in states)]
    with smelt.settings(check_nan=watched):  # which wants the single operations
        loss = run(layer, leaves[0], leaves[1:], lengths)
        ops = [entry.op for t in tape_of((loss,)) if (entry := t.tape_entry) is not None]
        assert any(isinstance(op, Sequence) for op in ops) is not watched
        loss.backward()
    return [loss.numpy(), *(t.grad.numpy() for t in (*leaves, *layer.parameters()))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", SETTINGS)
def test_values_and_gradients_are_those_of_single_steps(name, lengths, dtype) -> None:
    at_once, by_steps = (gradients(name, LENGTHS[lengths], on, dtype) for on in (False, True))
    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for one, other in zip(at_once, by_steps, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "relu"])
def test_derivatives_of_both_modes_and_orders(name, lengths) -> None:
    layer, x, states = made(name)
    gradcheck(lambda x, *states: run(layer, x, list(states), LENGTHS[lengths]), x, *states, order=2)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_weights_have_second_derivatives(name) -> None:
    def curvature(watched: bool) -> np.ndarray:
        layer, x, states = made(name)
        weight = layer.weight_hh_l0
        with smelt.settings(check_nan=watched):
            loss = run(layer, x, states, None)
            (first,) = smelt.autograd.grad(loss, [weight], create_graph=True)
            first.square().sum().backward()
        return weight.grad.numpy()

    np.testing.assert_allclose(curvature(False), curvature(True), rtol=1e-10)


def test_a_batch_of_cotangents() -> None:
    layer, x, states = made("lstm")
    by_x = smelt.jacrev(lambda x: layer(x, tuple(states))[0])(x)
    np.testing.assert_allclose(
        by_x.numpy(), smelt.jacfwd(lambda x: layer(x, tuple(states))[0])(x).numpy(), atol=1e-12
    )


def test_a_step_of_ones_own_is_used() -> None:
    class Leaky(nn.RNN):
        def _step(self, x, state, weight_hh, bias_hh):
            (h,) = super()._step(x, state, weight_hh, bias_hh)
            return (0.5 * h + 0.5 * state[0],)

    layer, x = Leaky(4, 3), smelt.randn(2, 1, 4)
    y, _ = layer(x)
    again, _ = layer(x[1:], y[:1])
    np.testing.assert_allclose(y[1].tolist(), again[0].tolist(), rtol=1e-5)
    plain = nn.RNN(4, 3)
    plain.load_state_dict(layer.state_dict())
    assert plain(x)[0].tolist() != y.tolist()


def test_what_was_changed_since_is_noticed() -> None:
    layer, x, states = made("lstm")
    y, _ = layer(x, tuple(states))
    with smelt.no_grad():
        layer.weight_hh_l0.mul_(2.0)
    with pytest.raises(smelt.errors.GradientError, match="recurrence: an operand of shape"):
        y.sum().backward()


def test_weights_that_do_not_fit() -> None:
    layer, x, states = made("lstm")
    layer.weight_hh_l0 = nn.Parameter(smelt.zeros(12, 2, dtype="float64"))
    with pytest.raises(ShapeError):
        layer(x, tuple(states))


@pytest.mark.parametrize("name", SETTINGS)
def test_an_empty_batch(name) -> None:
    layer, x, _ = made(name)
    axis = 0 if layer.batch_first else 1
    y, _ = layer(x.narrow(axis, 0, 0))
    y.sum().backward()
    assert y.shape[axis] == 0
    assert all(not p.grad.any() for p in layer.parameters())
