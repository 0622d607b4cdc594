"""Order along an axis: sort, argsort, topk, median, quantile. Methods too.

nan counts as larger than everything.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smelt.dtypes import bool_, float64, int32, int64
from smelt.errors import ArgumentError, ShapeError
from smelt.ir.symbolic import is_symbolic
from smelt.ops import elementwise, movement, reduction
from smelt.ops import sorting as cards
from smelt.ops.iota import iota
from smelt.ops.order import SPARSE, places_in_order
from smelt.tensor.apply import as_tensor, axis_of, floating
from smelt.tensor.elementary import ceil, floor, isnan, where
from smelt.tensor.elementary import round as rounded
from smelt.tensor.indexing import gather_known
from smelt.tracing.apply import repeated, tensor_of
from smelt.tracing.engine import EAGER, context, current_engine, quietly

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["Sorted", "argsort", "median", "quantile", "sort", "topk"]


class Sorted(NamedTuple):
    """Elements in order, and their positions before."""

    values: Tensor
    indices: Tensor


def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Returns the indices (int64) that sort x along `dim`; equal elements keep their order.

    The order is always stable; `stable` is accepted because PyTorch has it.
    """
    if not x.ndim:
        return argsort(x.reshape(1), dim).reshape(())
    return places_along(x, axis_of(x, dim, "argsort"), descending)


def places_along(x: Tensor, axis: int, descending: bool, count: int | None = None) -> Tensor:
    """Returns the places of the elements of x in order along an axis, or the first so many."""
    rows = x.detach().to(x.dtype.compute).movedim(axis, -1)
    if context.engine is EAGER and not rows.is_traced:
        first = quietly(places_in_order, rows.stored, count, descending)
        return tensor_of(first, int64).movedim(-1, axis)
    if count and not is_symbolic(rows.shape[-1]) and count <= rows.shape[-1] // SPARSE:
        return _first_places(_keys(rows, descending), count).movedim(-1, axis)
    order = _sorted_order(rows, descending)
    return (order if count is None else order.narrow(-1, 0, count)).movedim(-1, axis)


def _sorted_order(rows: Tensor, descending: bool) -> Tensor:
    if not descending:
        return cards.argsort(rows)
    backward = cards.argsort(rows.flip(-1)).flip(-1)  # so that equal elements keep their order
    return rows.shape[-1] - 1 - backward


