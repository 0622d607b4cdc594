"""The pre-norm Transformer block that the two Transformers share."""

from __future__ import annotations

from typing import Any

from smelt.bench.workload import Library, Weights, linear, norm


def block_weights(name: str, width: int, hidden: int, seed: int) -> Weights:
    """Returns first values of one block."""
    weights = norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
    for index, layer in enumerate(("q", "k", "v", "out")):
        weights |= linear(f"{name}.{layer}", width, width, seed + 2 * index)
    weights |= linear(f"{name}.up", width, hidden, seed + 8)
    return weights | linear(f"{name}.down", hidden, width, seed + 10)


def make_block(
    lib: Library, width: int, heads: int, hidden: int, *, causal: bool, p: float, gelu: str
) -> Any:
    """Returns a block of the library's own modules: attention, then two wide layers."""
    nn, F = lib.nn, lib.F

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.q, self.k = nn.Linear(width, width), nn.Linear(width, width)
            self.v, self.out = nn.Linear(width, width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

        def forward(self, x: Any) -> Any:
            x = x + F.dropout(self.attend(self.norm1(x)), p)
            y = self.down(F.gelu(self.up(self.norm2(x)), approximate=gelu))
            return x + F.dropout(y, p)

        def attend(self, x: Any) -> Any:
            B, T, C = x.shape
            q, k, v = (
                projection(x).reshape(B, T, heads, C // heads).transpose(1, 2)
                for projection in (self.q, self.k, self.v)
            )
            y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=p)
            return self.out(y.transpose(1, 2).reshape(B, T, C))

    return Block()


def products(rows: int, length: int, width: int, hidden: int) -> float:
    """Returns the operations of one block's products on `rows` places, forward and backward."""
    forward = 4 * width * width + 2 * width * hidden + 2 * length * width
    return 6.0 * rows * forward


def jax_block(
    weights: Any, name: str, x: Any, heads: int, keys: Any, *, causal: bool, p: float, gelu: str
) -> Any:
    """Returns what the same block makes of x; `keys` are three, for its dropouts."""
    import jax
    import jax.numpy as jnp

    from smelt.bench.jax_parts import dropout, layer_norm, linear

    B, T, C = x.shape
    y = layer_norm(weights, f"{name}.norm1", x)
    q, k, v = (
        linear(weights, f"{name}.{projection}", y)
        .reshape(B, T, heads, C // heads)
        .transpose(0, 2, 1, 3)
        for projection in "qkv"
    )
    scores = q @ k.swapaxes(-1, -2) * (C // heads) ** -0.5
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((T, T), bool)), scores, -jnp.inf)
    attention = dropout(jax.nn.softmax(scores), p, keys[0])
    y = (attention @ v).transpose(0, 2, 1, 3).reshape(B, T, C)
    x = x + dropout(linear(weights, f"{name}.out", y), p, keys[1])
    y = linear(weights, f"{name}.up", layer_norm(weights, f"{name}.norm2", x))
    y = linear(weights, f"{name}.down", jax.nn.gelu(y, approximate=gelu == "tanh"))
    return x + dropout(y, p, keys[2])
