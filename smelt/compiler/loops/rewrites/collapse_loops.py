"""Fewer axes: neighbouring loops that walk all arrays in memory order become one.

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

from smelt.compiler.loops.dependence import trips
from smelt.compiler.loops.substitute import Substitution, rebuild
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
    Statement,
    Store,
    Transpose,
    Variable,
    children,
)

Pair = tuple[str, str]
Place = tuple[Buffer, int]  # an axis of a buffer


@dataclass(slots=True)
class _Uses:
    """Where loop variables and buffers stand in a kernel."""

    indices: dict[Buffer, list[tuple[Expression, ...]]] = field(default_factory=dict)
    bare: set[str] = field(
        default_factory=set
    )  # variables that are used otherwise than as an index
    extents: dict[str, set[int]] = field(default_factory=dict)
    pairs: set[Pair] = field(
        default_factory=set
    )  # a loop, and the only statement in it, a loop too


def merge_axes(kernel: Kernel) -> Kernel:
    """Returns the kernel with fewer loops and axes; the sizes of buffers stay."""
    while True:
        uses = _Uses()
        _read(kernel.body, uses)
        squeezed = _unit_axes(uses)
        if squeezed:
            kernel = _rewrite(kernel, squeezed, set())
            continue
        pairs, merged = _mergeable(uses)
        if not pairs:
            return kernel
        kernel = _rewrite(kernel, merged, pairs)


def _read(body: tuple[Statement, ...], uses: _Uses) -> None:
    for statement in body:
        match statement:
            case Loop(variable=variable, body=inner):
                count = trips(statement) if statement.start == 0 and statement.step == 1 else None
                uses.extents.setdefault(variable.name, set()).add(-1 if count is None else count)
                only = inner[0] if len(inner) == 1 else None
                if isinstance(only, Loop):
                    uses.pairs.add((variable.name, only.variable.name))
                for bound in (statement.start, statement.stop):
                    if not isinstance(bound, int):
                        _look(bound, uses)
                _read(inner, uses)
            case If(condition=condition, body=inner):
                _look(condition, uses)
                _read(inner, uses)
            case Store(buffer=buffer, index=index, value=value, mask=mask):
                _note(buffer, index, uses)
                _look(value, uses)
                if mask is not None:
                    _look(mask, uses)
            case Let(value=value) | Assign(value=value) | Declare(start=value):
                _look(value, uses)
            case Transpose(source=source, target=target):
                uses.indices.setdefault(source, []).append(())
                uses.indices.setdefault(target, []).append(())


def _look(root: Expression, uses: _Uses) -> None:
    stack = [root]
    while stack:
        part = stack.pop()
        if type(part) is Variable:
            uses.bare.add(part.name)
        elif type(part) is Load:
            _note(part.buffer, part.index, uses)
            if part.mask is not None:
                stack.append(part.mask)
        elif type(part) is not Read:
            stack.extend(children(part))


def _note(buffer: Buffer, index: tuple[Expression, ...], uses: _Uses) -> None:
    uses.indices.setdefault(buffer, []).append(index)
    for part in index:
        if type(part) is not Variable and type(part) is not Constant:
            _look(part, uses)


def _unit_axes(uses: _Uses) -> set[Place]:
    """Returns axes of one element, with index 0 everywhere."""
    return {
        (buffer, axis)
        for buffer, indices in uses.indices.items()
        for axis, extent in enumerate(buffer.shape)
        if extent == 1 and all(index and _is_zero(index[axis]) for index in indices)
    }


def _is_zero(index: Expression) -> bool:
    return type(index) is Constant and index.value == 0


def _mergeable(uses: _Uses) -> tuple[set[Pair], set[Place]]:
    """Returns pairs of loops that can become one, and the second axes that go with them."""
    extents = {name: found for name, (found, *more) in uses.extents.items() if not more}
    pairs = {
        (a, b)
        for a, b in uses.pairs
        if extents.get(a, -1) >= 0 and extents.get(b, -1) >= 0 and not uses.bare & {a, b}
    }
    while pairs:
        chosen = _disjoint(pairs)
        merged: set[Place] = set()
        for buffer, indices in uses.indices.items():
            broken = _broken(buffer, indices, chosen, extents, merged)
            if broken:
                pairs -= broken
                break
        else:
            return chosen, merged
    return set(), set()


def _disjoint(pairs: set[Pair]) -> set[Pair]:
    """Keeps pairs that have no loop in common, the inner ones of a chain; others come next time."""
    outer = {a for a, _ in pairs}
    kept: dict[str, Pair] = {}
    for a, b in sorted(pairs):
        if b not in outer and a not in kept and b not in kept:
            kept[a] = kept[b] = (a, b)
    return set(kept.values())


def _broken(
    buffer: Buffer,
    indices: list[tuple[Expression, ...]],
    pairs: set[Pair],
    extents: dict[str, int],
    merged: set[Place],
) -> set[Pair]:
    """Returns the pairs that a buffer's indices forbid; notes the axes that the others merge."""
    places: dict[int, set[Pair]] = {}
    for index in indices:
        names = [part.name if type(part) is Variable else None for part in index]
        for a, b in pairs:
            if a not in names and b not in names:
                continue
            axis = names.index(b) if b in names else 0
            fits = names.count(a) == names.count(b) == 1 and axis > 0 and names[axis - 1] == a
            if not fits or buffer.shape[axis] != extents[b] or buffer.shape[axis - 1] != extents[a]:
                return {(a, b)}
            places.setdefault(axis, set()).add((a, b))
    for axis, found in places.items():
        for index in indices:  # every access must walk both axes in one go
            second = index[axis] if index else None
            if type(second) is not Variable or not any(second.name == b for _, b in found):
                return found
        merged.add((buffer, axis))
    return set()


