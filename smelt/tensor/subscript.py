"""Parses the index of `x[...]` into slices and index tensors."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError, TraceError
from smelt.ir.symbolic import is_symbolic, range_length
from smelt.ops.op import Shape
from smelt.tensor.apply import is_tensor
from smelt.tracing.engine import Eager, current_engine


@dataclass(frozen=True, slots=True)
class Subscript:
    """A parsed index: first slices, flips and a reshape, then index tensors.

    `start`, `stop`, `step` (positive) slice every axis of x to `extents`; the axes `flipped` are
    reversed; `shape` is without the axes that a number took away and with those that None
    added. Then each of `indices` reads along its axis of `shape`, and their common axes come to
    stand at `target`.
    """

    start: Shape
    stop: Shape
    step: Shape
    extents: Shape
    flipped: tuple[int, ...]
    shape: Shape
    indices: tuple[tuple[int, Any], ...]
    target: int


def parse(shape: Shape, index: Any) -> Subscript:
    """Returns the Subscript of `x[index]` for an x of `shape`.

    Raises:
        BoundsError: a number lies outside its axis, or there are more indices than axes.
        ArgumentError: the step of a slice is 0.
        TraceError: a bool mask in a compiled step.
    """
    entries = _complete(shape, index if isinstance(index, tuple) else (index,))
    slices: list[tuple[int, int, int]] = []
    flipped, kept, indices, positions = [], [], [], []
    for position, entry in enumerate(entries):
        axis = len(slices)
        if entry is None:
            kept.append(1)
            continue
        if not isinstance(entry, slice):
            positions.append((position, len(kept)))
        if _is_number(entry):
            slices.append(_index_bounds(int(entry), shape[axis], axis, shape))
            continue
        if isinstance(entry, slice):
            bounds, is_reversed = _positive(entry, shape[axis])
            flipped += [axis] if is_reversed else []
        else:
            bounds = (0, shape[axis], 1)
            indices.append((len(kept), entry))
        slices.append(bounds)
        kept.append(_count(bounds))
    start, stop, step = map(tuple, zip(*slices, strict=True)) if slices else ((),) * 3
    extents = tuple(_count(bounds) for bounds in slices)
    target = _target(positions) if indices else 0
    return Subscript(
        start, stop, step, extents, tuple(flipped), tuple(kept), tuple(indices), target
    )


def _target(positions: list[tuple[int, int]]) -> int:
    """NumPy's rule: where the first index stands when all stand side by side, else in front."""
    entries = [position for position, _ in positions]
    together = entries[-1] - entries[0] == len(entries) - 1
    return positions[0][1] if together else 0


