"""Argument reduction for sin and cos: `x = k pi/2 + r`, accurate for every finite `x`.

Only the last two bits of `k` are needed, the quadrant. There are no tables to load and no branches:
constants are chosen by `Select`, so that all lanes do the same.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from smelt.compiler.codegen.transcendental.building_blocks import (
    FORMATS,
    bits,
    fma,
    format_of,
    like,
    nearest_integer,
    quick_two_sum,
    select,
    two_product,
    two_sum,
)
from smelt.dtypes import float32, float64, int32
from smelt.ir.loops import Constant, Expression

# pi/2 as the sum of three numbers
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)

# 2/pi without what a float32 of at least `start` turns into multiples of 4, as sums of two numbers
_QUADRANTS = (
    (0.0, 0.6366197723675813, 7.166494911215068e-17),
    (2.0**50, -4.119769120791653e-09, 2.8376220177865265e-25),
    (2.0**76, -1.5037965581288064e-16, 1.018166438749971e-32),
    (2.0**102, -5.434184107743751e-25, 3.8858987075186823e-41),
)

# 2/pi times 2^1208, after two zeros
_TWO_OVER_PI = int(
    "00a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2"
    "e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339"
    "f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea"
    "2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6b",
    16,
)
_WORDS = 19  # of 64 bits
_LIMB = 2**32 - 1
_EXACT_BELOW = 2.0**48  # from here on the bits of 2/pi are needed


class Angle(NamedTuple):
    """`k mod 4` in the last bits of `quadrant`, and `r = high + low` with `|r| < 0.95`.

    In float32 `high` is `r` rounded from float64, and there is no `low`.
    """

    quadrant: Expression
    high: Expression
    low: Expression | None = None


def reduce_angle(x: Expression) -> Angle:
    """Returns the quadrant of `x` and the remainder; nan for inf and nan."""
    return _reduce_single(x) if x.dtype is float32 else _reduce_double(x)


def _reduce_single(x: Expression) -> Angle:
    """In float64, in which a product with a float32 loses nothing: `r = (x c - k) pi/2`.

    From 2^50 on, `x` is a multiple of 2^27, so `c` may differ from `2/pi` by a multiple of
    `4 / 2^27`, which makes `k` small enough to be exact. The same from 2^76 and from 2^102 on.
    """
    wide, magnitude = x.to(float64), abs(x)
    high: Expression
    low: Expression
    _, high, low = (Constant(part, float64) for part in _QUADRANTS[0])
    for start, next_high, next_low in _QUADRANTS[1:]:
        large = magnitude >= start
        high, low = select(large, next_high, high), select(large, next_low, low)
    k, quadrant = nearest_integer(wide, high)
    rest = fma(wide, low, fma(wide, high, -k))
    r = rest * _HALF_PI[0]
    return Angle(quadrant.to(int32), r.to(float32))


def _reduce_double(x: Expression) -> Angle:
    small = abs(x) < _EXACT_BELOW
    parts = zip(_reduce_near(x), _reduce_far(x), strict=True)
    return Angle(*(select(small, near, far) for near, far in parts))


def _reduce_near(x: Expression) -> tuple[Expression, Expression, Expression]:
    """Cody and Waite's method for `|x| < 2^48`: `k pi/2` is subtracted in three parts.

    The first step is exact: its result is below 1 and a multiple of 2^-53.
    """
    first, second, third = _HALF_PI
    k, quadrant = nearest_integer(x, 2 / math.pi)
    product, lost = two_product(k, like(k, second))
    high, error = two_sum(fma(-k, first, x), -product)
    low = fma(-k, third, error - lost)
    return quadrant, *quick_two_sum(high, low)


def _reduce_far(x: Expression) -> tuple[Expression, Expression, Expression]:
    """Payne and Hanek's method (SIGNUM 18, 1983) multiplies only the bits of 2/pi that matter.

    `|x| = m 2^e` with an integer `m < 2^53`. Without its multiples of 4, the product with 2/pi is
    `m W / 2^190 mod 4`, where W is the 192 bits of 2/pi from the bit `e - 1` on.
    """
    layout, word = format_of(x), bits(x)
    fraction = word & (2**layout.fraction_bits - 1)
    m = fraction | 2**layout.fraction_bits
    exponent = (word & (layout.sign_bit ^ -1)) >> layout.fraction_bits
    first_bit = exponent - (layout.bias + layout.fraction_bits - 6)
    above, below = _product_modulo_4(m, _window(first_bit))
    quadrant = (above + 2**61) >> 62
    turn = above - (quadrant << 62)  # in units of 2^-62 quadrants, signed
    high = turn.to(float64)
    low = (turn - high.to(turn.dtype)).to(float64) + (below >> 11).to(float64) * 2.0**-53
    high, low = quick_two_sum(high * 2.0**-62, low * 2.0**-62)
    r, lost = two_product(high, like(high, _HALF_PI[0]))
    rest = fma(high, _HALF_PI[1], fma(low, _HALF_PI[0], lost))
    negative = x < 0.0
    r = r + x * 0.0  # nan for inf
    parts = (quadrant, 0 - quadrant), (r, -r), (rest, -rest)
    quadrant, r, rest = (select(negative, minus, plus) for plus, minus in parts)
    return quadrant, r, rest


def _window(first_bit: Expression) -> list[Expression]:
    """Returns the six 32-bit numbers that start at `first_bit` of 2/pi, the most significant first.

    Whole words are dropped by four selections, of 8, 4, 2 and 1 words; the rest is a shift.
    """
    words = [_word(number) for number in range(_WORDS)]
    for step, left in ((8, 11), (4, 7), (2, 5), (1, 4)):
        skip = (first_bit & (64 * step)).differs(0)
        words = [select(skip, words[i + step], words[i]) for i in range(left)]
    limbs = []
    for upper, lower in pairwise(words):
        # shifts count modulo 64, so the second is by 63 - first_bit
        whole = (upper << first_bit) | ((lower >> 1) >> (first_bit ^ 63))
        limbs += [whole >> 32, whole & _LIMB]
    return limbs


def _word(number: int) -> Expression:
    word = _TWO_OVER_PI >> 64 * (_WORDS - 1 - number) & (2**64 - 1)
    signed = word - 2**64 if word >= 2**63 else word
    return Constant(signed, FORMATS[float64].integer)


def _product_modulo_4(m: Expression, limbs: list[Expression]) -> tuple[Expression, Expression]:
    """Returns the first 128 of the last 192 bits of `m W`, as two numbers, by long multiplication.

    A column's sum is below 2^54: two halves of products with m's low limb, a whole one with its
    high limb (21 bits), and the carry.
    """
    low, high = m & _LIMB, m >> 32
    columns = []
    carry = None
    for number in range(4, -1, -1):
        total = (low * limbs[number] & _LIMB) + (low * limbs[number + 1] >> 32)
        total = total + high * limbs[number + 1]
        total = total if carry is None else total + carry
        columns.append(total)
        carry = total >> 32
    _, fourth, third, second, first = columns
    return (first << 32) | (second & _LIMB), (third << 32) | (fourth & _LIMB)
