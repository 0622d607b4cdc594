"""Decoding: generates sequences with a network that predicts the next token.

`step(token, state) -> (logits, state)` is one step: token ints (B), logits (B, V), and state any
tree of Tensors whose first axis is the batch. The loop is `smelt.scan` of a fixed length, so a
decoder runs inside a compiled step; a sequence that has ended is filled with `end`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import smelt.functional as F
from smelt import tree
from smelt.control.carry import Wording, leaves_of, matching
from smelt.control.scan import scan
from smelt.dtypes import bool_, float64, int64
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.ops import indexing
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, full
from smelt.tensor.elementary import where
from smelt.tensor.indexing import gather_known
from smelt.tensor.shaping import cat
from smelt.tracing.engine import no_grad

__all__ = ["Decoded", "beam_decode", "greedy_decode", "shift_right"]

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
NEVER = -1  # no token


class Decoded(NamedTuple):
    """The result of decoding.

    Attributes:
        tokens: int64, (B, length) or (B, beam_width, length): up to the first `end`, then `end`.
        scores: float64, (B) or (B, beam_width): the logarithm of the probability of the tokens.
    """

    tokens: Tensor
    scores: Tensor


def greedy_decode(step: Step, state: Any, start: Any, end: int | None, length: int) -> Decoded:
    """Chooses the most probable token at each position.

    Args:
        step: takes the last token (B) and a state, returns the logits (B, V) of the next token and
            the next state.
        state: before the first step; a tree of Tensors (B, ...), each keeping its shape and dtype.
        start: the token before the first, ints (B).
        end: the token that ends a sequence; None: they all have `length`.
        length: maximum number of tokens.

    Returns:
        Tokens (B, length) and scores (B), without gradients.

    Raises:
        ArgumentError: `length` is not positive, `end` is not a token, or `step` does not return a
            pair.
        ShapeError: the logits are not (B, V), or a state's first axis is not the batch.
        DTypeError: `start` does not have an integer dtype.
    """
    start, state = _checked_start("greedy_decode", start, state, length)
    last = NEVER if end is None else end

    def iteration(carry: Any, _: Any) -> tuple[Any, Any]:
        token, state, ended = carry
        log_p, state = _log_probabilities(step, token, state, end)
        token = where(ended, last, log_p.argmax(-1))
        gain = where(ended, 0.0, log_p.amax(-1))
        return (token, state, ended | (token == last)), (token, gain)

    with no_grad():
        ended = full(start.shape, False, bool_)
        _, (tokens, gains) = scan(iteration, (start, state, ended), length=length)
        return Decoded(tokens.T, gains.sum(0))


def beam_decode(
    step: Step, state: Any, start: Any, end: int | None, length: int, beam_width: int
) -> Decoded:
    """Keeps the `beam_width` most probable sequences at each position, instead of one.

    Args:
        step: as for `greedy_decode`; it gets B * beam_width sequences at once.
        state: as for `greedy_decode`, (B, ...).
        start: the token before the first, ints (B).
        end: the token that ends a sequence; None: they all have `length`.
        length: maximum number of tokens.
        beam_width: number of sequences that are kept; 1 is `greedy_decode`.

    Returns:
        Tokens (B, beam_width, length) and scores (B, beam_width), the best first, without
        gradients. If there are fewer sequences than beams, the rest have a score of -inf.

    Raises:
        ArgumentError: `length` or `beam_width` is not a positive int, `end` is not a token, or
            `step` does not return a pair.
        ShapeError: the logits are not (B * beam_width, V), or a state's first axis is not B.
        DTypeError: `start` does not have an integer dtype.
    """
    start, state = _checked_start("beam_decode", start, state, length)
    if not isinstance(beam_width, int) or beam_width < 1:
        raise ArgumentError(f"beam_decode: beam_width must be a positive int, got {beam_width!r}")
    (batch,), width = start.shape, beam_width

    def iteration(carry: Any, _: Any) -> tuple[Any, Any]:
        token, state, ended, scores = carry
        log_p, state = _log_probabilities(step, token, state, end)
        log_p = log_p.reshape(batch, width, -1)
        if end is not None:
            only_end = where(iota(shape=log_p.shape, axis=2) == end, 0.0, -math.inf)
            log_p = where(ended.unsqueeze(-1), only_end, log_p)
        scores, indices = (scores.unsqueeze(-1) + log_p).flatten(1).topk(width)
        parents, tokens = indices // log_p.shape[-1], indices % log_p.shape[-1]
        rows = (parents + iota(shape=parents.shape, axis=0) * width).reshape(-1)
        state = tree.map(lambda tensor: indexing.take(tensor, rows, axis=0), state)
        ended = gather_known(ended, 1, parents) | (tokens == (NEVER if end is None else end))
        return (tokens.reshape(-1), state, ended, scores), (tokens, parents)

    with no_grad():
        first = iota(shape=(batch, width), axis=1) == 0
        scores = where(first, full(first.shape, 0, float64), -math.inf)  # one beam to begin with
        ended = full(first.shape, False, bool_)
        begin = (
            _repeat_rows(start, width),
            tree.map(lambda x: _repeat_rows(x, width), state),
            ended,
            scores,
        )
        (_, _, _, scores), (tokens, parents) = scan(iteration, begin, length=length)
        return Decoded(_backtrack(tokens, parents), scores)


def _backtrack(tokens: Tensor, parents: Tensor) -> Tensor:
    """Follows each final beam back through its parents: (T, B, K) becomes (B, K, T)."""

    def iteration(beam: Tensor, given: Any) -> tuple[Tensor, Tensor]:
        tokens, parents = given
        return gather_known(parents, 1, beam), gather_known(tokens, 1, beam)

    last = iota(shape=tokens.shape[1:], axis=1)
    _, sequences = scan(iteration, last, (tokens, parents), reverse=True)
    return sequences.permute(1, 2, 0)


def shift_right(targets: Tensor, start: int) -> Tensor:
    """Returns a decoder's inputs for teacher forcing: `start`, then all targets except the last.

    Args:
        targets: ints (B, T).
        start: the token before the first.
    """
    first = full((*targets.shape[:-1], 1), start, targets.dtype)
    return cat([first, targets[..., :-1]], -1)


def _checked_start(what: str, start: Any, state: Any, length: int) -> tuple[Tensor, Any]:
    """Returns the start and the state as tensors that fit each other."""
    start = as_tensor(start)
    if not isinstance(length, int) or length < 1:
        raise ArgumentError(f"{what}: length must be a positive int, got {length!r}")
    if start.dtype.kind != "int":
        raise DTypeError(f"{what}: start must be integers, got {start.dtype.name}")
    if start.ndim != 1:
        raise ShapeError(
            f"{what}: start must hold one token per sequence, (B,), got shape {start.shape}"
        )
    state = tree.map(as_tensor, state)
    for leaf in tree.flatten(state)[0]:
        if leaf.shape[:1] != start.shape:
            hint = "" if leaf.shape else "; give one number per sequence, as smelt.full((B,), 0)"
            hint = _LAYERS_FIRST if leaf.shape[1:2] == start.shape else hint
            raise ShapeError(
                f"{what}: the first axis of each tensor of the state must be the batch, "
                f"{start.shape[0]}; got {leaf.shape}{hint}"
            )
    return start.to(int64), state


def _log_probabilities(
    step: Step, token: Tensor, state: Any, end: int | None
) -> tuple[Tensor, Any]:
    result = step(token, state)
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError("decoding: the step must return a pair (logits, state)")
    logits, next_state = result
    leaves, structure = leaves_of(state)
    matching("decoding: the state that the step returns", next_state, structure, leaves, _STATES)
    if logits.ndim != 2 or logits.shape[0] != token.shape[0]:
        raise ShapeError(
            f"decoding: for {token.shape[0]} sequences the step must return logits "
            f"({token.shape[0]}, V), got shape {logits.shape}"
        )
    if end is not None and not 0 <= end < logits.shape[1]:
        raise ArgumentError(f"decoding: end must be one of the {logits.shape[1]} tokens, got {end}")
    return F.log_softmax(logits, -1).to(float64), next_state


def _repeat_rows(x: Tensor, width: int) -> Tensor:
    """Each row `width` times: (B, ...) becomes (B * width, ...)."""
    wide = x.unsqueeze(1).expand(x.shape[0], width, *x.shape[1:])
    return wide.reshape(x.shape[0] * width, *x.shape[1:])


_STATES = Wording(
    "as the state that it gets (a step returns the logits first, then the state)",
    " has {1}, but the state that it gets has {0}; every step needs the same {2} (a step returns "
    "the logits first, then the state)",
)
_LAYERS_FIRST = (
    "; a recurrent layer's state is (L, B, H): give state.transpose(0, 1), and let the step "
    "transpose it back, layer.step(x, state.transpose(0, 1))"
)
