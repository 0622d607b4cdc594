"""Normalizations."""

from __future__ import annotations

from typing import Any, Final

from smelt.creation import ones
from smelt.export.onnx.load.card import INT, Call, Card, Cards, Node, Setting, required
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.functional.layers import group_norm, layer_norm
from smelt.functional.layers import rms_norm as root_mean_square
from smelt.ops.convolution import convolution, padded
from smelt.tensor import Tensor, elementary, reductions
from smelt.tensor.elementary import rsqrt, where

INFERENCE_BY_DEFAULT = 7  # the opset from which on BatchNormalization is


def _by_channel(x: Tensor, ndim: int) -> Tensor:
    return x.reshape((-1,) + (1,) * (ndim - 2))


def _batch(
    call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Any:
    """With the running statistics, or in training mode with those of the batch."""
    wide, momentum = x.to(x.dtype.compute), call["momentum"]
    results: tuple[Tensor, ...] = ()
    if call["training_mode"]:
        axes = (0, *range(2, x.ndim))
        current = reductions.mean(wide, axes)
        spread = reductions.var(wide, axes, 0)
        results = tuple(
            [
                (before * momentum + now * (1 - momentum)).to(before.dtype)
                for before, now in ((mean, current), (variance, spread))
            ]
        )
        mean, variance = current, spread
    factor = rsqrt(variance.to(wide.dtype) + call["epsilon"]) * scale.to(wide.dtype)
    y = (wide - _by_channel(mean, x.ndim)) * _by_channel(factor, x.ndim)
    return ((y + _by_channel(bias, x.ndim)).to(x.dtype), *results)


def _refused_batch(node: Node) -> str:
    if not node.settings["spatial"]:
        return "spatial=0"
    for_training = node.opset < INFERENCE_BY_DEFAULT and not node.settings["is_test"]
    return "is_test=0, for training" if for_training else ""


def _instance(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return group_norm(x, x.shape[1], scale, bias, call["epsilon"])


def _group(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Before version 21 the scale has one number a group."""
    groups = call["num_groups"]
    if call.opset >= 21:
        return group_norm(x, groups, scale, bias, call["epsilon"])
    each = x.shape[1] // groups
    scale, bias = (part.unsqueeze(1).expand(groups, each).reshape(-1) for part in (scale, bias))
    return group_norm(x, groups, scale, bias, call["epsilon"])


def _layer(call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    shape, axes = x.shape[axis:], tuple(range(axis, x.ndim))
    whole = scale.shape == shape and (bias is None or bias.shape == shape)
    if whole and call.count == 1:
        return layer_norm(x, shape, scale, bias, call["epsilon"])
    wide = x.to(x.dtype.compute)
    mean = reductions.mean(wide, axes, True)
    centered = wide - mean
    factor = rsqrt(reductions.mean(centered * centered, axes, True) + call["epsilon"])
    y = centered * factor * scale
    y = y if bias is None else y + bias
    return y.to(x.dtype), mean, factor


def _rms(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    if scale.shape == x.shape[axis:]:
        return root_mean_square(x, x.shape[axis:], scale, call["epsilon"])
    y = root_mean_square(x.to(x.dtype.compute), x.shape[axis:], None, call["epsilon"])
    return (y * scale).to(x.dtype)


def _local_response(call: Call, x: Tensor) -> Tensor:
    """X / (bias + alpha / size * sum of x^2 over neighboring channels)^beta"""
    size = call["size"]
    before = (size - 1) // 2
    rows = (x * x).reshape(x.shape[0], 1, x.shape[1], -1)
    wide = padded(rows, (0, 0, before, 0), (0, 0, size - 1 - before, 0), (1,) * 4)
    taps = ones(1, 1, size, 1, dtype=x.dtype)
    sums = convolution(wide, taps, stride=(1, 1), dilation=(1, 1), groups=1).reshape(x.shape)
    return x / elementary.pow(sums * (call["alpha"] / size) + call["bias"], call["beta"])


def _power(call: Call, x: Tensor) -> Tensor:
    size = reductions.norm(x, call["p"], call["axis"], True)
    return where(size == 0, 0.0, x / where(size == 0, 1.0, size))


def _mean_variance(call: Call, x: Tensor) -> Tensor:
    axes = axes_from_front(call["axes"], x.ndim)
    centered = x - reductions.mean(x, axes, True)
    deviation = elementary.sqrt(
        reductions.mean(x * x, axes, True) - reductions.mean(x, axes, True) ** 2
    )
    return centered / (deviation + 1e-9)


CARDS: Final[Cards] = {
    "BatchNormalization": Card(
        _batch,
        {"epsilon": 1e-5, "momentum": 0.9, "training_mode": 0, "spatial": 1, "is_test": 0},
        first=6,
        statistics=(3, 4),
        refused=_refused_batch,
    ),
    "InstanceNormalization": Card(_instance, {"epsilon": 1e-5}, first=6),
    "GroupNormalization": Card(
        _group, {"epsilon": 1e-5, "num_groups": required(INT), "stash_type": 1}, first=18
    ),
    "LayerNormalization": Card(_layer, {"axis": -1, "epsilon": 1e-5, "stash_type": 1}, first=17),
    "RMSNormalization": Card(_rms, {"axis": -1, "epsilon": 1e-5, "stash_type": 1}, first=23),
    "LRN": Card(
        _local_response,
        {"alpha": 1e-4, "beta": 0.75, "bias": 1.0, "size": required(INT)},
        first=1,
    ),
    "LpNormalization": Card(_power, {"axis": -1, "p": 2}, first=1),
    "MeanVarianceNormalization": Card(
        _mean_variance, {"axes": Setting("ints", (0, 2, 3))}, first=9
    ),
}
