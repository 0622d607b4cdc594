"""Activations: elementwise functions of networks, softmax, and gates."""

from __future__ import annotations

from typing import Any, Final

from smelt.creation import full
from smelt.dtypes import bool_
from smelt.export.torch.program import Rule
from smelt.functional.layers import dropout
from smelt.random import rand, uniform
from smelt.tensor import Tensor, activations
from smelt.tensor.elementary import where


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    y = activations.elu(x if input_scale == 1 else x * input_scale, alpha)
    if input_scale != 1:  # the positive part is not scaled
        y = where(x > 0, x, y)
    return y if scale == 1 else y * scale


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    return activations.gelu(x, approximate)


def _softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    return activations.softmax(x, dim, dtype=None if isinstance(dtype, bool) else dtype)


def _log_softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    return activations.log_softmax(x, dim, dtype=None if isinstance(dtype, bool) else dtype)


def _log_sigmoid_forward(x: Tensor) -> tuple[Tensor, Tensor]:
    return activations.log_sigmoid(x), x  # the second is a buffer of the gradient's


def _rrelu(
    x: Tensor,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
) -> tuple[Tensor, Tensor]:
    """Below 0 the slope is drawn from lower..upper in training, else their mean; and all slopes."""
    slope = uniform(lower, upper, x.shape, x.dtype) if training else (lower + upper) / 2
    slopes = where(x >= 0, 1.0, slope)
    return x * slopes, slopes if training else noise


def _native_dropout(x: Tensor, p: float, train: bool | None = True) -> tuple[Tensor, Tensor]:
    """The result, and which elements were kept."""
    if not train or p == 0:
        return x, full(x.shape, True, bool_)
    kept = rand(x.shape) >= p
    return where(kept, x * (1 / (1 - p) if p < 1 else 0.0), 0.0), kept


def _dropout(x: Tensor, p: float, train: bool) -> Tensor:
    return dropout(x, p, train)


RULES: Final[dict[str, Rule]] = {
    "relu": activations.relu,
    "relu6": activations.relu6,
    "hardtanh": activations.hardtanh,
    "hardsigmoid": activations.hardsigmoid,
    "hardswish": activations.hardswish,
    "leaky_relu": activations.leaky_relu,
    "prelu": activations.prelu,
    "_prelu_kernel": lambda x, weight: where(x > 0, x, x * weight),
    "elu": _elu,
    "celu": activations.celu,
    "selu": activations.selu,
    "sigmoid": activations.sigmoid,
    "log_sigmoid": activations.log_sigmoid,
    "log_sigmoid_forward": _log_sigmoid_forward,
    "softplus": activations.softplus,
    "silu": activations.silu,
    "mish": activations.mish,
    "hardshrink": activations.hardshrink,
    "softshrink": activations.softshrink,
    "threshold": activations.threshold,
    "gelu": _gelu,
    "glu": activations.glu,
    "rrelu_with_noise_functional": _rrelu,
    "softmax": _softmax,
    "_softmax": _softmax,
    "_safe_softmax": _softmax,
    "log_softmax": _log_softmax,
    "_log_softmax": _log_softmax,
    "dropout": _dropout,
    "native_dropout": _native_dropout,
}
