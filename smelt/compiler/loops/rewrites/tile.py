"""Copies of a loop body for a tile of its iterations: rows side by side, columns as vectors.

Before, in loops over i and j:

    acc: float32 = 0.0
    for k in range(0, 64):
        acc = fma(a[i, k], b[k, j], acc)
    y[i, j] = acc

After, for 4 rows and 2 vectors of columns from (i, j) on:

    acc: float32x16[4, 2] = 0.0
    for k in range(0, 64):
        b_c: float32x16[2] = 0.0
        for c in range(0, 2):  # unroll
            b_c[c] = b[k, j + c * 16 + lanes(16)]
        for r in range(0, 4):  # unroll
            a_r = a[i + r, k]
            for c in range(0, 2):  # unroll
                acc[r, c] = fma(a_r, b_c[c], acc[r, c])
    for r in range(0, 4):  # unroll
        for c in range(0, 2):  # unroll
            y[i + r, j + c * 16 + lanes(16)] = acc[r, c]
"""

from __future__ import annotations

from dataclasses import dataclass

from smelt.compiler.loops.dependence import names_in
from smelt.compiler.loops.rewrites.hoist_loads import SharedLoads, Unrolled, unroll
from smelt.compiler.loops.substitute import (
    Names,
    Substitution,
    add,
    identity,
    plus,
    times,
    whole,
)
from smelt.dtypes import DType
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Declare,
    Expression,
    If,
    Lanes,
    Let,
    Loop,
    Read,
    Register,
    Scratch,
    Select,
    Statement,
    Store,
    Variable,
    children,
    index_variable,
)


@dataclass(frozen=True, slots=True)
class Side:
    """`count` steps of a loop from `base` on, taken at once, each of `lanes` iterations.

    With a `limit`, iterations from there on are masked.
    """

    name: str
    base: Expression
    count: int
    lanes: int = 1
    limit: int | Expression | None = None


class Grid:
    """What a tile's sides make of the loops' indices: `variables`, `mask`, and loops to unroll."""

    def __init__(self, sides: tuple[Side, ...], names: Names) -> None:
        self.unrolled: Unrolled = []
        self.variables: dict[str, Expression] = {}
        self.mask: Expression | None = None
        self.lanes = 1
        self.column: Expression = whole(0)  # which vector of the columns is meant
        for side in sides:
            self.add(side, names)
        for variable, _ in self.unrolled:
            names.taken.discard(variable.name)  # its loop ends with the tile

    @property
    def has_rows(self) -> bool:
        """Whether several rows are done at once."""
        return bool(self.unrolled) and self.unrolled[0][0] is not self.column

    def add(self, side: Side, names: Names) -> None:
        """Says what the index of one side's loop becomes."""
        within: Expression = whole(0)  # how far from the side's base
        if side.count > 1:
            variable = index_variable(names.fresh("r" if side.lanes == 1 else "c"))
            self.unrolled.append((variable, side.count))
            within = times(variable, whole(side.lanes))
            self.column = variable if side.lanes > 1 else self.column
        if side.lanes > 1:
            self.lanes = side.lanes
            within = plus(within, Lanes(side.lanes))
        place = self.variables[side.name] = add(side.base, within)
        self.variables[side.name + "'"] = within
        if side.limit is not None:
            end = whole(side.limit) if isinstance(side.limit, int) else side.limit
            self.mask = Binary("lt", place, end)