def _rewrite(kernel: Kernel, gone: set[Place], pairs: set[Pair]) -> Kernel:
    """Drops axes: of one element, or (with pairs of loops) merged into the axis before."""
    rewrite = _Rewrite(gone, pairs)
    return replace(
        kernel,
        inputs=tuple(map(rewrite.buffer, kernel.inputs)),
        outputs=tuple(map(rewrite.buffer, kernel.outputs)),
        body=rewrite.block(kernel.body),
    )


class _Rewrite:
    """Rebuilds a kernel on buffers with fewer axes."""

    def __init__(self, gone: set[Place], pairs: set[Pair]) -> None:
        self.pairs = pairs
        self.buffers: dict[Buffer, Buffer] = {}
        self.kept: dict[Buffer, list[int]] = {}
        self.change = Substitution({}, hoist=self.load)
        for old in {buffer for buffer, _ in gone}:
            kept = [axis for axis in range(len(old.shape)) if (old, axis) not in gone]
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

    def index(self, buffer: Buffer, given: tuple[Expression, ...]) -> tuple[Expression, ...]:
        # of two merged loops the outer one stays, and with it the index of the axis before
        return tuple(given[axis] for axis in self.kept[buffer]) if buffer in self.kept else given

    def load(self, old: Load) -> Expression:
        if old.buffer not in self.buffers:
            return old
        return Load(self.buffers[old.buffer], self.index(old.buffer, old.index), old.mask)

    def block(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(map(self.statement, body))

    def statement(self, statement: Statement) -> Statement:
        if isinstance(statement, Loop):
            return self.loop(statement)
        if isinstance(statement, If):
            return If(self.change(statement.condition), self.block(statement.body))
        if isinstance(statement, Scratch):
            return Scratch(self.buffer(statement.buffer))
        new = rebuild(statement, self.change)
        if isinstance(new, Store):
            place = self.index(new.buffer, new.index)
            return Store(self.buffer(new.buffer), place, new.value, new.mask)
        return new

    def loop(self, loop: Loop) -> Loop:
        body, stop = loop.body, loop.stop
        first = body[0] if body else None
        if isinstance(first, Loop) and (loop.variable.name, first.variable.name) in self.pairs:
            assert isinstance(stop, int)
            assert isinstance(first.stop, int)
            body, stop = first.body, stop * first.stop
        stop = stop if isinstance(stop, int) else self.change(stop)
        start = loop.start if isinstance(loop.start, int) else self.change(loop.start)
        return Loop(loop.variable, start, stop, loop.step, self.block(body), loop.kind)
