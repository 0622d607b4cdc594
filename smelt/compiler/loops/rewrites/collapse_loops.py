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

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from smelt.compiler.loops.division import counted_loops, counts
from smelt.compiler.loops.rewrites.reshape_buffers import drop_unit_axes
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.views import Views, ViewTransformer, accesses, without_axes
from smelt.ir.loops import Buffer, Expression, Kernel, Load, Loop, Store, Variable, children
from smelt.ir.visit import Body, Index, own_expressions, statements

Pairs = dict[str, str]  # for an outer loop the inner one, which is all that it runs


def collapse_loops(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with fewer loops and axes; the sizes of buffers stay."""
    kernel = drop_unit_axes(kernel, names)
    pairs = _pairs(kernel.body)
    if not pairs:
        return kernel
    indices = accesses(kernel.body)
    apart = _computed_with(kernel.body) | _indices_of_part(indices, counted_loops(kernel.body))
    pairs = {outer: inner for outer, inner in pairs.items() if apart.isdisjoint((outer, inner))}
    pairs = _collapsible(pairs, indices.values())
    axes = {buffer: _joint_axes(uses, pairs) for buffer, uses in indices.items()}
    views = {buffer: without_axes(buffer, joint) for buffer, joint in axes.items() if joint}
    return _Collapse(views, pairs).kernel(kernel) if pairs else kernel


def _pairs(body: Body) -> Pairs:
    """Returns counted loops with nothing between them."""
    loops = counted_loops(body)
    pairs: Pairs = {}
    for name, loop in loops.items():
        inner = loop.body[0] if len(loop.body) == 1 else None
        if isinstance(inner, Loop) and inner.variable.name in loops:
            pairs[name] = inner.variable.name
    return pairs


def _computed_with(body: Body) -> set[str]:
    """Returns the variables that are more than an index."""
    names: set[str] = set()
    stack: list[Expression] = []
    for statement in statements(body):
        if isinstance(statement, Store):
            stack += [*_not_alone(own_expressions(statement)), statement.value]
        else:
            stack += own_expressions(statement)
    while stack:
        part = stack.pop()
        if type(part) is Variable:
            names.add(part.name)
        else:
            stack += _not_alone(children(part)) if type(part) is Load else children(part)
    return names


def _not_alone(expressions: Iterable[Expression]) -> list[Expression]:
    return [part for part in expressions if type(part) is not Variable]


def _indices_of_part(indices: Mapping[Buffer, list[Index]], loops: Mapping[str, Loop]) -> set[str]:
    """Returns the variables that run along an axis, but not along all of it."""
    return {
        part.name
        for buffer, uses in indices.items()
        for index in uses
        for part, extent in zip(index, buffer.shape, strict=True)
        if type(part) is Variable
        if part.name not in loops or counts(loops[part.name]) != extent
    }


def _collapsible(pairs: Pairs, indices: Collection[list[Index]]) -> Pairs:
    """Returns the pairs of loops that can become one."""
    while True:
        failed = {outer for uses in indices for outer in _conflicts(uses, pairs)}
        if not failed:
            return pairs
        pairs = {outer: inner for outer, inner in pairs.items() if outer not in failed}


def _conflicts(indices: list[Index], pairs: Pairs) -> Iterator[str]:
    """Yields the outer loops of pairs of which an index moves with one alone, in a buffer."""
    axes = _joint_axes(indices, pairs)
    for index in indices:
        for axis, name in enumerate(_names(index)):
            for outer, inner in pairs.items():
                is_alone = axis + 1 not in axes if name == outer else axis not in axes
                if name in (outer, inner) and is_alone:
                    yield outer


def _joint_axes(indices: list[Index], pairs: Pairs) -> set[int]:
    """Returns the axes of a buffer that all accesses walk in one go with the axis before."""
    joint = [
        {axis for axis, (a, b) in enumerate(pairwise(_names(index)), 1) if b and pairs.get(a) == b}
        for index in indices
    ]
    return set.intersection(*joint)


def _names(index: Index) -> list[str]:
    """Returns the variables that stand alone in an index, else an empty name."""
    return [part.name if type(part) is Variable else "" for part in index]


class _Collapse(ViewTransformer):
    """Makes pairs of loops one, with the name of the outer, on views of buffers."""

    def __init__(self, views: Views, pairs: Pairs) -> None:
        super().__init__(views)
        self.pairs = pairs

    def loop(self, loop: Loop) -> Body:
        innermost, iterations = loop, counts(loop)
        while innermost.variable.name in self.pairs:
            (inner,) = innermost.body
            assert isinstance(inner, Loop)
            innermost, iterations = inner, iterations * counts(inner)
        if innermost is not loop:
            loop = replace(loop, stop=iterations, body=innermost.body)
        return super().loop(loop)
