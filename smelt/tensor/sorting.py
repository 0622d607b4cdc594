"""Order along an axis: sort, argsort, topk. nan counts as larger than everything. Methods too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smelt.dtypes import bool_, int32, int64
from smelt.errors import ArgumentError
from smelt.ir.symbolic import is_symbolic
from smelt.ops import elementwise, movement, reduction
from smelt.ops import sorting as cards
from smelt.ops.iota import iota
from smelt.ops.order import SPARSE, places_in_order
from smelt.tensor.apply import axis_of
from smelt.tensor.elementary import isnan, where
from smelt.tensor.indexing import gather_known
from smelt.tracing.apply import repeated, tensor_of
from smelt.tracing.engine import EAGER, context, quietly

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["Sorted", "argsort", "sort", "topk"]


class Sorted(NamedTuple):
    """Elements in order, and where they stood before."""

    values: Tensor
    indices: Tensor


def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Returns the places (int64) of the elements of x in order along `dim`; equal ones keep theirs.

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
    """Returns the elements in order along `dim`, and their places before; see `argsort`."""
    order = argsort(x, dim, descending, stable)
    return Sorted(gather_known(x, dim, order), order)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """Returns the k largest (or smallest) elements along `dim`, in order, and their places.

    The first of equal elements comes first. They are always sorted; `sorted` is accepted because
    PyTorch has it.
    """
    axis = axis_of(x, dim, "topk")
    if not x.ndim:  # PyTorch's answer, whatever k is
        return Sorted(x, argsort(x))
    if not 0 <= k <= x.shape[axis]:
        raise ArgumentError(f"topk: there are no {k} elements along axis {dim} of {x.shape}")
    order = places_along(x, axis, largest, k)
    return Sorted(gather_known(x, dim, order), order)
