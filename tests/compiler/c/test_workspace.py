"""Temporaries of exported steps: none overlaps another while both live, and few bytes are lost."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from smelt.compiler.c.workspace import packed
from smelt.dtypes import float32
from smelt.ir.program import Slot


def slots(sizes: list[int]) -> list[Slot]:
    return [Slot(f"s{n}", (size,), float32, "arena", n) for n, size in enumerate(sizes)]


def peak(given: list[tuple[int, tuple[int, int]]]) -> int:
    """Returns the elements that values of a size and a live range take, none over another."""
    values = slots([size for size, _ in given])
    spans = {slot: span for slot, (_, span) in zip(values, given, strict=True)}
    sizes = {slot: size for slot, (size, _) in zip(values, given, strict=True)}
    offsets = packed(spans, sizes)
    for a, b in combinations(values, 2):
        at_once = spans[a][0] <= spans[b][1] and spans[b][0] <= spans[a][1]
        apart = offsets[a] + sizes[a] <= offsets[b] or offsets[b] + sizes[b] <= offsets[a]
        assert apart or not at_once
    assert min(offsets.values()) >= 0
    return max(offsets[slot] + sizes[slot] for slot in values)


def test_a_chain_of_layers_takes_what_two_neighbors_need() -> None:
    layers = [12, 8, 8] * 4  # a padded copy, two convolutions; each is read by the next
    assert peak([(size, (n, n + 1)) for n, size in enumerate(layers)]) == 20


def test_a_chain_with_a_value_that_stays() -> None:
    chain = [(size, (n, n + 1)) for n, size in enumerate([6, 9, 4, 9, 6, 2])]
    assert peak([(5, (0, 6)), *chain]) == 5 + 15


@pytest.mark.parametrize("seed", range(20))
def test_random_live_ranges_never_overlap(seed: int) -> None:
    random = np.random.default_rng(seed)
    given = []
    for _ in range(int(random.integers(1, 40))):
        first = int(random.integers(0, 30))
        given.append((int(random.integers(1, 50)), (first, first + int(random.integers(0, 6)))))
    moments = range(max(last for _, (_, last) in given) + 1)
    alive = [sum(size for size, (a, b) in given if a <= moment <= b) for moment in moments]
    assert max(alive) <= peak(given) <= 1.5 * max(alive)
