"""Activations: the nonlinear functions of a network.

Branches that are not taken are kept finite, so that gradients stay right at +-1e4 and beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentError, ShapeError
from smelt.ops import elementwise
from smelt.ops.known_derivative import known_derivative, known_softmax
from smelt.tensor.apply import axis_of, common_dtype, floating_as, promoted
from smelt.tensor.composite import marked
from smelt.tensor.elementary import erf, exp, expm1, isnan, log, log1p, nan_where_nan, tanh, where
from smelt.tensor.reductions import largest, wide
from smelt.tensor.reductions import sum as sum_over
from smelt.tracing.engine import is_grad_enabled

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "heaviside", "identity", "leaky_relu", "log_sigmoid", "log_softmax", "logsigmoid", "mish",
    "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "step", "tanh", "tanhshrink", "threshold",
]  # fmt: skip


def identity(x: Tensor) -> Tensor:
    """Returns x itself: the activation of a regression's output."""
    return x


def step(x: Tensor) -> Tensor:
    """Returns 1 where x >= 0, else 0 (Rosenblatt's perceptron, 1958); its derivative is 0."""
    return (x >= 0).to(x.dtype)


def heaviside(x: Tensor, values: Any = 1) -> Tensor:
    """Returns 1 where x > 0, `values` where x = 0, else 0; its derivative by x is 0."""
    dtype = common_dtype((x, values))
    return where(x == 0, values, (x > 0).to(dtype)).to(dtype)


def relu(x: Tensor) -> Tensor:
    """Returns max(0, x); its derivative at 0 is 0."""
    return promoted(elementwise.relu, x)


def relu6(x: Tensor) -> Tensor:
    """Returns min(max(0, x), 6); its derivative at 0 and at 6 is 0."""
    return hardtanh(x, 0, 6)


def hardtanh(x: Tensor, min_val: float = -1, max_val: float = 1) -> Tensor:
    """Returns x clamped to [min_val, max_val]; the derivative at both ends is 0.

    Where a bound is nan, so is the result. An integer x keeps its dtype: the bounds are truncated
    to integers, as in PyTorch.

    Raises:
        ArgumentError: min_val is above max_val.
    """
    numbers = isinstance(min_val, (int, float)) and isinstance(max_val, (int, float))
    if numbers and min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    if not x.dtype.is_float:
        min_val, max_val = math.trunc(min_val), math.trunc(max_val)
    moved = where(x >= max_val, max_val, where(x <= min_val, min_val, x))
    return nan_where_nan(max_val, nan_where_nan(min_val, moved))


def hardsigmoid(x: Tensor) -> Tensor:
    """Returns min(max(0, x / 6 + 1/2), 1)."""
    return hardtanh(x, -3.0, 3.0) * (1 / 6) + 0.5


def hardswish(x: Tensor) -> Tensor:
    """Returns x * hardsigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019)."""
    return x * hardsigmoid(x)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Returns x where x > 0, else negative_slope * x: no unit can die."""
    return where(x > 0, x, x * negative_slope)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Returns x where x > 0, else weight * x, with a learned slope (He et al., 2015).

    Args:
        x: (N, C, ...) or any shape.
        weight: (1,) for one slope, or (C,) for one per channel of axis 1.

    Raises:
        ShapeError: the weight has another shape.
    """
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(
            f"prelu: for an input {x.shape}, weight must have shape (1,) or ({channels},), got "
            f"{weight.shape}"
        )
    if weight.size > 1:
        weight = weight.reshape((-1,) + (1,) * (x.ndim - 2))
    elif not x.ndim:
        weight = weight.reshape(())
    return where(x > 0, x, x * weight)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Returns x where x > 0, else alpha * (e^x - 1) (Clevert et al., 2015)."""
    below = where(x > 0, 0.0, x)
    return where(x > 0, x, expm1(below) * alpha)


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Returns x where x > 0, else alpha * (e^(x / alpha) - 1)."""
    below = where(x > 0, 0.0, x)
    return where(x > 0, x, expm1(below / alpha) * alpha)


