"""Normalization. Running statistics are results here: the module keeps what the graph returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from smelt.export.torch.program import Rule
from smelt.functional import layers
from smelt.tensor import Tensor
from smelt.tensor.elementary import rsqrt
from smelt.tensor.reductions import wide
from smelt.tracing.engine import no_grad

Statistics = tuple[Tensor, Tensor, Tensor]  # the result, the mean, 1 / sqrt(variance + eps)


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """The result, mean and rsqrt of the variance that it used, and the new running statistics."""
    if not training:
        y = layers.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
        empty = x.reshape(-1)[:0].detach()
        return y, empty, empty, running_mean, running_var
    axes = (0, *range(2, x.ndim))
    mean = wide(x).mean(axes, True)
    centred = wide(x) - mean
    variance = (centred * centred).mean(axes, True)
    factor = rsqrt(variance + eps)
    scale = factor if weight is None else factor * _by_channel(weight, x)
    y = centred * scale
    y = y if bias is None else y + _by_channel(bias, x)
    with no_grad():
        new_mean = _moved(running_mean, mean.reshape(-1), momentum)
        count = math.prod(x.shape) // x.shape[1]
        unbiased = variance.reshape(-1) * (count / (count - 1)) if count > 1 else None
        new_var = running_var if unbiased is None else _moved(running_var, unbiased, momentum)
    return y.to(x.dtype), mean.reshape(-1), factor.reshape(-1), new_mean, new_var


def _moved(before: Tensor | None, batch: Tensor, momentum: float) -> Tensor | None:
    return None if before is None else before * (1 - momentum) + batch * momentum


def _by_channel(factor: Tensor, x: Tensor) -> Tensor:
    return factor.reshape((-1,) + (1,) * (x.ndim - 2))


def _without_statistics(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Statistics:
    return _batch_norm(x, weight, bias, None, None, True, momentum, eps)[:3]


def _evaluated(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> Statistics:
    return _batch_norm(x, weight, bias, running_mean, running_var, False, momentum, eps)[:3]


def _with_update(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Any, ...]:
    y, mean, factor, *moved = _batch_norm(
        x, weight, bias, running_mean, running_var, True, momentum, eps
    )
    return y, mean, factor, mean.detach(), *moved  # the fourth is memory for other devices


def _without_update(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Any, ...]:
    y, mean, factor = _evaluated(x, weight, bias, running_mean, running_var, momentum, eps)
    return y, mean, factor, mean


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    return layers.layer_norm(x, tuple(shape), weight, bias, eps)


def _native_layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Statistics:
    axes = tuple(range(-len(shape), 0))
    mean, factor = _statistics(wide(x), axes, eps)
    return layers.layer_norm(x, tuple(shape), weight, bias, eps), mean, factor


def _statistics(x: Tensor, axes: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    mean = x.mean(axes, True)
    centred = x - mean
    return mean, rsqrt((centred * centred).mean(axes, True) + eps)


def _group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    return layers.group_norm(x, num_groups, weight, bias, eps)


def _native_group_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    samples: int,
    channels: int,
    places: int,
    num_groups: int,
    eps: float,
) -> Statistics:
    groups = wide(x).reshape(samples, num_groups, channels // num_groups * places)
    mean, factor = _statistics(groups, (-1,), eps)
    y = layers.group_norm(x, num_groups, weight, bias, eps)
    return y, mean.squeeze(-1), factor.squeeze(-1)


def _rms_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    return layers.rms_norm(x, tuple(shape), weight, eps)


def _fused_rms_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, eps: float | None
) -> tuple[Tensor, Tensor]:
    axes = tuple(range(-len(shape), 0))
    square = (wide(x) * wide(x)).mean(axes, True)
    return _rms_norm(x, shape, weight, eps), rsqrt(square + (eps or 0.0))


RULES: Final[dict[str, Rule]] = {
    "_native_batch_norm_legit_functional": _batch_norm,
    "_native_batch_norm_legit.no_stats": _without_statistics,
    "_native_batch_norm_legit_no_training": _evaluated,
    "_batch_norm_with_update_functional": _with_update,
    "_batch_norm_no_update": _without_update,
    "layer_norm": _layer_norm,
    "native_layer_norm": _native_layer_norm,
    "group_norm": _group_norm,
    "native_group_norm": _native_group_norm,
    "rms_norm": _rms_norm,
    "_fused_rms_norm": _fused_rms_norm,
}
