"""Attention, Transformer and recurrent layers against stored values and gradients of PyTorch's."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import nn
from tests.references.functional_cases import cotangent
from tests.references.running import on
from tests.references.sequence_cases import LAYERS, leaves

KNOWN = dict(np.load(pathlib.Path(__file__).parents[1] / "references" / "sequence_layers.npz"))
COMPILED = (
    "Attention-self",
    "Attention-masks",
    "EncoderLayer-first",
    "Transformer",
    "RNN-state",
    "LSTM-lengths",
    "GRU-deep",
    "LSTMCell",
)


def known(case: str, room: str) -> dict[str, np.ndarray]:
    start = f"{case}/{room}/"
    return {key[len(start) :]: value for key, value in KNOWN.items() if key.startswith(start)}


def layer_of(case: str) -> nn.Module:
    kind, settings, _, _ = LAYERS[case]
    layer = getattr(nn, kind)(**settings).double()
    layer.load_state_dict(known(case, "state"))
    return layer


def arguments_of(case: str, moving: list[smelt.Tensor]) -> tuple[Any, ...]:
    """The inputs of a case as its class takes them, made of the tensors that move."""
    pending, found = iter(moving), []
    for spec in LAYERS[case][2]:
        if isinstance(spec, list):
            found.append(tuple(next(pending) for _ in spec))
        else:
            found.append(found[int(spec)] if isinstance(spec, str) else next(pending))
    return tuple(found)


def options_of(case: str) -> dict[str, Any]:
    return {
        name: smelt.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in LAYERS[case][3].items()
    }


def check(case: str, engine: str) -> None:
    layer, options = layer_of(case), options_of(case)
    names = known(case, "input")
    repeated = [isinstance(spec, str) for spec in LAYERS[case][2]]
    numbers = [name for name in sorted(names, key=int) if not any(repeated) or name == "0"]

    def step(*moving: smelt.Tensor) -> tuple[Any, ...]:
        for parameter in layer.parameters():
            parameter.grad = None
        outputs = leaves(layer(*arguments_of(case, list(moving)), **options))
        total = sum((y * smelt.tensor(cotangent(y.shape))).sum() for y in outputs)
        total.backward()
        return outputs, [x.grad for x in moving], [own.grad for own in layer.parameters()]

    moving = [smelt.tensor(names[number], requires_grad=True) for number in numbers]
    outputs, by_input, by_parameter = on(engine, step)(*moving)
    assert len(outputs) == len(known(case, "output"))
    for number, y in enumerate(outputs):
        close(y, KNOWN[f"{case}/output/{number}"])
    for number, found in zip(numbers, by_input, strict=True):
        close(found, KNOWN[f"{case}/gradient/{number}"])
    for (name, _), found in zip(layer.named_parameters(), by_parameter, strict=True):
        close(found, KNOWN[f"{case}/gradient/{name}"])


def close(found: smelt.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", LAYERS)
def test_layer_is_pytorchs(case: str) -> None:
    check(case, "eager")


@pytest.mark.parametrize("case", COMPILED)
def test_compiled_layer_is_pytorchs(case: str) -> None:
    check(case, "compiled")
