"""Rebuilds expressions with other variables, registers and masks; what stays is shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smelt.dtypes import DType, int64
from smelt.ir.loops import (
    Assign,
    Binary,
    Cast,
    Constant,
    Declare,
    Expression,
    Fma,
    If,
    Lanes,
    Let,
    Load,
    Loop,
    Read,
    Reduce,
    Register,
    Scratch,
    Select,
    Statement,
    Store,
    Transpose,
    Unary,
    Variable,
)

Places = Mapping[Register, tuple[Register, tuple[Expression, ...]]]


class Names:
    """Gives out names that nothing in a kernel has yet."""

    def __init__(self, body: tuple[Statement, ...]) -> None:
        self.taken: set[str] = set()
        self.copied: set[str] = set()
        stack = list(body)
        while stack:
            statement = stack.pop()
            if isinstance(statement, (Let, Loop)):
                self.taken.add(statement.variable.name)
            if isinstance(statement, (Loop, If)):
                stack.extend(statement.body)

    def copy(self, name: str) -> str:
        """Returns a name for a copy of the let `name`: the first copy takes the let's own."""
        if name in self.copied:
            return self.fresh(name)
        self.copied.add(name)
        return name

    def fresh(self, wanted: str) -> str:
        """Returns `wanted`, or `wanted_2` and so on when it is taken."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken.add(name)
        return name


class Substitution:
    """Replaces variables by expressions and registers by elements of other registers.

    With a `mask`, loads that become vectors read only the lanes where it holds. `hoist` may put
    something else in the place of a load after that.
    """

    def __init__(
        self,
        variables: dict[str, Expression],
        registers: Places | None = None,
        mask: Expression | None = None,
        hoist: Callable[[Load], Expression] | None = None,
    ) -> None:
        self.variables = variables
        self.registers = {} if registers is None else registers
        self.mask = mask
        self.hoist = hoist
        self.known: dict[int, Expression] = {}

    def __call__(self, expression: Expression) -> Expression:
        """Returns the expression after the replacements."""
        known = self.known.get(id(expression))
        if known is None:
            known = _REBUILD[type(expression)](self, expression)
            self.known[id(expression)] = known
        return known

    def bounds(self, loop: Loop) -> tuple[int | Expression, int | Expression]:
        """Returns where a loop starts and stops after the replacements."""
        start, stop = loop.start, loop.stop
        return (
            start if isinstance(start, int) else self(start),
            stop if isinstance(stop, int) else self(stop),
        )

    def all(self, expressions: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Returns several expressions after the replacements."""
        return tuple(map(self, expressions))

    def masked(self, mask: Expression | None, lanes: int) -> Expression | None:
        """Returns an access's mask, together with the tile's when the access is a vector."""
        mask = None if mask is None else self(mask)
        if self.mask is None or lanes == 1:
            return mask
        return self.mask if mask is None else Binary("bitwise_and", mask, self.mask)

    def same(self, expression: Expression) -> Expression:
        return expression

    def variable(self, variable: Variable) -> Expression:
        return self.variables.get(variable.name, variable)

    def unary(self, unary: Unary) -> Expression:
        x = self(unary.x)
        return unary if x is unary.x else Unary(unary.op, x, unary.dtype)

    def binary(self, binary: Binary) -> Expression:
        a, b = self(binary.a), self(binary.b)
        if a is binary.a and b is binary.b:
            return binary
        if binary.dtype is int64 and binary.op in _FOLDED:
            return _FOLDED[binary.op](a, b)
        return Binary(binary.op, a, b)

    def fma(self, fma: Fma) -> Expression:
        return Fma(self(fma.a), self(fma.b), self(fma.c))

    def select(self, select: Select) -> Expression:
        return Select(self(select.condition), self(select.yes), self(select.no))

    def cast(self, cast: Cast) -> Expression:
        x = self(cast.x)
        return cast if x is cast.x else Cast(x, cast.dtype)

    def load(self, load: Load) -> Expression:
        index = self.all(load.index)
        bare = Load(load.buffer, index, None if load.mask is None else self(load.mask))
        mask = self.masked(load.mask, bare.lanes)
        full = bare if mask is bare.mask else Load(load.buffer, index, mask)
        return full if self.hoist is None else self.hoist(full)

    def read(self, read: Read) -> Expression:
        place = self.registers.get(read.register)
        if place is None:
            return Read(read.register, self.all(read.index)) if read.index else read
        return Read(*place)

    def reduce(self, reduce: Reduce) -> Expression:
        return Reduce(reduce.op, self(reduce.x))


