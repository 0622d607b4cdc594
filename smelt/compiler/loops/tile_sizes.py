"""Tile sizes: how wide vectors are, how many rows and columns are done at once, and chunks.

All of them follow from shapes, dtypes and the width of a vector register, never from the number of
threads, so that results do not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from smelt.dtypes import DType
from smelt.ir.symbolic import is_symbolic

LATENCY = 10  # sums that must be in flight to keep the multiply-add units busy
WIDEST_TILE = 4  # vectors side by side
WIDEST_ROW = 8  # the same when there is one row only: longer runs of memory
UNROLLED_WORK = 96  # operations in one unrolled tile, about
SIZE_COST = 0.015  # of the code for a tile of another size
CLASSES = (8, 16, 32, 64, 128)  # of extents: shorter ones differ more in what suits them
EVEN = 1 << 12  # an extent that every tile of a power of two divides
PARALLEL_CYCLES = 20_000  # a shorter kernel runs on one thread: waking another takes as long
CHUNK_CYCLES = 5_000  # what one chunk of a parallel kernel takes, at least
MAX_CHUNKS = 32  # more chunks than that balance no better


def lanes_for(dtypes: Iterable[DType], vector_bits: int) -> int:
    """Returns how many elements a vector holds: a register full of the widest dtype.

    Half floats count as float32, in which they are computed, and so does bool.
    """
    widest = max((dtype.compute.itemsize for dtype in dtypes), default=4)
    return vector_bits // (8 * max(widest, 4))


def size_class(extent: int) -> int:
    """Returns the extent that stands for all that are about as large: the next of CLASSES, and
    beyond them the last times a power of 4. Up to 8, each stands for itself.

    The order of sums is chosen for it. So the choice does not change back and forth from one length
    to the next, and neighboring lengths share a version (`frontend/template.py`).
    """
    if extent <= CLASSES[0]:
        return extent
    most = next((size for size in CLASSES if extent <= size), 4 * CLASSES[-1])
    while most < extent:
        most *= 4
    return most


def narrowed(lanes: int, extent: int) -> int:
    """Returns fewer lanes, still a power of two, when the axis is shorter than a vector."""
    while lanes > 1 and lanes // 2 >= extent:
        lanes //= 2
    return lanes


def tile_shape(
    rows: int, vectors: int, registers: int, accumulators: int, most: int
) -> tuple[int, int]:
    """Returns rows and vectors of a tile for `rows` x `vectors` sums: the candidate that takes the
    least time, the first of equal ones.
    """
    candidates = tile_candidates(rows, vectors, registers, accumulators, most)
    _, r, c = min(candidates, key=lambda candidate: candidate[0])
    return r, c


def tail_height(rows: int, vectors: int, registers: int, accumulators: int, most: int) -> int:
    """Returns the rows of a tile of few vectors, at the edge: it is higher than others, so that
    enough sums are in flight.
    """
    heights = _fitting(_sizes(rows, 16), vectors, registers, accumulators, most)
    rows = EVEN if is_symbolic(rows) else rows
    return min(heights, key=lambda r: _strip(rows, r, vectors), default=1)


def tile_candidates(
    rows: int, vectors: int, registers: int, accumulators: int, most: int
) -> list[tuple[float, int, int]]:
    """Returns tiles for `rows` x `vectors` sums: estimated time of all, rows, vectors.

    `accumulators` registers per sum must fit; `most` is the largest number of sums in a tile. For
    an extent that is not known yet, tiles take a power of two rows, as if there were no smaller
    ones at the edge, or one vector: so fewer sizes at that edge need code of their own.
    """
    widest = 1 if is_symbolic(vectors) else WIDEST_TILE if rows > 1 else WIDEST_ROW
    heights, widths = _sizes(rows, 16), _sizes(vectors, widest)
    rows, vectors = (EVEN if is_symbolic(extent) else extent for extent in (rows, vectors))
    return _candidates(rows, heights, vectors, widths, registers, accumulators, most)


def _sizes(extent: int, most: int) -> tuple[int, ...]:
    is_free = is_symbolic(extent)
    sizes = [size for size in range(1, most + 1) if not (is_free and size & (size - 1))]
    return tuple([size for size in sizes if size <= extent])


@lru_cache(maxsize=4096)
def _candidates(
    rows: int,
    heights: tuple[int, ...],
    vectors: int,
    widths: tuple[int, ...],
    registers: int,
    accumulators: int,
    most: int,
) -> list[tuple[float, int, int]]:
    strips = {
        c: [(_strip(rows, r, c), r) for r in _fitting(heights, c, registers, accumulators, most)]
        for c in widths
    }
    candidates = []
    for c, heights_of in strips.items():
        full, rest = divmod(vectors, c)
        for time, r in heights_of:
            edge, tail = min(strips[rest]) if rest else (0.0, r)
            kinds = 1 + (rows % r > 0) + (rest > 0) * (1 + (rows % tail > 0))
            candidates.append(((full * time + edge) * (1 + SIZE_COST * (kinds - 1)), r, c))
    return candidates or [(float("inf"), 1, 1)]


def _fitting(
    heights: tuple[int, ...], c: int, registers: int, accumulators: int, most: int
) -> list[int]:
    """Returns the possible heights of a tile of `c` vectors."""
    return [
        r
        for r in heights
        if r * c == 1 or (r * c <= most and (r * c + 1) * accumulators + c <= registers)
    ]


def _strip(rows: int, r: int, c: int) -> float:
    """Time of tiles of `r` rows, one below the other, with a lower one at the edge."""
    full, rest = divmod(rows, r)
    return full * _one(r, c) + (_one(rest, c) if rest else 0.0)


def _one(r: int, c: int) -> float:
    """Time of one step of a tile: its multiply-adds, or their latency, or its loads; vectors are
    loaded from the second cache, numbers from the first.
    """
    return max(r * c, LATENCY, 0.75 * (r + c)) + 0.15 * r + 0.45 * c


def accumulators_of(rows: int, vectors: int, registers: int, sums: int, most: int) -> int:
    """Returns how many accumulators each sum of the best tile has, so that enough are in flight."""
    under_way = sums * math.prod(tile_shape(rows, vectors, registers, sums, most))
    return 4 if under_way == 1 else 2 if under_way <= 3 else 1


def unroll(vectors: int, work: int) -> int:
    """Returns how many vectors of a loop without inner loops are done at once."""
    for count in (4, 2):
        if vectors >= count and work * count <= UNROLLED_WORK // 2:
            return count
    return 1


def chunk_size(cycles: float, units: int) -> int:
    """Returns how many of `units` equal pieces of work are a chunk; all: not parallel."""
    if cycles < PARALLEL_CYCLES or units < 2:
        return units
    chunk = max(1, -(-units * CHUNK_CYCLES // int(cycles)), -(-units // MAX_CHUNKS))
    return chunk if chunk * 2 <= units or chunk < units else units
