"""Fixed point: a real factor as an integer and a shift, so that scaling is integer arithmetic.

An integer q of scale s stands for the real number s * q. A sum of products of integers is an int32
`a` of another scale, and the next layer wants it as an int8 of scale t:

    q = clip(round(a * s / t), low, high)

With s / t ~ m / 2^n, where m is an int32, this is computed on int64 as

    q = clip((a * m + 2^(n - 1)) >> n, low, high)

which rounds to nearest, and halves upward: Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018, arXiv:1712.05877, equation 6, in
the form with one rounding that TensorFlow Lite has under TFLITE_SINGLE_ROUNDING. All channels of a
layer share n, and m has 31 bits for the largest of their factors.
"""

from __future__ import annotations

import math

import numpy as np

from smelt.dtypes import int8, int32, int64
from smelt.errors import ArgumentError
from smelt.ops import elementwise
from smelt.tensor import Tensor

__all__ = [
    "ACCUMULATOR_BITS",
    "LARGEST",
    "clipped",
    "combined",
    "fixed_point",
    "fixed_point_terms",
    "requantized",
]

LARGEST = 127  # of a quantized number; -128 is left out, so that both signs reach as far
ACCUMULATOR_BITS = 30  # of a sum: its product with an int32 and the roundings fit into an int64
MULTIPLIER_BITS = 31
MOST_SHIFT = 61
TERM_BITS = 29  # of a sum of scaled int8, which is rounded within an int32


def fixed_point(factors: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns int32 multipliers m and one shift n with factors ~ m / 2^n.

    Args:
        factors: real numbers, of any shape.

    Raises:
        ArgumentError: a factor of 2^30 or more, which no scales of a network make.
    """
    largest = float(np.abs(factors).max(initial=0.0))
    exponent = math.frexp(largest)[1] if largest else 0
    shift = min(MULTIPLIER_BITS - exponent, MOST_SHIFT)
    multipliers = np.rint(np.ldexp(factors, shift))
    if np.abs(multipliers).max(initial=0.0) >= 2.0**MULTIPLIER_BITS:
        shift -= 1
        multipliers = np.rint(np.ldexp(factors, shift))
    if shift < 1:
        raise _out_of_range(largest)
    return multipliers.astype(np.int32), shift


def _out_of_range(factor: float) -> ArgumentError:
    return ArgumentError(
        f"quantize: a layer scales by {factor:g}, beyond fixed point; are the weights and the "
        "calibration data of a common size?"
    )


def requantized(total: Tensor, multiplier: Tensor, shift: int, low: int, high: int) -> Tensor:
    """Returns int32 sums as int8 of another scale; see the head of this file.

    Args:
        total: int32 of any shape, below 2^30 in size.
        multiplier: m, int32, which broadcasts to that shape.
        shift: n, from 1 to 61.
        low: the least result.
        high: the largest.
    """
    # `shr` moves in zeros, so the number is first made positive: both constants are powers of two
    lift, half = 1 << 62, 1 << (shift - 1)
    product = total.to(int64) * multiplier.to(int64) + (lift + half)
    rounded = elementwise.shr(product, shift) - (lift >> shift)
    return clipped(rounded, low, high).to(int32).to(int8)


def clipped(x: Tensor, low: int, high: int) -> Tensor:
    """Returns integers within bounds."""
    return elementwise.minimum(elementwise.maximum(x, low), high)


def fixed_point_terms(
    factors: list[np.ndarray], constant: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Returns integers M_i, C and a shift n with the sum of factors_i * q_i + constant
    ~ (the sum of M_i * q_i + C) / 2^n, which fits into an int32 for all int8 q_i.

    Raises:
        ArgumentError: the sum reaches 2^28 or more.
    """
    reach = float(np.max(sum(LARGEST * np.abs(factor) for factor in factors) + np.abs(constant)))
    shift = min(TERM_BITS - 1 - math.frexp(reach)[1], TERM_BITS)
    if shift < 1:
        raise _out_of_range(reach)
    scaled = [np.rint(np.ldexp(one, shift)) for one in (*factors, constant)]
    *multipliers, offset = [one.astype(np.int32) for one in scaled]
    return multipliers, offset, shift


def combined(total: Tensor, shift: int, low: int, high: int) -> Tensor:
    """Returns clip(round(total / 2^shift), low, high) as int8; `total` is an int32 below 2^29."""
    lift, half = 1 << 30, 1 << (shift - 1)
    rounded = elementwise.shr(total + (lift + half), shift) - (lift >> shift)
    return clipped(rounded, low, high).to(int8)
