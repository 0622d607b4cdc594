"""Recurrent layers: PyTorch's operators for all steps are Smelt's layers with given weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt.export.torch.program import Rule, unsupported
from smelt.nn.recurrent import GRU, LSTM, PARAMETERS, RNN
from smelt.tensor import Tensor


def _layer(
    kind: type[Any],
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    **settings: Any,
) -> Any:
    """Returns a layer of a class whose parameters are these tensors.

    It is made without `__init__`, which would draw new parameters.
    """
    count = num_layers * (2 if bidirectional else 1)
    per_layer = 4 if has_biases else 2
    if len(weights) != count * per_layer:
        raise unsupported(f"Smelt's {kind.__name__} has no projections (proj_size)")
    layer: Any = object.__new__(kind)
    vars(layer).update(
        input_size=x.shape[-1],
        hidden_size=state[0].shape[-1],
        num_layers=num_layers,
        bias=has_biases,
        batch_first=batch_first,
        dropout=dropout,
        bidirectional=bidirectional,
        training=train,
        **settings,
    )
    for index in range(count):
        given = [*weights[index * per_layer : (index + 1) * per_layer], None, None]
        for name, weight in zip(PARAMETERS, given, strict=False):
            vars(layer)[name + layer._suffix(index)] = weight
    return layer


def _lstm(x: Tensor, state: Sequence[Tensor], *settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    y, (h, c) = _layer(LSTM, x, state, *settings).forward(x, tuple(state))
    return y, h, c


def _gru(x: Tensor, state: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
    y, h = _layer(GRU, x, [state], *settings).forward(x, state)
    return y, h


def _rnn(nonlinearity: str) -> Rule:
    def rule(x: Tensor, state: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
        layer = _layer(RNN, x, [state], *settings, nonlinearity=nonlinearity)
        y, h = layer.forward(x, state)
        return y, h

    return rule


RULES: Final[dict[str, Rule]] = {
    "lstm.input": _lstm,
    "gru.input": _gru,
    "rnn_tanh.input": _rnn("tanh"),
    "rnn_relu.input": _rnn("relu"),
}
