"""Split buffer axes: an axis that a loop of a sum and one of the result share becomes two.

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

from smelt.compiler.loops.rewrites.delinearize import Ranges, as_sum, divide, loop_ranges
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.views import accesses, on_views, stores
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import Buffer, Kernel
from smelt.ir.visit import Index, names_in

Split = tuple[int, int]  # which axis, and the extent of the second of the two that it becomes


def split_buffer_axes(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel on arrays of more axes; the sizes of arrays stay."""
    while True:
        ranges = loop_ranges(kernel.body)
        stored = (part for store in stores(kernel.body) for part in store.index)
        of_result = {name for part in stored for name in names_in(part)}
        splits: dict[Buffer, Split] = {}
        for buffer, indices in accesses(kernel).items():
            split = _splittable(buffer, indices, ranges, of_result)
            if split is not None:
                splits[buffer] = split
        if not splits:
            return kernel
        kernel = on_views(
            kernel,
            {buffer: _reshaped(buffer, *split) for buffer, split in splits.items()},
            partial(_index, splits),
        )


def _splittable(
    buffer: Buffer, indices: list[Index], ranges: Ranges, of_result: set[str]
) -> Split | None:
    """Returns an axis to split, and where, if all accesses allow it and one of them asks for it."""
    for axis, extent in enumerate(buffer.shape):
        totals = [affine(index[axis]) for index in indices]
        known = [total for total in totals if total is not None]
        strides = {abs(step) for total in known for step in total.terms.values()}
        for stride in sorted(strides, reverse=True):
            if 1 < stride < extent and extent % stride == 0 and len(known) == len(totals):
                parts = [divide(total, stride) for total in known]
                fits = all(_is_within(low, stride, ranges) for _, low in parts)
                if fits and any(_separates(high, low, of_result) for high, low in parts):
                    return axis, stride
    return None


def _separates(high: Affine, low: Affine, of_result: set[str]) -> bool:
    """Whether one part runs along with loops of the result only, the other with none of them."""
    a, b = high.terms.keys(), low.terms.keys()
    if not a or not b:
        return False
    a_only = a <= of_result and of_result.isdisjoint(b)
    return a_only or (b <= of_result and of_result.isdisjoint(a))


def _is_within(part: Affine, extent: int, ranges: Ranges) -> bool:
    bounds = part.bounds(ranges)
    return bounds is not None and bounds[0] >= 0 and bounds[1] < extent


def _reshaped(buffer: Buffer, axis: int, stride: int) -> Buffer:
    shape = buffer.shape
    parts = (*shape[:axis], shape[axis] // stride, stride, *shape[axis + 1 :])
    return Buffer(buffer.name, parts, buffer.dtype)


def _index(splits: Mapping[Buffer, Split], buffer: Buffer, index: Index) -> Index:
    axis, stride = splits[buffer]
    total = affine(index[axis])
    assert total is not None
    high, low = divide(total, stride)
    return (*index[:axis], as_sum(high), as_sum(low), *index[axis + 1 :])
