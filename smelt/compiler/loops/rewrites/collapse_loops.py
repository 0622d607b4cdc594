"""Collapse loops: neighboring loops that walk all arrays in memory order become one.

Before, with x and y of shape [64, 3, 3]:

    for i in range(0, 64):
        for j in range(0, 3):
            for k in range(0, 3):
                y[i, j, k] = x[i, j, k] + 1.0

After, with x and y of shape [576]:

    for i in range(0, 576):
        y[i] = x[i] + 1.0

Arrays are dense, so another shape of the same size is the same memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from smelt.compiler.loops.division import loops_in
from smelt.compiler.loops.rewrites.reshape_buffers import drop_unit_axes
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.views import View, ViewTransformer, accesses, without_axes
from smelt.ir.loops import Buffer, Kernel, Loop, Variable, trip_count
from smelt.ir.visit import Body, Index, expressions, names_in

Pairs = dict[str, str]  # from an outer loop to the inner one, which is its whole body


def collapse_loops(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with fewer loops and axes; the sizes of buffers stay."""
    kernel = drop_unit_axes(kernel, names)
    pairs = dict(_pairs(kernel.body))
    if not pairs:
        return kernel
    extents = {loop.variable.name: trip_count(loop) for loop in loops_in(kernel.body)}
    uses = Counter(name for root in expressions(kernel.body) for name in names_in(root))
    indices = accesses(kernel.body)
    while True:
        views: dict[Buffer, View] = {}
        joint: Counter[str] = Counter()  # how often an inner loop is indexed with its outer one
        for buffer, buffer_indices in indices.items():
            walks = [dict(_walk(buffer, index, pairs, extents)) for index in buffer_indices]
            axes = set.intersection(*map(set, walks))
            joint.update(walk[axis] for walk in walks for axis in axes)
            if axes:
                views[buffer] = without_axes(buffer, axes)
        apart = {a for a, b in pairs.items() if not uses[a] == uses[b] == joint[b]}
        if not apart:
            return _Collapse(views, pairs).kernel(kernel) if pairs else kernel
        pairs = {a: b for a, b in pairs.items() if a not in apart}


def _pairs(body: Body) -> Iterator[tuple[str, str]]:
    """Yields pairs of loops with nothing between them."""
    for loop in loops_in(body):
        inner = _inner(loop)
        if inner is not None:
            yield loop.variable.name, inner.variable.name


def _inner(loop: Loop) -> Loop | None:
    """Returns the loop that is the whole body of a loop."""
    inner = loop.body[0] if len(loop.body) == 1 else None
    return inner if isinstance(inner, Loop) else None


def _walk(
    buffer: Buffer, index: Index, pairs: Pairs, extents: Mapping[str, int]
) -> Iterator[tuple[int, str]]:
    """Yields each axis that an inner loop walks, with the axis before walked by its outer loop."""
    for axis, (first, second) in enumerate(pairwise(index), 1):
        if type(first) is Variable and type(second) is Variable:
            names = first.name, second.name
            shape = tuple([extents.get(name) for name in names])
            if pairs.get(names[0]) == names[1] and shape == buffer.shape[axis - 1 : axis + 1]:
                yield axis, second.name


class _Collapse(ViewTransformer):
    """Merges pairs of loops, under the name of the outer, on views of buffers."""

    def __init__(self, views: Mapping[Buffer, View], pairs: Pairs) -> None:
        super().__init__(views)
        self.pairs = pairs

    def loop(self, loop: Loop) -> Body:
        innermost, inner, iterations = loop, _inner(loop), trip_count(loop)
        while inner and self.pairs.get(innermost.variable.name) == inner.variable.name:
            iterations *= trip_count(inner)
            innermost, inner = inner, _inner(inner)
        return super().loop(replace(loop, stop=iterations, body=innermost.body))
