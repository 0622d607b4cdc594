"""The Transformer of Vaswani et al. ("Attention is all you need", 2017), layer by layer.

Sequences are (T, B, E), or (B, T, E) with `batch_first`, or (T, E). Masks are those of
`MultiheadAttention`: a bool one marks with True what is *not* attended to.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

import smelt.functional as F
from smelt.dtypes import as_dtype, float32
from smelt.errors import ArgumentError
from smelt.nn import init
from smelt.nn.attention import MultiheadAttention
from smelt.nn.checks import check_floats, sizes
from smelt.nn.containers import ModuleList
from smelt.nn.dropout import Dropout
from smelt.nn.linear import Linear
from smelt.nn.module import Module
from smelt.nn.normalization import LayerNorm
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Map = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Map] = {"relu": F.relu, "gelu": F.gelu}


class _Layer(Module):
    """What layers of encoder and decoder share: self-attention and the feed-forward network."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Map = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        sizes(self, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        self.self_attn: MultiheadAttention = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1: Linear = Linear(d_model, dim_feedforward, bias, dtype)
        self.dropout: Dropout = Dropout(dropout)
        self.linear2: Linear = Linear(dim_feedforward, d_model, bias, dtype)
        self.norm_first = norm_first
        self.norm1: LayerNorm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2: LayerNorm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1: Dropout = Dropout(dropout)
        self.dropout2: Dropout = Dropout(dropout)
        self.activation: Callable[[Tensor], Tensor] = _activation(activation)

    def _residual(self, x: Tensor, norm: Map, dropout: Map, sublayer: Map) -> Tensor:
        """Adds what `sublayer` makes of x; the norm comes before `sublayer` or after the sum."""
        if self.norm_first:
            return x + dropout(sublayer(norm(x)))
        return norm(x + dropout(sublayer(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def extra_repr(self) -> str:
        return f"norm_first={self.norm_first}"


class TransformerEncoderLayer(_Layer):
    """`x = LN(x + SA(x)); y = LN(x + FF(x))`, or with norm_first `x + SA(LN(x)); x + FF(LN(x))`.

    SA is self-attention, `FF(x) = W2 act(W1 x + b1) + b2`.

    Args:
        d_model: E, size of the last axis.
        nhead: number of heads, a divisor of E.
        dim_feedforward: rows of W1.
        dropout: the probability that an element is dropped in training: of the attention weights,
            within FF, and of what SA and FF return. (Set `layer.dropout.p = 0.0` for none within
            FF.)
        activation: "relu", "gelu", or any function or module of one tensor.
        layer_norm_eps: eps of both norms.
        batch_first: whether inputs are (B, T, E) instead of (T, B, E).
        norm_first: whether the norm comes before SA and FF (pre-norm) instead of after the sum.
        bias: whether linear maps and norms have biases.
        dtype: of the parameters; float32 when None.

    Parameters: self_attn, linear1, linear2, norm1, norm2, as in PyTorch.

    Raises:
        ArgumentError: the number of heads does not divide d_model, or the activation is unknown.
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Returns the layer's output, in the shape of `src`.

        Args:
            src: the sequences.
            src_mask: (T, T) or (B * heads, T, T).
            src_key_padding_mask: (B, T).
            is_causal: whether position i attends only to positions up to i; needs no mask.
        """
        check_floats(self, src=src)

        def attended(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, True, is_causal)[
                0
            ]

        x = self._residual(src, self.norm1, self.dropout1, attended)
        return self._residual(x, self.norm2, self.dropout2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """An encoder layer with attention to `memory`, the encoder's output, between SA and FF.

    Args and parameters: as for `TransformerEncoderLayer`, and multihead_attn, norm3.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Map = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, dtype,
        )  # fmt: skip
        self.multihead_attn: MultiheadAttention = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype
        )
        self.norm3: LayerNorm = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout3: Dropout = Dropout(dropout)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Returns the layer's output, in the shape of `tgt`.

        Args:
            tgt: the sequences, T positions.
            memory: the encoder's output, S positions.
            tgt_mask: (T, T) or (B * heads, T, T).
            memory_mask: (T, S) or (B * heads, T, S).
            tgt_key_padding_mask: (B, T).
            memory_key_padding_mask: (B, S).
            tgt_is_causal: whether position i of `tgt` attends only to positions of `tgt` up to i.
            memory_is_causal: whether position i of `tgt` attends only to positions of `memory` up
                to i.
        """
        check_floats(self, tgt=tgt, memory=memory)

        def attended(x: Tensor) -> Tensor:
            causal = tgt_is_causal
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, True, causal)[0]

        def informed(x: Tensor) -> Tensor:
            masks = {"key_padding_mask": memory_key_padding_mask, "attn_mask": memory_mask}
            return self.multihead_attn(
                x, memory, memory, need_weights=False, is_causal=memory_is_causal, **masks
            )[0]

        x = self._residual(tgt, self.norm1, self.dropout1, attended)
        x = self._residual(x, self.norm2, self.dropout2, informed)
        return self._residual(x, self.norm3, self.dropout3, self._feed_forward)


class TransformerEncoder(Module):
    """A stack of encoder layers.

    Args:
        encoder_layer: the layer to copy; all copies start with the same values, as in PyTorch
            (`Transformer` draws new ones).
        num_layers: number of copies.
        norm: a module applied to the output of the last layer, such as a LayerNorm after pre-norm
            layers.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers: ModuleList = _copies(self, encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Returns the last layer's output; arguments as in `TransformerEncoderLayer`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """A stack of decoder layers.

    Args:
        decoder_layer: the layer to copy; see `TransformerEncoder`.
        num_layers: number of copies.
        norm: a module applied to the output of the last layer.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers: ModuleList = _copies(self, decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Returns the last layer's output; arguments as in `TransformerDecoderLayer`."""
        padding = tgt_key_padding_mask, memory_key_padding_mask
        causal = tgt_is_causal, memory_is_causal
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, *padding, *causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder, each with a final LayerNorm; it has no embeddings and no head.

    Args:
        d_model: E, size of the last axis.
        nhead: number of heads.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        dim_feedforward: rows of W1.
        dropout: as for the layers.
        activation: as for the layers.
        custom_encoder: a module in place of the encoder, called as one.
        custom_decoder: a module in place of the decoder.
        layer_norm_eps: eps of all norms.
        batch_first: whether inputs are (B, T, E) instead of (T, B, E).
        norm_first: as for the layers.
        bias: whether linear maps and norms have biases.
        dtype: of the parameters; float32 when None.

    Parameters: encoder, decoder; matrices are initialized by xavier_uniform.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Map = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        settings = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, dtype,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder: Module = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings), num_encoder_layers, norm()
        )
        self.decoder: Module = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings), num_decoder_layers, norm()
        )
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values for all matrices by xavier_uniform."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Returns the decoder's output for `tgt`, which attends to the encoder's for `src`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        padding = tgt_key_padding_mask, memory_key_padding_mask
        causal = tgt_is_causal, memory_is_causal
        return self.decoder(tgt, memory, tgt_mask, memory_mask, *padding, *causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: Any = None) -> Tensor:
        """Returns the causal mask (sz, sz): 0 where position i may attend to position j <= i, else
        -inf.
        """
        if sz < 0:
            raise ArgumentError(
                f"generate_square_subsequent_mask: sz must not be negative, got {sz}"
            )
        kind = float32 if dtype is None else as_dtype(dtype)
        return as_tensor(np.triu(np.full((sz, sz), -np.inf), 1), kind)


def _activation(given: str | Map) -> Map:
    if callable(given):
        return given
    if given not in ACTIVATIONS:
        raise ArgumentError(
            f"activation must be 'relu', 'gelu' or a function of one tensor, got {given!r}"
        )
    return ACTIVATIONS[given]


def _copies(stack: Module, layer: Module, count: int) -> ModuleList:
    sizes(stack, num_layers=count)
    if not isinstance(layer, Module):
        raise ArgumentError(
            f"{type(stack).__name__} takes one layer and makes num_layers copies of it; got a "
            f"{type(layer).__name__}"
        )
    return ModuleList(copy.deepcopy(layer) for _ in range(count))
