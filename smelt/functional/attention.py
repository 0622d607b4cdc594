"""Attention: weighted means of values, with weights from the similarity of queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.dtypes import DType, as_dtype, float32, float64
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.functional.attention_blocks import Operands, in_blocks
from smelt.functional.layers import dropout
from smelt.ops.iota import iota
from smelt.ops.movement import broadcast_shapes
from smelt.tensor import Tensor
from smelt.tensor.activations import softmax
from smelt.tensor.apply import as_tensor
from smelt.tensor.composite import marked
from smelt.tensor.elementary import cos, exp, sin, where
from smelt.tensor.reductions import largest, wide
from smelt.tensor.shaping import stack

__all__ = [
    "attention_weights",
    "masked_mean",
    "scaled_dot_product_attention",
    "sinusoidal_encoding",
]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Returns softmax(Q K^T / sqrt(d)) V (Vaswani et al., 2017).

    Args:
        query: (..., L, d).
        key: (..., S, d).
        value: (..., S, v).
        attn_mask: broadcasts to (..., L, S); bool (True: may be attended to) or float (added to
            the scores).
        dropout_p: the probability that an attention weight is dropped; 0 when not training.
        is_causal: whether position i attends only to positions up to i.
        scale: used instead of 1 / sqrt(d).

    Returns:
        (..., L, v); zeros where a query may attend to nothing.

    Raises:
        ShapeError: the three do not fit together, or the mask does not fit (..., L, S).
        DTypeError: the mask has an integer dtype.

    If there are many scores, they are computed in blocks of heads and queries, and computed again
    for the gradient, so that they never leave the cache (as in Dao et al., "FlashAttention", 2022).
    """
    if min(key.ndim, value.ndim) < 2 or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"attention: key {key.shape} and value {value.shape} must have the same length (axis "
            "-2)"
        )
    _check_fit(query, key)

    def attended(operands: Operands, first: Any) -> Tensor:
        query, key, value, mask = operands
        weights = _weights(query, key, mask, is_causal, scale, first)
        return dropout(weights, dropout_p, training=dropout_p > 0) @ value

    mask = None if attn_mask is None else as_tensor(attn_mask)
    if mask is not None:
        _check_mask(mask, query, key)
    return in_blocks(attended, Operands(query, key, value, mask), is_causal)


def attention_weights(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Returns softmax(Q K^T / sqrt(d)) over the keys: how much each query attends to each key.

    Args:
        query: (..., L, d).
        key: (..., S, d).
        attn_mask: as for `scaled_dot_product_attention`.
        is_causal: whether position i attends only to positions up to i.
        scale: used instead of 1 / sqrt(d).

    Returns:
        (..., L, S); rows sum to 1, or are zeros where a query may attend to nothing.
    """
    _check_fit(query, key)
    mask = None if attn_mask is None else as_tensor(attn_mask)
    if mask is not None:
        _check_mask(mask, query, key)
    return _weights(query, key, mask, is_causal, scale, 0)


def _weights(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    first: Tensor | int,
) -> Tensor:
    """Returns the weights of queries of which the first one is at a place."""
    factor = 1 / math.sqrt(max(1, query.shape[-1])) if scale is None else scale
    scores = query @ key.mT * factor
    if is_causal:
        shape = scores.shape[-2:]
        seen = iota(shape=shape, axis=0) + first >= iota(shape=shape, axis=1)
        scores = where(seen, scores, -math.inf)
    if mask is None:
        return softmax(scores, -1)
    if mask.dtype.kind == "bool":
        return _softmax_of_some(where(mask, scores, -math.inf))
    return _softmax_of_some(scores + mask.to(scores.dtype))


def _check_fit(query: Tensor, key: Tensor) -> None:
    if query.ndim < 2 or key.ndim < 2 or query.shape[-1] != key.shape[-1]:
        raise ShapeError(
            f"attention: query {query.shape} and key {key.shape} must have the same last extent"
        )


def _check_mask(mask: Tensor, query: Tensor, key: Tensor) -> None:
    if mask.dtype.kind == "int":
        raise DTypeError(
            f"attention: a mask must be bool or float, got {mask.dtype.name}; use .bool()"
        )
    batch = broadcast_shapes("attention", query.shape[:-2], key.shape[:-2])
    scores = (*batch, query.shape[-2], key.shape[-2])
    extents = zip(reversed(mask.shape), reversed(scores), strict=False)
    if mask.ndim > len(scores) or any(own not in (1, extent) for own, extent in extents):
        raise ShapeError(
            f"attention: a mask of shape {mask.shape} does not broadcast to the scores {scores}"
        )


def _softmax_of_some(scores: Tensor) -> Tensor:
    """Softmax over the last axis that gives zeros, not nan, where all scores are -inf."""
    top = largest(scores, -1)
    powers = exp(wide(scores) - where(top == -math.inf, 0.0, top))
    total = powers.sum(-1, True)
    y = (powers / where(total == 0, 1.0, total)).to(scores.dtype)
    return marked(y, "safe_softmax", scores, axis=-1)


def sinusoidal_encoding(
    length: int, width: int, layout: str = "interleaved", dtype: DType = float32
) -> Tensor:
    """Returns sines and cosines of the position t at width / 2 wavelengths (Vaswani et al., 2017).

    angle(t, i) = t / 10000^(2i / width). Interleaved: column 2i is sin angle(t, i), column 2i + 1
    its cosine; concatenated: all sines, then all cosines.

    Args:
        length: number of positions.
        width: number of columns; even.
        layout: "interleaved" or "concatenated".
        dtype: of the result.

    Returns:
        (length, width).

    Raises:
        ArgumentError: an odd width, a negative length, an unknown layout.
    """
    if width < 2 or width % 2:
        raise ArgumentError(
            f"sinusoidal_encoding: the width must be even and positive, got {width}"
        )
    if length < 0:
        raise ArgumentError(f"sinusoidal_encoding: length must not be negative, got {length}")
    if layout not in ("interleaved", "concatenated"):
        raise ArgumentError(
            f"sinusoidal_encoding: layout must be 'interleaved' or 'concatenated', got {layout!r}"
        )
    places = iota(shape=(length, width // 2), axis=0).to(float64)  # of any length in one version
    angles = places / as_tensor(10000 ** (np.arange(0, width, 2) / width))
    waves = stack([sin(angles), cos(angles)], -1 if layout == "interleaved" else 1)
    return waves.reshape(length, width).to(as_dtype(dtype))


def masked_mean(x: Tensor, padding: Tensor | None = None, dim: int = 1) -> Tensor:
    """Returns the mean along an axis over the positions that are not padding.

    Args:
        x: any shape.
        padding: bool, the shape of `x` without its last axis; True marks positions to ignore, as in
            `key_padding_mask`. None: all count.
        dim: the axis, not the last.

    Returns:
        `x` without that axis; zeros where everything is padding.

    Raises:
        ShapeError: the mask does not fit `x`.
        DTypeError: it is not a bool tensor.
    """
    if padding is None:
        return x.mean(dim)
    if padding.dtype.kind != "bool":
        raise DTypeError(f"masked_mean: padding must be bool, got {padding.dtype.name}")
    if padding.shape != x.shape[:-1]:
        raise ShapeError(
            f"masked_mean: for x {x.shape}, padding must have shape {x.shape[:-1]}, got "
            f"{padding.shape}"
        )
    padding = padding.unsqueeze(-1)
    count = (~padding).sum(dim)
    total = where(padding, 0.0, x).sum(dim)
    return total / where(count == 0, 1, count).to(x.dtype)
