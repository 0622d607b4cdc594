"""Attention and what comes with it."""

from __future__ import annotations

import math
from typing import Any, Final

from smelt import dtypes
from smelt.control import scan
from smelt.creation import arange, zeros
from smelt.export.onnx.load.card import FLOAT, INT, Call, Card, Cards, Node, required
from smelt.export.onnx.load.operators.movement import padded
from smelt.export.onnx.load.tensors import KINDS, type_name
from smelt.tensor import Tensor, as_tensor, reductions
from smelt.tensor.elementary import exp, tanh, where
from smelt.tensor.shaping import cat, stack


def _heads(x: Tensor, count: int) -> Tensor:
    """(B, T, H D) -> (B, H, T, D)"""
    samples, length, width = x.shape
    return x.reshape(samples, length, count, width // count).transpose(1, 2)


def _flat(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, H D)"""
    samples, count, length, width = x.shape
    return x.transpose(1, 2).reshape(samples, length, count * width)


def _allowed(
    call: Call, query: Tensor, key: Tensor, before: int, valid: Tensor | None
) -> Tensor | None:
    """Returns which keys a query may look at by their places; None for all.

    `before` is how many keys come before the first query. With `valid`, the number of keys of each
    sample, the last query looks at the last of these.
    """
    rows, columns = query.shape[2], key.shape[2]
    left, right = call["left_window_size"], call["right_window_size"]
    offset: Any = before
    if valid is not None:
        offset = (valid.to(dtypes.int64) - rows).reshape(-1, 1, 1, 1)
    distance = arange(columns) - (arange(rows).unsqueeze(1) + offset)
    conditions = []
    if call["is_causal"]:
        conditions.append(distance <= 0)
    if left >= 0:
        conditions.append(distance >= -left)
    if right >= 0:
        conditions.append(distance <= right)
    if valid is not None:
        conditions.append(arange(columns) < valid.to(dtypes.int64).reshape(-1, 1, 1, 1))
    result = None
    for condition in conditions:
        result = condition if result is None else result & condition
    return result


def _bias(mask: Tensor | None, allowed: Tensor | None, columns: Any, like: Tensor) -> Tensor | None:
    """Returns what is added to the scores: -inf where a query may not look."""
    bias = None
    if mask is not None:
        missing = columns - mask.shape[-1]
        is_bool = mask.dtype is dtypes.bool_
        if missing > 0:
            low, high = [0] * mask.ndim, [0] * (mask.ndim - 1) + [missing]
            fill = as_tensor(False) if is_bool else as_tensor(-math.inf, mask.dtype)
            mask = padded(mask, low, high, fill)
        bias = where(mask, 0.0, -math.inf).to(like.dtype) if is_bool else mask.to(like.dtype)
    if allowed is not None:
        closed = where(allowed, 0.0, -math.inf).to(like.dtype)
        bias = closed if bias is None else bias + closed
    return bias


def _softmax(x: Tensor) -> Tensor:
    """Softmax along the last axis; of a row of -inf it is 0."""
    most = reductions.amax(x.detach(), -1, True)
    powers = exp(x - where(most == -math.inf, 0.0, most))
    total = reductions.sum(powers, -1, True)
    return powers / where(total == 0, 1.0, total)


def _attention(
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    valid: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Returns softmax(scale Q K' + bias) V, keys and values with the past, and the scores."""
    packed, kind = query.ndim == 3, query.dtype
    if packed:
        query = _heads(query, call["q_num_heads"])
        key, value = (_heads(part, call["kv_num_heads"]) for part in (key, value))
    before = 0 if past_key is None else past_key.shape[2]
    key = key if past_key is None else cat([past_key, key], 2)
    value = value if past_value is None else cat([past_value, value], 2)
    present = key, value
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (_repeated(part, groups) for part in (key, value))
    compute = kind.compute
    scale = 1 / math.sqrt(query.shape[-1]) if call["scale"] is None else call["scale"]
    root = math.sqrt(scale)
    scores = (query.to(compute) * root) @ (key.to(compute) * root).transpose(-2, -1)
    shown = [scores]
    if call["softcap"] > 0:
        scores = tanh(scores / call["softcap"]) * call["softcap"]
    shown.append(scores)
    bias = _bias(mask, _allowed(call, query, key, before, valid), key.shape[2], scores)
    scores = scores if bias is None else scores + bias
    shown.append(scores)
    shares = _softmax(scores)
    if bias is not None:
        closed = reductions.amax(bias.detach(), -1, True) == -math.inf
        shares = where(closed, 0.0, shares)
    shown.append(shares)
    y = (shares.to(kind).to(compute) @ value.to(compute)).to(kind)
    chosen = shown[call["qk_matmul_output_mode"]]
    return (_flat(y) if packed else y), *present, chosen.to(kind)


def _repeated(x: Tensor, count: int) -> Tensor:
    """Returns each head so many times, one beside the other."""
    samples, heads, length, width = x.shape
    wide = x.unsqueeze(2).expand(samples, heads, count, length, width)
    return wide.reshape(samples, heads * count, length, width)


def _refused_precision(node: Node) -> str:
    given = node.settings["softmax_precision"]
    return "" if given is None or given in KINDS else f"softmax in {type_name(given)}"


# --- rotary embedding -----------------------------------------------------------------------------


def _rotary(
    call: Call, x: Tensor, cosines: Tensor, sines: Tensor, positions: Tensor | None = None
) -> Tensor:
    """Rotates pairs of numbers of each head by angles that depend on the position (Su et al.,
    2021).
    """
    packed = x.ndim == 3
    rows = _heads(x, call["num_heads"]) if packed else x  # (B, H, T, D)
    size = call["rotary_embedding_dim"] or rows.shape[-1]
    if positions is not None:
        cosines, sines = cosines[positions], sines[positions]
    cosines, sines = (part.unsqueeze(1) for part in (cosines, sines))
    rotated, rest = rows[..., :size], rows[..., size:]
    if call["interleaved"]:
        a, b = rotated[..., 0::2], rotated[..., 1::2]
    else:
        a, b = rotated.chunk(2, -1)
    parts = [cosines * a - sines * b, sines * a + cosines * b]
    joined = stack(parts, -1).reshape(rotated.shape) if call["interleaved"] else cat(parts, -1)
    y = cat([joined, rest], -1) if rest.shape[-1] else joined
    return (_flat(y) if packed else y).to(x.dtype)


# --- linear attention -----------------------------------------------------------------------------


def _linear(
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    past: Tensor | None = None,
    decay: Tensor | None = None,
    beta: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """S = e^g S + b k (v - e^g S' k)', y = scale q' S, step by step along time."""
    count, own = call["q_num_heads"], call["kv_num_heads"]
    kind, wide = query.dtype, query.dtype.compute
    q = _heads(query, count).to(wide)
    k, v = (_heads(part, own).to(wide) for part in (key, value))
    width = q.shape[-1]
    state = (
        zeros(q.shape[0], own, width, v.shape[-1], dtype=wide) if past is None else past.to(wide)
    )
    scale = call["scale"] or 1 / math.sqrt(width)
    along = [q, k, v]
    along += [] if decay is None else [_heads(decay, own).to(wide)]
    along += [] if beta is None else [_heads(beta, beta.shape[-1]).to(wide)]

    def iteration(state: Tensor, given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        q, k, v, *rest = given
        if decay is not None:
            state = state * exp(rest.pop(0)).unsqueeze(-1)
        if beta is not None:
            v = (v - (k.unsqueeze(-2) @ state).squeeze(-2)) * rest.pop(0)
        state = state + k.unsqueeze(-1) * v.unsqueeze(-2)
        seen = state
        if count > own:
            samples, heads, rows, columns = state.shape
            seen = state.unsqueeze(2).expand(samples, heads, count // own, rows, columns)
            seen = seen.reshape(samples, count, rows, columns)
        return state, (q.unsqueeze(-2) @ seen).squeeze(-2) * scale

    last, rows = scan(iteration, state, tuple([part.movedim(2, 0) for part in along]))
    y = _flat(rows.movedim(0, 2)).to(kind)
    return y, last.to(kind if past is None else past.dtype)


def _refused_rule(node: Node) -> str:
    given = node.settings["update_rule"]
    known = ("linear", "gated", "delta", "gated_delta")
    return "" if given in known else f"update_rule {given!r}"


CARDS: Final[Cards] = {
    "Attention": Card(
        _attention,
        {
            "is_causal": 0, "kv_num_heads": INT, "q_num_heads": INT, "qk_matmul_output_mode": 0,
            "scale": FLOAT, "softcap": 0.0, "softmax_precision": INT, "left_window_size": -1,
            "right_window_size": -1,
        },
        first=23,
        refused=_refused_precision,
    ),
    "RotaryEmbedding": Card(
        _rotary, {"interleaved": 0, "num_heads": INT, "rotary_embedding_dim": 0}, first=23
    ),
    "LinearAttention": Card(
        _linear,
        {
            "chunk_size": 64, "kv_num_heads": required(INT), "q_num_heads": required(INT),
            "scale": 0.0, "update_rule": "gated_delta",
        },
        first=27,
        refused=_refused_rule,
    ),
}  # fmt: skip
