"""Count: the arithmetic and the memory traffic of a kernel, read off its plain loops."""

from __future__ import annotations

from dataclasses import dataclass

from smelt.ir.loops import (
    Assign,
    Binary,
    Declare,
    Expression,
    Fma,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Read,
    Statement,
    Store,
    Unary,
    walk,
)


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations of one run of a kernel, and the bytes of the arrays it touches.

    Every operation counts 1, whatever it costs (an exp counts 1), a multiply-add 2.
    """

    operations: int
    nbytes: int


def count(kernel: Kernel) -> Work:
    """Returns the work of a kernel of plain loops."""
    operations = sum(_operations(statement) for statement in kernel.body)
    nbytes = sum(one.size * one.dtype.itemsize for one in kernel.inputs + kernel.outputs)
    return Work(operations, nbytes)


def _operations(statement: Statement) -> int:
    match statement:
        case Loop(start=int(start), stop=int(stop), step=step, body=body):
            return len(range(start, stop, step)) * sum(map(_operations, body))
        case If(body=body):
            return sum(map(_operations, body))
        case Let(value=value) | Declare(start=value) | Assign(value=value) | Store(value=value):
            return _in_expression(value)
    return 0


def _in_expression(value: Expression) -> int:
    total = 0
    for part in walk(value):
        if isinstance(part, (Unary, Binary)) and _works_on_floats(part):
            total += 1
        elif isinstance(part, Fma):
            total += 2
    return total


def _works_on_floats(part: Unary | Binary) -> bool:
    operand = part.x if isinstance(part, Unary) else part.a
    return operand.dtype.is_float and not isinstance(part, (Load, Read))
