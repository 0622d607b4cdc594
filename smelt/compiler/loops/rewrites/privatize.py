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

from smelt.compiler.loops.views import View, ViewTransformer
from smelt.ir.loops import Buffer, index_variable
from smelt.ir.visit import Body, Index


def privatize(body: Body, scratches: Iterable[Buffer], vector: str, width: int) -> Body:
    """Returns a body whose local arrays have an element for each of `width` vector iterations."""
    lane = index_variable(vector + "'")

    def extended(index: Index) -> Index:
        return (*index, lane)

    views = {
        buffer: View(Buffer(buffer.name, (*buffer.shape, width), buffer.dtype), extended)
        for buffer in scratches
    }
    return ViewTransformer(views).block(body)
