"""The modules of `smelt.nn` as layers of random steps: maps, norms, convolutions, windows."""

from __future__ import annotations

from typing import Any

import smelt
from smelt import nn
from smelt.nn import functional as F
from tests.compiler.random_draws import Apply, Around, Draws, layer

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.SiLU, nn.Mish, nn.SELU, nn.Hardsigmoid, nn.Hardswish,
    nn.LogSigmoid, nn.Softsign, nn.GELU, nn.Softplus, nn.Hardtanh, nn.ELU, nn.CELU, nn.LeakyReLU,
)  # fmt: skip
PADDINGS = ("zeros", "zeros", "reflect", "replicate", "circular")


@layer(times=4)
def activation(draws: Draws, x: smelt.Tensor) -> nn.Module:
    kind = draws.of(*ACTIVATIONS)
    if kind in (nn.ELU, nn.CELU, nn.LeakyReLU):
        return kind(draws.size(0.05, 1.5))
    if kind is nn.GELU:
        return kind(draws.of("none", "tanh"))
    if kind is nn.Softplus:
        return kind(draws.size(0.5, 2), draws.size(1, 20))
    return kind(-draws.size(0.1, 1), draws.size(0.1, 1)) if kind is nn.Hardtanh else kind()


@layer()
def gated(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x, 1)
    return nn.GLU(axis) if x.shape[axis] % 2 == 0 else nn.PReLU(draws.of(1, x.shape[1]))


