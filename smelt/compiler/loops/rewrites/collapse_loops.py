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

from dataclasses import dataclass, field, replace

from smelt.compiler.loops.dependence import trip_count
from smelt.compiler.loops.substitute import Names
from smelt.ir.loops import (
    Assign,
    Buffer,
    Constant,
    Declare,
    Expression,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Read,
    Scratch,
    Store,
    Transpose,
    Variable,
    children,
)
from smelt.ir.visit import Body, Index, Transformer

Pair = tuple[str, str]  # an outer loop, and the inner one
BufferAxis = tuple[Buffer, int]


@dataclass(slots=True)
class _Uses:
    """Where loop variables and buffers stand in a kernel."""

    indices: dict[Buffer, list[Index]] = field(default_factory=dict)
    computed_with: set[str] = field(default_factory=set)  # variables that are more than an index
    extents: dict[str, int] = field(default_factory=dict)  # -1: not known, or not from 0 by ones
    pairs: set[Pair] = field(default_factory=set)  # a loop, and the only statement in it, a loop

    def block(self, body: Body) -> None:
        for statement in body:
            match statement:
                case Loop():
                    self.loop(statement)
                case If(condition=condition, body=inner):
                    self.expression(condition)
                    self.block(inner)
                case Store(buffer=buffer, index=index, value=value, mask=mask):
                    self.access(buffer, index)
                    self.expression(value)
                    if mask is not None:
                        self.expression(mask)
                case Let(value=value) | Assign(value=value) | Declare(start=value):
                    self.expression(value)
                case Transpose(source=source, target=target):
                    self.indices.setdefault(source, []).append(())
                    self.indices.setdefault(target, []).append(())

    def loop(self, loop: Loop) -> None:
        count = trip_count(loop) if loop.start == 0 and loop.step == 1 else None
        self.extents[loop.variable.name] = -1 if count is None else count
        only = loop.body[0] if len(loop.body) == 1 else None
        if isinstance(only, Loop):
            self.pairs.add((loop.variable.name, only.variable.name))
        for bound in (loop.start, loop.stop):
            if not isinstance(bound, int):
                self.expression(bound)
        self.block(loop.body)

    def expression(self, root: Expression) -> None:
        stack = [root]
        while stack:
            part = stack.pop()
            if type(part) is Variable:
                self.computed_with.add(part.name)
            elif type(part) is Load:
                self.access(part.buffer, part.index)
                if part.mask is not None:
                    stack.append(part.mask)
            elif type(part) is not Read:
                stack.extend(children(part))

    def access(self, buffer: Buffer, index: Index) -> None:
        self.indices.setdefault(buffer, []).append(index)
        for part in index:
            if type(part) is not Variable and type(part) is not Constant:
                self.expression(part)


