"""pow: `|x|^y = e^(y log |x|)` with more bits than the result has, then sign and special cases.

float32 is computed in float64; for float64 the logarithm is the sum of two numbers. The polynomials
are minimax fits of relative error (Remez exchange, 75 digits), rounded to float64.
"""

from __future__ import annotations

import math

from smelt.compiler.codegen.transcendental.building_blocks import (
    as_float,
    bits,
    clamp,
    fma,
    format_of,
    like,
    plus_square,
    polynomial,
    quick_two_sum,
    select,
    two_product,
)
from smelt.compiler.codegen.transcendental.exponential import LN2, exp_of_sum, split_powers_of_two
from smelt.compiler.codegen.transcendental.logarithm import (
    log_of_parts,
    split_exponent,
    split_normal,
)
from smelt.dtypes import float32, float64
from smelt.ir.loops import Expression, unary

# (log(1 + f) - f) / f^2 for sqrt(1/2) <= 1 + f <= sqrt(2); error of log: 2^-35.7
_LOG1P = (
    -0.5000000002151139, 0.3333333404369485, -0.24999994830444056, 0.19999898135103134,
    -0.16666927401563505, 0.14290571249790165, -0.12497413839141741, 0.11009610907533848,
    -0.09927291442360894, 0.10015376645579976, -0.09871958674603035, 0.05358754150957393,
)  # fmt: skip
# (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2; error of e^r: 2^-34.2
_EXP = (
    0.5000000068037638, 0.16666665864351027, 0.04166629363243141, 0.008333497716355744,
    0.0013944758786662759, 0.00019790225941336637,
)  # fmt: skip
# (atanh s - s - s^3/3) / s^5 in powers of s^2, for |s| <= 0.1716; error of atanh: 2^-73.5
_ATANH = (
    0.1999999999999999, 0.1428571428572261, 0.11111111108755241, 0.09090909436751936,
    0.0769227832662083, 0.06668162902916319, 0.058373240230522004, 0.05995217376381734,
)  # fmt: skip
_THIRD = (0.3333333333333333, 1.850371707708594e-17)  # 1/3 as the sum of two numbers


def power(x: Expression, y: Expression) -> Expression:
    """The power x^y; for a negative x, nan unless y is an integer.

    The special cases are those of C99 and NumPy, such as `x^0 = 1^y = 1` even for nan.
    Error at most 0.6 ulp in float32, 1.2 ulp in float64.
    """
    magnitude = abs(x)
    result = _power_single(magnitude, y) if x.dtype is float32 else _power_double(magnitude, y)
    # (-1)^inf, where y log |x| is inf * 0
    result = select(magnitude.equals(1.0) & y.equals(y), 1.0, result)
    floor, half = unary("floor", y), y * 0.5
    odd = floor.equals(y) & unary("floor", half).differs(half)
    sign = select(odd, bits(x) & format_of(x).sign_bit, 0)
    result = as_float(bits(result) ^ sign)
    undefined = floor.differs(y) & (x < 0.0) & (x > -math.inf)
    result = select(undefined, math.nan, result)
    return select(y.equals(0.0) | x.equals(1.0), 1.0, result)


def _power_single(x: Expression, y: Expression) -> Expression:
    """In float64, with polynomials that are a few bits more accurate than float32."""
    x, y = x.to(float64), y.to(float64)
    exponent, m = split_normal(x)
    logarithm = log_of_parts(exponent.to(float64) - float(format_of(x).bias), m - 1.0, _LOG1P)
    r, s = split_powers_of_two(clamp(y * _at_the_ends(logarithm, x), -104.0, 89.0), 1)
    return fma(s, plus_square(r, _EXP), s).to(float32)


def _power_double(x: Expression, y: Expression) -> Expression:
    """`e^(y (high + low))`; if the product is outside of exp's range, its low part is dropped."""
    high, low = _log_in_two_parts(x)
    product, lost = two_product(y, high)
    correction = fma(y, low, lost)
    return exp_of_sum(product, select(abs(product) < 1000.0, correction, 0.0))


def _log_in_two_parts(x: Expression) -> tuple[Expression, Expression]:
    """`log x = k ln 2 + 2 atanh s` with `s = (m - 1) / (m + 1)`, with relative error 2^-64.

    In `atanh s = s + s (s^2/3 + s^4 (1/5 + ...))` all but the last term is kept in two parts.
    """
    k, m = split_exponent(x)
    s, s_low = _quotient(m - 1.0, *quick_two_sum(like(m, 1.0), m))
    z, z_low = two_product(s, s)
    z_low = fma(s + s, s_low, z_low)
    third, third_low = two_product(z, like(z, _THIRD[0]))
    third_low = fma(z, _THIRD[1], fma(z_low, _THIRD[0], third_low))
    third_low = fma(z * z, polynomial(z, _ATANH), third_low)
    tail, tail_low = two_product(s, third)
    tail_low = fma(s, third_low, fma(s_low, third, tail_low))
    atanh, atanh_low = quick_two_sum(s, tail)
    atanh_low = atanh_low + (tail_low + s_low)
    whole, whole_low = two_product(k, like(k, LN2[float64][0]))
    high, low = quick_two_sum(whole, atanh * 2.0)
    low = low + fma(k, LN2[float64][1], fma(atanh_low, 2.0, whole_low))
    high, low = quick_two_sum(high, low)
    return _at_the_ends(high, x), low


def _at_the_ends(logarithm: Expression, x: Expression) -> Expression:
    """-inf for 0; inf and nan are their own logarithms."""
    return select(x < math.inf, select(x.equals(0.0), -math.inf, logarithm), x)


def _quotient(a: Expression, b: Expression, b_low: Expression) -> tuple[Expression, Expression]:
    """`a / (b + b_low)` in two parts."""
    inverse = 1.0 / b
    quotient = a * inverse
    rest = fma(-quotient, b_low, fma(-quotient, b, a))
    return quotient, rest * inverse
