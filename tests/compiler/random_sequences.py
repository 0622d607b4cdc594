"""Layers of random steps for sequences, and loops and branches of the step's own."""

from __future__ import annotations

import numpy as np

import smelt
from smelt import nn
from smelt.nn import functional as F
from tests.compiler.random_draws import Apply, Around, Draws, layer

# --- modules --------------------------------------------------------------------------------------


@layer(3, times=7)
def recurrent(draws: Draws, x: smelt.Tensor) -> nn.Module:
    first = draws.chance(0.7)
    batch, turns = x.shape[:2] if first else x.shape[1::-1]
    options = {
        "num_layers": draws.of(1, 1, 2), "bias": draws.chance(0.8), "batch_first": first,
        "bidirectional": draws.chance(0.3),
    }  # fmt: skip
    options["dropout"] = draws.of(0.0, 0.3) if options["num_layers"] > 1 else 0.0
    kind = draws.of(nn.RNN, nn.LSTM, nn.GRU)
    if kind is nn.RNN:
        options["nonlinearity"] = draws.of("tanh", "relu")
    lengths = draws.random.integers(0, turns + 1, batch) if draws.chance(0.3) else None
    inner = kind(x.shape[-1], draws.width(18), **options)
    return Around(f"lengths={lengths}", inner, lambda inner, x: inner(x, lengths=lengths)[0])


@layer(2, times=2)
def cell(draws: Draws, x: smelt.Tensor) -> nn.Module:
    turns, kind = draws.number(1, 3), draws.of(nn.RNNCell, nn.LSTMCell, nn.GRUCell)

    def run(inner: nn.Module, x: smelt.Tensor) -> smelt.Tensor:
        state = None
        for _ in range(turns):
            state = inner(x, state)
        return state[0] if isinstance(state, tuple) else state

    return Around(f"{turns} turns", kind(x.shape[-1], draws.width(33), draws.chance(0.8)), run)


@layer(3, times=5)
def attention(draws: Draws, x: smelt.Tensor) -> nn.Module:
    width, first = x.shape[-1], draws.chance(0.7)
    turns = x.shape[1 if first else 0]
    heads = min(draws.divisor(width), 8) if width % 8 == 0 else draws.divisor(width)
    inner = nn.MultiheadAttention(
        width, heads, draws.of(0.0, 0.2), draws.chance(0.8), batch_first=first
    )
    mask = draws.mask(turns, turns, share=0.3) if draws.chance(0.3) else None
    weights = draws.chance(0.3)

    def run(inner: nn.Module, x: smelt.Tensor) -> smelt.Tensor:
        given = None if mask is None else smelt.tensor(mask)
        return inner(x, x, smelt.tanh(x), attn_mask=given, need_weights=weights)[0]

    return Around(f"mask={mask is not None}, weights={weights}", inner, run)


@layer(3, times=2)
def encoder_layer(draws: Draws, x: smelt.Tensor) -> nn.Module:
    inner = nn.TransformerEncoderLayer(
        x.shape[-1], draws.divisor(x.shape[-1]), draws.width(33), draws.of(0.0, 0.1),
        draws.of("relu", "gelu"), 1e-3, draws.chance(0.7), draws.chance(), draws.chance(0.8),
    )  # fmt: skip
    causal = draws.chance()
    return Around(f"causal={causal}", inner, lambda inner, x: inner(x, is_causal=causal))


@layer(3)
def decoder_layer(draws: Draws, x: smelt.Tensor) -> nn.Module:
    inner = nn.TransformerDecoderLayer(
        x.shape[-1], draws.divisor(x.shape[-1]), draws.width(18), draws.of(0.0, 0.1),
        draws.of("relu", "gelu"), 1e-3, True, draws.chance(), draws.chance(0.8),
    )  # fmt: skip
    return Around(
        "memory: sin x", inner, lambda inner, x: inner(x, smelt.sin(x), tgt_is_causal=True)
    )