def _first_places(keys: Tensor, count: int) -> Tensor:
    """Returns the first places in order along the last axis, of long rows.

    They lie in those blocks of a row whose smallest keys are the first in order: before any other
    element that many stand, one in each of them. So only these blocks are sorted.
    """
    length, around = keys.shape[-1], keys.shape[:-1]
    block = math.isqrt(length // count)
    blocks = -(-length // block)
    last = repeated(
        np.iinfo(keys.dtype.storage).max, (*around, blocks * block - length), keys.dtype
    )
    keys = movement.concatenate(keys, last, axis=len(around))
    ends = reduction.min(keys.reshape(*around, blocks, block), axes=(len(around) + 1,))
    chosen = sort(cards.argsort(ends).narrow(-1, 0, count)).values
    inside = iota(shape=(*around, count, block), axis=len(around) + 1)
    places = (chosen.unsqueeze(-1) * block + inside).reshape(*around, count * block)
    order = cards.argsort(gather_known(keys, -1, places)).narrow(-1, 0, count)
    return gather_known(places, -1, order)


def _keys(rows: Tensor, descending: bool) -> Tensor:
    """Returns integers in the order of the elements; nan, of any sign, comes last."""
    if rows.dtype.is_float:
        kind = int32 if rows.dtype.itemsize == int32.itemsize else int64
        largest = np.iinfo(kind.storage).max
        bits = elementwise.bitcast(rows + 0.0, dtype=kind)  # 0 of -0, which is equal to it
        keys = where(isnan(rows), largest, where(bits < 0, bits ^ largest, bits))
    else:
        keys = rows.to(int32) if rows.dtype is bool_ else rows
    return ~keys if descending else keys


def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Sorted:
    """Returns the elements in order along `dim`, and their indices before; see `argsort`."""
    order = argsort(x, dim, descending, stable)
    return Sorted(gather_known(x, dim, order), order)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """Returns the k largest (or smallest) elements along `dim`, in order, and their indices.

    The first of equal elements comes first. They are always sorted; `sorted` is accepted because
    PyTorch has it.
    """
    axis = axis_of(x, dim, "topk")
    if not x.ndim:  # PyTorch's answer, whatever k is
        return Sorted(x, argsort(x))
    if not 0 <= k <= x.shape[axis]:
        raise ArgumentError(f"topk: k={k} is out of range for axis {dim} of shape {x.shape}")
    order = places_along(x, axis, largest, k)
    return Sorted(gather_known(x, dim, order), order)


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Returns the middle element, the lower of the two if their number is even; nan wins.

    Args:
        x: any shape with elements.
        dim: the axis; None for all elements together.
        keepdim: whether the axis is kept, with size 1.

    Returns:
        A tensor of shape (), which gets the gradient of one of equal elements; with `dim` a pair
        (values, indices).

    Raises:
        ShapeError: there are no elements.
    """
    if dim is None:
        return median(x.reshape(-1), 0).values
    axis = axis_of(x, dim, "median")
    if x.ndim and not x.shape[axis]:
        raise ShapeError(f"median: axis {axis} of shape {x.shape} has no elements")
    row = x if x.ndim else x.reshape(1)
    order = argsort(row, axis)
    middle = (row.shape[axis] - 1) // 2
    place = order.narrow(axis, middle, 1)
    if x.dtype.is_float:
        place = where(_has_nan(row, axis), _first_nan(row, order, axis), place)
    values = gather_known(row, axis, place)
    if not keepdim or not x.ndim:
        values, place = values.squeeze(axis), place.squeeze(axis)
    return Sorted(values, place)


def _has_nan(x: Tensor, axis: int) -> Tensor:
    return isnan(x).any(axis, True)


def _first_nan(x: Tensor, order: Tensor, axis: int) -> Tensor:
    """Returns where the first nan of each row stands; somewhere where there is none."""
    numbers = (~isnan(x)).sum(axis, True)
    return gather_known(order, axis, numbers.clamp(max=x.shape[axis] - 1))


INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(
    x: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Tensor:
    """Returns the element at position q * (N - 1) in order, interpolated between two elements.

    Args:
        x: any shape with elements.
        q: a number in [0, 1], or several, (Q,).
        dim: the axis of N elements; None for all of them together.
        keepdim: whether the axis is kept, with size 1.
        interpolation: "linear", "lower", "higher", "midpoint" or "nearest" (the even one at a tie).

    Returns:
        x without the axis, with a new first axis of size Q if there are several q; nan where the
        row has a nan.

    Raises:
        ArgumentError: q is outside [0, 1] (in a compiled step: before it changes anything), or the
            interpolation is unknown.
        ShapeError: there are no elements, or q has more than one axis.
    """
    if interpolation not in INTERPOLATIONS:
        wanted = ", ".join(INTERPOLATIONS)
        raise ArgumentError(
            f"quantile: interpolation must be one of {wanted}, got {interpolation!r}"
        )
    x, places = floating(x), as_tensor(q).to(float64)
    if places.ndim > 1:
        raise ShapeError(
            f"quantile: q must be a number or have shape (Q,), got shape {places.shape}"
        )
    outside = "quantile: q must lie in [0, 1]"
    current_engine().require(~((places >= 0) & (places <= 1)), outside, ArgumentError, places)
    axis = 0 if dim is None else axis_of(x, dim, "quantile")
    row = x.reshape(-1) if dim is None or not x.ndim else x
    if not row.shape[axis]:
        raise ShapeError(f"quantile: axis {axis} of shape {x.shape} has no elements")
    found = _between(row.movedim(axis, -1), places.reshape(-1), interpolation)
    if keepdim:
        found = found.reshape((1,) * x.ndim + (-1,)) if dim is None else found.unsqueeze(axis)
    return found.movedim(-1, 0) if places.ndim else found.squeeze(-1)


def _between(rows: Tensor, q: Tensor, interpolation: str) -> Tensor:
    """Returns what stands at each place of q in the order of each row."""
    line = sort(rows, -1).values
    place = q * (rows.shape[-1] - 1)
    if interpolation == "nearest":
        place = rounded(place)
    low, high = line[..., floor(place).to(int64)], line[..., ceil(place).to(int64)]
    share = {"lower": 0.0, "higher": 1.0, "midpoint": 0.5}.get(interpolation)
    weight = (place - floor(place)).to(rows.dtype) if share is None else share
    found = low.lerp(high, weight)
    return where(_has_nan(rows, -1), float("nan"), found)
