"""DataLoader: the batches of a dataset, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from smelt.data.dataset import Dataset
from smelt.errors import ArgumentError
from smelt.random import Generator, randperm

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches; each pass over it is an epoch.

    Args:
        dataset: what to read.
        batch_size: samples a batch.
        shuffle: whether each epoch has an order of its own, at random.
        drop_last: whether to leave out a last batch that is smaller than the others. A compiled
            step is compiled once more for the smaller batch when it is kept.
        generator: where the order comes from; the default generator when None.

    Raises:
        ArgumentError: `batch_size` is below 1.

    Example:
        >>> import smelt
        >>> from smelt.data import DataLoader, TensorDataset
        >>> for (x,) in DataLoader(TensorDataset(smelt.arange(5)), batch_size=2):
        ...     print(x.tolist())
        [0, 1]
        [2, 3]
        [4]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ArgumentError(
                f"DataLoader: batch_size={batch_size}; a batch has at least 1 sample"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        for number in range(len(self)):
            start = number * self.batch_size
            yield self.dataset.batch(order[start : start + self.batch_size])

    def _order(self) -> np.ndarray:
        count = len(self.dataset)
        return (
            randperm(count, generator=self.generator).numpy() if self.shuffle else np.arange(count)
        )