class Tile:
    """Writes one tile of a body.

    Loads that several places of the tile share are done once, except from buffers that are `stored`
    to. `collectors` are registers of outside that collect over the vector side, each with its
    operation and the register of vectors that stands for it.
    """

    def __init__(
        self,
        sides: tuple[Side, ...],
        names: Names,
        stored: frozenset[Buffer],
        collectors: dict[Register, tuple[str, Register]],
    ) -> None:
        grid = Grid(sides, names)
        self.names = names
        self.collectors = collectors
        self.lanes, self.unrolled = grid.lanes, grid.unrolled
        self.varying = set(grid.variables)
        self.places: dict[Register, tuple[Register, tuple[Expression, ...]]] = {}
        for register, (_, vectors) in collectors.items():
            self.places[register] = (vectors, (grid.column,) if vectors.shape else ())
        self.shared = SharedLoads(grid.unrolled, names, stored) if grid.has_rows else None
        # what stands before the unrolled loops cannot use what is loaded within them
        self.outside = Substitution(grid.variables, self.places, grid.mask)
        self.change = Substitution(grid.variables, self.places, grid.mask, self.shared)

    def write(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """Returns the statements of the tile."""
        result: list[Statement] = []
        group: list[Statement] = []
        crossing = self.crossing(body)
        for statement in body:
            if isinstance(statement, Declare):
                self.declare(statement, result, group)
            elif isinstance(statement, Let) and not self.varies(statement.value):
                result.append(self.let(statement, self.outside))
            elif isinstance(statement, Let) and statement.variable.name in crossing:
                self.keep(statement, result, group)
            elif isinstance(statement, (Let, Assign, Store)):
                group.append(self.simple(statement))
            else:
                self.flush(group, result)
                result.append(self.block(statement))
        self.flush(group, result)
        return tuple(result)

    # -- one kind of statement each ----------------------------------------------------------------

    def block(self, statement: Statement) -> Statement:
        if isinstance(statement, Loop):
            start, stop = self.outside.bounds(statement)
            inner = self.write(statement.body)
            return Loop(statement.variable, start, stop, statement.step, inner, statement.kind)
        if isinstance(statement, If):
            return If(self.outside(statement.condition), self.write(statement.body))
        return statement

    def simple(self, statement: Statement) -> Statement:
        if isinstance(statement, Let):
            return self.let(statement, self.change)
        if isinstance(statement, Assign):
            return self.assign(statement)
        assert isinstance(statement, Store)
        index = self.change.all(statement.index)
        lanes = max((part.lanes for part in index), default=1)
        mask = self.change.masked(statement.mask, lanes)
        return Store(statement.buffer, index, self.change(statement.value), mask)

    def let(self, let: Let, change: Substitution) -> Let:
        value = change(let.value)
        name = self.names.copy(let.variable.name)
        variable = Variable(name, value.dtype, value.lanes)
        if change is self.change:
            self.varying.add(let.variable.name)
            if self.shared is not None:
                self.shared.local.add(name)
        change.variables[let.variable.name] = variable
        return Let(variable, value)

    def assign(self, assign: Assign) -> Assign:
        register, index = self.places.get(assign.register, (assign.register, assign.index))
        value = self.change(assign.value)
        if assign.register in self.collectors and self.change.mask is not None:
            # what lies behind the end must not be collected
            kept = Read(register, index)
            value = Select(self.change.mask, value, kept)
        return Assign(register, index, value)

    def register(self, name: str, dtype: DType) -> tuple[Register, tuple[Expression, ...]]:
        shape = tuple(count for _, count in self.unrolled)
        place = Register(name, dtype, self.lanes, shape)
        return place, tuple(variable for variable, _ in self.unrolled)

    def declare(self, declare: Declare, result: list[Statement], group: list[Statement]) -> None:
        place = self.register(declare.register.name, declare.register.dtype)
        self.places[declare.register] = place
        if not self.unrolled:
            self.flush(group, result)
        if not self.varies(declare.start) or not self.unrolled:
            result.append(Declare(place[0], self.outside(declare.start)))
            return
        result.append(Declare(place[0], identity("add", place[0].dtype)))
        group.append(Assign(*place, self.change(declare.start)))

    def keep(self, let: Let, result: list[Statement], group: list[Statement]) -> None:
        """Keeps a value that later loops need in a register, one for each place in the tile."""
        place = self.register(let.variable.name, let.variable.dtype)
        result.append(Declare(place[0], identity("add", place[0].dtype)))
        group.append(Assign(*place, self.change(let.value)))
        self.varying.add(let.variable.name)
        self.change.variables[let.variable.name] = Read(*place)

    def flush(self, group: list[Statement], result: list[Statement]) -> None:
        """Ends a run of simple statements: they become the body of the unrolled loops."""
        body = tuple(group)
        group.clear()
        if self.shared is None:
            result.extend(unroll(body, self.unrolled) if body else ())
        elif body:
            result.extend(self.shared.around(body))
            self.change.known.clear()  # what was loaded there is not in scope elsewhere

    # -- what changes over the tile ----------------------------------------------------------------

    def varies(self, expression: Expression) -> bool:
        """Whether a value differs from place to place within the tile; registers always do."""
        stack = [expression]
        while stack:
            part = stack.pop()
            if type(part) is Read:
                if part.register in self.places:
                    return True
            elif type(part) is Variable:
                if part.name in self.varying:
                    return True
            else:
                stack.extend(children(part))
        return False

    def crossing(self, body: tuple[Statement, ...]) -> set[str]:
        """Returns the lets of a body that are used behind a loop or in it, so not in one run."""
        if not self.unrolled or not any(isinstance(part, Let) for part in body):
            return set()
        home: dict[str, int] = {}
        crossing: set[str] = set()
        number = 0
        for statement in body:
            if isinstance(statement, (Loop, If, Scratch)):
                number += 1
            crossing |= {name for name in used_names(statement) if home.get(name, number) != number}
            if isinstance(statement, Let):
                home[statement.variable.name] = number
            elif isinstance(statement, (Loop, If)):
                number += 1
        return crossing


def used_names(statement: Statement) -> set[str]:
    """Returns the names of all variables that a statement uses, blocks included."""
    names: set[str] = set()
    stack = [statement]
    while stack:
        part = stack.pop()
        parts: tuple[Expression | int | None, ...] = ()
        if isinstance(part, Loop):
            parts = (part.start, part.stop)
            stack.extend(part.body)
        elif isinstance(part, If):
            parts = (part.condition,)
            stack.extend(part.body)
        elif isinstance(part, (Let, Assign)):
            parts = (part.value,)
        elif isinstance(part, Declare):
            parts = (part.start,)
        elif isinstance(part, Store):
            parts = (*part.index, part.value, part.mask)
        for expression in parts:
            if expression is not None and not isinstance(expression, int):
                names.update(names_in(expression))
    return names