def selu(x: Tensor) -> Tensor:
    """Returns 1.0507 * elu(x, 1.6733): keeps mean 0, variance 1 (Klambauer et al., 2017)."""
    return elu(x, 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946


def sigmoid(x: Tensor) -> Tensor:
    """Returns 1 / (1 + e^-x), in (0, 1)."""
    return promoted(elementwise.sigmoid, x)


def log_sigmoid(x: Tensor) -> Tensor:
    """Returns log(1 / (1 + e^-x)) without overflow or loss of small values."""
    return -_log1p_exp(-x)


logsigmoid = log_sigmoid


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Returns log(1 + e^(beta x)) / beta; x itself where beta * x > threshold, as in PyTorch."""
    scaled = x * beta
    return where(scaled > threshold, x, _log1p_exp(scaled) / beta)


def _log1p_exp(x: Tensor) -> Tensor:
    """log(1 + e^x) as max(x, 0) + log1p(e^-|x|).

    Written with two analytic branches instead of max and abs, so that derivatives of every order
    are right at 0 too, where untrained networks begin.
    """
    positive = x >= 0
    return where(positive, x, 0.0) + log1p(exp(where(positive, -x, x)))


def silu(x: Tensor) -> Tensor:
    """Returns x * sigmoid(x), also called swish."""
    y = x * (share := sigmoid(x))
    return _with_derivative(y, x, lambda: share + y * (1.0 - share))


def mish(x: Tensor) -> Tensor:
    """Returns x * tanh(log(1 + e^x)) (Misra, 2019)."""
    return x * tanh(_log1p_exp(x))


def softsign(x: Tensor) -> Tensor:
    """Returns x / (1 + |x|)."""
    return x / (1.0 + abs(x))


def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """Returns x, and 0 where -lambd <= x <= lambd."""
    return where((x >= -lambd) & (x <= lambd), 0, x)


def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """Returns x moved toward 0 by lambd, and 0 where it would pass it.

    Raises:
        ArgumentError: lambd is negative.
    """
    if not lambd >= 0:
        raise ArgumentError(f"softshrink: lambd must not be negative, got {lambd}")
    moved = where(x > lambd, x - lambd, where(x < -lambd, x + lambd, 0.0))
    return where(isnan(x), x, moved)


def tanhshrink(x: Tensor) -> Tensor:
    """Returns x - tanh(x)."""
    return x - tanh(x)


def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    """Returns x where it is above the threshold, and nan where it is nan, else `value`."""
    return where(x <= threshold, value, x).to(x.dtype)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Returns x * P(Z <= x) for a standard normal Z (Hendrycks and Gimpel, 2016).

    Args:
        x: any shape.
        approximate: "none": x/2 * (1 + erf(x / sqrt 2)); "tanh": x/2 * (1 + tanh(sqrt(2/pi) *
            (x + 0.044715 x^3))).
    """
    if approximate == "none":
        probability = 0.5 * (1.0 + erf(x * math.sqrt(0.5)))

        def derivative() -> Tensor:
            return probability + x * exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))

    elif approximate == "tanh":
        scale, square = math.sqrt(2 / math.pi), x * x
        bent = tanh(x * (scale + 0.044715 * scale * square))
        probability = 0.5 * (1.0 + bent)

        def derivative() -> Tensor:
            inner = scale + 3 * 0.044715 * scale * square
            return probability + x * (0.5 - 0.5 * bent * bent) * inner

    else:
        raise ArgumentError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}")
    y = _with_derivative(x * probability, x, derivative)
    return marked(y, "gelu", x, approximate=approximate)


def _with_derivative(y: Tensor, x: Tensor, derivative: Callable[[], Tensor]) -> Tensor:
    """Returns y, a function of x; a gradient is one product with its derivative, which is kept."""
    return known_derivative(y, x, derivative()) if _needs_gradient(x) else y


def _needs_gradient(x: Tensor) -> bool:
    return x.requires_grad and is_grad_enabled()


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """Returns a * sigmoid(b), a and b the halves of x along `dim` (Dauphin et al., 2016)."""
    axis = axis_of(x, dim, "glu")
    if not x.ndim or x.shape[axis] % 2:
        raise ArgumentError(
            f"glu: axis {dim} of shape {x.shape} must have an even extent: it is split into halves"
        )
    half = x.shape[axis] // 2
    a, b = x.narrow(axis, 0, half), x.narrow(axis, half, half)
    return a * sigmoid(b)


def softmax(x: Tensor, dim: int = -1, *, dtype: Any = None) -> Tensor:
    """Returns e^x / sum e^x along `dim`: positive, with sum 1; the maximum is subtracted first.

    If `dtype` is given, the elements are converted first.
    """
    x = floating_as("softmax", x, dtype)
    powers = exp(wide(x) - largest(x, dim))
    y = (powers / sum_over(powers, dim, True)).to(x.dtype)
    if not _needs_gradient(x) or powers.dtype is not x.dtype or not x.ndim:
        # the gradient of 16-bit numbers is computed with the powers, which have more
        return marked(y, "softmax", x, axis=int(dim))
    return known_softmax(y, x, axis=axis_of(x, dim, "softmax") - x.ndim)


def softmin(x: Tensor, dim: int = -1, *, dtype: Any = None) -> Tensor:
    """Returns softmax(-x)."""
    return softmax(-x, dim, dtype=dtype)


def log_softmax(x: Tensor, dim: int = -1, *, dtype: Any = None) -> Tensor:
    """Returns log softmax(x), as x - m - log sum e^(x - m) with m the maximum.

    If `dtype` is given, the elements are converted first.
    """
    x = floating_as("log_softmax", x, dtype)
    shifted = wide(x) - largest(x, dim)
    y = (shifted - log(sum_over(exp(shifted), dim, True))).to(x.dtype)
    return marked(y, "log_softmax", x, axis=int(dim))
