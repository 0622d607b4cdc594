"""Schedule: plain loops, reordered so that C compilers can vectorize them.

A compiler must not reorder a sum of floats, and cannot load a column of a matrix as a vector.
So a sum moves inside the loop over contiguous elements, if there is one. Before:

    for j in range(0, 64):
        acc: float32 = 0.0
        for k in range(0, 32):
            acc = acc + x[k] * w[k, j]
        y[j] = maximum(acc, 0.0)

After, with four steps of the sum at a time (the order of additions stays the same):

    for j in range(0, 64):
        row[j] = 0.0
    for k in range(0, 32, 4):
        for j in range(0, 64):
            row[j] = row[j] + x[k] * w[k, j] + x[k + 1] * w[k + 1, j] + ...
    for j in range(0, 64):
        y[j] = maximum(row[j], 0.0)

A sum along contiguous elements becomes LANES sums, whose steps are independent:

    for k in range(0, 64, 16):
        for lane in range(0, 16):
            part[lane] = part[lane] + x[k + lane] * w[k + lane]

Neither depends on the CPU, so a step has the same bits on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smelt.compiler.loops.dependence import DependenceInfo
from smelt.compiler.loops.rewrites.canonicalize import drop_unit_loops
from smelt.compiler.loops.substitute import Names, Renaming, Substitution, identity
from smelt.ir.loops import (
    REDUCE,
    Assign,
    Binary,
    Buffer,
    Declare,
    Expression,
    Kernel,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Statement,
    Store,
    Variable,
    constant,
    index_variable,
    trip_count,
    walk,
)
from smelt.ir.visit import Body, Index, own_expressions

Along = Callable[[Body], Loop]  # wraps a body in the loop over a row

ROW = 128  # the most elements of a row of sums
SHORT_ROW = 4  # a shorter row of sums is not worth it
LANES = 16  # sums in place of one
UNROLLED = 4  # steps of a sum that are added to a row at once


def schedule(kernel: Kernel) -> Kernel:
    """Returns a kernel that computes the same, except for the order of additions in sums."""
    names = Names(kernel.body)
    kernel = drop_unit_loops(kernel, names)
    return replace(kernel, body=_Scheduler(names).block(kernel.body))


@dataclass(frozen=True, slots=True)
class _Sum:
    """The parts of a loop body that is one sum: lets, the sum in a register, then the rest."""

    lets: tuple[Let, ...]
    declare: Declare
    loop: Loop
    rest: Body

    @property
    def loops(self) -> list[Loop]:
        """The loops of the sum, the outermost first."""
        found = [self.loop]
        while len(found[-1].body) == 1 and isinstance(found[-1].body[0], Loop):
            found.append(found[-1].body[0])
        return found

    @property
    def assign(self) -> Assign:
        """The statement that adds to the register."""
        last = self.loops[-1].body[-1]
        assert isinstance(last, Assign)
        return last

    @property
    def term(self) -> Expression:
        """What is added in each step."""
        value = self.assign.value
        assert isinstance(value, Binary)
        return value.b


class _Scheduler:
    def __init__(self, names: Names) -> None:
        self.names = names

    def block(self, body: Body, around: Sequence[Loop] = ()) -> Body:
        """Returns the statements of a block, and all statements within them, scheduled."""
        made: list[Statement] = []
        position = 0
        while position < len(body):
            pair = _sum(body[position : position + 2])
            if pair is not None and self.runs_along(pair, around):
                made += self.lanes(pair)
                position += 2
                continue
            statement = body[position]
            made += self.loop(statement, around) if isinstance(statement, Loop) else (statement,)
            position += 1
        return tuple(made)

    def loop(self, loop: Loop, around: Sequence[Loop]) -> Body:
        found = _sum(loop.body) if _is_plain(loop) else None
        if found is not None and self.fits_row(loop, found, around):
            return self.row(loop, found)
        return (replace(loop, body=self.block(loop.body, (*around, loop))),)

    # --- a row of sums ----------------------------------------------------------------------------

    def fits_row(self, loop: Loop, found: _Sum, around: Sequence[Loop]) -> bool:
        """Whether the terms of a sum are contiguous along a loop around it."""
        if trip_count(loop) < SHORT_ROW or self.is_vector_sum(found, around):
            return False
        if any(isinstance(part, (Loop, Scratch, Declare, Assign)) for part in found.rest):
            return False
        info = _info((*found.lets, found.loop), (*around, loop))
        written = {part.buffer for part in found.rest if isinstance(part, Store)}
        if any(access.buffer in written for access in info.accesses):
            return False
        return _lies_along(info, loop)

    def is_vector_sum(self, found: _Sum, around: Sequence[Loop]) -> bool:
        """Whether a compiler makes vectors of a sum as it is: of integers side by side."""
        if found.declare.register.dtype.is_float:
            return False
        last = found.loops[-1]
        is_long = trip_count(last) >= LANES
        return is_long and _lies_along(_info((found.loop,), around), last)

    def row(self, loop: Loop, found: _Sum) -> Body:
        extent = trip_count(loop)
        tiles = -(-extent // ROW)
        width = -(-extent // tiles)
        register, j = found.declare.register, loop.variable
        row = Buffer(self.names.fresh("row"), (width,), register.dtype)
        start: Expression = constant(0)
        stop: int | Expression = extent
        tile = index_variable(self.names.fresh("tile"))
        if tiles > 1:
            start = tile
            stop = (tile + width).minimum(extent) if extent % width else tile + width
        at = (j - start if tiles > 1 else j,)

        def along(body: Body) -> Loop:
            return Loop(j, start if tiles > 1 else 0, stop, 1, body)

        read = _ReadsRow(register, Load(row, at))
        body = (
            along((*found.lets, Store(row, at, found.declare.start))),
            *self.added(found, found.loops, along, row, at),
            along((*found.lets, *read.block(found.rest))),
        )
        if tiles == 1:
            return (Scratch(row), *body)
        return (Loop(tile, 0, extent, width, (Scratch(row), *body)),)

    def added(self, found: _Sum, loops: list[Loop], along: Along, row: Buffer, at: Index) -> Body:
        """Returns the loops of a sum, with the loop over the row inside."""
        first, *inner = loops
        if inner:
            return (replace(first, body=self.added(found, inner, along, row, at)),)
        count = trip_count(first)
        steps = count if count <= UNROLLED + 1 else UNROLLED
        main = count - count % steps
        made: list[Statement] = []
        body = self.steps(found, first, steps, row, at)
        made.append(replace(first, stop=main, step=steps, body=(along(body),)))
        if main < count:
            body = self.steps(found, first, 1, row, at)
            made.append(replace(first, start=main, body=(along(body),)))
        return tuple(made)

    def steps(self, found: _Sum, loop: Loop, count: int, row: Buffer, at: Index) -> Body:
        """Returns the statements that add `count` steps of a sum to an element of the row."""
        op, lets = found.assign.value.op, loop.body[:-1]  # type: ignore[union-attr]
        total: Expression = Load(row, at)
        body: list[Statement] = list(found.lets)
        for step in range(count):
            copy: Substitution = Substitution({loop.variable.name: loop.variable + step})
            if step:
                copy = Renaming(self.names, {loop.variable.name: loop.variable + step})
            body += copy.block(lets)
            total = Binary(op, total, copy(found.term))
        return (*body, Store(row, at, total))

    # --- several sums in place of one -------------------------------------------------------------

    def runs_along(self, found: _Sum, around: Sequence[Loop]) -> bool:
        """Whether the terms of a sum are contiguous along its own innermost loop."""
        last = found.loops[-1]
        if trip_count(last) < LANES or not found.declare.register.dtype.is_float:
            return False
        return _lies_along(_info((found.loop,), around), last)

    def lanes(self, found: _Sum) -> Body:
        register, last = found.declare.register, found.loops[-1]
        op = found.assign.value.op  # type: ignore[union-attr]
        parts = Buffer(self.names.fresh(f"{register.name}_part"), (LANES,), register.dtype)
        lane, count = index_variable(self.names.fresh("lane")), trip_count(last)
        main = count - count % LANES
        copy = Renaming(self.names, {last.variable.name: last.variable + lane})
        lets = copy.block(last.body[:-1])
        add = Store(parts, (lane,), Binary(op, Load(parts, (lane,)), copy(found.term)))
        loops: Body = (
            replace(last, stop=main, step=LANES, body=(Loop(lane, 0, LANES, 1, (*lets, add)),)),
        )
        if main < count:
            loops += (replace(last, start=main),)
        for loop in reversed(found.loops[:-1]):
            loops = (replace(loop, body=loops),)
        neutral = Store(parts, (lane,), identity(op, register.dtype))
        total = Binary(op, Read(register), Load(parts, (constant(0),)))
        return (
            found.declare,
            Scratch(parts),
            Loop(lane, 0, LANES, 1, (neutral,)),
            *loops,
            *self.halves(op, parts, lane),
            Assign(register, (), total),
        )

    def halves(self, op: str, parts: Buffer, lane: Variable) -> list[Loop]:
        """Returns loops that combine the upper half of an array with the lower, repeatedly."""
        loops, half = [], LANES // 2
        while half:
            pair = Load(parts, (lane,)), Load(parts, (lane + half,))
            body = Store(parts, (lane,), Binary(op, *pair))
            loops.append(Loop(lane, 0, half, 1, (body,)))
            half //= 2
        return loops


class _ReadsRow(Substitution):
    """Reads the element of a row in place of a register."""

    def __init__(self, register: Register, element: Expression) -> None:
        super().__init__({})
        self.register, self.element = register, element

    def read(self, read: Read) -> Expression:
        return self.element if read.register is self.register else read


def _sum(body: Body) -> _Sum | None:
    """Returns the parts of a body that is one sum, or None."""
    lets = []
    for position, statement in enumerate(body):
        if isinstance(statement, Let):
            lets.append(statement)
            continue
        following = body[position + 1 : position + 2]
        if not isinstance(statement, Declare) or not following:
            return None
        (loop,) = following
        if statement.register.shape or not isinstance(loop, Loop):
            return None
        found = _Sum(tuple(lets), statement, loop, body[position + 2 :])
        return found if _is_sum(found) else None
    return None


def _is_sum(found: _Sum) -> bool:
    if not all(map(_is_plain, found.loops)):
        return False
    lets, last = found.loops[-1].body[:-1], found.loops[-1].body[-1:]
    if (
        not last
        or not isinstance(last[0], Assign)
        or not all(isinstance(part, Let) for part in lets)
    ):
        return False
    register, assign = found.declare.register, last[0]
    value = assign.value
    if assign.register is not register or not isinstance(value, Binary) or value.op not in REDUCE:
        return False
    if not (isinstance(value.a, Read) and value.a.register is register):
        return False
    others = (*found.lets, *lets, found.declare)
    expressions = [value.b, *(part for one in others for part in own_expressions(one))]
    return not any(isinstance(part, Read) for root in expressions for part in walk(root))


def _is_plain(loop: Loop) -> bool:
    """Whether a loop counts from 0 by ones to a number, and runs."""
    counts = loop.start == 0 and isinstance(loop.stop, int) and loop.step == 1
    return counts and loop.kind == "serial" and trip_count(loop) > 0


def _info(body: Body, around: Sequence[Loop]) -> DependenceInfo:
    known = {loop.variable.name: trip_count(loop) for loop in around if _is_plain(loop)}
    return DependenceInfo(body, known)


def _lies_along(info: DependenceInfo, loop: Loop) -> bool:
    """Whether every read is contiguous or constant along a loop, and one is contiguous."""
    steps = [access.stride(loop.variable.name) for access in info.accesses]
    return bool(steps) and all(step in (0, 1) for step in steps) and 1 in steps