def _complete(shape: Shape, index: tuple[Any, ...]) -> list[Any]:
    """Masks become index arrays, lists become arrays, and `...` as many whole slices as are
    missing.
    """
    entries = [expanded for entry in index for expanded in _expanded(entry)]
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    dots = [position for position, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise ArgumentError("index: an index may contain only one ...")
    if used > len(shape):
        raise BoundsError(f"index: {used} indices are too many for a tensor of shape {shape}")
    check_masks(shape, index)
    position = dots[0] if dots else len(entries)
    return [*entries[:position], *[slice(None)] * (len(shape) - used), *entries[position + 1 :]]


def _expanded(entry: Any) -> list[Any]:
    if entry is None or entry is Ellipsis or isinstance(entry, slice) or _is_number(entry):
        return [entry]
    if is_tensor(entry):
        if entry.dtype is not dtypes.bool_:
            return [entry]
        _check_concrete_mask()
        return _places(entry.numpy())
    if not isinstance(entry, (list, tuple, np.ndarray)):
        raise DTypeError(f"index: a {type(entry).__name__} is not an index{_rounding(entry)}")
    try:
        array = np.asarray(entry)
    except ValueError as error:
        raise ShapeError(
            f"index: the {type(entry).__name__} cannot be read as an array: {error}"
        ) from None
    if array.dtype == np.bool_:
        return _places(array)
    return [array.astype(np.int64) if array.size == 0 or array.dtype.kind in "ui" else array]


def _places(mask: np.ndarray) -> list[Any]:
    if not mask.ndim:
        raise ShapeError(
            "index: a mask of shape () does not select elements; use smelt.where(mask, x, other)"
        )
    return list(np.nonzero(mask))


def _check_concrete_mask() -> None:
    if not isinstance(current_engine(), Eager):
        raise TraceError(
            "index: how many elements a bool mask selects is known only when the step runs. Keep "
            "all elements instead: smelt.where(mask, x, other) selects by value, "
            "x.at[mask].set(value) changes the selected ones, smelt.where(mask, x, 0).sum() / "
            "mask.sum() is their mean"
        )


def check_masks(shape: Shape, index: tuple[Any, ...]) -> None:
    """Checks that a mask has the sizes of the axes that it indexes."""
    axis = 0
    for position, entry in enumerate(index):
        if entry is Ellipsis:
            axis = len(shape) - sum(_width(later) for later in index[position + 1 :])
            continue
        mask = _mask_shape(entry)
        if mask is not None and shape[axis : axis + len(mask)] != mask:
            raise ShapeError(
                f"index: a mask of shape {mask} does not fit axis {axis} of shape {shape}"
            )
        axis += _width(entry)


def _width(entry: Any) -> int:
    mask = _mask_shape(entry)
    return int(entry is not None) if mask is None else len(mask)


def _mask_shape(entry: Any) -> Shape | None:
    if is_tensor(entry):
        return entry.shape if entry.dtype is dtypes.bool_ else None
    if isinstance(entry, (list, tuple, np.ndarray)):
        array = np.asarray(entry)
        return array.shape if array.dtype == np.bool_ else None
    return None


def _is_number(entry: Any) -> bool:
    return isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)


def _index_bounds(index: int, extent: int, axis: int, shape: Shape) -> tuple[int, int, int]:
    if not -extent <= index < extent:
        raise BoundsError(f"index {index} is outside axis {axis} of shape {shape}")
    return index % extent, index % extent + 1, 1


def _positive(given: slice, extent: int) -> tuple[tuple[int, int, int], bool]:
    """Returns a slice with a positive step, and whether its elements must be reversed."""
    if given.step == 0:
        raise ArgumentError("index: the step of a slice must not be 0")
    start, stop, step = _indices(given, extent)
    count = range_length(start, stop, step)
    if not count:
        return (0, 0, 1), False
    last = start + (count - 1) * step
    return ((start, last + 1, step), False) if step > 0 else ((last, start + 1, -step), True)


def _indices(given: slice, extent: int) -> tuple[int, int, int]:
    """Returns `given.indices(extent)`, also of an extent that is not known yet."""
    step = 1 if given.step is None else operator.index(given.step)
    first, last = (0, extent) if step > 0 else (-1, extent - 1)

    def place(bound: Any, default: int) -> int:
        if bound is None:
            return default
        bound = bound if is_symbolic(bound) else operator.index(bound)
        return max(bound + extent, first) if bound < 0 else min(bound, last)

    start, stop = (first, last) if step > 0 else (last, first)
    return place(given.start, start), place(given.stop, stop), step


def _count(bounds: tuple[int, int, int]) -> int:
    return range_length(*bounds)


def _rounding(entry: Any) -> str:
    return "; write int(i), or i // n instead of i / n" if isinstance(entry, float) else ""


def shown(index: Any) -> str:
    """Returns an index as it is written; tensors and other long things by a letter."""
    if isinstance(index, tuple) and index:
        return ", ".join(map(shown, index))
    if isinstance(index, slice):
        bounds = [index.start, index.stop] + [index.step] * (index.step is not None)
        return ":".join("" if bound is None else shown(bound) for bound in bounds)
    if index is Ellipsis:
        return "..."
    if index is None or isinstance(index, (int, str)):
        return repr(index)
    return "mask" if getattr(index, "dtype", None) == dtypes.bool_ else "i"