def collapse_loops(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with fewer loops and axes; the sizes of buffers stay."""
    while True:
        uses = _Uses()
        uses.block(kernel.body)
        unit_axes = _unit_axes(uses)
        if unit_axes:
            kernel = _without_axes(kernel, unit_axes, set())
            continue
        pairs, axes = _collapsible(uses)
        if not pairs:
            return kernel
        kernel = _without_axes(kernel, axes, pairs)


def _unit_axes(uses: _Uses) -> set[BufferAxis]:
    """Returns axes of one element, with index 0 everywhere."""
    return {
        (buffer, axis)
        for buffer, indices in uses.indices.items()
        for axis, extent in enumerate(buffer.shape)
        if extent == 1 and all(index and _is_zero(index[axis]) for index in indices)
    }


def _is_zero(index: Expression) -> bool:
    return type(index) is Constant and index.value == 0


def _collapsible(uses: _Uses) -> tuple[set[Pair], set[BufferAxis]]:
    """Returns pairs of loops that can become one, and the second axes that go with them."""
    extents = uses.extents
    pairs = {
        (outer, inner)
        for outer, inner in uses.pairs
        if min(extents[outer], extents[inner]) >= 0 and not uses.computed_with & {outer, inner}
    }
    while pairs:
        chosen = _disjoint(pairs)
        axes: set[BufferAxis] = set()
        for buffer, indices in uses.indices.items():
            forbidden = _forbidden(buffer, indices, chosen, extents, axes)
            if forbidden:
                pairs -= forbidden
                break
        else:
            return chosen, axes
    return set(), set()


def _disjoint(pairs: set[Pair]) -> set[Pair]:
    """Keeps pairs that have no loop in common, the inner ones of a chain; others come next time."""
    outer = {a for a, _ in pairs}
    kept: dict[str, Pair] = {}
    for a, b in sorted(pairs):
        if b not in outer and a not in kept and b not in kept:
            kept[a] = kept[b] = (a, b)
    return set(kept.values())


def _forbidden(
    buffer: Buffer,
    indices: list[Index],
    pairs: set[Pair],
    extents: dict[str, int],
    axes: set[BufferAxis],
) -> set[Pair]:
    """Returns the pairs that a buffer's indices forbid; notes the axes that the others merge."""
    pairs_of: dict[int, set[Pair]] = {}
    for index in indices:
        names = [part.name if type(part) is Variable else None for part in index]
        for a, b in pairs:
            if a not in names and b not in names:
                continue
            axis = names.index(b) if b in names else 0
            fits = names.count(a) == names.count(b) == 1 and axis > 0 and names[axis - 1] == a
            if not fits or buffer.shape[axis] != extents[b] or buffer.shape[axis - 1] != extents[a]:
                return {(a, b)}
            pairs_of.setdefault(axis, set()).add((a, b))
    for axis, found in pairs_of.items():
        for index in indices:  # every access must walk both axes in one go
            second = index[axis] if index else None
            if type(second) is not Variable or not any(second.name == b for _, b in found):
                return found
        axes.add((buffer, axis))
    return set()


def _without_axes(kernel: Kernel, axes: set[BufferAxis], pairs: set[Pair]) -> Kernel:
    """Drops axes: of one element, or (with pairs of loops) merged into the axis before."""
    change = _DropAxes(axes, pairs)
    return replace(
        kernel,
        inputs=tuple(map(change.buffer, kernel.inputs)),
        outputs=tuple(map(change.buffer, kernel.outputs)),
        body=change.block(kernel.body),
    )


class _DropAxes(Transformer):
    """Rebuilds a kernel on buffers with fewer axes."""

    def __init__(self, axes: set[BufferAxis], pairs: set[Pair]) -> None:
        super().__init__()
        self.pairs = pairs
        self.buffers: dict[Buffer, Buffer] = {}
        self.kept: dict[Buffer, list[int]] = {}
        for old in {buffer for buffer, _ in axes}:
            kept = [axis for axis in range(len(old.shape)) if (old, axis) not in axes]
            shape: list[int] = []
            for axis, extent in enumerate(old.shape):
                if axis in kept:
                    shape.append(extent)
                elif shape:
                    shape[-1] *= extent  # by 1, when it is an axis of one element
            self.kept[old] = kept
            self.buffers[old] = Buffer(old.name, tuple(shape), old.dtype)

    def buffer(self, old: Buffer) -> Buffer:
        return self.buffers.get(old, old)

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        if buffer not in self.kept:
            return buffer, index
        # of two collapsed loops the outer one stays, and with it the index of the axis before
        return self.buffers[buffer], tuple([index[axis] for axis in self.kept[buffer]])

    def scratch(self, scratch: Scratch) -> Body:
        return (Scratch(self.buffer(scratch.buffer)),)

    def loop(self, loop: Loop) -> Body:
        first = loop.body[0] if loop.body else None
        if isinstance(first, Loop) and (loop.variable.name, first.variable.name) in self.pairs:
            assert isinstance(loop.stop, int)
            assert isinstance(first.stop, int)
            loop = replace(loop, stop=loop.stop * first.stop, body=first.body)
        return super().loop(loop)
