"""Functions for which the loop IR has no operation, element by element as its expressions."""

from __future__ import annotations

from smelt.ir.loops import Binary, Constant, Expression, Select, Unary


def sigmoid(x: Expression) -> Expression:
    """Returns 1 / (1 + e^-x), by an exponential that never overflows."""
    one = Constant(1.0, x.dtype)
    decay = Unary("exp", Unary("neg", Unary("abs", x, x.dtype), x.dtype), x.dtype)
    top = Select(Binary("ge", x, Constant(0.0, x.dtype)), one, decay)
    return Binary("div", top, Binary("add", one, decay))


def relu(x: Expression) -> Expression:
    """Returns max(x, 0)."""
    return Binary("maximum", x, Constant(0.0, x.dtype))


def cos_asin(x: Expression) -> Expression:
    """Returns sqrt(1 - x^2), the cosine of the angle whose sine is x."""
    one = Constant(1.0, x.dtype)
    return Unary("sqrt", (one - x) * (one + x), x.dtype)


def asin(x: Expression) -> Expression:
    """Returns the angle whose sine is x."""
    return Binary("atan2", x, cos_asin(x))


def acos(x: Expression) -> Expression:
    """Returns the angle whose cosine is x."""
    return Binary("atan2", cos_asin(x), x)


def _half_power(x: Expression) -> tuple[Expression, Expression]:
    """Returns e^|x| / 2 and e^-|x| / 2; the first overflows only where the halved value does."""
    root = Unary("exp", Unary("abs", x, x.dtype) * Constant(0.5, x.dtype), x.dtype)
    half = Constant(0.5, x.dtype)
    return half * root * root, half / root / root


def cosh(x: Expression) -> Expression:
    """Returns (e^x + e^-x) / 2."""
    rising, falling = _half_power(x)
    return rising + falling


def sinh(x: Expression) -> Expression:
    """Returns (e^x - e^-x) / 2; near 0 by way of e^x - 1, which loses no precision there."""
    magnitude = Unary("abs", x, x.dtype)
    rising, falling = _half_power(x)
    more = Unary("expm1", Binary("minimum", magnitude, Constant(1.0, x.dtype)), x.dtype)
    near = (more + more / (more + Constant(1.0, x.dtype))) * Constant(0.5, x.dtype)
    positive = Select(magnitude < Constant(1.0, x.dtype), near, rising - falling)
    return Select(x < Constant(0.0, x.dtype), -positive, positive)
