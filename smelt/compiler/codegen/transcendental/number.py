"""Arithmetic on loop-IR expressions with Python's operators, so that a formula reads as one.

A `Number` wraps an expression; every operator builds a larger one. `name_shared` ends an expansion:
it turns what is used more than once into `Let`s, so that no work is repeated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from smelt.dtypes import DType, float32, float64, int32, int64
from smelt.ir.bind_shared import bind_shared
from smelt.ir.loops import (
    Binary,
    Cast,
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


class Number:
    """An expression with operators; a Python number beside it becomes a constant of its dtype."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    @property
    def dtype(self) -> DType:
        """That of the expression."""
        return self.expression.dtype

    @property
    def format(self) -> Format:
        """The layout of this float."""
        return FORMATS[self.dtype]

    def __add__(self, other: Operand) -> Number:
        return self._binary("add", other)

    def __radd__(self, other: float) -> Number:
        return self.like(other) + self

    def __sub__(self, other: Operand) -> Number:
        return self._binary("sub", other)

    def __rsub__(self, other: float) -> Number:
        return self.like(other) - self

    def __mul__(self, other: Operand) -> Number:
        return self._binary("mul", other)

    def __rmul__(self, other: float) -> Number:
        return self.like(other) * self

    def __truediv__(self, other: Operand) -> Number:
        return self._binary("div", other)

    def __rtruediv__(self, other: float) -> Number:
        return self.like(other) / self

    def __neg__(self) -> Number:
        return self.unary("neg")

    def __abs__(self) -> Number:
        return self.unary("abs")

    def __and__(self, other: Operand) -> Number:
        return self._binary("bitwise_and", other)

    def __or__(self, other: Operand) -> Number:
        return self._binary("bitwise_or", other)

    def __xor__(self, other: Operand) -> Number:
        return self._binary("bitwise_xor", other)

    def __lshift__(self, other: Operand) -> Number:
        return self._binary("shl", other)

    def __rshift__(self, other: Operand) -> Number:
        return self._binary("shr", other)

    def __lt__(self, other: Operand) -> Number:
        return self._binary("lt", other)

    def __le__(self, other: Operand) -> Number:
        return self._binary("le", other)

    def __gt__(self, other: Operand) -> Number:
        return self._binary("gt", other)

    def __ge__(self, other: Operand) -> Number:
        return self._binary("ge", other)

    def equals(self, other: Operand) -> Number:
        """Whether both are the same number; nan equals nothing."""
        return self._binary("eq", other)

    def differs(self, other: Operand) -> Number:
        """Whether the two are not the same number; nan differs from everything."""
        return self._binary("ne", other)

    def unary(self, op: str) -> Number:
        """`op(x)` in the same dtype."""
        return Number(Unary(op, self.expression, self.dtype))

    def to(self, dtype: DType) -> Number:
        """The value converted to another dtype."""
        return Number(Cast(self.expression, dtype))

    def bits(self) -> Number:
        """The bits of a float as an integer."""
        return Number(Unary("bitcast", self.expression, self.format.integer))

    def as_float(self) -> Number:
        """The float whose bits this integer is."""
        dtype = float32 if self.dtype is int32 else float64
        return Number(Unary("bitcast", self.expression, dtype))

    def like(self, other: Operand) -> Number:
        """The other operand: itself, or a Python number as a constant of this dtype."""
        return other if isinstance(other, Number) else Number(Constant(other, self.dtype))

    def _binary(self, op: str, other: Operand) -> Number:
        return Number(Binary(op, self.expression, self.like(other).expression))


Operand = Number | float


def fma(a: Number, b: Operand, c: Operand) -> Number:
    """`a * b + c`, rounded once."""
    return Number(Fma(a.expression, a.like(b).expression, a.like(c).expression))


def select(condition: Number, yes: Operand, no: Operand) -> Number:
    """`yes` where the condition holds, else `no`; at least one of them is a Number."""
    like = yes if isinstance(yes, Number) else no
    assert isinstance(like, Number)
    return Number(Select(condition.expression, like.like(yes).expression, like.like(no).expression))


def clamp(x: Number, low: float, high: float) -> Number:
    """`x` moved into [low, high]; nan stays nan, and each side is one instruction."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


def polynomial(x: Number, coefficients: Sequence[float]) -> Number:
    """`c[0] + c[1] x + c[2] x^2 + ...` by Horner's rule, one Fma a coefficient."""
    *rest, last, highest = coefficients
    result = fma(x, highest, last)
    for coefficient in reversed(rest):
        result = fma(result, x, coefficient)
    return result


def two_sum(a: Number, b: Number) -> tuple[Number, Number]:
    """`a + b` rounded, and exactly what the rounding lost (Knuth, TAOCP 2, 4.2.2, theorem B)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def quick_two_sum(a: Number, b: Number) -> tuple[Number, Number]:
    """`two_sum` for `|a| >= |b|` (Dekker 1971)."""
    total = a + b
    return total, b - (total - a)


def two_product(a: Number, b: Number) -> tuple[Number, Number]:
    """`a * b` rounded, and exactly what the rounding lost."""
    product = a * b
    return product, fma(a, b, -product)


def with_sign_of(magnitude: Number, sign: Number) -> Number:
    """`magnitude`, which is not negative, with the sign bit of `sign` (also that of -0 and nan)."""
    bit = sign.bits() & sign.format.sign_bit
    return (magnitude.bits() | bit).as_float()


def name_shared(result: Number, prefix: str) -> tuple[tuple[Let, ...], Expression]:
    """Returns the expression with every part that is used more than once named `prefix_1`, ..."""
    numbers = itertools.count(1)
    lets, (expression,) = bind_shared((result.expression,), lambda _: f"{prefix}_{next(numbers)}")
    return tuple(lets), expression
