"""Integer power: `a ** b` by squaring, as statements of the loop IR."""

from __future__ import annotations

from smelt.dtypes import int64
from smelt.ir.loops import (
    Assign,
    Constant,
    Declare,
    Expression,
    Loop,
    Read,
    Register,
    Select,
    Statement,
    Variable,
)


def integer_power(
    op: str, arguments: tuple[Variable, ...]
) -> tuple[tuple[Statement, ...], Expression]:
    """Returns `a ** b` of integers as statements and a result: wrapping, by squaring.

    A negative exponent gives the truncated reciprocal: 0, except for the bases 1 and -1.
    """
    a, b = arguments
    bits, zero, one = 8 * a.dtype.itemsize, Constant(0, a.dtype), Constant(1, a.dtype)
    names = ("power", "square", "exponent")
    power, square, exponent = (Register(name, a.dtype, a.lanes) for name in names)
    is_set = (Read(exponent) & 1).differs(0)
    iteration = (
        Assign(power, (), Select(is_set, Read(power) * Read(square), Read(power))),
        Assign(square, (), Read(square) * Read(square)),
        Assign(exponent, (), Read(exponent) >> 1),
    )
    loop = Loop(Variable("bit", int64), 0, bits, 1, iteration)
    is_even = (b & 1).equals(0)
    reciprocal = Select(abs(a).equals(1), Select(is_even, one, a), zero)
    start = (Declare(power, one), Declare(square, a), Declare(exponent, b))
    return (*start, loop), Select(b < 0, reciprocal, Read(power))