@layer()
def soft_maximum(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return draws.of(nn.Softmax, nn.Softmin, nn.LogSoftmax)(dim=draws.axis(x))


@layer(2, times=4)
@layer(3, 4, times=2)
def linear(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return nn.Linear(x.shape[-1], draws.width(65 if x.ndim == 2 else 33), draws.chance(0.8))


@layer(2, 3)
def bilinear(draws: Draws, x: smelt.Tensor) -> nn.Module:
    part = draws.number(1, min(x.shape[-1], 9))
    inner = nn.Bilinear(min(x.shape[-1], 17), part, draws.width(18), draws.chance())
    return Around(
        "layer(x[..., :17], tanh(x[..., -part:]))",
        inner,
        lambda two, x: two(x[..., :17], smelt.tanh(x[..., -part:])),
    )


@layer(2)
def variational(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return nn.VariationalLinear(x.shape[-1], draws.width(33), draws.chance())


@layer(times=2)
def layer_norm(draws: Draws, x: smelt.Tensor) -> nn.Module:
    shape = x.shape[draws.axis(x, 1) :]
    return nn.LayerNorm(shape, draws.of(1e-5, 1e-3), draws.chance(0.7), draws.chance())


@layer()
def group_norm(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return nn.GroupNorm(draws.divisor(x.shape[1]), x.shape[1], 1e-3, draws.chance(0.7))


@layer(times=4)
def batch_norm(draws: Draws, x: smelt.Tensor) -> nn.Module:
    kind = nn.BatchNorm2d if x.ndim == 4 else nn.BatchNorm1d
    momentum = draws.of(0.1, 0.3, None)
    options = {"momentum": momentum, "affine": draws.chance(0.7)}
    return kind(x.shape[1], 1e-3, track_running_stats=draws.chance(0.8), **options)


@layer()
def root_mean_square_norm(draws: Draws, x: smelt.Tensor) -> nn.Module:
    width = x.shape[-1]
    return Apply("rms_norm(x, w)", lambda x, w: F.rms_norm(x, width, w), 1 + draws.normal(width))


@layer()
def dropout(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return nn.Dropout(draws.of(0.1, 0.5, 0.9))


@layer()
def noise(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return Apply("x + rand(x.shape) / 5", lambda x: x + 0.2 * smelt.rand(x.shape).to(x.dtype))


@layer(times=2)
def residual(draws: Draws, x: smelt.Tensor) -> nn.Module:
    width, inner = x.shape[-1], draws.width(18)
    function = nn.Sequential(
        nn.Linear(width, inner), activation(draws, x), nn.Linear(inner, width, draws.chance())
    )
    if draws.chance(0.3):
        return nn.HeunBlock(function, draws.size(0.1, 1))
    return nn.Residual(function)


# --- convolutions ---------------------------------------------------------------------------------


def per_axis(draws: Draws, ndim: int, low: int, high: int) -> Any:
    """Returns one number for all spatial axes, or one for each."""
    if draws.chance(0.6):
        return draws.number(low, high)
    return tuple(draws.number(low, high) for _ in range(ndim))


def channels(draws: Draws, x: smelt.Tensor) -> tuple[int, int, int]:
    """Returns channels of a convolution's input and output, and groups that divide both."""
    inside, outside = x.shape[1], draws.width(17)
    groups = draws.divisor(inside) if draws.chance(0.4) else 1
    return inside, outside if groups == 1 else groups * draws.number(1, 3), groups


@layer(3, times=10)
@layer(4, times=16)
def convolution(draws: Draws, x: smelt.Tensor) -> nn.Module:
    ndim = x.ndim - 2
    inside, outside, groups = channels(draws, x)
    stride = per_axis(draws, ndim, 1, 3) if draws.chance() else 1
    padding = draws.of("same", "valid") if stride == 1 and draws.chance(0.2) else None
    return (nn.Conv1d if ndim == 1 else nn.Conv2d)(
        inside, outside, per_axis(draws, ndim, 1, 5), stride,
        per_axis(draws, ndim, 0, 3) if padding is None else padding,
        per_axis(draws, ndim, 1, 3) if draws.chance(0.3) else 1,
        groups, draws.chance(0.8), draws.of(*PADDINGS),
    )  # fmt: skip


@layer(3, 4, times=5)
def transposed_convolution(draws: Draws, x: smelt.Tensor) -> nn.Module:
    ndim = x.ndim - 2
    inside, outside, groups = channels(draws, x)
    stride = per_axis(draws, ndim, 1, 3)
    return (nn.ConvTranspose1d if ndim == 1 else nn.ConvTranspose2d)(
        inside, outside, per_axis(draws, ndim, 1, 4), stride, per_axis(draws, ndim, 0, 2),
        draws.of(0, 0, 1), groups, draws.chance(0.8), draws.of(1, 1, 2),
    )  # fmt: skip


@layer(4, times=3)
def basic_block(draws: Draws, x: smelt.Tensor) -> nn.Module:
    return nn.BasicBlock(x.shape[1], draws.of(x.shape[1], draws.width(9)), draws.of(1, 1, 2))


# --- windows --------------------------------------------------------------------------------------


@layer(3, 4, times=5)
def max_pooling(draws: Draws, x: smelt.Tensor) -> nn.Module:
    ndim = x.ndim - 2
    kernel = draws.number(1, 5)
    padding = draws.number(0, kernel // 2)
    stride = draws.of(None, 1, per_axis(draws, ndim, 1, 3))
    kind = nn.MaxPool1d if ndim == 1 else nn.MaxPool2d
    return kind(kernel, stride, padding, draws.of(1, 1, 2), ceil_mode=draws.chance(0.3))


@layer(3, 4, times=3)
def mean_pooling(draws: Draws, x: smelt.Tensor) -> nn.Module:
    ndim = x.ndim - 2
    kernel = draws.number(1, 5)
    padding = draws.number(0, kernel // 2)
    stride = draws.of(None, 1, per_axis(draws, ndim, 1, 3))
    options = {"ceil_mode": draws.chance(0.3), "count_include_pad": draws.chance()}
    kind = nn.AvgPool1d if ndim == 1 else nn.AvgPool2d
    return kind(kernel, stride, padding, **options)


@layer(3, 4, times=2)
def adaptive_pooling(draws: Draws, x: smelt.Tensor) -> nn.Module:
    ndim = x.ndim - 2
    kinds = {
        1: (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
        2: (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    }
    return draws.of(*kinds[ndim])(per_axis(draws, ndim, 1, 5))
