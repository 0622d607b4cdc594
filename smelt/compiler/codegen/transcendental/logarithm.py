"""Logarithms: `log x = k ln 2 + log m` with `x = 2^k m` and `m` between sqrt(1/2) and sqrt(2).

The exponent is read from the bits as in Cephes and fdlibm; the polynomial is a minimax fit (Remez
exchange, 75 digits) of relative error, rounded to the dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from smelt.compiler.codegen.transcendental.building_blocks import (
    as_float,
    bits,
    fma,
    format_of,
    like,
    plus_square,
    select,
)
from smelt.compiler.codegen.transcendental.exponential import LN2
from smelt.dtypes import float32, float64
from smelt.ir.loops import Expression

# (log(1 + f) - f) / f^2 for sqrt(1/2) <= 1 + f <= sqrt(2); errors of log: 2^-27.9, 2^-59.4
_LOG1P = {
    float32: (
        -0.499999881, 0.333333254, -0.250015825, 0.200019747, -0.166090801, 0.141818196,
        -0.132430017, 0.129044712, -0.0762179568,
    ),
    float64: (
        -0.5, 0.33333333333333487, -0.24999999999998074, 0.19999999999936566,
        -0.1666666666700709, 0.14285714294806115, -0.12499999977313019, 0.11111110465936254,
        -0.10000000501311317, 0.09090935006094676, -0.0833334458381404, 0.07691687599671107,
        -0.07141992103557177, 0.06675431127839504, -0.06270114688483021, 0.058161908700948166,
        -0.053238778838048624, 0.054193574170585186, -0.06284935184197989,
        0.056991758566947166, -0.02423214265009437,
    ),
}  # fmt: skip
# 1 / ln 2 and log10 2 as sums of two numbers; 1 / ln 10
_LOG2_E = {
    float32: (1.4426950216293335, 1.925963033500011e-08),
    float64: (1.4426950408889634, 2.0355273740931033e-17),
}
_LOG10_2 = {
    float32: (0.30103302001953125, -3.024355464731343e-06),
    float64: (0.30102999566395283, 2.8363394551044964e-14),
}
_LOG10_E = 0.4342944819032518
_ONE = {float32: 0x3F800000, float64: 0x3FF0000000000000}  # the bits of 1
_SQRT_HALF = {float32: 0x3F3504F3, float64: 0x3FE6A09E667F3BCD}  # the bits of sqrt(1/2)


def log(x: Expression) -> Expression:
    """The natural logarithm; -inf at 0, nan below.

    `log x = k ln 2 + log(1 + f)` with `x = 2^k (1 + f)`. Error at most 1.3 ulp.
    """
    k, m = split_exponent(x)
    return _at_the_ends(log_of_parts(k, m - 1.0, _LOG1P[x.dtype]), x, 0.0)


def log2(x: Expression) -> Expression:
    """The logarithm to base 2, exact at its powers; -inf at 0, nan below.

    `log2 x = k + log2(1 + f)` with `x = 2^k (1 + f)`. Error at most 1.8 ulp.
    """
    k, m = split_exponent(x)
    first, second = _LOG2_E[x.dtype]
    y = plus_square(m - 1.0, _LOG1P[x.dtype])
    return _at_the_ends(k + fma(y, first, y * second), x, 0.0)


def log10(x: Expression) -> Expression:
    """The logarithm to base 10, exact at its powers; -inf at 0, nan below.

    `log10 x = k log10 2 + log10(1 + f)` with `x = 2^k (1 + f)`; log10 2 is the sum of two numbers,
    the first so short that its product with `k` is exact. Error at most 2.0 ulp.
    """
    k, m = split_exponent(x)
    first, second = _LOG10_2[x.dtype]
    y = plus_square(m - 1.0, _LOG1P[x.dtype])
    return _at_the_ends(fma(k, first, fma(k, second, y * _LOG10_E)), x, 0.0)


def log1p(x: Expression) -> Expression:
    """The natural logarithm of `1 + x`; -inf at -1, nan below.

    `log u` with `u = 1 + x`; the rounding error of that sum is added to `f`, at its scale.
    Error at most 1.6 ulp.
    """
    u = x + 1.0
    back = u - 1.0
    lost = (1.0 - (u - back)) + (x - back)
    exponent, m = split_normal(u)
    bias = format_of(x).bias
    # above 2^64 `lost` has no effect, and its scale could not be represented
    shown = select(exponent > bias + 64, bias + 64, exponent)
    scale = as_float((2 * bias - shown) << format_of(x).fraction_bits)
    f = fma(lost, scale, m - 1.0)
    y = log_of_parts(exponent.to(x.dtype) - float(bias), f, _LOG1P[x.dtype])
    tiny = u.equals(1.0)
    return _at_the_ends(select(tiny, x, y), x, -1.0)  # keeps -0 and subnormals


def split_exponent(x: Expression) -> tuple[Expression, Expression]:
    """Returns `k` and `m` where `x = 2^k m` is positive; a subnormal is first made normal."""
    layout = format_of(x)
    subnormal = x < layout.smallest_normal
    exponent, m = split_normal(select(subnormal, x * 2.0**layout.fraction_bits, x))
    bias = select(subnormal, like(x, layout.bias + layout.fraction_bits), layout.bias)
    return exponent.to(x.dtype) - bias, m


def split_normal(x: Expression) -> tuple[Expression, Expression]:
    """Returns the biased exponent `k + bias` (an integer) and `m`, where `x = 2^k m` is normal."""
    one, root = _ONE[x.dtype], _SQRT_HALF[x.dtype]
    shifted = bits(x) + (one - root)
    exponent = shifted >> format_of(x).fraction_bits
    fraction = shifted & (2 ** format_of(x).fraction_bits - 1)
    return exponent, as_float(fraction + root)


def log_of_parts(k: Expression, f: Expression, coefficients: Sequence[float]) -> Expression:
    """Returns `k ln 2 + log(1 + f)`, the latter by the polynomial of `(log(1 + f) - f) / f^2`."""
    return fma(k, LN2[f.dtype][0], plus_square(f, coefficients))


def _at_the_ends(y: Expression, x: Expression, pole: float) -> Expression:
    """`y` if x is finite and above the pole; -inf at the pole, nan below it, inf at inf."""
    y = select(x > pole, y, select(x.equals(pole), like(x, -math.inf), math.nan))
    return select(x.equals(math.inf), x, y)
