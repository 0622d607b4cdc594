"""exp, exp2 and expm1, and the two functions that saturate: tanh and erf.

The reduction is Cody and Waite's (Software Manual for the Elementary Functions, 1980), done with
Fma: `x = k ln 2 + r` with ln 2 in two parts, so that `r` is accurate to the last bit. The
polynomials and quotients are minimax fits of relative error (Remez exchange, 75 digits), rounded to
the dtype.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.compiler.codegen.transcendental.building_blocks import (
    as_float,
    clamp,
    fma,
    format_of,
    like,
    nearest_integer,
    plus_square,
    polynomial,
    quick_two_sum,
    select,
    with_sign_of,
)
from smelt.dtypes import float32, float64
from smelt.ir import error_function
from smelt.ir.loops import Expression

# ln 2 as the sum of two numbers of the dtype
LN2 = {
    float32: (0.693147182464599609375, -1.904654323148236017e-9),
    float64: (0.6931471805599453094, 2.319046813846299558e-17),
}
LOG2_E = 1.4426950408889634074

# (e^r - 1 - r) / r^2 for |r| <= ln 2; errors of e^r: 2^-26.0, 2^-56.5
_EXP = {
    float32: (
        0.500000358, 0.166666135, 0.0416612588, 0.00833610911, 0.00141046743, 0.000196113309,
    ),
    float64: (
        0.4999999999999993, 0.1666666666666694, 0.04166666666670236, 0.008333333333269417,
        0.0013888888883543608, 0.00019841269893102866, 2.4801590846848744e-05,
        2.7557300563024885e-06, 2.7556154298623016e-07, 2.5055042721752594e-08,
        2.106263277952785e-09, 1.5935380560609407e-10,
    ),
}  # fmt: skip
# exp is 0 or inf beyond
_EXP_RANGE = {float32: (-104.0, 89.0), float64: (-746.0, 710.0)}
# exp2 is 0 or inf beyond
_EXP2_RANGE = {float32: (-151.0, 128.0), float64: (-1076.0, 1024.0)}

# the same for |r| <= ln 2 / 2; errors of e^r - 1: 2^-26.2, 2^-61.7
_EXPM1 = {
    float32: (0.5, 0.16666542, 0.0416662805, 0.00836664438, 0.00139465253),
    float64: (
        0.5, 0.16666666666666677, 0.0416666666666667, 0.008333333333321532,
        0.001388888888886665, 0.00019841269886401047, 2.4801587360925117e-05,
        2.755724391176042e-06, 2.7557242441058787e-07, 2.5109147346023375e-08,
        2.0924543035697644e-09,
    ),
}  # fmt: skip
# expm1 is -1 or inf beyond
_EXPM1_RANGE = {float32: (-20.0, 89.0), float64: (-40.0, 710.0)}

_TANH_IS_ONE = {float32: 10.0, float64: 20.0}


def exp(x: Expression) -> Expression:
    """The exponential function, e to the power x.

    `e^x = e^r s s` with `s = 2^k`, `x = 2 k ln 2 + r`, `|r| <= ln 2`. With two factors `s` the
    result overflows to inf or becomes subnormal without special cases, and is rounded once.
    Error at most 1.7 ulp.
    """
    return _or_zero(x, *_EXP_RANGE[x.dtype], _exp_inside)


def _or_zero(
    x: Expression, low: float, high: float, function: Callable[[Expression], Expression]
) -> Expression:
    """Returns a function of x, limited to `high`, and 0 below `low`, where it is not computed: a
    product that underflows takes CPUs ten times as long, and attention masks are full of -inf.
    """
    is_zero = x < low
    inside = select(x > high, high, select(is_zero, 0.0, x))
    return select(is_zero, 0.0, function(inside))


def exp_of_sum(x: Expression, low: Expression) -> Expression:
    """The exponential of `x + low`, for `low` much smaller than 1, with sums in two parts.

    Error at most 0.8 ulp.
    """
    return _or_zero(x, *_EXP_RANGE[x.dtype], lambda inside: _exp_of_sum_inside(inside, low))


def _exp_of_sum_inside(x: Expression, low: Expression) -> Expression:
    k, s = _nearest_power_of_two(x, LOG2_E / 2)
    first, second = LN2[x.dtype]
    r, r_low = quick_two_sum(fma(-k, 2 * first, x), fma(-k, 2 * second, low))
    power, power_low = quick_two_sum(like(r, 1.0), r)
    power = power + fma(r * r, polynomial(r, _EXP[x.dtype]), power_low + r_low)
    return power * s * s


def _exp_inside(x: Expression) -> Expression:
    r, s = split_powers_of_two(x, 2)
    power = plus_square(r, _EXP[x.dtype]) + 1.0
    return power * s * s


def exp2(x: Expression) -> Expression:
    """Two to the power x; exact if x is an integer.

    `2^x = e^r s t` with `s t = 2^k`, `k` the integer nearest to x, `r = (x - k) ln 2`. There
    are two factors for the same reason as in `exp`.
    Error at most 1.5 ulp.
    """
    return _or_zero(x, *_EXP2_RANGE[x.dtype], _exp2_inside)


def _exp2_inside(x: Expression) -> Expression:
    k, _ = nearest_integer(x, 1.0)
    half, s = _nearest_power_of_two(k, 0.5)
    _, t = _nearest_power_of_two(k - half, 1.0)
    first, second = LN2[x.dtype]
    r = fma(x - k, first, (x - k) * second)
    power = plus_square(r, _EXP[x.dtype]) + 1.0
    return power * s * t


def expm1(x: Expression) -> Expression:
    """The exponential of x minus 1, accurate near zero.

    `e^x - 1 = 2 (s (e^r - 1) + (s - 1/2))` with `s = 2^(k - 1)`, `x = k ln 2 + r`.
    Error at most 1.8 ulp.
    """
    near = clamp(x, *_EXPM1_RANGE[x.dtype])
    r, s = split_powers_of_two(near, 1, halvings=1)
    y = fma(s, plus_square(r, _EXPM1[x.dtype]), s - 0.5) * 2.0
    return select(abs(x) < format_of(x).epsilon / 4, x, y)  # keeps -0 and subnormals


def tanh(x: Expression) -> Expression:
    """The hyperbolic tangent; never beyond 1 in magnitude.

    `tanh |x| = t / (t + 2)` with `t = e^(2|x|) - 1`. Error at most 2.6 ulp.
    """
    magnitude = abs(x)
    bound = _TANH_IS_ONE[x.dtype]
    twice = select(magnitude > bound, bound, magnitude) * 2.0
    r, s = split_powers_of_two(twice, 1)
    t = fma(s, plus_square(r, _EXPM1[x.dtype]), s - 1.0)
    return with_sign_of(t / (t + 2.0), x)


def erf(x: Expression) -> Expression:
    """The error function; never beyond 1 in magnitude.

    `erf x = x P(x^2)` near zero, then `erf |x| = 1 - erfc |x|` with `erfc x = e^(-x P(x))` in
    float32 and `erfc x = e^(-x^2) P(x) / Q(x)` in float64. Error at most 2.6 ulp.
    """
    magnitude = abs(x)
    near = x * polynomial(x * x, error_function.NEAR[x.dtype])
    bound = error_function.IS_ONE[x.dtype]
    far = with_sign_of(1.0 - _erfc(select(magnitude > bound, bound, magnitude)), x)
    return select(magnitude < error_function.NEAR_ENDS[x.dtype], near, far)


def _erfc(x: Expression) -> Expression:
    if x.dtype is float32:
        return _exp_inside(-(x * polynomial(x, error_function.EXPONENT)))
    return (
        _exp_inside(-(x * x))
        * polynomial(x, error_function.FAR)
        / polynomial(x, error_function.FAR_BELOW)
    )


def split_powers_of_two(
    x: Expression, powers: int, halvings: int = 0
) -> tuple[Expression, Expression]:
    """Returns `r` and `2^(k - halvings)` where `x = k (powers ln 2) + r`, k the nearest integer."""
    k, s = _nearest_power_of_two(x, LOG2_E / powers, halvings)
    first, second = LN2[x.dtype]
    return fma(-k, powers * second, fma(-k, powers * first, x)), s


def _nearest_power_of_two(
    x: Expression, factor: float, halvings: int = 0
) -> tuple[Expression, Expression]:
    """Returns `k` and `2^(k - halvings)`, where `k` is the integer nearest to `x factor`.

    Its last bits plus the exponent's bias, moved to the exponent's place, are the power of two.
    """
    k, word = nearest_integer(x, factor, format_of(x).bias - halvings)
    return k, as_float(word << format_of(x).fraction_bits)
