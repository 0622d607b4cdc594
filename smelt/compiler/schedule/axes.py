"""Axes: an axis of an array along which a loop of a sum and one of the result count becomes two.

A reshape may have merged what a sum runs along with something else. Before, with x of shape
[64, 128], where h counts heads and k is summed over:

    acc = fma(x[t, h * 32 + k], w[k, j], acc)

After, with x of shape [64, 4, 32]:

    acc = fma(x[t, h, k], w[k, j], acc)

Now the sum has an axis of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from smelt.compiler.schedule.access import names_in
from smelt.compiler.schedule.split import Ranges, as_sum, divide, measure, roots
from smelt.compiler.schedule.substitute import Substitution, rebuild
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    Buffer,
    Expression,
    If,
    Kernel,
    Load,
    Loop,
    Scratch,
    Statement,
    Store,
    walk,
)

Index = tuple[Expression, ...]
Split = tuple[int, int]  # which axis, and the extent of the second of the two that it becomes


def split_axes(kernel: Kernel) -> Kernel:
    """Returns the kernel on arrays of more axes; the sizes of arrays stay."""
    while True:
        ranges: dict[str, tuple[int, int]] = {}
        measure(kernel.body, ranges, set())
        uses: dict[Buffer, list[Index]] = {}
        for buffer, index in _accesses(kernel.body):
            uses.setdefault(buffer, []).append(index)
        stored = (part for _, index in _stores(kernel.body) for part in index)
        kept = {name for part in stored for name in names_in(part)}
        found = {buffer: _find(buffer, uses[buffer], ranges, kept) for buffer in uses}
        splits = {buffer: split for buffer, split in found.items() if split is not None}
        if not splits:
            return kernel
        kernel = _Rewrite(splits).kernel(kernel)


def _accesses(body: tuple[Statement, ...]) -> Iterator[tuple[Buffer, Index]]:
    for root in roots(body):
        for part in walk(root):
            if isinstance(part, Load):
                yield part.buffer, part.index
    yield from _stores(body)


def _stores(body: tuple[Statement, ...]) -> Iterator[tuple[Buffer, Index]]:
    for statement in body:
        if isinstance(statement, (Loop, If)):
            yield from _stores(statement.body)
        elif isinstance(statement, Store):
            yield statement.buffer, statement.index


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


class _Rewrite:
    """Rebuilds a kernel on arrays of which one axis each is split."""

    def __init__(self, splits: dict[Buffer, Split]) -> None:
        self.splits = splits
        self.buffers = {old: _reshaped(old, *split) for old, split in splits.items()}
        self.change = Substitution({}, hoist=self.load)

    def kernel(self, kernel: Kernel) -> Kernel:
        """Returns the kernel on the new arrays."""
        return replace(
            kernel,
            inputs=tuple(map(self.buffer, kernel.inputs)),
            outputs=tuple(map(self.buffer, kernel.outputs)),
            body=tuple(map(self.statement, kernel.body)),
        )

    def buffer(self, old: Buffer) -> Buffer:
        return self.buffers.get(old, old)

    def index(self, buffer: Buffer, given: Index) -> Index:
        if buffer not in self.splits:
            return given
        axis, step = self.splits[buffer]
        total = affine(given[axis])
        assert total is not None
        high, low = divide(total, step)
        return (*given[:axis], as_sum(high), as_sum(low), *given[axis + 1 :])

    def load(self, old: Load) -> Expression:
        return Load(self.buffer(old.buffer), self.index(old.buffer, old.index), old.mask)

    def statement(self, statement: Statement) -> Statement:
        if isinstance(statement, (Loop, If)):
            around = rebuild(replace(statement, body=()), self.change)
            assert isinstance(around, (Loop, If))
            return replace(around, body=tuple(map(self.statement, statement.body)))
        if isinstance(statement, Scratch):
            return Scratch(self.buffer(statement.buffer))
        new = rebuild(statement, self.change)
        if isinstance(new, Store):
            return replace(
                new, buffer=self.buffer(new.buffer), index=self.index(new.buffer, new.index)
            )
        return new


def _reshaped(buffer: Buffer, axis: int, step: int) -> Buffer:
    shape = buffer.shape
    parts = (*shape[:axis], shape[axis] // step, step, *shape[axis + 1 :])
    return Buffer(buffer.name, parts, buffer.dtype)
