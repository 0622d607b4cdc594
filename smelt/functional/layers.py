"""Layers as functions: their weights are arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.autodiff.composition import is_plain, of_one_float
from smelt.creation import zeros
from smelt.dtypes import int64
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.functional.layer_norm_value import LayerNorm
from smelt.ops import indexing
from smelt.ops.contraction import matmul, swap_last
from smelt.random import Generator, rand
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, floating
from smelt.tensor.composite import marked
from smelt.tensor.elementary import maximum, rsqrt, where
from smelt.tensor.indexing import check_bounds
from smelt.tensor.reductions import norm, wide
from smelt.tracing.engine import no_grad


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns x W^T + b.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features), as PyTorch stores it.
        bias: (out_features) or None.

    Raises:
        ShapeError: the last axis of x does not have in_features elements.
        DTypeError: x and the weight are floats of different dtypes.
    """
    x = as_tensor(x)
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear: the last extent of the input {x.shape} must be `in` of the weight (out, in) "
            f"= {weight.shape}{_extent_hint(x.shape, weight.shape)}"
        )
    if x.dtype is not weight.dtype and x.dtype.is_float:
        raise DTypeError(
            f"linear: the input is {x.dtype.name}, but the weight is {weight.dtype.name}; cast a "
            f"tensor to the weight's dtype with .to(smelt.{weight.dtype.name}), an array with "
            f".astype('{weight.dtype.name}')"
        )
    if x.ndim > 1 and x.dtype is weight.dtype and x.dtype.compute is x.dtype:
        y = matmul(x, swap_last(weight))
    else:
        y = x @ weight.T
    return y if bias is None else y + bias


def _extent_hint(shape: tuple[int, ...], weight: tuple[int, ...]) -> str:
    """Returns what to write where only the axes of the input are others than a layer takes."""
    wanted = weight[-1] if len(weight) == 2 else 0
    if len(shape) > 2 and math.prod(shape[1:]) == wanted:
        return "; put nn.Flatten() before the layer, or write x.flatten(1)"
    if len(shape) > 1 and math.prod(shape) == wanted:
        return "; this looks like one sample: the model takes a batch, x.unsqueeze(0)"
    return ""


def embedding(
    ids: Any,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
) -> Tensor:
    """Returns the rows of `weight` with the indices `ids`.

    Args:
        ids: int tensor of any shape.
        weight: (num_embeddings, embedding_dim).
        padding_idx: a row that gets no gradient.
        max_norm: the largest norm of a row: a row that is read and has a larger norm is first
            rescaled in place, to row * max_norm / (norm + 1e-7), without a gradient.
        norm_type: the p of that norm.

    Raises:
        ArgumentError: max_norm is negative or nan.
        BoundsError: an id outside 0..num_embeddings - 1.
    """
    ids, rows = as_tensor(ids), weight.shape[0]
    hint = "; num_embeddings must be the number of different ids, such as len(vocabulary)"
    check_bounds("embedding", ids, rows, hint=hint)
    if max_norm is not None:
        weight = _shortened(weight, ids, max_norm, norm_type)
    found = indexing.take(weight, ids, axis=0)
    if padding_idx is None:
        return found
    return where((ids == padding_idx % rows).unsqueeze(-1), found.detach(), found)


