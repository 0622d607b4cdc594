"""Privatize: when the rows of a nest become lanes, its local arrays get an axis for the lanes.

Before, in a loop over i:

    row = scratch(float32[6])
    for j in range(0, 6):
        row[j] = exp(x[i, j])

After, with i' counting the rows of a chunk of 16:

    row = scratch(float32[6, 16])
    for j in range(0, 6):
        row[j, i'] = exp(x[i, j])
"""

from __future__ import annotations

from collections.abc import Iterable

from smelt.compiler.loops.views import ViewTransformer
from smelt.ir.loops import Buffer, index_variable
from smelt.ir.visit import Body, Index


def privatize(body: Body, scratches: Iterable[Buffer], vector: str, width: int) -> Body:
    """Returns a body whose local arrays have an element for each of `width` vector iterations."""
    lane = index_variable(vector + "'")
    views = {old: Buffer(old.name, (*old.shape, width), old.dtype) for old in scratches}

    def index(buffer: Buffer, given: Index) -> Index:
        return (*given, lane)

    return ViewTransformer(views, index).block(body)
