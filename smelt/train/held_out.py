"""Batches in order: of held-out data, and of data to predict for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from smelt import tree
from smelt.data import DataLoader
from smelt.errors import ArgumentError
from smelt.train.source import source_of

__all__ = ["BATCH", "batches"]

BATCH = 1024  # samples a native call


def batches(data: Any, batch_size: int, what: str) -> Iterable[Any]:
    """Returns the batches of data, in order; they can be iterated over repeatedly.

    Args:
        data: what `source_of` takes.
        batch_size: maximum number of samples per batch; iterables have their own.
        what: the beginning of error messages.

    Raises:
        ArgumentError: `batch_size` is below 1; and what `source_of` raises.
    """
    if batch_size < 1:
        raise ArgumentError(f"{what}: batch_size={batch_size} must be at least 1")
    source = source_of(data, what)
    if source.kind == "arrays":
        return _Slices(source.data, source.samples or 0, batch_size)
    if source.kind == "batches":
        return source.data
    size = batch_size if source.samples is None else _even(source.samples, batch_size)
    return DataLoader(source.data, size)


class _Slices:
    """The batches of arrays in memory, none of which is copied before it is wanted."""

    def __init__(self, arrays: Any, count: int, batch_size: int) -> None:
        self.arrays, self.count = arrays, count
        self.size = _even(count, batch_size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self.count, self.size):
            yield tree.map(lambda x, start=start: x[start : start + self.size], self.arrays)


def _even(count: int, most: int) -> int:
    """Returns how many samples to take at a time: of those between half of `most` and `most` one
    that leaves no smaller last batch, which would be compiled for itself, if there is one.
    """
    if count <= most:
        return count
    sizes = range(most, most // 2, -1)
    return next((size for size in sizes if count % size == 0), most)