def _shortened(weight: Tensor, ids: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Returns a table whose rows that are read are no longer than `max_norm`: itself, changed;
    or a new one where it was computed.
    """
    if not max_norm >= 0:
        raise ArgumentError(f"embedding: max_norm must not be negative, got {max_norm}")
    with no_grad():
        rows = weight.detach()
        used = zeros(len(rows), dtype=int64).at[ids.reshape(-1)].add(1) > 0
        lengths = norm(rows, norm_type, dim=1)
        factor = where(used & (lengths > max_norm), max_norm / (lengths + 1e-7), 1.0)
        shorter = (rows * factor.unsqueeze(1)).to(weight.dtype)
    if weight.tape_entry is not None:
        return shorter + (weight - rows)  # with the history of the weight
    with no_grad():
        return weight.copy_(shorter)


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Tensor:
    """Returns x with each element 0 with probability p, the others scaled by 1 / (1 - p).

    So the mean stays the same (Srivastava et al., 2014). Without `training` it returns x itself.
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout: the probability must lie in [0, 1], got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return x * False
    kept = rand(x.shape, generator=generator) >= p
    return where(kept, floating(x) * (1 / (1 - p)), 0.0)


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Returns (x - mean) / sqrt(var + eps) * w + b over the last axes (Ba et al., 2016).

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the sizes of the axes to normalize over.
        weight: w, normalized_shape, or None for 1.
        bias: b, normalized_shape, or None for 0.
        eps: keeps the root away from 0.
    """
    x = floating(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check_normalized("layer_norm", x, shape, weight, bias)

    def definition(x: Tensor, *given: Tensor) -> Tensor:
        rest = list(given)
        weight = rest.pop(0) if has_weight else None
        axes = tuple(range(-len(shape), 0))
        centered = wide(x) - wide(x).mean(axes, True)
        y = centered * rsqrt((centered * centered).mean(axes, True) + eps)
        return _scaled(y, weight, rest[0] if rest else None).to(x.dtype)

    has_weight = weight is not None
    given = [tensor for tensor in (x, weight, bias) if tensor is not None]
    if is_plain(*given) and of_one_float(given):
        return LayerNorm(definition, len(shape), eps, has_weight, bias is not None)(*given)
    y = definition(*given)
    return marked(y, "layer_norm", x, weight, bias, axes=len(shape), eps=eps) if has_weight else y


def rms_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Returns x / sqrt(mean x^2 + eps) * w over the last axes (Zhang and Sennrich, 2019).

    Args:
        x: (..., *normalized_shape).
        normalized_shape: the sizes of the axes to normalize over.
        weight: w, normalized_shape, or None for 1.
        eps: added under the root; by default the machine epsilon of the dtype in which x is
            computed.
    """
    x = floating(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check_normalized("rms_norm", x, shape, weight, None)
    axes = tuple(range(-len(shape), 0))
    eps = float(np.finfo(x.dtype.compute.storage).eps) if eps is None else eps
    y = wide(x) * rsqrt((wide(x) ** 2).mean(axes, True) + eps)
    return _scaled(y, weight, None).to(x.dtype)


def _check_normalized(
    what: str, x: Tensor, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None
) -> None:
    """Raises ShapeError unless x ends with `shape`, and the weight and the bias have it."""
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"{what}: the last extents of the input {x.shape} must be {shape}")
    for name, one in (("weight", weight), ("bias", bias)):
        if one is not None and one.shape != shape:
            raise ShapeError(
                f"{what}: {name} must have shape {shape}, the normalized_shape, got {one.shape}"
            )


def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Returns x (N, C, ...) normalized over each of `num_groups` groups of channels (Wu and He,
    2018).
    """
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: the channels of the input {x.shape} (N, C, ...) cannot be split into "
            f"{num_groups} groups"
        )
    x = floating(x)
    groups = wide(x).reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    centered = groups - groups.mean(-1, True)
    y = centered * rsqrt((centered * centered).mean(-1, True) + eps)
    y = y.reshape(x.shape)
    return _scaled(y, _by_channel(weight, x), _by_channel(bias, x)).to(x.dtype)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Returns (x - mean) / sqrt(var + eps) * w + b for each channel (Ioffe and Szegedy, 2015).

    Args:
        x: (N, C) or (N, C, ...).
        running_mean: (C). Used when not training; in training updated in place with the batch's
            mean, weighted by `momentum`.
        running_var: (C), likewise; the batch's variance enters with divisor N - 1.
        weight: w, (C), or None for 1.
        bias: b, (C), or None for 0.
        training: whether the batch's own mean and variance (divisor N) are used.
        momentum: see running_mean.
        eps: added under the root so that it is not 0; positive.

    Raises:
        ArgumentError: eps is not positive, or there are no running statistics when not training.
        ShapeError: x has no channels.
    """
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: needs an input (N, C, ...), got shape {x.shape}")
    if isinstance(eps, (int, float)) and eps <= 0:
        raise ArgumentError(f"batch_norm: eps must be positive, got {eps}")
    x = floating(x)
    if training:
        mean = _mean_by_channel(wide(x))
        centered = wide(x) - _by_channel(mean, x)
        var = _mean_by_channel(centered * centered)
        _move_statistics(x, mean, var, running_mean, running_var, momentum)
    elif running_mean is None or running_var is None:
        raise ArgumentError(
            "batch_norm: with training=False, running_mean and running_var are needed; give both"
        )
    else:
        centered, var = wide(x) - _by_channel(running_mean, x), running_var
    scale = rsqrt(var + eps) if weight is None else rsqrt(var + eps) * weight
    y = _scaled(centered, _by_channel(scale, x), _by_channel(bias, x)).to(x.dtype)
    if training or weight is None or bias is None or not isinstance(eps, (int, float)):
        return y
    return marked(y, "batch_norm", x, weight, bias, running_mean, running_var, eps=eps)


def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Returns (x - mean) / sqrt(var + eps) * w + b for each channel of each sample (Ulyanov et al.,
    2016).

    Args:
        x: (N, C, L, ...).
        running_mean: (C), updated in place with the mean of the samples' means, weighted by
            `momentum`.
        running_var: (C), likewise; a sample's variance enters with the number of its elements - 1
            as divisor.
        weight: w, (C), or None for 1.
        bias: b, (C), or None for 0.
        use_input_stats: whether mean and variance are the sample's own; else the running ones are
            used.
        momentum: see running_mean.
        eps: added under the root so that it is not 0; positive.

    Raises:
        ArgumentError: eps is not positive, or there are no running statistics to use.
        ShapeError: x has fewer than three axes, or one element per channel.
    """
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: needs an input (N, C, L, ...), got shape {x.shape}")
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ShapeError(
            f"instance_norm: needs more than one element per channel, got shape {x.shape}"
        )
    _move_averages(x, count, running_mean, running_var, momentum)
    return group_norm(x, x.shape[1], weight, bias, eps)


def _move_averages(
    x: Tensor,
    count: int,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float | Tensor,
) -> None:
    axes = tuple(range(2, x.ndim))
    with no_grad():
        if running_mean is not None:
            mean = wide(floating(x)).mean(axes).mean(0)
            running_mean.copy_(running_mean * (1 - momentum) + mean * momentum)
        if running_var is not None and count > 1:
            variance = wide(floating(x)).var(axes).mean(0)
            running_var.copy_(running_var * (1 - momentum) + variance * momentum)


def _move_statistics(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float | Tensor,
) -> None:
    count = math.prod(x.shape) // max(1, x.shape[1])
    if count == 1:
        raise ShapeError(
            f"batch_norm: training needs at least two values per channel, got shape {x.shape}; "
            "give more samples, or call model.eval() to evaluate"
        )
    if not count:
        return
    with no_grad():
        if running_mean is not None:
            running_mean.copy_(running_mean * (1 - momentum) + mean * momentum)
        if running_var is not None:
            unbiased = var * (count / (count - 1))
            running_var.copy_(running_var * (1 - momentum) + unbiased * momentum)


def _mean_by_channel(x: Tensor) -> Tensor:
    """Returns the mean of each channel; 0 of no values, as a nan would reach the weight."""
    axes = (0, *range(2, x.ndim))
    return x.sum(axes) if 0 in x.shape else x.mean(axes)


def _by_channel(factor: Any, x: Tensor) -> Any:
    return None if factor is None else factor.reshape((-1,) + (1,) * (x.ndim - 2))


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Returns x / max(|x|_p, eps) along `dim`."""
    x = floating(x)
    return x / maximum(x.norm(p, dim, True), eps)
