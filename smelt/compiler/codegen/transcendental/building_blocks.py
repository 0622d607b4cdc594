"""Building blocks of the transcendental functions: how floats are laid out, and exact sums.

A formula is an expression of the loop IR, written with its operators. `name_shared` finishes one:
parts that are used more than once become `Let`s, so that no work is repeated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from smelt.dtypes import DType, float32, float64, int32, int64
from smelt.ir.bind_shared import bind_shared
from smelt.ir.loops import (
    Constant,
    Expression,
    Fma,
    Let,
    Select,
    Unary,
)


@dataclass(frozen=True, slots=True)
class Format:
    """How IEEE 754 lays out a float: sign, exponent (biased by `bias`), `fraction_bits` bits."""

    integer: DType  # as wide as the float
    fraction_bits: int
    bias: int

    @property
    def shifter(self) -> float:
        """Adding this rounds a small number to an integer, which is then in the sum's last bits."""
        return 1.5 * 2.0**self.fraction_bits

    @property
    def epsilon(self) -> float:
        """The distance from 1 to the next number."""
        return 2.0**-self.fraction_bits

    @property
    def smallest_normal(self) -> float:
        """Below this, numbers have fewer bits."""
        return 2.0 ** (1 - self.bias)

    @property
    def sign_bit(self) -> int:
        """The integer whose only bit is the sign."""
        return -1 << (8 * self.integer.itemsize - 1)


FORMATS = {float32: Format(int32, 23, 127), float64: Format(int64, 52, 1023)}


Operand = Expression | float


def format_of(x: Expression) -> Format:
    """Returns the layout of a float."""
    return FORMATS[x.dtype]


def bits(x: Expression) -> Expression:
    """Returns the bits of a float as an integer."""
    return Unary("bitcast", x, format_of(x).integer)


def as_float(x: Expression) -> Expression:
    """Returns the float that has the bits of an integer."""
    return Unary("bitcast", x, float32 if x.dtype is int32 else float64)


def like(x: Expression, value: Operand) -> Expression:
    """Returns a Python number as a constant of the dtype of x; an expression as it is."""
    return Constant(value, x.dtype) if isinstance(value, (bool, int, float)) else value


def fma(a: Expression, b: Operand, c: Operand) -> Expression:
    """Returns `a * b + c`, rounded once."""
    return Fma(a, like(a, b), like(a, c))


def select(condition: Expression, yes: Operand, no: Operand) -> Expression:
    """Returns `yes` where the condition holds, else `no`; at least one of them is an expression."""
    x = no if isinstance(yes, (bool, int, float)) else yes
    assert not isinstance(x, (bool, int, float))
    return Select(condition, like(x, yes), like(x, no))


def clamp(x: Expression, low: float, high: float) -> Expression:
    """`x` moved into [low, high]; nan stays nan, and each side is one instruction."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


def polynomial(x: Expression, coefficients: Sequence[float]) -> Expression:
    """`c[0] + c[1] x + c[2] x^2 + ...` by Horner's rule, one Fma a coefficient."""
    *rest, last, highest = coefficients
    result = fma(x, highest, last)
    for coefficient in reversed(rest):
        result = fma(result, x, coefficient)
    return result


def plus_square(x: Expression, coefficients: Sequence[float]) -> Expression:
    """`x + x^2 P(x)`: a function close to x, by the polynomial P of their difference."""
    return fma(x * x, polynomial(x, coefficients), x)


def nearest_integer(
    x: Expression, factor: Operand, offset: int = 0
) -> tuple[Expression, Expression]:
    """The integer nearest to `x factor`; and a word that ends in it plus `offset`."""
    shifter = format_of(x).shifter + offset
    shifted = fma(x, factor, shifter)
    return shifted - shifter, bits(shifted)


def two_sum(a: Expression, b: Expression) -> tuple[Expression, Expression]:
    """`a + b` rounded, and exactly what the rounding lost (Knuth, TAOCP 2, 4.2.2, theorem B)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def quick_two_sum(a: Expression, b: Expression) -> tuple[Expression, Expression]:
    """`two_sum` for `|a| >= |b|` (Dekker 1971)."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Expression, b: Expression) -> tuple[Expression, Expression]:
    """`a * b` rounded, and exactly what the rounding lost."""
    product = a * b
    return product, fma(a, b, -product)


def with_sign_of(magnitude: Expression, sign: Expression) -> Expression:
    """`magnitude`, which is not negative, with the sign bit of `sign` (also that of -0 and nan)."""
    bit = bits(sign) & format_of(sign).sign_bit
    return as_float(bits(magnitude) | bit)


def name_shared(result: Expression, prefix: str) -> tuple[tuple[Let, ...], Expression]:
    """Returns the expression with every part that is used more than once named `prefix_1`, ..."""
    numbers = itertools.count(1)
    lets, (expression,) = bind_shared((result,), lambda _: f"{prefix}_{next(numbers)}")
    return tuple(lets), expression