_REBUILD: dict[type, Callable[[Substitution, Any], Expression]] = {
    Constant: Substitution.same,
    Lanes: Substitution.same,
    Variable: Substitution.variable,
    Unary: Substitution.unary,
    Binary: Substitution.binary,
    Fma: Substitution.fma,
    Select: Substitution.select,
    Cast: Substitution.cast,
    Load: Substitution.load,
    Read: Substitution.read,
    Reduce: Substitution.reduce,
}


def whole(value: int) -> Constant:
    """Returns an index constant."""
    return Constant(value, int64)


def plus(a: Expression, b: Expression) -> Expression:
    """Returns `a + b` of two indices, without needless zeros, constants behind."""
    if type(a) is Constant:
        a, b = b, a
    if type(b) is Constant:
        if type(a) is Constant:
            return whole(int(a.value) + int(b.value))
        if b.value == 0:
            return a
        if type(a) is Binary and a.op == "add" and type(a.b) is Constant:
            return plus(a.a, whole(int(a.b.value) + int(b.value)))
    return Binary("add", a, b)


def add(base: Expression, within: Expression) -> Expression:
    """Returns `base + within` term by term: `i + (c * 16 + lanes)` is `i + c * 16 + lanes`."""
    if type(within) is Binary and within.op == "add":
        return plus(add(base, within.a), within.b)
    return plus(base, within)


def times(a: Expression, b: Expression) -> Expression:
    """Returns `a * b` of two indices, without needless ones."""
    if type(a) is Constant:
        a, b = b, a
    if type(b) is Constant:
        if type(a) is Constant:
            return whole(int(a.value) * int(b.value))
        if b.value in (0, 1):
            return a if b.value else whole(0)
    return Binary("mul", a, b)


def _minus(a: Expression, b: Expression) -> Expression:
    if type(b) is Constant:
        return plus(a, whole(-int(b.value)))
    return Binary("sub", a, b)


_FOLDED = {"add": plus, "mul": times, "sub": _minus}


def identity(op: str, dtype: DType) -> Constant:
    """Returns the number that changes nothing when it is added, multiplied, and so on."""
    if op in ("add", "mul"):
        return Constant(int(op == "mul") if not dtype.is_float else float(op == "mul"), dtype)
    if dtype.is_float:
        return Constant(float("-inf") if op == "maximum" else float("inf"), dtype)
    if dtype.kind == "bool":
        return Constant(op == "minimum", dtype)
    bits = 8 * dtype.itemsize - 1
    return Constant(-(2**bits) if op == "maximum" else 2**bits - 1, dtype)


def renamed(body: Sequence[Statement], names: Names) -> tuple[Statement, ...]:
    """Returns a copy of statements in which all lets and loops have names that nothing else has.

    In what is copied each name must be bound once, as in every kernel on its way through here.

    Whoever repeats code owes the copy this: what is known of a name (its range, its affine value,
    what stands for it) is then true of the whole kernel, wherever a rewrite moves the code.

        for i in range(0, 16):          for i_2 in range(0, 16):
            t = x[i]              ->        t_2 = x[i_2]
            y[i] = t * t                    y[i_2] = t_2 * t_2
    """
    return _Rename(names).block(body)


class _Rename(Substitution):
    def __init__(self, names: Names) -> None:
        super().__init__({})
        self.names = names

    def bind(self, old: Variable) -> Variable:
        new = Variable(self.names.fresh(old.name), old.dtype, old.lanes)
        self.variables[old.name] = new
        return new

    def block(self, body: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(map(self.statement, body))

    def statement(self, statement: Statement) -> Statement:
        if isinstance(statement, Let):
            value = self(statement.value)
            return Let(self.bind(statement.variable), value)
        if isinstance(statement, Loop):
            start, stop = self.bounds(statement)
            variable = self.bind(statement.variable)
            body = self.block(statement.body)
            return Loop(variable, start, stop, statement.step, body, statement.kind)
        if isinstance(statement, If):
            return If(self(statement.condition), self.block(statement.body))
        return rebuild(statement, self)


def rebuild(statement: Statement, change: Substitution) -> Statement:
    """Returns a statement after the replacements; names that it binds stay."""
    match statement:
        case Let():
            return Let(statement.variable, change(statement.value))
        case Declare():
            return Declare(statement.register, change(statement.start))
        case Assign():
            index = change.all(statement.index)
            return Assign(statement.register, index, change(statement.value))
        case Store():
            mask = None if statement.mask is None else change(statement.mask)
            index = change.all(statement.index)
            return Store(statement.buffer, index, change(statement.value), mask)
        case Transpose():
            return statement
        case Scratch():
            return statement
        case Loop():
            start, stop = change.bounds(statement)
            body = tuple(rebuild(part, change) for part in statement.body)
            return Loop(statement.variable, start, stop, statement.step, body, statement.kind)
        case If():
            body = tuple(rebuild(part, change) for part in statement.body)
            return If(change(statement.condition), body)
