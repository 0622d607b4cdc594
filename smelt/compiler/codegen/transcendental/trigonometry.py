"""sin, cos and atan2.

The polynomials are minimax fits of relative error (Remez exchange, 75 digits), rounded to the
dtype.
"""

from __future__ import annotations

import math

from smelt.compiler.codegen.transcendental.argument_reduction import Angle, reduce_angle
from smelt.compiler.codegen.transcendental.building_blocks import (
    as_float,
    bits,
    fma,
    format_of,
    polynomial,
    select,
    with_sign_of,
)
from smelt.dtypes import float32, float64
from smelt.ir.loops import Expression

# (sin r - r) / r^3 in powers of r^2; errors of sin: 2^-34.8 for |r| < 0.95, 2^-67.8 for |r| < 0.82
_SIN = {
    float32: (-0.166666672, 0.00833332073, -0.000198371446, 2.70114788e-06),
    float64: (
        -0.16666666666666666, 0.008333333333333316, -0.00019841269841247225,
        2.7557319210216296e-06, -2.5052103901247554e-08, 1.6058241081142733e-10,
        -7.572630585328992e-13,
    ),
}  # fmt: skip
# (cos r - 1) / r^2 in powers of r^2; errors of cos: 2^-31.4, 2^-63.7, for the same r
_COS = {
    float32: (-0.5, 0.0416665301, -0.00138843618, 2.42021997e-05),
    float64: (
        -0.5, 0.041666666666666366, -0.0013888888888850478, 2.4801587278199977e-05,
        -2.7557311607226737e-07, 2.087539331189571e-09, -1.1344109146794447e-11,
    ),
}  # fmt: skip
# (atan t - t) / t^3 in powers of t^2 for t <= 1; errors of atan: 2^-28.5, 2^-57.6
_ATAN = {
    float32: (
        -0.333332986, 0.199985489, -0.142642409, 0.109521821, -0.0840343982, 0.0579574034,
        -0.0311776493, 0.010914498, -0.00179359724,
    ),
    float64: (
        -0.3333333333333307, 0.19999999999951462, -0.1428571428257519, 0.11111111007027519,
        -0.09090907003000012, 0.07692279839246534, -0.06666404056245334, 0.05880527802294855,
        -0.052535184830814895, 0.047223219412596815, -0.04219178156491785,
        0.03664189344168028, -0.029903829365154, 0.021984816285083874, -0.013900524349802936,
        0.007196477510824941, -0.0028849051358328993, 0.0008313171313544376,
        -0.0001521598450220418, 1.3224973784939363e-05,
    ),
}  # fmt: skip


def sin(x: Expression) -> Expression:
    """The sine; nan at inf.

    `+-sin r` or `+-cos r`, by the quadrant of `x = k pi/2 + r`. Error at most 2 ulp for every x,
    however large.
    """
    angle = reduce_angle(x)
    y = _sine_in_quadrant(angle, angle.quadrant)
    if x.dtype is float32:
        return y
    return select(abs(x) < format_of(x).epsilon, x, y)  # keeps -0 and subnormals


def cos(x: Expression) -> Expression:
    """The cosine: the sine one quadrant on; nan at inf.

    Error at most 2 ulp for every x, however large.
    """
    angle = reduce_angle(x)
    return _sine_in_quadrant(angle, angle.quadrant + 1)


def _sine_in_quadrant(angle: Angle, quadrant: Expression) -> Expression:
    """`sin(r + quadrant pi/2)`: sin r, cos r, -sin r, -cos r."""
    _, r, low = angle
    z = r * r
    if low is None:
        sine = r * fma(z, polynomial(z, _SIN[r.dtype]), 1.0)
        cosine = fma(z, polynomial(z, _COS[r.dtype]), 1.0)
    else:
        sine = r + fma(r * z, polynomial(z, _SIN[r.dtype]), low)
        cosine = 1.0 + fma(z, polynomial(z, _COS[r.dtype]), -(r * low))
    y = select((quadrant & 1).equals(0), sine, cosine)
    width = 8 * r.dtype.itemsize
    return as_float(bits(y) ^ ((quadrant & 2) << (width - 2)))


def atan2(y: Expression, x: Expression) -> Expression:
    """The angle of the point (x, y), with signed zeros and infinities as in C99.

    atan of the smaller magnitude over the larger, then reflected. Error at most 1.7 ulp.
    """
    rise, run = abs(y), abs(x)
    steep = rise > run
    smaller, larger = select(steep, run, rise), select(steep, rise, run)
    # both 0, or both inf: the quotient is nan
    diagonal = select(larger.equals(0.0), larger, 1.0)
    t = select(smaller.equals(larger), diagonal, smaller / larger)
    z = t * t
    angle = fma(t * z, polynomial(z, _ATAN[t.dtype]), t)
    angle = select(steep, math.pi / 2 - angle, angle)
    angle = select(bits(x) < 0, math.pi - angle, angle)
    return with_sign_of(angle, y)
