"""Axes: an axis of an array along which a loop of a sum and one of the result count becomes two.

A reshape may have merged what a sum runs along with something else. Before, with x of shape
[64, 128], where h counts heads and k is summed over:

    acc = fma(x[t, h * 32 + k], w[k, j], acc)

After, with x of shape [64, 4, 32]:

    acc = fma(x[t, h, k], w[k, j], acc)

Now the sum has an axis of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from smelt.compiler.loops.dependence import names_in
from smelt.compiler.loops.rewrites.delinearize import Ranges, as_sum, divide, measure
from smelt.compiler.loops.views import Index, accesses, on_views, stores
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import Buffer, Kernel

Split = tuple[int, int]  # which axis, and the extent of the second of the two that it becomes


def split_axes(kernel: Kernel) -> Kernel:
    """Returns the kernel on arrays of more axes; the sizes of arrays stay."""
    while True:
        ranges: dict[str, tuple[int, int]] = {}
        measure(kernel.body, ranges, set())
        places = (part for store in stores(kernel.body) for part in store.index)
        kept = {name for part in places for name in names_in(part)}
        uses = accesses(kernel)
        found = {buffer: _find(buffer, uses[buffer], ranges, kept) for buffer in uses}
        splits = {buffer: split for buffer, split in found.items() if split is not None}
        if not splits:
            return kernel
        kernel = on_views(
            kernel,
            {buffer: _reshaped(buffer, *split) for buffer, split in splits.items()},
            partial(_index, splits),
        )


def _find(buffer: Buffer, indices: list[Index], ranges: Ranges, kept: set[str]) -> Split | None:
    """Returns an axis to split, and where, if all accesses allow it and one of them asks for it."""
    for axis, extent in enumerate(buffer.shape):
        sums = [affine(index[axis]) for index in indices]
        known = [total for total in sums if total is not None]
        steps = {abs(step) for total in known for step in total.terms.values()}
        for step in sorted(steps, reverse=True):
            if 1 < step < extent and extent % step == 0 and len(known) == len(sums):
                parts = [divide(total, step) for total in known]
                inside = all(_within(low, step, ranges) for _, low in parts)
                if inside and any(_separates(high, low, kept) for high, low in parts):
                    return axis, step
    return None


def _separates(high: Affine, low: Affine, kept: set[str]) -> bool:
    """Whether one part runs along with loops of the result only, the other with none of them."""
    one, other = high.terms.keys(), low.terms.keys()
    if not one or not other:
        return False
    return (one <= kept and kept.isdisjoint(other)) or (other <= kept and kept.isdisjoint(one))


def _within(part: Affine, extent: int, ranges: Ranges) -> bool:
    bounds = part.bounds(ranges)
    return bounds is not None and bounds[0] >= 0 and bounds[1] < extent


def _reshaped(buffer: Buffer, axis: int, step: int) -> Buffer:
    shape = buffer.shape
    parts = (*shape[:axis], shape[axis] // step, step, *shape[axis + 1 :])
    return Buffer(buffer.name, parts, buffer.dtype)


def _index(splits: Mapping[Buffer, Split], buffer: Buffer, given: Index) -> Index:
    axis, step = splits[buffer]
    total = affine(given[axis])
    assert total is not None
    high, low = divide(total, step)
    return (*given[:axis], as_sum(high), as_sum(low), *given[axis + 1 :])
