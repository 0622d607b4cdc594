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


def peak(given: list[tuple[int, tuple[int, int]]], unit: int = 1) -> int:
    """Returns the elements that values of a size and a live range take, none over another, and each
    at a multiple of `unit`.
    """
    values = slots([size for size, _ in given])
    spans = {slot: span for slot, (_, span) in zip(values, given, strict=True)}
    sizes = {slot: size for slot, (size, _) in zip(values, given, strict=True)}
    offsets = packed(spans, sizes)
    for a, b in combinations(values, 2):
        at_once = spans[a][0] <= spans[b][1] and spans[b][0] <= spans[a][1]
        apart = offsets[a] + sizes[a] <= offsets[b] or offsets[b] + sizes[b] <= offsets[a]
        assert apart or not at_once
    assert min(offsets.values()) >= 0
    assert all(offset % unit == 0 for offset in offsets.values())
    return max(offsets[slot] + sizes[slot] for slot in values)


def test_a_chain_of_layers_takes_what_two_neighbors_need() -> None:
    layers = [12, 8, 8] * 4  # a padded copy, two convolutions; each is read by the next
    assert peak([(size, (n, n + 1)) for n, size in enumerate(layers)]) == 20


def test_a_chain_with_a_value_that_stays() -> None:
    chain = [(size, (n, n + 1)) for n, size in enumerate([6, 9, 4, 9, 6, 2])]
    assert peak([(5, (0, 6)), *chain]) == 5 + 15


@pytest.mark.parametrize("unit", [1, 16])
@pytest.mark.parametrize("count", [1, 8, 12, 40])
def test_random_live_ranges_never_overlap(count: int, unit: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(150):
        first = random.integers(0, count, count)
        last = first + random.integers(0, 4, count)
        sizes = unit * random.integers(1, 50, count)
        given = [(int(n), (int(a), int(b))) for n, a, b in zip(sizes, first, last, strict=True)]
        alive = max(int(sizes[(first <= at) & (at <= last)].sum()) for at in range(count + 3))
        assert alive <= peak(given, unit) <= 1.6 * alive
