"""Divisions of indices: what reshaping leaves behind, and the arithmetic that undoes it.

`i // 8` and `i % 8` are two digits of i. A sum is divided by a number term by term.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smelt.dtypes import int64
from smelt.ir.affine import Affine
from smelt.ir.loops import (
    Binary,
    Constant,
    Expression,
    Loop,
    Variable,
    children,
    constant,
    index_variable,
    trip_count,
    walk,
)
from smelt.ir.symbolic import as_int
from smelt.ir.visit import Body, expressions, statements

Ranges = Mapping[str, tuple[int, int]]  # of loop variables, both ends included


def divisions(body: Body) -> Iterator[tuple[Binary, int]]:
    """Yields all `//` and `%` of indices by a number, and that number."""
    stack = list(expressions(body))
    while stack:
        part = stack.pop()
        if type(part) is Binary:
            divisor = divisor_of(part)
            if divisor:
                yield part, divisor
        stack += children(part)


def divisor_of(expression: Expression) -> int:
    """Returns the number that an index is divided by, or 0 when it is not a division."""
    if type(expression) is not Binary or expression.op not in ("floordiv", "mod"):
        return 0
    divisor = expression.b
    if type(divisor) is not Constant or divisor.dtype is not int64:
        return 0
    return max(as_int(divisor.value), 0)


def dividend_of(expression: Expression, op: str, divisor: int) -> Expression | None:
    """Returns the dividend, if an expression is the division `op` by `divisor`."""
    if type(expression) is not Binary or expression.op != op:
        return None
    return expression.a if divisor_of(expression) == divisor else None


def divide(total: Affine, divisor: int) -> tuple[Affine, Affine]:
    """Returns (a, b) with `total = a * divisor + b`, where b has all indivisible terms."""
    high = {name: step // divisor for name, step in total.terms.items() if step % divisor == 0}
    low = {name: step for name, step in total.terms.items() if step % divisor}
    return Affine(total.constant // divisor, high), Affine(total.constant % divisor, low)


def is_digit(part: Affine, base: int, ranges: Ranges) -> bool:
    """Whether a sum is never less than 0, and always less than `base`."""
    bounds = part.bounds(ranges)
    return bounds is not None and bounds[0] >= 0 and bounds[1] < base


def as_sum(total: Affine) -> Expression:
    """Returns an affine index as an expression again."""
    result: Expression = constant(0)
    for name, step in total.terms.items():
        term = index_variable(name) * step
        result = term if type(result) is Constant else result + term
    return result + total.constant


def is_arithmetic(value: Expression) -> bool:
    """Whether a value is computed from variables and constants alone."""
    return all(type(part) in (Variable, Constant, Binary) for part in walk(value))


def loop_ranges(body: Body) -> dict[str, tuple[int, int]]:
    """Returns the least and the greatest index of each loop."""
    return {loop.variable.name: (0, trip_count(loop) - 1) for loop in loops_in(body)}


def loops_in(body: Body) -> Iterator[Loop]:
    """Yields all loops, an outer one before those in it."""
    for statement in statements(body):
        if isinstance(statement, Loop):
            yield statement
