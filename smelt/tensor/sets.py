"""nonzero, unique, isin: which elements a tensor has. Methods too.

The number of results depends on the values, so `nonzero` and `unique` work only eagerly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.dtypes import bool_, int64
from smelt.tensor.apply import axis_of, matched
from smelt.tensor.indexing import gather_known
from smelt.tensor.shaping import cat
from smelt.tensor.sorting import argsort, sort
from smelt.tracing.apply import tensor_of

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["argwhere", "isin", "nonzero", "unique"]


def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """Returns the indices of the elements that are not 0, in order.

    Args:
        x: any shape.
        as_tuple: whether to return one tensor per axis, as in `x[x.nonzero(as_tuple=True)]`.

    Returns:
        (N, x.ndim) int64; as a tuple one (N,) per axis; shape () is treated as (1,).

    Raises:
        TraceError: in a compiled step, where N is not known; write smelt.where.
    """
    x.check_concrete("nonzero()")
    places = np.nonzero(np.atleast_1d(x.bool().stored))
    if as_tuple:
        return tuple(tensor_of(place, int64) for place in places)
    return tensor_of(np.stack(places, 1)[:, : x.ndim], int64)


def argwhere(x: Tensor) -> Tensor:
    """Returns the indices of the elements that are not 0, (N, x.ndim); see `nonzero`."""
    return nonzero(x)


def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Returns the distinct elements of a tensor, in order; each nan counts separately.

    Args:
        x: any shape.
        sorted: without effect; the result is always sorted.
        return_inverse: whether to also return the index of each element of x in the result.
        return_counts: whether to also return how often each occurs.
        dim: an axis, whose slices are compared instead of elements.

    Returns:
        (N,) of x's dtype; with `dim` like x, but with N slices along it. If more is returned, a
        tuple: the inverse is int64 of x's shape (with `dim` of that axis), the counts are int64
        (N,).

    Raises:
        TraceError: in a compiled step, where N is not known.
    """
    x.check_concrete("unique()")
    axis = None if dim is None else axis_of(x, dim, "unique")
    array = x.detach().to(x.dtype.compute).stored
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    results = [tensor_of(values, x.dtype.compute).to(x.dtype)]
    if return_inverse:
        shape = x.shape if axis is None else (-1,)
        results.append(tensor_of(inverse.astype(np.int64).reshape(shape), int64))
    if return_counts:
        results.append(tensor_of(counts.astype(np.int64), int64))
    return tuple(results) if len(results) > 1 else results[0]


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Returns whether each element is one of the others; nan never is.

    Args:
        elements: any shape, or a number.
        test_elements: any shape, or a number.
        assume_unique: without effect.
        invert: whether to return the opposite.
    """
    given, others = matched(elements, test_elements)
    shape, given, others = given.shape, given.detach().reshape(-1), others.detach().reshape(-1)
    count = others.shape[0]
    if not count or not given.shape[0]:
        return tensor_of(np.full(shape, invert), bool_)
    known = sort(others).values
    # among equal elements the others come first, as they stand in front: each element stands
    # behind as many of them as are no larger, the last of which it is, or none
    order = argsort(cat([others, given]))
    behind = (order < count).to(int64).cumsum(0)
    place = gather_known(behind, 0, argsort(order)).narrow(0, count, given.shape[0])
    nearest = known[(place - 1).clamp(min=0)]
    found = (place > 0) & (nearest == given)
    return (~found if invert else found).reshape(shape)
