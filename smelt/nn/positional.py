"""Positional encodings for Transformers; the class token; the mean over a sequence.

Sequences are (T, B, C), or (B, T, C) with `batch_first`, or (T, C).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import smelt.functional as F
from smelt.errors import ArgumentError, BoundsError, ShapeError
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.dropout import Dropout
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.shaping import cat

if TYPE_CHECKING:
    from smelt.nn.parameter import Parameter

__all__ = ["ClassToken", "LearnedPositions", "MeanPooling", "PositionalEncoding"]


class _SequenceModule(Module):
    """A module that knows along which axis of its input time runs."""

    batch_first: bool

    def _time_axis(self, x: Tensor, width: int | None = None) -> int:
        name = type(self).__name__
        if x.ndim not in (2, 3) or (width is not None and x.shape[-1] != width):
            layout = "(B, T, C)" if self.batch_first else "(T, B, C)"
            with_width = "" if width is None else f" with C = {width}"
            raise ShapeError(
                f"{name} needs an input {layout} or (T, C){with_width}, got shape {x.shape}"
            )
        return 1 if self.batch_first and x.ndim == 3 else 0


class PositionalEncoding(_SequenceModule):
    """`dropout(x + P)`, P the sines and cosines of the position (Vaswani et al., 2017).

    P(t, 2i) = sin(t / 10000^(2i / d_model)), P(t, 2i + 1) = cos(the same); see
    `F.sinusoidal_encoding`. There are no parameters, and sequences may have any length.

    Args:
        d_model: C, even.
        dropout: the probability that an element of the sum is dropped in training.
        layout: "interleaved" as above, or "concatenated": all sines, then all cosines.
        batch_first: whether inputs are (B, T, C) instead of (T, B, C).

    Shapes: (T, B, C), (B, T, C) or (T, C), kept.

    Raises:
        ArgumentError: an odd width, another layout.
    """

    def __init__(
        self,
        d_model: int,
        dropout: float = 0.0,
        layout: str = "interleaved",
        batch_first: bool = False,
    ) -> None:
        sizes(self, d_model=d_model)
        F.sinusoidal_encoding(0, d_model, layout)  # refuses what it cannot encode
        self.d_model = d_model
        self.layout = layout
        self.batch_first = batch_first
        self.dropout: Dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the input with the positions added."""
        axis = self._time_axis(x, self.d_model)
        encoding = F.sinusoidal_encoding(x.shape[axis], self.d_model, self.layout, x.dtype)
        return self.dropout(x + (encoding if axis == x.ndim - 2 else encoding.unsqueeze(1)))

    def extra_repr(self) -> str:
        return f"{self.d_model}, layout={self.layout!r}, batch_first={self.batch_first}"


class LearnedPositions(_SequenceModule):
    """`dropout(x + W[:T])`: a learned vector for each position, as in BERT (Devlin et al., 2019).

    Args:
        max_len: number of positions.
        d_model: C.
        dropout: the probability that an element of the sum is dropped in training.
        batch_first: whether inputs are (B, T, C) instead of (T, B, C).
        dtype: of the vectors; float32 when None.

    Parameters: weight (max_len, d_model), initially drawn from N(0, 0.02^2). Shapes: (T, B, C), (B,
    T, C) or (T, C), kept.

    Raises:
        BoundsError: when called, the sequence is longer than `max_len`.
    """

    def __init__(
        self,
        max_len: int,
        d_model: int,
        dropout: float = 0.0,
        batch_first: bool = False,
        dtype: Any = None,
    ) -> None:
        sizes(self, max_len=max_len, d_model=d_model)
        self.max_len = max_len
        self.d_model = d_model
        self.batch_first = batch_first
        self.weight: Parameter = empty_parameter(max_len, d_model, dtype=dtype)
        self.dropout: Dropout = Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        init.normal_(self.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the input with the positions added."""
        axis = self._time_axis(x, self.d_model)
        length = x.shape[axis]
        if length > self.max_len:
            raise BoundsError(
                f"LearnedPositions: a sequence of length {length} is longer than max_len, "
                f"{self.max_len}"
            )
        encoding = self.weight[:length]
        return self.dropout(x + (encoding if axis == x.ndim - 2 else encoding.unsqueeze(1)))

    def extra_repr(self) -> str:
        return f"{self.max_len}, {self.d_model}, batch_first={self.batch_first}"


class ClassToken(_SequenceModule):
    """Puts a learned vector, the [CLS] token, in front of each sequence (Devlin et al., 2019).

    The network's output at position 0 then represents the whole sequence.

    Args:
        d_model: C.
        batch_first: whether inputs are (B, T, C) instead of (T, B, C).
        std: of the initial values, drawn from N(0, std^2).
        dtype: of the vector; float32 when None.

    Parameters: weight (d_model). Shapes: (T, B, C) -> (T + 1, B, C), and so on.
    """

    def __init__(
        self, d_model: int, batch_first: bool = False, std: float = 0.02, dtype: Any = None
    ) -> None:
        sizes(self, d_model=d_model)
        if std < 0:
            raise ArgumentError(f"ClassToken: std must not be negative, got {std}")
        self.d_model = d_model
        self.batch_first = batch_first
        self.std = std
        self.weight: Parameter = empty_parameter(d_model, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        init.normal_(self.weight, 0.0, self.std)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the input with the token in front."""
        axis = self._time_axis(x, self.d_model)
        shape = tuple(1 if dim == axis else extent for dim, extent in enumerate(x.shape))
        return cat([self.weight.expand(shape), x], axis)

    def extra_repr(self) -> str:
        return f"{self.d_model}, batch_first={self.batch_first}"


class MeanPooling(_SequenceModule):
    """The mean over time without padding: one vector per sequence.

    Args:
        batch_first: whether inputs are (B, T, C) instead of (T, B, C).

    Shapes: (T, B, C) or (B, T, C) -> (B, C); (T, C) -> (C).
    """

    def __init__(self, batch_first: bool = False) -> None:
        self.batch_first = batch_first

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Returns the mean over time.

        Args:
            x: the sequences.
            key_padding_mask: bool, (B, T), or (T) without a batch: True where there is padding, as
                for `MultiheadAttention`. The result is zero where everything is padding.
        """
        axis = self._time_axis(x)
        mask = key_padding_mask
        if mask is not None and x.ndim == 3 and not self.batch_first:
            mask = mask.T
        return F.masked_mean(x, mask, axis)

    def extra_repr(self) -> str:
        return f"batch_first={self.batch_first}"
