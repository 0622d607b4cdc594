"""Multi-head attention (Vaswani et al., "Attention is all you need", 2017)."""

from __future__ import annotations

import math
from typing import Any

import smelt.functional as F
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.nn import init
from smelt.nn.checks import check_floats, sizes
from smelt.nn.linear import Linear, empty_parameter
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.elementary import where
from smelt.tensor.shaping import cat

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """`Concat(head_1, ..., head_h) W_O`, head_i = softmax(Q_i K_i^T / sqrt(d)) V_i.

    Q_i, K_i and V_i are affine maps of query, key and value to d = embed_dim / num_heads columns.

    Args:
        embed_dim: E, size of the last axis of query and output.
        num_heads: h, a divisor of E.
        dropout: the probability that an attention weight is dropped in training.
        bias: whether the maps have biases.
        add_bias_kv: whether a learned position is appended to key and value.
        add_zero_attn: whether a position of zeros is appended to them.
        kdim: size of the last axis of the key; E when None.
        vdim: size of the last axis of the value; E when None.
        batch_first: whether inputs are (B, T, E) instead of (T, B, E).
        dtype: of the parameters; float32 when None.

    Parameters: in_proj_weight (3 E, E) for query, key, value stacked, or q_proj_weight (E, E),
    k_proj_weight (E, kdim), v_proj_weight (E, vdim) when kdim or vdim differ from E, first drawn by
    xavier_uniform; in_proj_bias (3 E) of zeros; out_proj, a Linear whose bias starts as zeros; with
    add_bias_kv bias_k and bias_v (1, 1, E), first drawn by xavier_normal.

    Raises:
        ArgumentError: h does not divide E, or `dropout` is not a probability.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: Any = None,
    ) -> None:
        kdim, vdim = (embed_dim if extent is None else extent for extent in (kdim, vdim))
        sizes(self, embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        if not num_heads or embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: embed_dim {embed_dim} is not divisible by num_heads "
                f"{num_heads}; each head gets embed_dim / num_heads columns"
            )
        if not 0 <= dropout <= 1:
            raise ArgumentError(
                f"MultiheadAttention: dropout must lie between 0 and 1, got {dropout}"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim: int = embed_dim // num_heads
        self.dropout = dropout
        self.kdim = kdim
        self.vdim = vdim
        self.batch_first = batch_first
        self.in_proj_weight: Parameter | None = None
        if kdim == vdim == embed_dim:
            self.in_proj_weight = empty_parameter(3 * embed_dim, embed_dim, dtype=dtype)
        else:
            self.q_proj_weight: Parameter = empty_parameter(embed_dim, embed_dim, dtype=dtype)
            self.k_proj_weight: Parameter = empty_parameter(embed_dim, kdim, dtype=dtype)
            self.v_proj_weight: Parameter = empty_parameter(embed_dim, vdim, dtype=dtype)
        self.in_proj_bias: Parameter | None = (
            empty_parameter(3 * embed_dim, dtype=dtype) if bias else None
        )
        self.out_proj: Linear = Linear(embed_dim, embed_dim, bias, dtype)
        self.bias_k: Parameter | None = (
            empty_parameter(1, 1, embed_dim, dtype=dtype) if add_bias_kv else None
        )
        self.bias_v: Parameter | None = (
            empty_parameter(1, 1, embed_dim, dtype=dtype) if add_bias_kv else None
        )
        self.add_zero_attn = add_zero_attn
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values, as PyTorch does."""
        for name, parameter in self.named_parameters(recurse=False):
            if name == "in_proj_bias":
                init.zeros_(parameter)
            elif name in ("bias_k", "bias_v"):
                init.xavier_normal_(parameter)
            else:
                init.xavier_uniform_(parameter)
        self.out_proj.reset_parameters()
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attends from each position of the query to the positions of key and value.

        Masks are PyTorch's: a bool one marks with True what must *not* be attended to (the reverse
        of `F.scaled_dot_product_attention`), a float one is added to the scores.

        Args:
            query: (L, B, E), or (B, L, E) with batch_first, or (L, E).
            key: (S, B, kdim), likewise.
            value: (S, B, vdim), likewise.
            key_padding_mask: (B, S), or (S) without a batch: positions of the key that are padding.
            need_weights: whether the attention weights are returned too.
            attn_mask: (L, S), or (B * h, L, S) for each head of each sample.
            average_attn_weights: whether the weights are averaged over the heads.
            is_causal: whether position i attends only to positions up to i; needs no mask.

        Returns:
            The output, in the shape of the query; a query that may attend to nothing gives zeros
            before W_O. And the weights (B, L, S), or (B, h, L, S) when they are not averaged, as
            applied (after dropout), or None. S includes the added positions, to which every query
            attends.

        Raises:
            ShapeError: the inputs or masks do not fit the layer or each other.
            DTypeError: a mask or an input has an integer dtype.
        """
        self._check_inputs(query, key, value)
        q, k, v = map(self._heads, self._projected(query, key, value))  # (B, h, T, d) each
        shape = (*q.shape[:3], k.shape[2])
        mask = _combined(_attention_mask(attn_mask, shape), _padding_mask(key_padding_mask, shape))
        if self.bias_k is not None or self.add_zero_attn:
            mask = _combined(mask, _causal_mask(*shape[2:]) if is_causal else None)
            k, v, mask = self._with_added_places(k, v, mask)
            is_causal = False  # the mask says it
        if not need_weights:
            dropped = self.dropout if self.training else 0.0
            heads = F.scaled_dot_product_attention(q, k, v, mask, dropped, is_causal)
            return self._output(heads, query.shape), None
        weights = F.attention_weights(q, k, mask, is_causal)  # (B, h, L, S)
        weights = F.dropout(weights, self.dropout, self.training)
        output = self._output(weights @ v, query.shape)
        weights = weights.mean(1) if average_attn_weights else weights
        return output, weights if query.ndim == 3 else weights.squeeze(0)

    def _output(self, heads: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Returns the output of attended values (B, h, L, d), in the shape of the query."""
        output = self.out_proj(heads.transpose(1, 2).flatten(2))  # (B, L, E)
        output = output if self.batch_first else output.transpose(0, 1)
        return output.reshape(shape)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        packed = self.in_proj_weight
        if packed is not None and query is key is value:
            return F.linear(query, packed, self.in_proj_bias).chunk(3, -1)  # one product for three
        weights = self._separate_weights() if packed is None else packed.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return tuple(map(F.linear, (query, key, value), weights, biases))

    def _with_added_places(
        self, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns keys and values (B, h, S, d) with the added places behind, seen by all."""
        places = k.shape[2]
        if self.bias_k is not None and self.bias_v is not None:
            k, v = self._with_bias(k, self.bias_k), self._with_bias(v, self.bias_v)
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        if mask is not None:
            seen = True if mask.dtype.kind == "bool" else 0.0
            mask = F.pad(mask, (0, k.shape[2] - places), value=seen)
        return k, v, mask

    def _with_bias(self, x: Tensor, bias: Tensor) -> Tensor:
        own = bias.reshape(1, self.num_heads, 1, self.head_dim).to(x.dtype)
        return cat([x, own.expand((x.shape[0], *own.shape[1:]))], 2)

    def _separate_weights(self) -> tuple[Tensor, ...]:
        return self.q_proj_weight, self.k_proj_weight, self.v_proj_weight

    def _heads(self, x: Tensor) -> Tensor:
        """Turns (B, T, E), (T, B, E) or (T, E) into (B, h, T, d)."""
        if x.ndim == 2:
            x = x.unsqueeze(0)
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _check_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        check_floats(self, query=query, key=key, value=value)
        layout = "(B, T, E)" if self.batch_first else "(T, B, E)"
        given = f"got query {query.shape}, key {key.shape}, value {value.shape}"
        if not query.ndim == key.ndim == value.ndim or query.ndim not in (2, 3):
            raise ShapeError(f"MultiheadAttention needs three inputs {layout} or (T, E); {given}")
        extents = query.shape[-1], key.shape[-1], value.shape[-1]
        wanted = self.embed_dim, self.kdim, self.vdim
        if extents != wanted:
            raise ShapeError(f"MultiheadAttention: the last extents must be {wanted}; {given}")
        batch = 0 if self.batch_first else 1
        alone = query.ndim == 2
        if key.shape[:-1] != value.shape[:-1] or not (
            alone or query.shape[batch] == key.shape[batch]
        ):
            raise ShapeError(
                "MultiheadAttention: key and value must have the same length, and all three the "
                f"same batch size, in {layout}; {given}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, "
            f"batch_first={self.batch_first}"
        )


def _causal_mask(length: int, keys: int) -> Tensor:
    shape = length, keys
    return iota(shape=shape, axis=0) >= iota(shape=shape, axis=1)


def _attention_mask(mask: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """The mask for all heads as one that broadcasts to `shape` (B, h, L, S)."""
    if mask is None:
        return None
    batch, heads, length, keys = shape
    if mask.shape == (length, keys):
        return _allowing(mask)
    if mask.shape != (batch * heads, length, keys):
        padding = mask.shape == (batch, keys)
        hint = "; pass a padding mask (B, S) as key_padding_mask (src_key_padding_mask)"
        hint = hint if padding else ""
        raise ShapeError(
            f"MultiheadAttention: attn_mask {mask.shape} (a layer's src_mask, tgt_mask or "
            f"memory_mask) must be (L, S) = {length, keys} or (B * heads, L, S) = "
            f"{batch * heads, length, keys}{hint}"
        )
    return _allowing(mask).reshape(shape)


def _padding_mask(mask: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """The mask of padded places as one that broadcasts to `shape` (B, h, L, S)."""
    if mask is None:
        return None
    batch, _, _, keys = shape
    if mask.shape != (batch, keys) and (batch, *mask.shape) != (1, keys):
        raise ShapeError(
            f"MultiheadAttention: key_padding_mask {mask.shape} must be (B, S) = "
            f"{batch, keys}: True where the key is padding"
        )
    return _allowing(mask).reshape(batch, 1, 1, keys)


def _allowing(mask: Tensor) -> Tensor:
    """A bool mask inverted: True where attention is allowed; a float one as it is."""
    if mask.dtype.kind == "int":
        raise DTypeError(
            "MultiheadAttention: a mask must be bool (True: not attended to) or float, got "
            f"{mask.dtype.name}; use .bool()"
        )
    return ~mask if mask.dtype.kind == "bool" else mask


def _combined(mask: Tensor | None, second: Tensor | None) -> Tensor | None:
    if mask is None or second is None:
        return second if mask is None else mask
    if mask.dtype.kind == second.dtype.kind == "bool":
        return mask & second
    return _added(mask) + _added(second)


def _added(mask: Tensor) -> Tensor:
    return where(mask, 0.0, -math.inf) if mask.dtype.kind == "bool" else mask
