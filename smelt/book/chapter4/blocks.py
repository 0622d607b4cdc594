"""P4.2: a product of matrices, cut into blocks, each computed by a thread."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import smelt
from smelt.book.entry import Page, entry

SIDE, HALF = 100, 50
HALVES = (slice(0, HALF), slice(HALF, SIDE))
PLACES = [(row, column) for row in HALVES for column in HALVES]

ANSWER = """
Row i of blocks times column j of blocks gives block (i, j) of the result:
C_ij = A_i1 B_1j + A_i2 B_2j. The four results share inputs, which nobody writes, and no
output, so four threads need no lock.

It does not pay here. A product of this size is two million multiplications, some twenty
microseconds; handing four tasks to threads, cutting the inputs and joining the outputs
costs several times that. Blocks are still the right idea, one level down: NumPy's library
and Smelt's compiler both cut a product into tiles that stay in registers and in the cache,
and give rows of tiles to threads that are already awake.
"""


def block_product(
    left: smelt.Tensor, above: smelt.Tensor, right: smelt.Tensor, below: smelt.Tensor
) -> smelt.Tensor:
    """One block of the result: a row of two blocks times a column of two blocks."""
    return left @ above + right @ below


# each thread has a compiled step of its own; calls of the same one would wait for each other
STEPS = [smelt.compile(block_product) for _ in range(4)]


def in_blocks(a: smelt.Tensor, b: smelt.Tensor, pool: ThreadPoolExecutor) -> smelt.Tensor:
    """Returns a @ b for (100, 100) matrices, from four blocks, computed at the same time."""
    top, bottom = HALVES
    futures = [
        pool.submit(step, a[row, top], b[top, column], a[row, bottom], b[bottom, column])
        for step, (row, column) in zip(STEPS, PLACES, strict=True)
    ]
    blocks = [future.result() for future in futures]
    return smelt.cat([smelt.cat(blocks[:2], 1), smelt.cat(blocks[2:], 1)], 0)


def microseconds(way: Callable[[], object]) -> float:
    """Returns how long a call takes, in the quickest of some rounds of ten."""
    return min(timeit.repeat(way, number=10, repeat=5)) * 1e5


@entry("P4.2", "A product of matrices by blocks, in parallel")
def blocks_in_parallel(page: Page) -> None:
    """Cuts two random 100 x 100 matrices into four 50 x 50 blocks and multiplies block by block."""
    a, b = (smelt.rand(SIDE, SIDE, dtype=smelt.float64) for _ in range(2))
    whole = smelt.compile(lambda a, b: a @ b)
    with ThreadPoolExecutor(4) as pool:
        result = in_blocks(a, b, pool).numpy()
        ways = {
            "four blocks, four threads": lambda: in_blocks(a, b, pool),
            "one compiled product": lambda: whole(a, b),
            "NumPy": lambda: a.numpy() @ b.numpy(),
        }
        times = {name: microseconds(way) for name, way in ways.items()}
    page.table(["how", "microseconds"], [(name, f"{taken:.0f}") for name, taken in times.items()])
    page.answer(ANSWER)
    error = float(np.abs(result - a.numpy() @ b.numpy()).max())
    page.claim("blocks give NumPy's product", "error < 1e-12", error, error < 1e-12)
    ratio = times["four blocks, four threads"] / times["one compiled product"]
    page.claim("one compiled product is faster", "> 1 times as fast", ratio, ratio > 1)
