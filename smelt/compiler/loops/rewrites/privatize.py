"""Widen: when the rows of a nest become lanes, its local arrays get an axis for the lanes.

Before, in a loop over i:

    row = scratch(float32[6])
    for j in range(0, 6):
        row[j] = exp(x[i, j])

After, with i' counting the rows of a strip of 16:

    row = scratch(float32[6, 16])
    for j in range(0, 6):
        row[j, i'] = exp(x[i, j])
"""

from __future__ import annotations

from smelt.compiler.loops.views import Index, rebuilt
from smelt.ir.loops import Buffer, Statement, index_variable


def widened(
    body: tuple[Statement, ...], scratches: set[Buffer], vector: str, width: int
) -> tuple[Statement, ...]:
    """Returns a body whose local arrays have a place for each of `width` iterations of `vector`."""
    lane = index_variable(vector + "'")
    views = {old: Buffer(old.name, (*old.shape, width), old.dtype) for old in scratches}

    def index(buffer: Buffer, given: Index) -> Index:
        return (*given, lane)

    return rebuilt(body, views, index)
