"""The forms of a task on sequences, each as a module, by inputs and outputs.

one-to-many      a vector -> a sequence                  caption of an image
many-to-one      a sequence -> a vector                  sentiment of a sentence
many-to-many     a sequence -> one of the same length    names in a text
encoder-decoder  a sequence -> one of another length     translation
"""

from __future__ import annotations

from typing import Any

from smelt import tree
from smelt.dtypes import int64
from smelt.errors import ArgumentError, ShapeError
from smelt.nn.decoding import Decoded, beam_decode, greedy_decode
from smelt.nn.embedding import Embedding
from smelt.nn.linear import Linear
from smelt.nn.module import Module
from smelt.nn.recurrent import GRU, LSTM, RNN
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tensor.shaping import cat

__all__ = ["EncoderDecoder", "ManyToMany", "ManyToOne", "OneToMany"]

Recurrent = RNN | LSTM | GRU


def _check_recurrent(what: str, layer: Any) -> None:
    if not isinstance(layer, Recurrent):
        raise ArgumentError(
            f"{what}: needs an nn.RNN, nn.LSTM or nn.GRU, got {type(layer).__name__}"
        )


class ManyToOne(Module):
    """`y = head(h_T)`: h of the last position; those of both directions are concatenated.

    Args:
        recurrent: an RNN, LSTM or GRU.
        head: a module that computes the output from h, (B, D * H); h itself when None.

    Raises:
        ArgumentError: the layer is not recurrent.
    """

    def __init__(self, recurrent: Recurrent, head: Module | None = None) -> None:
        _check_recurrent("ManyToOne", recurrent)
        self.recurrent = recurrent
        self.head = head

    def forward(self, x: Tensor, lengths: Any = None) -> Tensor:
        """Returns one output per sequence; `lengths` (B) says how long each is."""
        _, state = self.recurrent(x, None, lengths)
        h = state[0] if isinstance(state, tuple) else state  # (L * D, B, H)
        last = cat([h[-2], h[-1]], -1) if self.recurrent.bidirectional else h[-1]
        return last if self.head is None else self.head(last)


class ManyToMany(Module):
    """`y_t = head(h_t)`: an output at each position.

    Args:
        recurrent: an RNN, LSTM or GRU.
        head: a module that computes the output from h_t, such as a Linear with D * H inputs.

    Raises:
        ArgumentError: the layer is not recurrent.
    """

    def __init__(self, recurrent: Recurrent, head: Module) -> None:
        _check_recurrent("ManyToMany", recurrent)
        self.recurrent = recurrent
        self.head = head

    def forward(self, x: Tensor, lengths: Any = None) -> Tensor:
        """Returns an output at each position; those after `lengths` (B) have no meaning."""
        return self.head(self.recurrent(x, None, lengths)[0])


