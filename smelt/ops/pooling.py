"""Pooling: finding the maximum of each window, reading there and writing there.

`window_argmax` finds positions, `window_take` reads them, `window_put` writes them. The last two
are linear and each other's adjoints, so max pooling is a read at computed positions and can be
differentiated to any order. Positions of a window are numbered in row-major order; those outside
the array do not exist.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import numpy as np

from smelt.dtypes import bool_, int32, int64
from smelt.ir.loops import Cast, Constant, Expression, Select, Unary, constant
from smelt.ir.operation import Pattern
from smelt.ops.convolution import effective_extent
from smelt.ops.movement import all_batched, conjunction
from smelt.ops.op import (
    Gradients,
    Index,
    Mask,
    Needs,
    Op,
    Reader,
    Readers,
    Type,
    Typed,
    check_not_half,
    check_number,
)
from smelt.ops.windows import Windows, trailing

FEW = 4  # for windows of up to so many elements, all are read and one is selected


class Windowed(Op):
    """The family: `window, stride, dilation, low, counts` describe the windows."""

    pattern = Pattern.POINTWISE
    rereads_operands = True

    def windows(self, attributes: dict[str, Any]) -> Windows:
        """Returns the windows that the attributes describe."""
        return Windows(*(attributes[name] for name in Windows._fields))

    def elements(
        self, read: Reader, index: Index, node: Any, mask: Mask
    ) -> Iterator[tuple[Expression, Mask]]:
        """Yields the element at each position of a window, and whether it exists (None: always)."""
        windows, kept = self.windows(node.attributes), node.ndim - len(node.attributes["counts"])
        for offset in windows.offsets():
            source = windows.at(index[kept:], tuple(map(constant, offset)))
            inside = windows.inside(source, node.inputs[0].shape[kept:])
            yield read((*index[:kept], *source), conjunction(mask, inside)), inside


class WindowArgmax(Windowed):
    """`(..., *S) -> (..., *counts)`, int32: the position of each window's first maximum.

    nan counts as the largest number; of several the last one wins, as in PyTorch.
    """

    linear_operands: ClassVar[int] = 0

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,), windows = types, self.windows(attributes)
        check_number("window_argmax", x.dtype)
        kept = len(x.shape) - windows.ndim
        windows.check("window_argmax", x.shape[kept:])
        return Type((*x.shape[:kept], *windows.counts), int32)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (x,), windows = arrays, self.windows(attributes)
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        views = windows.views(windows.padded(x, lowest))
        extents = x.shape[x.ndim - windows.ndim :]
        if windows.lie_within(extents):
            return _places(views, itertools.repeat(None), math.prod(windows.window))
        exists = windows.views(windows.padded(np.ones(extents, bool), False))
        return _places(views, exists, math.prod(windows.window))

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0], **attributes)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns a chain of selects over the window's positions, which keeps the best so far."""
        best: Expression | None = None
        place: Expression = Constant(-1, int32)
        elements = self.elements(readers[0], index, node, mask)
        for number, (element, inside) in enumerate(elements):
            better = inside if best is None else _and(inside, _beats(element, best, place, inside))
            here = Constant(number, int32)
            place = here if better is None else Select(better, here, place)
            best = element if best is None or better is None else Select(better, element, best)
        return place


def _places(
    views: Iterator[np.ndarray], exists: Iterator[np.ndarray | None], count: int
) -> np.ndarray:
    """Returns the position of each window's maximum, given the elements at each position.

    Positions only increase, so a comparison can be a factor and no element needs a branch.
    """
    small = np.int8 if count <= np.iinfo(np.int8).max else np.int32
    best = np.array(next(views))
    there = next(exists)
    place = np.zeros(best.shape, small)
    if there is not None:
        place -= ~there
    for number, (element, there) in enumerate(zip(views, exists, strict=False), 1):
        better = np.asarray(element > best)
        if best.dtype.kind == "f":
            better |= element != element
        if there is not None:
            better |= place < 0
            better &= there
        np.maximum(best, element, out=best)
        np.maximum(place, better * small(number + 1) - small(1), out=place)
    return place.astype(np.int32)


def _and(a: Expression | None, b: Expression) -> Expression:
    return b if a is None else a & b


def _beats(
    element: Expression, best: Expression, place: Expression, inside: Expression | None
) -> Expression:
    better: Expression = element > best
    if element.dtype.is_float:
        better = better | Unary("isnan", element, bool_)
    if inside is not None:  # perhaps no element of the window existed so far
        better = better | (place < 0)
    return better


