"""Stable sorting in NumPy: the indices that sort rows, by fast sorts that are not stable."""

from __future__ import annotations

import sys

import numpy as np

_NARROW = 1 << 31
SPARSE = 64  # a selection is used when a row is at least so many times as long as `count`
_BLOCK = 32  # elements per block; the first step looks only at the best one of each block
_CROWD = 16  # at most one in so many elements may be a candidate


def places_in_order(
    x: np.ndarray, count: int | None = None, descending: bool = False
) -> np.ndarray:
    """Returns the indices (int64) that sort the last axis of x; equal elements keep their order.

    nan counts as larger than everything. With `count`, only the first `count` indices are found;
    the rest is not sorted.

    If numbers have 32 bits, or are integers whose range fits into 32 bits, number and index are
    sorted together as one 64-bit integer: no two are equal, so any sort is stable.
    """
    length = x.shape[-1]
    if count is not None and 0 < count <= length // SPARSE:
        few = _few_in_order(x.reshape(-1, length), count, descending)
        if few is not None:
            return few.reshape((*x.shape[:-1], count))
    keys = _keys(x, descending) if 0 < length < _NARROW else None
    if keys is None:
        return _in_stable_order(x, descending)[..., :count].astype(np.int64, copy=False)
    keys <<= 32
    keys |= np.arange(length)
    if count is not None and count < length:
        keys = np.partition(keys, max(count - 1, 0), axis=-1)[..., :count]
    keys.sort(axis=-1)
    keys &= _NARROW * 2 - 1
    return keys


def _few_in_order(rows: np.ndarray, count: int, descending: bool) -> np.ndarray | None:
    """Returns the first indices in order, for long rows, by sorting only the candidates; None if
    there are too many of them, because of equal elements.

    In each row, `count` blocks have an element at or before the bound; so the first `count`
    elements are all at or before it.
    """
    number, length = rows.shape
    ends = _ends_of_blocks(rows, descending)
    last = ends.shape[1] - count if descending else count - 1
    bound = np.partition(ends, last, axis=1)[:, last, None]
    # nan, which is neither above nor below, stays a candidate: it may come first, or does no harm
    candidates = np.flatnonzero(~(rows < bound if descending else rows > bound))
    if candidates.size > rows.size // _CROWD:
        return None
    row = candidates // length
    order = _in_stable_order(rows.reshape(-1)[candidates], descending)
    order = order[np.argsort(row[order], kind="stable")]
    first = np.searchsorted(row, np.arange(number))[:, None] + np.arange(count)
    return candidates[order[first]] % length


def _ends_of_blocks(rows: np.ndarray, descending: bool) -> np.ndarray:
    """Returns the largest, or smallest, element of each full block of each row."""
    blocks = rows.shape[1] // _BLOCK
    parts = rows[:, : blocks * _BLOCK].reshape(len(rows), _BLOCK, blocks)
    return (np.maximum if descending else np.minimum).reduce(parts, axis=1)


def _keys(x: np.ndarray, descending: bool) -> np.ndarray | None:
    """Returns 32-bit integers, as int64, that order like x; None if there are none."""
    if x.dtype.kind == "f":
        if x.dtype.itemsize > 4:
            return None
        keys = _ordered_bits(x.astype(np.float32)).astype(np.int64)
    elif x.size and x.dtype.itemsize > 4:
        low, high = int(x.min()), int(x.max())
        if high - low >= _NARROW:
            return None
        keys = x - low
    else:
        keys = x.astype(np.int64)
    return np.invert(keys, out=keys) if descending else keys


def _ordered_bits(x: np.ndarray) -> np.ndarray:
    """Returns integers of the floats' width that order like them; nan, of any sign, comes last."""
    kind = x.dtype.type
    # adding 0 turns -0 into 0, since the two are equal
    bits = np.where(np.isnan(x), kind(np.nan), x + kind(0)).view(f"i{x.dtype.itemsize}")
    return bits ^ ((bits >> (8 * x.dtype.itemsize - 1)) & np.iinfo(bits.dtype).max)


def _in_stable_order(x: np.ndarray, descending: bool) -> np.ndarray:
    """Returns indices in stable order, by a fast sort if few elements are equal."""
    if descending:  # reversed before and after, so that equal elements keep their order
        backward = _in_stable_order(x[..., ::-1], descending=False)[..., ::-1]
        return x.shape[-1] - 1 - backward
    if x.dtype.itemsize == 8 and 0 < x.shape[-1] < _NARROW and x.size == x.shape[-1]:
        order = _by_halves(x.reshape(-1))
        if order is not None:
            return order.reshape(x.shape)
    return np.argsort(x, axis=-1, kind="stable")


def _by_halves(x: np.ndarray) -> np.ndarray | None:
    """Returns the sorted indices of one row of 64-bit numbers, sorting by upper halves first; None
    if too many of these are equal.
    """
    numbers = _ordered_bits(x) if x.dtype.kind == "f" else x.view(np.int64)
    keys = numbers.copy()
    upper, lower = halves(keys)
    lower[...] = np.arange(x.size, dtype=np.uint32)
    keys.sort()
    equal = np.flatnonzero(upper[1:] == upper[:-1])  # equal to the next one
    if equal.size > x.size // 16:
        return None
    upper[...] = 0
    order = keys  # in place: new memory would cost more than all of this
    again = np.unique(np.concatenate([equal, equal + 1]))
    places = order[again]
    order[again] = places[np.lexsort((places, numbers[places]))]
    return order


def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns views of the upper and the lower 32 bits (uint32) of a row of 64-bit numbers."""
    parts = x.view(np.uint32)
    first, second = parts[0::2], parts[1::2]
    return (second, first) if sys.byteorder == "little" else (first, second)
