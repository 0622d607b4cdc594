"""Random bits from a counter: the same numbers eagerly, compiled, and with any number of threads.

Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
maps a counter of four 32-bit words and a key of two to four random words. Element n of a draw is
word n % 4 of block `counter + n // 4`. The key is the seed; a draw of n elements uses ceil(n / 4)
blocks, which `smelt.random.Generator` counts. Every distribution is composed from these bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Final

import numpy as np

from smelt.dtypes import int32, int64
from smelt.errors import DTypeError, ShapeError
from smelt.ir.loops import Expression, constant
from smelt.ir.operation import Pattern
from smelt.ops.op import Op, Reader, Type, Typed

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
WORD = 0xFFFFFFFF


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Returns the four random words of Philox 4x32-10, each below 2**32.

    Written once for every type with `*`, `+`, `&`, `^` and `>>` on wrapping 64-bit integers: NumPy
    arrays of uint64 and loop-IR expressions.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (p1 >> 32) ^ c1 ^ k0,
            p1 & WORD,
            (p0 >> 32) ^ c3 ^ k1,
            p0 & WORD,
        )
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return c0, c1, c2, c3


_CACHED = 8192  # blocks at a time, so that their words stay in the cache
_FACTORS = np.array(MULTIPLIERS, np.uint64)[:, None]
_WORD, _SHIFT = np.uint64(WORD), np.uint64(32)


def _words(block: np.ndarray, seed: int) -> np.ndarray:
    """Returns the four words of blocks, (4, n), as `philox` does, but without temporary arrays."""
    words = np.zeros((4, block.size), np.uint64)
    words[0], words[1] = block & _WORD, block >> _SHIFT
    products = np.empty((2, block.size), np.uint64)
    even, odd, crossed = words[::2], words[1::2], products[::-1]
    for key in _round_keys(seed):
        np.multiply(even, _FACTORS, out=products)  # of c0 and c2
        np.bitwise_xor(odd, key, out=even)
        np.bitwise_and(crossed, _WORD, out=odd)
        np.right_shift(products, _SHIFT, out=products)
        np.bitwise_xor(even, crossed, out=even)
    return words


@lru_cache(maxsize=16)
def _round_keys(seed: int) -> list[np.ndarray]:
    """Returns the key of each round, as a column."""
    first = seed & WORD, seed >> 32 & WORD
    return [
        np.array(
            [[part + number * weyl & WORD] for part, weyl in zip(first, WEYL, strict=True)]
        ).astype(np.uint64)
        for number in range(ROUNDS)
    ]


class RandomBits(Op):
    """32 random bits per element, as int32; `state` is int64 [seed, counter].

    A block gives four elements at once, so the operation has its own kernel, with `words` as body.
    """

    pattern = Pattern.STANDALONE
    is_worth_saving = True
    linear_operands: ClassVar[int] = 0

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        if types[0].shape != (2,):
            raise ShapeError(
                f"random_bits: the generator's state must have shape (2,), got {types[0].shape}"
            )
        if types[0].dtype is not int64:
            raise DTypeError(
                f"random_bits: the generator's state must be int64, got {types[0].dtype.name}"
            )
        return Type(attributes["shape"], int32)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        shape = attributes["shape"]
        count = int(np.prod(shape, dtype=np.int64))
        seed, start = arrays[0].astype(np.int64).view(np.uint64)
        blocks = (count + 3) // 4
        bits = np.empty((blocks, 4), np.uint32)
        for first in range(0, blocks, _CACHED):
            numbers = np.arange(first, min(first + _CACHED, blocks), dtype=np.uint64)
            words = _words(start + numbers, int(seed))
            for place in range(4):
                bits[first : first + _CACHED, place] = words[place]
        return bits.view(np.int32).ravel()[:count].reshape(shape)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        raise ShapeError(
            "random_bits: a batch of generator states is not supported; draw outside vmap"
        )

    def words(self, state: Reader, block: Expression) -> tuple[Expression, ...]:
        """Returns the four elements of a block, by the same integer arithmetic."""
        seed, start = (state((constant(position),), None) for position in (0, 1))
        counter, zero = start + block, constant(0)
        words = philox((counter & WORD, counter >> 32, zero, zero), (seed & WORD, seed >> 32))
        return tuple([word.to(int32) for word in words])  # wraps: the same 32 bits


random_bits: Final = RandomBits("random_bits")
