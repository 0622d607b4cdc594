"""Visiting the loop IR: listing what statements contain, and rebuilding them with changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, get_args

from smelt.ir import loops as ir
from smelt.ir.loops import Buffer, Expression, Statement, children

Body = tuple[Statement, ...]
Index = tuple[Expression, ...]


def statements(body: Iterable[Statement]) -> Iterator[Statement]:
    """Yields all statements in order; a loop or branch comes before the statements of its block."""
    for statement in body:
        yield statement
        if isinstance(statement, (ir.Loop, ir.If)):
            yield from statements(statement.body)


def expressions(body: Iterable[Statement]) -> Iterator[Expression]:
    """Yields the expressions of statements, including those within blocks."""
    for statement in statements(body):
        yield from own_expressions(statement)


def own_expressions(statement: Statement) -> Iterator[Expression]:
    """Yields the expressions of one statement; of a loop its bounds, of a branch its condition."""
    match statement:
        case ir.Let(value=value) | ir.Declare(start=value):
            yield value
        case ir.Assign(index=index, value=value):
            yield from index
            yield value
        case ir.Store(index=index, value=value, mask=mask):
            yield from index
            yield value
            if mask is not None:
                yield mask
        case ir.Transpose(source_index=source, target_index=target):
            yield from source
            yield from target
        case ir.Loop(start=start, stop=stop):
            if not isinstance(start, int):
                yield start
            if not isinstance(stop, int):
                yield stop
        case ir.If(condition=condition):
            yield condition


def names_in(expression: Expression) -> Iterator[str]:
    """Yields the names of the variables in an expression."""
    stack = [expression]
    while stack:
        part = stack.pop()
        if type(part) is ir.Variable:
            yield part.name
        else:
            stack.extend(children(part))


def used_names(statement: Statement) -> set[str]:
    """Returns the names of all variables that a statement uses, including within its block."""
    return {name for part in expressions((statement,)) for name in names_in(part)}


_KINDS = (*get_args(Expression), *get_args(Statement))
_NAMES = {ir.If: "branch", ir.Lanes: "lane_numbers"}
METHODS: dict[type, str] = {kind: kind.__name__.lower() for kind in _KINDS} | _NAMES


class Visitor:
    """Has a method for each kind of expression and statement, named as METHODS says."""

    def visit(self, node: Expression | Statement, *given: Any) -> Any:
        """Calls the method for a node."""
        return getattr(self, METHODS[type(node)])(node, *given)


class Transformer(Visitor):
    """Rebuilds statements and expressions; whatever does not change is shared with the original.

    A subclass overrides what it changes: a kind of expression (`variable`, `load`, ...) or
    statement (`loop`, ...), what a name is bound as (`bind`), or the buffer of an access
    (`access`). Index arithmetic is folded when rebuilt. Each expression object is rebuilt once, so
    a name must have one meaning in everything that one transformer is given.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Expression, Expression]] = {}

    # --- expressions ------------------------------------------------------------------------------

    def __call__(self, expression: Expression) -> Expression:
        """Returns an expression after the change."""
        known = self._known.get(id(expression))
        if known is None:  # keeping the original keeps its id from being reused
            known = expression, getattr(self, METHODS[type(expression)])(expression)
            self._known[id(expression)] = known
        return known[1]

    def all(self, expressions: Index) -> Index:
        """Returns several expressions after the change."""
        return tuple([self(expression) for expression in expressions])

    def optional(self, expression: Expression | None) -> Expression | None:
        """Returns an expression after the change, if there is one."""
        return None if expression is None else self(expression)

    def constant(self, constant: ir.Constant) -> Expression:
        return constant

    def lane_numbers(self, lanes: ir.Lanes) -> Expression:
        return lanes

    def variable(self, variable: ir.Variable) -> Expression:
        return variable

    def unary(self, unary: ir.Unary) -> Expression:
        x = self(unary.x)
        return unary if x is unary.x else ir.Unary(unary.op, x, unary.dtype)

    def binary(self, old: ir.Binary) -> Expression:
        a, b = self(old.a), self(old.b)
        return old if a is old.a and b is old.b else ir.binary(old.op, a, b)

    def fma(self, fma: ir.Fma) -> Expression:
        return ir.Fma(self(fma.a), self(fma.b), self(fma.c))

    def select(self, select: ir.Select) -> Expression:
        return ir.Select(self(select.condition), self(select.yes), self(select.no))

    def cast(self, cast: ir.Cast) -> Expression:
        x = self(cast.x)
        return cast if x is cast.x else ir.Cast(x, cast.dtype)

    def load(self, load: ir.Load) -> Expression:
        buffer, index = self.access(load.buffer, self.all(load.index))
        return ir.Load(buffer, index, self.optional(load.mask))

    def read(self, read: ir.Read) -> Expression:
        return ir.Read(read.register, self.all(read.index)) if read.index else read

    def reduce(self, reduce: ir.Reduce) -> Expression:
        return ir.Reduce(reduce.op, self(reduce.x))

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        """Returns the buffer and index of a rebuilt load or store; `index` is rebuilt already."""
        return buffer, index

    # --- statements -------------------------------------------------------------------------------

    def block(self, body: Iterable[Statement]) -> Body:
        """Returns statements after the change."""
        result: list[Statement] = []
        for statement in body:
            result += self.statement(statement)
        return tuple(result)

    def statement(self, statement: Statement) -> Body:
        """Returns the statements that replace a statement: one, several, or none."""
        return self.visit(statement)

    def bind(self, variable: ir.Variable) -> ir.Variable:
        """Returns what a let or a loop binds instead of a variable."""
        return variable

    def let(self, let: ir.Let) -> Body:
        value = self(let.value)
        return (ir.Let(self.bind(let.variable), value),)

    def declare(self, declare: ir.Declare) -> Body:
        return (ir.Declare(declare.register, self(declare.start)),)

    def assign(self, assign: ir.Assign) -> Body:
        return (ir.Assign(assign.register, self.all(assign.index), self(assign.value)),)

    def store(self, store: ir.Store) -> Body:
        buffer, index = self.access(store.buffer, self.all(store.index))
        return (ir.Store(buffer, index, self(store.value), self.optional(store.mask)),)

    def scratch(self, scratch: ir.Scratch) -> Body:
        return (scratch,)

    def transpose(self, transpose: ir.Transpose) -> Body:
        source, source_index = self.access(transpose.source, self.all(transpose.source_index))
        target, target_index = self.access(transpose.target, self.all(transpose.target_index))
        return (
            replace(
                transpose,
                source=source,
                source_index=source_index,
                target=target,
                target_index=target_index,
            ),
        )

    def loop(self, loop: ir.Loop) -> Body:
        start, stop = self.bounds(loop)
        variable = self.bind(loop.variable)
        return (ir.Loop(variable, start, stop, loop.step, self.block(loop.body), loop.kind),)

    def branch(self, branch: ir.If) -> Body:
        return (ir.If(self(branch.condition), self.block(branch.body)),)

    def bounds(self, loop: ir.Loop) -> tuple[int | Expression, int | Expression]:
        """Returns where a loop starts and stops after the change."""
        start, stop = loop.start, loop.stop
        return (
            start if isinstance(start, int) else self(start),
            stop if isinstance(stop, int) else self(stop),
        )
