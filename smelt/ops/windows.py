"""Windows that slide over the last axes of an array: where they lie, and what they contain."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from smelt.errors import ArgumentError
from smelt.ir.loops import Expression
from smelt.ops.convolution import effective_extent
from smelt.ops.movement import Index, conjunction
from smelt.ops.op import Shape

Sizes = tuple[int, ...]


class Windows(NamedTuple):
    """Windows over the last axes: `window` taps, `dilation` apart, every `stride` elements.

    The first begins `low` elements before the array; there are `counts` of them per axis.
    """

    window: Sizes
    stride: Sizes
    dilation: Sizes
    low: Sizes
    counts: Sizes

    @property
    def ndim(self) -> int:
        """How many axes they slide over."""
        return len(self.window)

    def offsets(self) -> Iterator[Sizes]:
        """Yields the positions in a window in row-major order, as offsets from its beginning."""
        for taps in itertools.product(*map(range, self.window)):
            yield tuple(tap * gap for tap, gap in zip(taps, self.dilation, strict=True))

    def check(self, name: str, extents: Shape) -> None:
        """Raises ArgumentError when a window would contain no element of the array."""
        if min(self.window + self.stride + self.dilation, default=1) < 1:
            raise ArgumentError(
                f"{name}: window, stride and dilation must be at least 1, got {self}"
            )
        ends = self._ends()
        for axis, extent in enumerate(extents):
            first, last = self.low[axis], ends[axis] - self.low[axis]
            beyond = last - effective_extent(self.window[axis], self.dilation[axis]) >= extent
            wrong = first < 0 or first > ends[axis] or beyond or self._steps_over(axis, extent)
            if self.counts[axis] and wrong:
                raise ArgumentError(
                    f"{name}: a window of {self} contains none of the {extent} elements of axis "
                    f"{axis}"
                )

    def _steps_over(self, axis: int, extent: int) -> bool:
        """Whether a window is empty because the whole array lies in a gap between two taps."""
        gap = self.dilation[axis]
        if extent >= gap:
            return False
        taps = range(0, self.window[axis] * gap, gap)
        firsts = (
            number * self.stride[axis] - self.low[axis] for number in range(self.counts[axis])
        )
        return any(not any(0 <= first + tap < extent for tap in taps) for first in firsts)

    def _ends(self) -> Sizes:
        """Where the last window ends, counted from the beginning of the first."""
        covered = map(effective_extent, self.window, self.dilation)
        axes = zip(self.counts, self.stride, covered, strict=True)
        return tuple([(count - 1) * step + extent for count, step, extent in axes])

    def inside(self, places: Index, extents: Shape) -> Expression | None:
        """Returns the condition that a tap lies in the array; None if all do."""
        inside: Expression | None = None
        for axis, end in enumerate(self._ends()):
            if self.low[axis]:
                inside = conjunction(inside, places[axis] >= 0)
            if end - self.low[axis] > extents[axis]:
                inside = conjunction(inside, places[axis] < extents[axis])
        return inside

    def at(self, index: Index, offset: tuple[Expression, ...]) -> Index:
        """Returns the index in the array of a window's element: index * stride + offset - low."""
        axes = zip(index, self.stride, offset, self.low, strict=True)
        return tuple(part * step + more - low for part, step, more, low in axes)

    def views(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """Yields, for each position in a window, that element of all windows of a padded array."""
        for offset in self.offsets():
            axes = zip(offset, self.counts, self.stride, strict=True)
            yield trailing(x, [slice(start, start + n * step, step) for start, n, step in axes])

    def lie_within(self, extents: Shape) -> bool:
        """Returns whether all windows lie within an array of these extents."""
        fits = all(map(operator.le, self._ends(), extents))
        return fits and not any(self.low)

    def overlap(self) -> bool:
        """Returns whether two windows may share an element."""
        covered = map(effective_extent, self.window, self.dilation)
        return any(map(operator.gt, covered, self.stride))

    def flat_places(self, place: np.ndarray, extents: Shape) -> np.ndarray:
        """Returns the flat (row-major) index, in an array that contains all windows, of one element
        of each window.

        Args:
            place: int (..., *counts), the position of the element in its window.
            extents: the array's extents along its last axes.
        """
        steps = [math.prod(extents[axis + 1 :]) for axis in range(self.ndim)]
        offsets = [sum(map(operator.mul, offset, steps)) for offset in self.offsets()]
        result = np.take(np.array(offsets, np.intp), place)
        for axis, (count, stride, step) in enumerate(
            zip(self.counts, self.stride, steps, strict=True)
        ):
            firsts = np.arange(count) * (stride * step)
            result += firsts.reshape((count, *(1,) * (self.ndim - 1 - axis)))
        rows = place.shape[: place.ndim - self.ndim]
        numbers = np.arange(math.prod(rows)) * math.prod(extents)
        result += numbers.reshape((*rows, *(1,) * self.ndim))
        return result

    def padded(self, x: np.ndarray, value: float) -> np.ndarray:
        """Returns x, padded by `value` so that it contains all windows."""
        extents = x.shape[x.ndim - self.ndim :]
        if self.lie_within(extents):
            return x
        high = [
            max(0, end - low - extent) + step
            for end, low, extent, step in zip(
                self._ends(), self.low, extents, self.stride, strict=True
            )
        ]
        sides = [(0, 0)] * (x.ndim - self.ndim) + list(zip(self.low, high, strict=True))
        return np.pad(x, sides, constant_values=value)


def trailing(x: np.ndarray, bounds: list[slice]) -> np.ndarray:
    """Returns the part of x within bounds along its last axes."""
    kept = [slice(None)] * (x.ndim - len(bounds))
    return x[tuple(kept + bounds)]
