"""Visiting the loop IR: what statements contain, and rebuilding them with something changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smelt.ir.expressions import (
    Binary,
    Buffer,
    Cast,
    Constant,
    Expression,
    Fma,
    Lanes,
    Load,
    Read,
    Reduce,
    Select,
    Unary,
    Variable,
    binary,
    children,
)
from smelt.ir.loops import (
    Assign,
    Declare,
    If,
    Let,
    Loop,
    Scratch,
    Statement,
    Store,
    Transpose,
)

Body = tuple[Statement, ...]
Index = tuple[Expression, ...]


def statements(body: Iterable[Statement]) -> Iterator[Statement]:
    """Yields all statements in order, a block's own after the loop or branch that it belongs to."""
    for statement in body:
        yield statement
        if isinstance(statement, (Loop, If)):
            yield from statements(statement.body)


def expressions(body: Iterable[Statement]) -> Iterator[Expression]:
    """Yields the expressions that statements are made of, those within blocks too."""
    for statement in statements(body):
        yield from own_expressions(statement)


def own_expressions(statement: Statement) -> Iterator[Expression]:
    """Yields the expressions of one statement; of a loop its bounds, of a branch its condition."""
    match statement:
        case Let(value=value) | Declare(start=value):
            yield value
        case Assign(index=index, value=value):
            yield from index
            yield value
        case Store(index=index, value=value, mask=mask):
            yield from index
            yield value
            if mask is not None:
                yield mask
        case Transpose(source_index=source, target_index=target):
            yield from source
            yield from target
        case Loop(start=start, stop=stop):
            if not isinstance(start, int):
                yield start
            if not isinstance(stop, int):
                yield stop
        case If(condition=condition):
            yield condition


def names_in(expression: Expression) -> Iterator[str]:
    """Yields the names of the variables in an expression."""
    stack = [expression]
    while stack:
        part = stack.pop()
        if type(part) is Variable:
            yield part.name
        else:
            stack.extend(children(part))


def used_names(statement: Statement) -> set[str]:
    """Returns the names of all variables that a statement uses, those within its block too."""
    return {name for part in expressions((statement,)) for name in names_in(part)}


class Transformer:
    """Rebuilds statements and expressions; what does not change is shared with the original.

    A subclass overrides what it changes: a kind of expression (`variable`, `load`, ...), of
    statement (`loop`, ...), what a name becomes where it is bound (`bind`), or on which buffer an
    access is made (`access`). Index arithmetic is folded as it is rebuilt. Each expression object
    is rebuilt once, so a name must mean the same in all of what one transformer is given.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Expression, Expression]] = {}

    # --- expressions ------------------------------------------------------------------------------

    def __call__(self, expression: Expression) -> Expression:
        """Returns an expression after the change."""
        known = self._known.get(id(expression))
        if known is None:  # the original is kept too: its id must not become another's
            known = expression, getattr(self, _EXPRESSIONS[type(expression)])(expression)
            self._known[id(expression)] = known
        return known[1]

    def all(self, expressions: Index) -> Index:
        """Returns several expressions after the change."""
        return tuple([self(expression) for expression in expressions])

    def optional(self, expression: Expression | None) -> Expression | None:
        """Returns an expression after the change, if there is one."""
        return None if expression is None else self(expression)

    def leaf(self, expression: Expression) -> Expression:
        """A constant, or lane numbers."""
        return expression

    def variable(self, variable: Variable) -> Expression:
        return variable

    def unary(self, unary: Unary) -> Expression:
        x = self(unary.x)
        return unary if x is unary.x else Unary(unary.op, x, unary.dtype)

    def binary(self, old: Binary) -> Expression:
        a, b = self(old.a), self(old.b)
        return old if a is old.a and b is old.b else binary(old.op, a, b)

    def fma(self, fma: Fma) -> Expression:
        return Fma(self(fma.a), self(fma.b), self(fma.c))

    def select(self, select: Select) -> Expression:
        return Select(self(select.condition), self(select.yes), self(select.no))

    def cast(self, cast: Cast) -> Expression:
        x = self(cast.x)
        return cast if x is cast.x else Cast(x, cast.dtype)

    def load(self, load: Load) -> Expression:
        buffer, index = self.access(load.buffer, self.all(load.index))
        return Load(buffer, index, self.optional(load.mask))

    def read(self, read: Read) -> Expression:
        return Read(read.register, self.all(read.index)) if read.index else read

    def reduce(self, reduce: Reduce) -> Expression:
        return Reduce(reduce.op, self(reduce.x))

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        """Returns where a rebuilt load or store goes; `index` is rebuilt already."""
        return buffer, index

    # --- statements -------------------------------------------------------------------------------

    def block(self, body: Iterable[Statement]) -> Body:
        """Returns statements after the change."""
        result: list[Statement] = []
        for statement in body:
            result += self.statement(statement)
        return tuple(result)

    def statement(self, statement: Statement) -> Body:
        """Returns what stands for a statement: one, several, or none."""
        result: Body = getattr(self, _STATEMENTS[type(statement)])(statement)
        return result

    def bind(self, variable: Variable) -> Variable:
        """Returns what a let or a loop binds in the place of a variable."""
        return variable

    def let(self, let: Let) -> Body:
        value = self(let.value)
        return (Let(self.bind(let.variable), value),)

    def declare(self, declare: Declare) -> Body:
        return (Declare(declare.register, self(declare.start)),)

    def assign(self, assign: Assign) -> Body:
        return (Assign(assign.register, self.all(assign.index), self(assign.value)),)

    def store(self, store: Store) -> Body:
        buffer, index = self.access(store.buffer, self.all(store.index))
        return (Store(buffer, index, self(store.value), self.optional(store.mask)),)

    def scratch(self, scratch: Scratch) -> Body:
        return (scratch,)

    def transpose(self, transpose: Transpose) -> Body:
        return (transpose,)

    def loop(self, loop: Loop) -> Body:
        start, stop = self.bounds(loop)
        variable = self.bind(loop.variable)
        return (Loop(variable, start, stop, loop.step, self.block(loop.body), loop.kind),)

    def branch(self, branch: If) -> Body:
        return (If(self(branch.condition), self.block(branch.body)),)

    def bounds(self, loop: Loop) -> tuple[int | Expression, int | Expression]:
        """Returns where a loop starts and stops after the change."""
        start, stop = loop.start, loop.stop
        return (
            start if isinstance(start, int) else self(start),
            stop if isinstance(stop, int) else self(stop),
        )


_EXPRESSIONS: dict[type, str] = {
    Constant: "leaf",
    Lanes: "leaf",
    Variable: "variable",
    Unary: "unary",
    Binary: "binary",
    Fma: "fma",
    Select: "select",
    Cast: "cast",
    Load: "load",
    Read: "read",
    Reduce: "reduce",
}
_STATEMENTS: dict[type, str] = {
    Let: "let",
    Declare: "declare",
    Assign: "assign",
    Store: "store",
    Scratch: "scratch",
    Transpose: "transpose",
    Loop: "loop",
    If: "branch",
}