class OneToMany(Module):
    """Generates a sequence of tokens from a vector, the context.

        h_t = step([embedding of y_{t-1}, context], h_{t-1});  logits_t = head(h_t)

    Args:
        recurrent: an RNN, LSTM or GRU with one direction; its input_size is `context_size` plus the
            width of the embedding.
        vocabulary_size: V, number of tokens.
        context_size: C, size of the context.

    Raises:
        ArgumentError: the layer is not recurrent, its input_size leaves no room for an embedding,
            or it has two directions.
    """

    def __init__(self, recurrent: Recurrent, vocabulary_size: int, context_size: int) -> None:
        _check_recurrent("OneToMany", recurrent)
        width = recurrent.input_size - context_size
        if width < 1 or recurrent.bidirectional:
            raise ArgumentError(
                "OneToMany: the recurrent layer needs one direction and an input_size above "
                f"context_size {context_size}, got {recurrent!r}"
            )
        dtype = next(recurrent.parameters()).dtype
        self.context_size = context_size
        self.embedding: Embedding = Embedding(vocabulary_size, width, dtype=dtype)
        self.recurrent = recurrent
        self.head: Linear = Linear(recurrent.hidden_size, vocabulary_size, dtype=dtype)

    def forward(self, context: Tensor, tokens: Tensor) -> Tensor:
        """Returns the logits (B, T, V) of the token at each position, with teacher forcing.

        Args:
            context: (B, C).
            tokens: ints (B, T): the true token before each position, as `nn.shift_right` computes
                from the targets.
        """
        self._check_context(context, tokens.shape[:1])
        size = (*tokens.shape, self.context_size)
        x = cat([self.embedding(tokens), context.unsqueeze(1).expand(size)], -1)  # (B, T, ...)
        if self.recurrent.batch_first:
            return self.head(self.recurrent(x)[0])
        return self.head(self.recurrent(x.transpose(0, 1))[0].transpose(0, 1))

    def greedy(self, context: Tensor, start: int, end: int | None, length: int) -> Decoded:
        """Returns the most probable token at each position; see `greedy_decode`."""
        first, state = self._initial(context, start)
        return greedy_decode(self._step, state, first, end, length)

    def beam(
        self, context: Tensor, start: int, end: int | None, length: int, beam_width: int
    ) -> Decoded:
        """Returns the `beam_width` best sequences that were found; see `beam_decode`."""
        first, state = self._initial(context, start)
        return beam_decode(self._step, state, first, end, length, beam_width)

    def _initial(self, context: Tensor, start: int) -> tuple[Tensor, Any]:
        self._check_context(context, context.shape[:1])
        size = (context.shape[0], self.recurrent.num_layers, self.recurrent.hidden_size)
        zeros = tuple(full(size, 0, context.dtype) for _ in range(self.recurrent.num_states))
        return full(context.shape[:1], start, int64), (context, zeros)

    def _step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One place; the recurrent state has its batch in front, as decoding wants it."""
        context, inner = state
        x = cat([self.embedding(token), context], -1)
        inner = tree.map(lambda tensor: tensor.transpose(0, 1), inner)
        h, after = self.recurrent.step(x, inner if len(inner) > 1 else inner[0])
        after = after if isinstance(after, tuple) else (after,)
        return self.head(h), (context, tree.map(lambda tensor: tensor.transpose(0, 1), after))

    def _check_context(self, context: Tensor, batch: tuple[int, ...]) -> None:
        if context.shape != (*batch, self.context_size):
            raise ShapeError(
                f"OneToMany: the context must be (B, C) = {(*batch, self.context_size)}, got "
                f"{context.shape}"
            )

    def extra_repr(self) -> str:
        return f"context_size={self.context_size}"


class EncoderDecoder(Module):
    """From a sequence to one of another length: the encoder's output is the decoder's context.

    Args:
        encoder: a module that turns a sequence into a vector (B, C), such as `ManyToOne`.
        decoder: generates a sequence from it, with context_size C.
    """

    def __init__(self, encoder: Module, decoder: OneToMany) -> None:
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source: Tensor, tokens: Tensor, **options: Any) -> Tensor:
        """Returns the logits (B, T, V) with teacher forcing.

        Args:
            source: the encoder's input.
            tokens: ints (B, T): the true token before each position; see `nn.shift_right`.
            options: passed to the encoder, such as `lengths`.
        """
        return self.decoder(self.encoder(source, **options), tokens)

    def greedy(
        self, source: Tensor, start: int, end: int | None, length: int, **options: Any
    ) -> Decoded:
        """Returns the most probable token at each position; see `greedy_decode`."""
        return self.decoder.greedy(self.encoder(source, **options), start, end, length)

    def beam(
        self,
        source: Tensor,
        start: int,
        end: int | None,
        length: int,
        beam_width: int,
        **options: Any,
    ) -> Decoded:
        """Returns the `beam_width` best sequences that were found; see `beam_decode`."""
        context = self.encoder(source, **options)
        return self.decoder.beam(context, start, end, length, beam_width)
