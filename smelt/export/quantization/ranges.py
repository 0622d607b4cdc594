"""Ranges: how large the numbers of each tensor become on calibration data, and the scale of that.

A quantized tensor has one scale s, and holds q = clip(round(x / s), -127, 127). With the method
"max" s is the largest |x| seen, over 127, so that nothing of the calibration data saturates. With
"percentile" a few numbers may: s is over 127 what that share of all |x| lies below. They are
counted in a histogram of fixed size, whose bins become twice as wide when a number lies beyond.
"""

from __future__ import annotations

import math

import numpy as np

from smelt.errors import ArgumentError
from smelt.export.quantization.fixed_point import LARGEST

__all__ = ["METHODS", "Range"]

METHODS = ("max", "percentile")
BINS = 4096


class Range:
    """What is known of the numbers of one tensor.

    Args:
        percentile: how many percent of all |x| do not saturate; 100 for the largest |x| itself.
    """

    def __init__(self, percentile: float = 100.0) -> None:
        self.percentile: float = percentile
        self.largest: float = 0.0
        self.count: int = 0
        self._histogram: np.ndarray = np.zeros(BINS, np.int64)
        self._width: float = 0.0  # of a bin

    def see(self, x: np.ndarray, what: str) -> None:
        """Takes numbers into account.

        Raises:
            ArgumentError: one is not finite; `what` says where it is from.
        """
        sizes = np.abs(x, dtype=np.float32).ravel()
        if not sizes.size:
            return
        largest = float(sizes.max())
        if not math.isfinite(largest):
            raise ArgumentError(f"quantize: {what} is inf or nan on the calibration data")
        self.largest = max(self.largest, largest)
        self.count += sizes.size
        if self.percentile < 100 and largest:
            self._count(sizes, largest)
        elif self.percentile < 100:
            self._histogram[0] += sizes.size

    def _count(self, sizes: np.ndarray, largest: float) -> None:
        if not self._width:
            self._width = largest / BINS
        while largest > self._width * BINS:
            self._width *= 2
            pairs = self._histogram.reshape(-1, 2).sum(1)
            self._histogram = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])
        bins = np.minimum((sizes / np.float32(self._width)).astype(np.int64), BINS - 1)
        self._histogram += np.bincount(bins, minlength=BINS)

    @property
    def bound(self) -> float:
        """The size of a number up to which none saturates; 0 where all are 0."""
        if self.percentile >= 100 or not self._width:
            return self.largest
        wanted = self.count * self.percentile / 100
        last = int(np.searchsorted(np.cumsum(self._histogram), wanted))
        return min(self.largest, (last + 1) * self._width)

    @property
    def scale(self) -> float:
        """The scale s; 1 / 127 for a tensor of zeros, so that it is no division by 0."""
        return (self.bound or 1.0) / LARGEST

    @property
    def saturation(self) -> float:
        """The share of the numbers that lie beyond the bound, as far as the bins tell."""
        if not self.count or self.bound >= self.largest:
            return 0.0
        first = math.ceil(self.bound / self._width - 1e-9)
        return float(self._histogram[first:].sum() / self.count)
