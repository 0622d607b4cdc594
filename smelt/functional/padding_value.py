"""Padding with a tensor's own elements by NumPy: all of its edges in one array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from smelt.autodiff.composition import Composition
from smelt.ops.op import Needs, Type, Typed
from smelt.tensor import Tensor

Edges = tuple[tuple[int, int], ...]  # of each axis: how many elements before, and behind


class OwnPadding(Composition):
    """Padding of mode "reflect", "replicate" or "circular"; axis after axis, the last one first."""

    def __init__(self, definition: Callable[..., Tensor], edges: Edges, mode: str) -> None:
        super().__init__("pad", definition)
        self._edges, self._mode = edges, mode

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,) = types
        pairs = zip(x.shape, self._edges, strict=True)
        return Type(tuple([extent + low + high for extent, (low, high) in pairs]), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (x,) = arrays
        result = np.empty([extent + sum(edges) for extent, edges in self._axes(x)], x.dtype)
        result[self._inside(x)] = x
        for part, edge, source in self._copies(x, result):
            part[edge] = part[source]
        return result

    def gradients(
        self, g: np.ndarray, needs: Needs, arrays: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray | None, ...]:
        (x,), sums = arrays, g.copy()
        for part, edge, source in reversed(list(self._copies(x, sums))):
            added, target = part[edge], part[source]
            target += added if target.shape == added.shape else added.sum(0, keepdims=True)
        return (np.ascontiguousarray(sums[self._inside(x)]),)

    def _axes(self, x: np.ndarray) -> Iterator[tuple[int, tuple[int, int]]]:
        return zip(x.shape, self._edges, strict=True)

    def _inside(self, x: np.ndarray) -> tuple[slice, ...]:
        """Returns where x stands in the result."""
        return tuple([slice(low, low + extent) for extent, (low, _) in self._axes(x)])

    def _copies(
        self, x: np.ndarray, padded: np.ndarray
    ) -> Iterator[tuple[np.ndarray, slice, slice]]:
        """Yields, for each edge: the part of the result that is known by then, with the edge's axis
        first, where the edge is in it, and where that is copied from.
        """
        inside = self._inside(x)
        for axis in reversed(range(x.ndim)):
            part = np.moveaxis(padded[inside[:axis]], axis, 0)
            low, high = self._edges[axis]
            end = low + x.shape[axis]
            sources = _SOURCES[self._mode](low, high, end)
            if low:
                yield part, slice(low), sources[0]
            if high:
                yield part, slice(end, None), sources[1]


def _reflected(low: int, high: int, end: int) -> tuple[slice, slice]:
    stop = end - 2 - high
    return slice(2 * low, low, -1), slice(end - 2, stop if stop >= 0 else None, -1)


def _replicated(low: int, high: int, end: int) -> tuple[slice, slice]:
    return slice(low, low + 1), slice(end - 1, end)


def _circular(low: int, high: int, end: int) -> tuple[slice, slice]:
    return slice(end - low, end), slice(low, low + high)


_SOURCES = {"reflect": _reflected, "replicate": _replicated, "circular": _circular}
