"""What is done to a kernel before anything is moved: simpler loops, sums of products fused."""

from __future__ import annotations

from smelt.compiler.loops.dependence import trips
from smelt.compiler.loops.substitute import Substitution, rebuild, whole
from smelt.ir.loops import (
    REDUCE,
    Assign,
    Binary,
    Expression,
    Fma,
    If,
    Loop,
    Read,
    Register,
    Statement,
)


def drop_unit_loops(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Removes loops that run once or never.

    Before: `for i in range(0, 1): y[i] = x[i]`; after: `y[0] = x[0]`.
    """
    result: list[Statement] = []
    for statement in body:
        if not isinstance(statement, (Loop, If)):
            result.append(statement)
            continue
        inner = drop_unit_loops(statement.body)
        if isinstance(statement, If):
            result.append(If(statement.condition, inner))
            continue
        count = trips(statement)
        if count == 1 and isinstance(statement.start, int):
            change = Substitution({statement.variable.name: whole(statement.start)})
            result.extend(rebuild(part, change) for part in inner)
        elif count != 0 and inner:
            result.append(_with_body(statement, inner))
    return tuple(result)


def fuse_products(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Turns sums of products that a register collects into fused ones, the register in its place.

    Before: `acc = x * y + acc`; after: `acc = fma(x, y, acc)`.
    """
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Assign):
            value = _collect(statement.register, statement.value)
            if value is not statement.value:
                statement = Assign(statement.register, statement.index, value)
        elif isinstance(statement, Loop):
            statement = _with_body(statement, fuse_products(statement.body))
        elif isinstance(statement, If):
            statement = If(statement.condition, fuse_products(statement.body))
        result.append(statement)
    return tuple(result)


def _with_body(loop: Loop, body: tuple[Statement, ...]) -> Loop:
    return Loop(loop.variable, loop.start, loop.stop, loop.step, body, loop.kind)


def _collect(register: Register, value: Expression) -> Expression:
    if not isinstance(value, Binary) or value.op not in REDUCE:
        return value
    total, part = value.a, value.b
    if isinstance(part, Read) and part.register is register:
        total, part = part, total
    if not (isinstance(total, Read) and total.register is register):
        return value
    product = isinstance(part, Binary) and part.op == "mul" and register.dtype.is_float
    if value.op == "add" and product and isinstance(part, Binary):
        return Fma(part.a, part.b, total)
    return value if total is value.a else Binary(value.op, total, part)
