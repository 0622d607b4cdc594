"""Attention of long sequences, in blocks of heads and queries.

The scores of all queries with all keys, (..., L, S), take far more memory than q, k and v, and
would be written to memory and read again several times. So a loop over heads and, within it, one
over queries compute as many rows of scores as stay in the L2 cache, and everything that follows
from them:

    for each of the groups of heads:
        for each of the blocks of queries:
            output[heads, queries] = softmax(q[heads, queries] @ k[heads].T) @ v[heads]

For the gradient the rows are computed again: between forward and backward only q, k, v and the
output are kept. (Dao et al., "FlashAttention", 2022. Its blocks of keys are not needed here: a row
of scores of any common length fits in the cache.)

Both loops are `scan`, so gradients of any order, forward mode and `vmap` follow. With causal
attention, the first quarter of the queries is computed with a quarter of the keys, the second with
half of them, and so on: three quarters of the masked scores are not computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from smelt.autodiff.checkpoint import checkpoint
from smelt.control.scan import scan
from smelt.ir.symbolic import is_symbolic
from smelt.ops.iota import iota
from smelt.ops.movement import broadcast_shapes
from smelt.tensor import Tensor
from smelt.tensor.shaping import cat

MANY = 1 << 20  # scores from which on they are made in blocks
SCORES = 1 << 18  # of a block, about
QUERIES = 16, 128  # rows of a block: at least, so that products are worth it, and at most
PARTS = 4  # of the queries, each with the keys that it may see


class Operands(NamedTuple):
    """Queries (N, L, d), keys (N, S, d), values (N, S, v), and a mask (N or 1, L or 1, S or 1)."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None


Attend = Callable[[Operands, Any], Tensor]  # its second argument is the place of the first query


def in_blocks(attend: Attend, operands: Operands, is_causal: bool) -> Tensor:
    """Returns (..., L, v) for operands (..., L, d), (..., S, d), (..., S, v) and a mask: the result
    of `attend`, computed in blocks if there are many scores.
    """
    if blocks_of(*operands[:3]) is None:
        return attend(operands, 0)
    if operands.mask is not None and operands.mask.ndim < 2:
        mask = operands.mask.reshape((1,) * (2 - operands.mask.ndim) + operands.mask.shape)
        operands = operands._replace(mask=mask)
    length = operands.query.shape[-2]
    ends = {length * n // PARTS for n in range(1, PARTS)} - {0} if is_causal else set()
    made, first = [], 0
    for end in sorted(ends | {length}):
        part = _part(operands, first, end) if is_causal else operands
        made.append(_attended(attend, part, first))
        first = end
    return cat(made, -2) if len(made) > 1 else made[0]


def _part(operands: Operands, first: int, end: int) -> Operands:
    """Returns some queries with the keys that stand before the last of them."""
    query, key, value, mask = operands
    seen = min(end, key.shape[-2])
    if mask is not None:
        rows = mask[..., first:end, :] if mask.shape[-2] > 1 else mask
        mask = rows[..., :seen] if mask.shape[-1] > 1 else rows
    return Operands(query[..., first:end, :], key[..., :seen, :], value[..., :seen, :], mask)


def _attended(attend: Attend, operands: Operands, first: int) -> Tensor:
    blocks = blocks_of(*operands[:3])
    if blocks is None:
        return attend(operands, first)
    return blocks.attended(lambda part, place: attend(part, place + first), operands)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How many heads, and how many queries of each, are computed at a time."""

    batch: tuple[int, ...]  # extents of the axes of heads: their product is a multiple of `heads`
    heads: int
    queries: int

    def attended(self, attend: Attend, operands: Operands) -> Tensor:
        """Returns (..., L, v) of operands (..., L, d), (..., S, d), (..., S, v) and a mask."""
        query, key, value, mask = operands
        count = math.prod(self.batch)

        def flat(x: Tensor) -> Tensor:
            rows = x.shape[-2:]
            return x.expand((*self.batch, *rows)).reshape(count // self.heads, self.heads, *rows)

        grouped = flat(query), flat(key), flat(value)
        shared = own = None
        if mask is not None and math.prod(mask.shape[:-2]) == 1:
            shared = mask.reshape(1, *mask.shape[-2:])
        elif mask is not None:
            own = flat(mask)

        def of_group(_: None, given: Any) -> tuple[None, Tensor]:
            operands = Operands(*given)
            if shared is not None:
                operands = operands._replace(mask=shared)
            return None, self._of_heads(attend, operands)

        inputs = (*grouped, own if shared is None else None)
        _, output = scan(of_group, None, inputs)  # (groups, heads, L, v)
        return output.reshape(*self.batch, query.shape[-2], value.shape[-1])

    def _of_heads(self, attend: Attend, operands: Operands) -> Tensor:
        """Returns (heads, L, v): whole blocks of queries in a loop, and what is left over."""
        query, key, value, mask = operands
        length, rows = query.shape[-2], self.queries
        count = length // rows
        has_own_rows = mask is not None and mask.shape[-2] > 1

        def blocked(x: Tensor) -> Tensor:
            x = x[:, : count * rows]
            return x.reshape(x.shape[0], count, rows, x.shape[-1]).transpose(0, 1)

        def of_block(_: None, given: Any) -> tuple[None, Tensor]:
            query, own, number = given
            part = Operands(query, key, value, own if has_own_rows else mask)
            return None, checkpoint(attend, part, number * rows)

        own = blocked(mask) if mask is not None and has_own_rows else None
        inputs = blocked(query), own, iota(shape=(count,), axis=0)
        _, output = scan(of_block, None, inputs)  # (blocks, heads, rows, v)
        output = output.transpose(0, 1).reshape(query.shape[0], count * rows, value.shape[-1])
        if count * rows == length:
            return output
        rest = mask[:, count * rows :] if mask is not None and has_own_rows else mask
        last = Operands(query[:, count * rows :], key, value, rest)
        return cat([output, checkpoint(attend, last, count * rows)], 1)


def blocks_of(query: Tensor, key: Tensor, value: Tensor) -> Blocks | None:
    """Returns the blocks in which queries attend to keys, or None if there are few scores.

    Args:
        query: (..., L, d).
        key: (..., S, d).
        value: (..., S, v).
    """
    batch = broadcast_shapes("attention", query.shape[:-2], key.shape[:-2], value.shape[:-2])
    length, keys = query.shape[-2], key.shape[-2]
    if any(map(is_symbolic, (*batch, length, keys))) or math.prod(batch) * length * keys < MANY:
        return None
    least, most = QUERIES
    limit = min(max(SCORES // keys, least), most)
    queries = -(-length // -(-length // limit))
    room = max(SCORES // (queries * keys), 1)
    count = math.prod(batch)
    heads = max(n for n in range(1, min(room, count) + 1) if count % n == 0)
    return Blocks(batch, heads, queries)