class WindowTake(Windowed):
    """`y[..., p] = x[..., the element of window p at place[..., p]]`."""

    linear_operands: ClassVar[int] = 1

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        check_not_half("window_take", types[0].dtype)
        return Type(types[1].shape, types[0].dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (x, place), windows = arrays, self.windows(attributes)
        x = windows.padded(x, 0)
        places = windows.flat_places(place, x.shape[x.ndim - windows.ndim :])
        return np.take(x.ravel(), places)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        x, place = inputs
        extents = x.shape[x.ndim - len(attributes["counts"]) :]
        return window_put(g, place, extents=extents, **attributes), None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(*all_batched(inputs, batched), **attributes)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns a load at the loaded position, or, for a small window, a select among all."""
        windows, kept = self.windows(node.attributes), node.ndim - len(node.attributes["counts"])
        place = readers[1](index, mask)
        if math.prod(windows.window) > FEW:
            offset = _offset(windows, Cast(place, int64))
            return readers[0]((*index[:kept], *windows.at(index[kept:], offset)), mask)
        result: Expression | None = None
        for number, (element, _) in enumerate(self.elements(readers[0], index, node, mask)):
            here = place.equals(number)
            result = element if result is None else Select(here, element, result)
        assert result is not None, "a window has a position"
        return result


def _offset(windows: Windows, place: Expression) -> tuple[Expression, ...]:
    """Returns the offset along each axis of a position from the beginning of its window."""
    offset: list[Expression] = []
    for axis, taps in enumerate(windows.window):
        tap = place // math.prod(windows.window[axis + 1 :])
        tap = tap if axis == 0 else tap % taps
        offset.append(tap * windows.dilation[axis])
    return tuple(offset)


class WindowPut(Windowed):
    """`x[..., the element of window p at place[..., p]] += y[..., p]`, from 0; x ends in `extents`.

    An element of the result is a sum over the windows that may contain it.
    """

    linear_operands: ClassVar[int] = 1

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        check_number("window_put", types[0].dtype)
        extents = attributes["extents"]
        return Type((*types[0].shape[: -len(extents)], *extents), types[0].dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (y, place), windows = arrays, self.windows(attributes)
        extents = attributes["extents"]
        result = windows.padded(np.zeros((*y.shape[: -len(extents)], *extents), y.dtype), 0)
        places = windows.flat_places(place, result.shape[result.ndim - windows.ndim :])
        if windows.overlap():
            np.add.at(result.reshape(-1), places.ravel(), y.ravel())
        else:
            result.reshape(-1)[places.ravel()] = y.ravel()
        if windows.lie_within(extents):
            return result
        axes = zip(windows.low, extents, strict=True)
        return trailing(result, [slice(low, low + extent) for low, extent in axes])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        settings = {name: attributes[name] for name in Windows._fields}
        return window_take(g, inputs[1], **settings), None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(*all_batched(inputs, batched), **attributes)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns the sum over all windows that may contain the element."""
        windows, kept = self.windows(node.attributes), node.ndim - len(node.attributes["counts"])
        axes = zip(index[kept:], *windows, node.attributes["extents"], strict=True)
        candidates = [list(_windows_of(*axis)) for axis in axes]
        zero = Constant(0, node.dtype)
        total: Expression | None = None
        for chosen in itertools.product(*candidates):
            place: Expression = constant(0)
            inside = None
            for (_, tap, exists), taps in zip(chosen, windows.window, strict=True):
                place, inside = place * taps + tap, conjunction(inside, exists)
            source = (*index[:kept], *(number for number, _, _ in chosen))
            valid = conjunction(mask, inside)
            here = readers[1](source, valid).to(int64).equals(place)
            element = Select(_and(inside, here), readers[0](source, valid), zero)
            total = element if total is None else total + element
        return zero if total is None else total


def _windows_of(
    part: Expression, window: int, stride: int, dilation: int, low: int, count: int, extent: int
) -> Iterator[tuple[Expression, Expression, Expression | None]]:
    """Yields the windows along one axis that may contain an element: the window's number, the tap,
    and the condition that they do.
    """
    place = part + low
    covered = effective_extent(window, dilation)
    for back in range((covered - 1) // stride + 1):
        number = place // stride - back
        offset = place % stride + back * stride
        exists: Expression | None = None
        if back:
            exists = number >= 0
        if (extent + low - 1) // stride - back >= count:
            exists = conjunction(exists, number < count)
        if min(stride, extent + low) - 1 + back * stride >= covered:
            exists = conjunction(exists, offset < covered)
        if dilation > 1:
            exists = conjunction(exists, (offset % dilation).equals(0))
        yield number, offset // dilation, exists


window_argmax: Final = WindowArgmax("window_argmax")
window_take: Final = WindowTake("window_take")
window_put: Final = WindowPut("window_put")