@layer(3)
def attention_function(draws: Draws, x: smelt.Tensor) -> nn.Module:
    causal, scale = draws.chance(), draws.of(None, 0.3)

    def run(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
        return F.scaled_dot_product_attention(x * w, x, x, is_causal=causal, scale=scale)

    return Apply(f"attention(x * w, x, x, {causal}, {scale})", run, draws.normal(x.shape[-1]))


@layer(3)
def places(draws: Draws, x: smelt.Tensor) -> nn.Module:
    turns, width = x.shape[1:]
    if draws.chance():
        return nn.ClassToken(width, batch_first=True, std=0.5)
    if width % 2 or draws.chance():
        return nn.LearnedPositions(turns + draws.number(0, 3), width, 0.1, batch_first=True)
    return nn.PositionalEncoding(width, layout=draws.of("interleaved", "concatenated"))


@layer(3)
def mean_over_time(draws: Draws, x: smelt.Tensor) -> nn.Module:
    padding = draws.mask(*x.shape[:2], share=0.3)
    return Around(
        "with a mask", nn.MeanPooling(True), lambda inner, x: inner(x, smelt.tensor(padding))
    )


# --- loops and branches ---------------------------------------------------------------------------


@layer(2, 3, 4, times=2)
def scan_of_products(draws: Draws, x: smelt.Tensor) -> nn.Module:
    """A recurrence along an axis whose turn has a product of matrices."""
    axis, width, reverse = draws.axis(x), x.shape[-1], draws.chance(0.3)
    axis = axis if axis < x.ndim - 1 else 0

    def run(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
        def turn(h: smelt.Tensor, row: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor]:
            h = smelt.tanh(row + h @ w)
            return h, h * row

        along = x.movedim(axis, 0)
        last, every = smelt.scan(turn, smelt.zeros_like(along[0]), along, reverse=reverse)
        return every.movedim(0, axis) + last.unsqueeze(axis)

    own = draws.normal(width, width, scale=width**-0.5)
    return Apply(f"scan of tanh(row + h @ w), axis={axis}, reverse={reverse}", run, own)


@layer()
def scan_of_elements(draws: Draws, x: smelt.Tensor) -> nn.Module:
    """Two carries, elementwise, along any axis."""
    axis, reverse = draws.axis(x), draws.chance(0.3)

    def turn(carry: tuple, row: smelt.Tensor) -> tuple:
        slow, fast = carry
        slow, fast = 0.9 * slow + 0.1 * row, smelt.maximum(0.5 * fast, row)
        return (slow, fast), slow - 0.5 * fast

    def run(x: smelt.Tensor) -> smelt.Tensor:
        along = x.movedim(axis, 0)
        start = smelt.zeros_like(along[0]), smelt.zeros_like(along[0]) + 0.1
        _, every = smelt.scan(turn, start, along, reverse=reverse)
        return every.movedim(0, axis)

    return Apply(f"scan of a mean and a maximum, axis={axis}, reverse={reverse}", run)


@layer(times=2)
def branch(draws: Draws, x: smelt.Tensor) -> nn.Module:
    limit, inside = draws.size(-0.5, 0.5), draws.chance(0.4)

    def run(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
        def then(x: smelt.Tensor) -> smelt.Tensor:
            return smelt.sin(x) * w

        def otherwise(x: smelt.Tensor) -> smelt.Tensor:
            return F.softmax(x, -1) + (x.cumsum(-1) if inside else x) * w

        return smelt.cond(x.mean() > limit, then, otherwise, x)

    return Apply(f"cond(mean > {limit}), cumsum={inside}", run, draws.normal(x.shape[-1]))


@layer(times=2)
def loop(draws: Draws, x: smelt.Tensor) -> nn.Module:
    """A loop that ends when its values are small, or after some turns."""
    turns, limit = draws.number(0, 4), draws.size(0.1, 2)

    def run(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
        def goes_on(carry: tuple) -> smelt.Tensor:
            return (carry[1] < turns) & (abs(carry[0]).amax() > limit)

        def turn(carry: tuple) -> tuple:
            return smelt.tanh(carry[0] * w) + 0.1 * carry[0], carry[1] + 1

        # the loop may have no turn, and then w has a gradient of zeros natively, eagerly none
        start = x + 0.01 * w, smelt.tensor(np.int64(0))
        return smelt.while_loop(goes_on, turn, start, max_steps=turns + 1)[0]

    text = f"x += w / 100; while turn < {turns} and max > {limit}: x = tanh(x * w) + 0.1 * x"
    return Apply(text, run, draws.normal(x.shape[-1]))


@layer()
def checkpointed(draws: Draws, x: smelt.Tensor) -> nn.Module:
    def run(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
        return smelt.checkpoint(lambda x: smelt.tanh(smelt.exp(-x * x) @ w) * 0.5, x)

    own = draws.normal(x.shape[-1], draws.width(17), scale=0.5)
    return Apply("checkpoint(tanh(exp(-x^2) @ w) / 2)", run, own)


@layer()
def mapped(draws: Draws, x: smelt.Tensor) -> nn.Module:
    axis = draws.axis(x)

    def run(x: smelt.Tensor) -> smelt.Tensor:
        function = smelt.vmap(lambda row: F.softmax(row.cumsum(-1), -1) + row.mean(), axis, axis)
        return function(x)

    small = min(x.ndim, 3) > 2
    return Apply(f"vmap(softmax(cumsum) + mean), axis={axis}", run) if small else nn.Identity()
