"""Initial values of parameters, drawn from the default generator: `manual_seed` repeats them.

Every function overwrites its tensor in place, under `no_grad`, and returns it; a generator other
than the default one can be given. Sources: Glorot and
Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2014 (orthogonal).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from smelt.dtypes import float64
from smelt.errors import ArgumentError, ShapeError
from smelt.pytorch_names import install as _install
from smelt.random import Generator, normal, randn, uniform
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked_room as _checked_room
from smelt.tracing.engine import no_grad

__all__ = [
    "calculate_gain",
    "constant_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


@no_grad()
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fills with numbers from the uniform distribution on [a, b), as `smelt.uniform` does."""
    return tensor.copy_(uniform(a, b, tensor.shape, tensor.dtype, generator))


@no_grad()
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fills with numbers from the normal distribution N(mean, std^2), as `smelt.normal` does."""
    return tensor.copy_(normal(mean, std, tensor.shape, tensor.dtype, generator))


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fills with numbers from N(mean, std^2) limited to [a, b].

    x = mean + std * Phi^-1(u), u uniform between Phi((a - mean) / std) and Phi((b - mean) / std).
    """
    if not std > 0:
        raise ArgumentError(f"trunc_normal_: std must be positive, got {std}")
    whole = NormalDist(mean, std)
    low, high = whole.cdf(a), whole.cdf(b)
    if not high - low > 0:
        raise ArgumentError(
            f"trunc_normal_: a normal distribution with mean {mean} and std {std} has no "
            f"probability between {a} and {b}"
        )
    levels = uniform(low, high, tensor.shape, float64, generator).numpy()
    inside = np.clip(levels, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)
    values = np.asarray(np.frompyfunc(whole.inv_cdf, 1, 1)(inside), np.float64)
    return tensor.copy_(as_tensor(np.clip(values, a, b)))


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills with one number."""
    return tensor.copy_(as_tensor(val, tensor.dtype).expand(tensor.shape))


def zeros_(tensor: Tensor) -> Tensor:
    """Fills with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fills with 1."""
    return constant_(tensor, 1.0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with the identity: 1 on the diagonal, 0 elsewhere."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ needs a matrix, got shape {tensor.shape}")
    rows, columns = tensor.shape
    return tensor.copy_(as_tensor(np.eye(rows, columns)))


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Makes the matrix (first axis x the others) have orthogonal rows or columns, times `gain`."""
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_ needs at least 2 axes, got shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = randn(rows, columns, dtype=float64, generator=generator).numpy()
    tall = drawn if rows >= columns else drawn.T
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))  # makes the distribution uniform (Mezzadri 2007)
    matrix = q if rows >= columns else q.T
    return tensor.copy_(as_tensor(gain * matrix.reshape(tensor.shape)))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """U(-r, r) with r = gain * sqrt(6 / (fan_in + fan_out))."""
    fan_in, fan_out = fans(tensor)
    limit = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -limit, limit, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, s^2) with s = gain * sqrt(2 / (fan_in + fan_out))."""
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """U(-r, r) with r = gain * sqrt(3 / fan); `a` is the negative slope of leaky_relu."""
    limit = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -limit, limit, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """N(0, s^2) with s = gain / sqrt(fan); `a` is the negative slope of leaky_relu."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def fans(tensor: Tensor) -> tuple[int, int]:
    """Returns fan_in and fan_out of a weight (out, in, ...).

    Raises:
        ShapeError: the tensor has fewer than 2 axes, or no elements.
    """
    if tensor.ndim < 2 or not tensor.size:
        raise ShapeError(
            f"fan_in and fan_out need a weight with at least 2 axes, got shape {tensor.shape}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Returns the factor that keeps the variance of a layer's output through a nonlinearity.

    Args:
        nonlinearity: linear, conv1d .. conv3d, sigmoid, tanh, relu, leaky_relu or selu.
        param: the negative slope of leaky_relu (0.01 when None).

    Raises:
        ArgumentError: an unknown nonlinearity.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1.0 + slope**2))
    linear = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")
    gains = dict.fromkeys(linear, 1.0) | {"tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity not in gains:
        known = ", ".join([*gains, "leaky_relu"])
        raise ArgumentError(f"nonlinearity must be one of {known}, got {nonlinearity!r}")
    return gains[nonlinearity]


_checked_room(__name__)
_install(__name__)
