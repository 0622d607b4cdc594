"""The batches of data that are looked at in order: held-out data, and data to predict for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from smelt import tree
from smelt.data import DataLoader, IterableDataset, Table, TensorDataset
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

__all__ = ["BATCH", "batches"]

BATCH = 1024  # samples a native call


def batches(data: Any, batch_size: int, what: str) -> Iterable[Any]:
    """Returns the batches of data, in order; they can be gone through again and again.

    Args:
        data: a Tensor or array, or a tuple or dict of such (a tree) with one first extent; a
            TensorDataset; a dataset, a stream or a list of samples; a DataLoader, or any other
            iterable of batches.
        batch_size: samples a batch, at most; iterables have their own.
        what: begins messages.

    Raises:
        ArgumentError: there are no samples, or `batch_size` is below 1.
        ArgumentTypeError: `data` are none of these.
        ShapeError: arrays differ in their numbers of samples.
    """
    if batch_size < 1:
        raise ArgumentError(f"{what}: batch_size={batch_size}; a batch has at least 1 sample")
    if isinstance(data, Table):
        raise ArgumentTypeError(
            f"{what}: a Table does not say what its target is; give table.dataset('column')"
        )
    if isinstance(data, TensorDataset):
        return _Slices(data.tensors, batch_size, what)
    if isinstance(data, (Tensor, np.ndarray, tuple, dict)):
        return _Slices(data, batch_size, what)
    if isinstance(data, IterableDataset):
        return DataLoader(data, batch_size)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        if not len(data):
            raise ArgumentError(f"{what}: there are no samples in a {type(data).__name__}")
        return DataLoader(data, _even(len(data), batch_size))
    if isinstance(data, Iterable):
        return data
    raise ArgumentTypeError(
        f"{what}: a {type(data).__name__} holds no samples; give a tuple of arrays (inputs, "
        "target), a dataset or a DataLoader"
    )


class _Slices:
    """The batches of arrays in memory, none of which is copied before it is wanted."""

    def __init__(self, arrays: Any, batch_size: int, what: str) -> None:
        self.arrays = tree.map(as_tensor, arrays)
        leaves = tree.flatten(self.arrays)[0]
        if not leaves or any(not leaf.ndim for leaf in leaves) or len({len(x) for x in leaves}) > 1:
            shapes = ", ".join(str(leaf.shape) for leaf in leaves) or "none"
            raise ShapeError(f"{what}: arrays need one first extent, of samples; got {shapes}")
        self.count = len(leaves[0])
        if not self.count:
            raise ArgumentError(f"{what}: there are no samples; the arrays' first extent is 0")
        self.size = _even(self.count, batch_size)

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
