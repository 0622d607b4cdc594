"""Tile: a loop body for several iterations at once: rows unrolled, columns as vectors.

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

from dataclasses import dataclass, replace

from smelt.compiler.loops.rewrites.hoist_loads import HoistedLoads, Unrolled, unroll
from smelt.compiler.loops.substitute import Names, Substitution, add_terms, identity
from smelt.dtypes import DType
from smelt.ir.loops import (
    Assign,
    Buffer,
    Declare,
    Expression,
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
    constant,
    index_variable,
    walk,
)
from smelt.ir.visit import Body, used_names

# registers that accumulate over the vector axis: the operation, and the vectors that stand for it
Accumulators = dict[Register, tuple[str, Register]]


START = constant(0)


@dataclass(frozen=True, slots=True)
class TileAxis:
    """`count` steps of a loop from `base` on, unrolled, each of `lanes` iterations.

    With a `limit`, iterations from there on are masked. `local` is where they begin in a panel.
    """

    name: str
    base: Expression
    count: int
    lanes: int = 1
    limit: int | Expression | None = None
    local: Expression = START


class Grid:
    """What the loops' indices become in a tile: `variables`, `mask`, and loops to unroll."""

    def __init__(self, axes: tuple[TileAxis, ...], names: Names) -> None:
        self.unrolled: Unrolled = []
        self.variables: dict[str, Expression] = {}
        self.mask: Expression | None = None
        self.lanes = 1
        self.column: Expression = constant(0)  # which vector of the columns is meant
        for axis in axes:
            self.add(axis, names)

    @property
    def has_rows(self) -> bool:
        """Whether several rows are done at once."""
        return bool(self.unrolled) and self.unrolled[0][0] is not self.column

    def add(self, axis: TileAxis, names: Names) -> None:
        """Sets what the index of one axis's loop becomes."""
        offset: Expression = constant(0)  # from the base
        if axis.count > 1:
            variable = index_variable(names.unused("r" if axis.lanes == 1 else "c"))
            self.unrolled.append((variable, axis.count))
            offset = variable * axis.lanes
            self.column = variable if axis.lanes > 1 else self.column
        if axis.lanes > 1:
            self.lanes = axis.lanes
            offset = offset + Lanes(axis.lanes)
        index = self.variables[axis.name] = add_terms(axis.base, offset)
        self.variables[axis.name + "'"] = add_terms(axis.local, offset)
        if axis.limit is not None:
            self.mask = index < axis.limit


class Tile:
    """Writes one tile of a body.

    Loads that several copies of the body share are done once, except from buffers that are `stored`
    to. `accumulators` are registers from outside that accumulate over the vector axis, each
    with its operation and the register of vectors that stands for it.
    """

    def __init__(
        self,
        axes: tuple[TileAxis, ...],
        names: Names,
        stored: frozenset[Buffer],
        accumulators: Accumulators,
    ) -> None:
        grid = Grid(axes, names)
        self.names = names
        self.accumulators = accumulators
        self.lanes, self.unrolled = grid.lanes, grid.unrolled
        self.varying = set(grid.variables)
        self.elements: dict[Register, tuple[Register, tuple[Expression, ...]]] = {}
        for register, (_, vectors) in accumulators.items():
            self.elements[register] = (vectors, (grid.column,) if vectors.shape else ())
        self.hoisted = HoistedLoads(grid.unrolled, names, stored) if grid.has_rows else None
        self.variables, self.mask = grid.variables, grid.mask
        # statements before the unrolled loops cannot use what is loaded within them
        self.outside = Substitution(self.variables, self.elements, self.mask)
        self.change = self.substitution()

    def substitution(self) -> Substitution:
        """Returns the substitution for one run of the unrolled loops."""
        return Substitution(self.variables, self.elements, self.mask, self.hoisted)

    def write(self, body: Body) -> Body:
        """Returns the statements of the tile."""
        result: list[Statement] = []
        group: list[Statement] = []
        outliving = self.outliving(body)
        for statement in body:
            if isinstance(statement, Declare):
                self.declare(statement, result, group)
            elif isinstance(statement, Let) and not self.varies(statement.value):
                result.append(self.let(statement, self.outside))
            elif isinstance(statement, Let) and statement.variable.name in outliving:
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
            return replace(statement, body=self.write(statement.body))
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
            if self.hoisted is not None:
                self.hoisted.local.add(name)
        change.variables[let.variable.name] = variable
        return Let(variable, value)

    def assign(self, assign: Assign) -> Assign:
        register, index = self.elements.get(assign.register, (assign.register, assign.index))
        value = self.change(assign.value)
        if assign.register in self.accumulators and self.mask is not None:
            # elements past the end must not be accumulated
            value = Select(self.mask, value, Read(register, index))
        return Assign(register, index, value)

    def register(self, name: str, dtype: DType) -> tuple[Register, tuple[Expression, ...]]:
        shape = tuple(count for _, count in self.unrolled)
        register = Register(name, dtype, self.lanes, shape)
        return register, tuple(variable for variable, _ in self.unrolled)

    def declare(self, declare: Declare, result: list[Statement], group: list[Statement]) -> None:
        element = self.register(declare.register.name, declare.register.dtype)
        self.elements[declare.register] = element
        if not self.unrolled:
            self.flush(group, result)
        if not self.varies(declare.start) or not self.unrolled:
            result.append(Declare(element[0], self.outside(declare.start)))
            return
        result.append(Declare(element[0], identity("add", element[0].dtype)))
        group.append(Assign(*element, self.change(declare.start)))

    def keep(self, let: Let, result: list[Statement], group: list[Statement]) -> None:
        """Keeps a value that later loops need in a register, one for each element of the tile."""
        element = self.register(let.variable.name, let.variable.dtype)
        result.append(Declare(element[0], identity("add", element[0].dtype)))
        group.append(Assign(*element, self.change(let.value)))
        self.varying.add(let.variable.name)
        self.change.variables[let.variable.name] = Read(*element)

    def flush(self, group: list[Statement], result: list[Statement]) -> None:
        """Ends a run of simple statements: they become the body of the unrolled loops."""
        body = tuple(group)
        group.clear()
        if self.hoisted is None:
            result.extend(unroll(body, self.unrolled) if body else ())
        elif body:
            result.extend(self.hoisted.around(body))
            self.change = self.substitution()  # what was loaded there is not in scope elsewhere

    # -- what changes over the tile ----------------------------------------------------------------

    def varies(self, expression: Expression) -> bool:
        """Whether a value differs within the tile; registers always do."""
        return any(
            part.register in self.elements
            if type(part) is Read
            else type(part) is Variable and part.name in self.varying
            for part in walk(expression)
        )

    def outliving(self, body: Body) -> set[str]:
        """Returns the lets of a body that are used in or after a loop, so not in one run."""
        if not self.unrolled or not any(isinstance(part, Let) for part in body):
            return set()
        home: dict[str, int] = {}
        outliving: set[str] = set()
        number = 0
        for statement in body:
            if isinstance(statement, (Loop, Scratch)):
                number += 1
            outliving |= {
                name for name in used_names(statement) if home.get(name, number) != number
            }
            if isinstance(statement, Let):
                home[statement.variable.name] = number
            elif isinstance(statement, Loop):
                number += 1
        return outliving
