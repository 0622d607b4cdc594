"""log and the normal quantile from exactly rounded operations: the same bits on every machine.

NumPy's log and the compiler's differ in the last bit. What random numbers need is therefore written
here with + - * /, sqrt, comparisons and bit operations alone, each of which IEEE 754 defines to
the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from smelt import dtypes
from smelt.ops.elementwise import bitcast, shr
from smelt.tensor import Tensor
from smelt.tensor.elementary import sqrt, where

# bits of the mantissa, bias of the exponent, terms of the series, integer of the same width
_LAYOUT = {
    dtypes.float32: (23, 127, 6, dtypes.int32),
    dtypes.float64: (52, 1023, 11, dtypes.int64),
}


def log(x: Tensor) -> Tensor:
    """Returns the natural logarithm of positive, normal numbers, within 3 ulp.

    x = 2^e m with m in [0.7, 1.4]; log m = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...), s =
    (m-1)/(m+1).
    """
    mantissa, bias, terms, integer = _LAYOUT[x.dtype]
    bits = bitcast(x, dtype=integer)
    # dividing by sqrt(1/2) in the exponent's field brings m around 1
    shifted = bits - _bits_of(math.sqrt(0.5), mantissa, bias)
    exponent = shr(shifted, mantissa)
    width = 8 * integer.itemsize - mantissa
    exponent = where(exponent >= 1 << (width - 1), exponent - (1 << width), exponent)
    m = bitcast(bits - exponent * (1 << mantissa), dtype=x.dtype)
    s = (m - 1.0) / (m + 1.0)
    series = _polynomial(s * s, [1 / (2 * index + 1) for index in range(terms)])
    return exponent.to(x.dtype) * math.log(2) + 2.0 * s * series


def _bits_of(value: float, mantissa: int, bias: int) -> int:
    """The bits, as an integer, of a number in [1/2, 1)."""
    return (bias - 1 << mantissa) + int((2 * value - 1) * (1 << mantissa))


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """Horner's rule; the constant comes first."""
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        result = result * x + coefficient
    return result


def normal_quantile(tail: Tensor) -> Tensor:
    """Returns z >= 0 with P(Z > z) = tail for a standard normal Z and tail in (0, 1/2].

    Wichura's algorithm AS 241 (PPND16), "The percentage points of the normal distribution", Applied
    Statistics 37 (1988): three rational functions, relative error about 1e-16.
    """
    q = 0.5 - tail
    central = q <= 0.425
    r = 0.180625 - q * q
    inner = q * (_polynomial(r, _A) / _polynomial(r, _B))
    root = sqrt(-log(tail))
    near = _polynomial(root - 1.6, _C) / _polynomial(root - 1.6, _D)
    far = _polynomial(root - 5.0, _E) / _polynomial(root - 5.0, _F)
    return where(central, inner, where(root <= 5.0, near, far))


_A = (
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
    1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
    3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
_B = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
    5.2264952788528545610e3,
)  # fmt: skip
_C = (
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
    3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
    2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
_D = (
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)  # fmt: skip
_E = (
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
    2.71155556874348757815e-5, 2.01033439929228813265e-7,
)  # fmt: skip
_F = (
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)  # fmt: skip
