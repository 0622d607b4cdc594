"""Scheduling: loop IR to loop IR, from naive nests to loops that a processor runs fast.

The rewrites, in the order in which they are made:

    tidy.drop_unit_loops     loops of one iteration go
    tidy.fuse_products       sums of products become fused
    join.join_axes           axes that are read as the digits of one number become one
    split.split_digits       loops whose index is taken apart by divisions become several
    axes.split_axes          axes that a sum shares with the result's loops become several
    cut.cut_loops            loops in which conditions change at known places become several
    merge.merge_axes         neighbouring loops in memory order become one
    nest.make_plan           which axis becomes vectors, which one rows, by a small model of cost
    interleave.interleave    short sums go several ways at once
    panel.Panel              operands that lie across are turned beforehand, results afterwards;
                             those whose rows lie far apart are moved together
    transpose.turn           so are copies that lie across
    widen.widened            when short rows become lanes, local arrays get a place for each lane
    tile.Tile                rows and vectors of a body, unrolled; what they share is loaded once
    emit.emit                tiles in loops, edges behind them, sums of vectors, the parallel loop

Only the order of sums that a register collects may change, and only as the shapes say: results do
not depend on the number of threads.
"""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.apply_plan import emit
from smelt.compiler.loops.plan import make_plan
from smelt.compiler.loops.rewrites.canonicalize import drop_unit_loops, fuse_products
from smelt.compiler.loops.rewrites.collapse_loops import merge_axes
from smelt.compiler.loops.rewrites.delinearize import split_digits
from smelt.compiler.loops.rewrites.join_buffer_axes import join_axes
from smelt.compiler.loops.rewrites.split_buffer_axes import split_axes
from smelt.compiler.loops.rewrites.split_ranges import cut_loops
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.tile_sizes import lanes_for
from smelt.ir.loops import Kernel, Loop, Statement

__all__ = ["lanes_for", "optimize"]


def optimize(kernel: Kernel, *, vector_bits: int) -> Kernel:
    """Returns a kernel that does the same, faster, on a processor with vectors of `vector_bits`.

    Elementwise results are the same bit for bit; sums are to rounding.
    """
    names = Names(kernel.body)
    body = fuse_products(drop_unit_loops(kernel.body))
    kernel = join_axes(replace(kernel, body=body))
    kernel = merge_axes(cut_loops(split_axes(split_digits(kernel, names)), names))
    body = kernel.body
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop):
            alone = len(body) == 1
            result.extend(emit(make_plan(statement, vector_bits), names, parallel=alone))
        else:
            result.append(statement)
    return replace(kernel, body=tuple(result))
