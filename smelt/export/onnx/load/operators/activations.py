"""Activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from smelt.creation import one_hot
from smelt.export.onnx.load.card import INT, Call, Card, Cards
from smelt.tensor import Tensor, elementary
from smelt.tensor import activations as A
from smelt.tensor.elementary import where

PER_CHANNEL_BEFORE = 7  # the opset from which on the slope of PRelu broadcasts as all do
SINCE_LAST_AXIS = 13  # the opset from which softmax is along one axis, before along all from it on


def _function(function: Callable[..., Tensor], **settings: Any) -> Card:
    """Returns the card of an activation whose settings are its arguments, in their order."""

    def rule(call: Call, x: Tensor) -> Tensor:
        return function(x, *[call[name] for name in settings]).to(x.dtype)

    return Card(rule, settings, first=6)


def _elu(x: Tensor, alpha: float) -> Tensor:
    return A.elu(x, alpha)


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    return A.elu(x, alpha) * gamma


def _thresholded(x: Tensor, alpha: float) -> Tensor:
    return where(x > alpha, x, 0.0)


def hard_sigmoid(x: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Returns max(0, min(1, alpha x + beta))."""
    return elementary.clamp(x * alpha + beta, 0.0, 1.0)


def _hard_swish(x: Tensor) -> Tensor:
    return x * hard_sigmoid(x, 1 / 6, 0.5)


def _shrink(x: Tensor, bias: float, lambd: float) -> Tensor:
    return where(x < -lambd, x + bias, where(x > lambd, x - bias, 0))


def softplus(x: Tensor) -> Tensor:
    """Returns log(1 + e^x)."""
    return A.softplus(x, 1.0, math.inf)


def _swish(x: Tensor, alpha: float) -> Tensor:
    return x * A.sigmoid(x * alpha)


def _swiglu(call: Call, gate: Tensor, x: Tensor) -> Tensor:
    return _swish(gate, call["alpha"]) * x


def _prelu(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    if call.opset < PER_CHANNEL_BEFORE and slope.ndim == 1 and x.ndim > 1:
        slope = slope.reshape((-1,) + (1,) * (x.ndim - 2))
    return where(x >= 0, x, x * slope)


def _along(function: Callable[[Tensor, int], Tensor]) -> Card:
    """Returns the card of a function along an axis."""

    def rule(call: Call, x: Tensor) -> Tensor:
        if call.opset >= SINCE_LAST_AXIS:
            return function(x, -1 if call["axis"] is None else call["axis"])
        axis = 1 if call["axis"] is None else call["axis"]
        axis = axis + x.ndim if axis < 0 else axis
        if axis >= x.ndim - 1 or not x.ndim:
            return function(x, axis)
        return function(x.flatten(axis), axis).reshape(x.shape)

    return Card(rule, {"axis": INT}, first=1)


def _hardmax(x: Tensor, axis: int) -> Tensor:
    chosen = one_hot(x.argmax(axis), x.shape[axis], x.dtype)
    return chosen.movedim(-1, axis)


def _gelu(call: Call, x: Tensor) -> Tensor:
    return A.gelu(x, call["approximate"])


CARDS: Final[Cards] = {
    "Relu": _function(A.relu),
    "LeakyRelu": _function(A.leaky_relu, alpha=0.01),
    "ThresholdedRelu": _function(_thresholded, alpha=1.0),
    "PRelu": Card(_prelu, first=6),
    "Elu": _function(_elu, alpha=1.0),
    "Selu": _function(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Celu": _function(A.celu, alpha=1.0),
    "Sigmoid": _function(A.sigmoid),
    "HardSigmoid": _function(hard_sigmoid, alpha=0.2, beta=0.5),
    "HardSwish": _function(_hard_swish),
    "Softplus": _function(softplus),
    "Softsign": _function(A.softsign),
    "Tanh": _function(A.tanh),
    "Mish": _function(A.mish),
    "Swish": _function(_swish, alpha=1.0),
    "SwiGLU": Card(_swiglu, {"alpha": 1.0}, first=28),
    "Shrink": _function(_shrink, bias=0.0, lambd=0.5),
    "Gelu": Card(_gelu, {"approximate": "none"}, first=20),
    "Softmax": _along(lambda x, axis: A.softmax(x, axis)),
    "LogSoftmax": _along(lambda x, axis: A.log_softmax(x, axis)),
    "Hardmax": _along(_hardmax),
}
