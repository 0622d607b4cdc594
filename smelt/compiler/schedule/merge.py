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

from smelt.compiler.schedule.access import trips
from smelt.compiler.schedule.substitute import Substitution, rebuild
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
        pairs = _disjoint(pairs)
        merged: set[Place] = set()
        for buffer, indices in uses.indices.items():
            broken = _broken(buffer, indices, pairs, extents, merged)
            if broken:
                pairs -= broken
                break
        else:
            return pairs, merged
    return pairs, set()


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
    buffers: dict[Buffer, Buffer] = {}
    kept: dict[Buffer, tuple[int, ...]] = {}
    for buffer in {buffer for buffer, _ in gone}:
        dropped = {axis for place, axis in gone if place is buffer}
        shape: list[int] = []
        for axis, extent in enumerate(buffer.shape):
            if axis not in dropped:
                shape.append(extent)
            elif extent != 1 or pairs:
                shape[-1] *= extent
        kept[buffer] = tuple(a for a in range(len(buffer.shape)) if a not in dropped)
        buffers[buffer] = Buffer(buffer.name, tuple(shape), buffer.dtype)

    def index(buffer: Buffer, given: tuple[Expression, ...]) -> tuple[Expression, ...]:
        # of two merged loops the outer one stays, and with it the index of the axis before
        return tuple(given[axis] for axis in kept[buffer]) if buffer in kept else given

    def load(old: Load) -> Expression:
        if old.buffer not in buffers:
            return old
        return Load(buffers[old.buffer], index(old.buffer, old.index), old.mask)

    change = Substitution({}, hoist=load)

    def block(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        return tuple(map(one, body))

    def one(statement: Statement) -> Statement:
        if isinstance(statement, Loop):
            inner, stop = statement.body, statement.stop
            first = inner[0] if inner else None
            if isinstance(first, Loop) and (statement.variable.name, first.variable.name) in pairs:
                assert isinstance(stop, int) and isinstance(first.stop, int)
                inner, stop = first.body, stop * first.stop
            bound = stop if isinstance(stop, int) else change(stop)
            start = statement.start if isinstance(statement.start, int) else change(statement.start)
            step, kind = statement.step, statement.kind
            return Loop(statement.variable, start, bound, step, block(inner), kind)
        if isinstance(statement, If):
            return If(change(statement.condition), block(statement.body))
        if isinstance(statement, Scratch):
            return Scratch(buffers.get(statement.buffer, statement.buffer))
        new = rebuild(statement, change)
        if isinstance(new, Store) and new.buffer in buffers:
            place = index(new.buffer, new.index)
            return Store(buffers[new.buffer], place, new.value, new.mask)
        return new

    return replace(
        kernel,
        inputs=tuple(buffers.get(buffer, buffer) for buffer in kernel.inputs),
        outputs=tuple(buffers.get(buffer, buffer) for buffer in kernel.outputs),
        body=block(kernel.body),
    )
