"""Readers, which make the batches of an epoch: by the indices of samples, or from a stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from smelt.data.collate import collate
from smelt.data.dataset import Dataset, IterableDataset
from smelt.errors import ArgumentError

__all__ = ["Exhausted", "IndexReader", "StreamReader"]

Collate = Callable[[list[Any]], Any]


class Exhausted(Exception):
    """An iterable dataset has no more samples."""


class IndexReader:
    """Makes batches of samples that are found by number.

    Args:
        dataset: as it is in the epoch.
        collate_fn: (list of samples) -> batch; samples are stacked when None. Without batches it
            gets one sample.
        single: whether there are no batches: each sample comes as it is.
    """

    def __init__(self, dataset: Dataset, collate_fn: Collate | None, single: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.single = single

    def make(self, indices: np.ndarray) -> Any:
        """Returns the batch of some samples."""
        try:
            if self.single:
                (sample,) = self.dataset.samples(indices)
                return sample if self.collate_fn is None else self.collate_fn(sample)
            if self.collate_fn is None:
                return self.dataset.batch(indices)
            return self.collate_fn(self.dataset.samples(indices))
        except StopIteration as error:  # it would end the loop over the batches in silence
            raise ArgumentError(f"{_listed(indices)}: collate_fn raised StopIteration") from error


class StreamReader:
    """Makes batches of the samples of an iterable dataset, in the order in which they come.

    Args:
        dataset: as it is in the epoch.
        batch_size: samples a batch; None gives each sample as it is.
        drop_last: whether to leave out a smaller last batch.
        collate_fn: as in `IndexReader`.
        skip: how many batches to pass over first.
    """

    def __init__(
        self,
        dataset: IterableDataset,
        batch_size: int | None,
        drop_last: bool,
        collate_fn: Collate | None,
        skip: int = 0,
    ) -> None:
        self.dataset = dataset
        self.skip = skip
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.read: int = 0
        self._samples: Iterator[Any] | None = None

    def next(self) -> list[Any]:
        """Returns the samples of the next batch.

        Raises:
            Exhausted: there are none.
        """
        size = self.batch_size or 1
        try:
            if self._samples is None:
                self.read = self.skip * size
                self._samples = itertools.islice(self.dataset, self.read, None)
            samples = list(itertools.islice(self._samples, size))
        except Exception as error:
            kind = type(self.dataset).__name__
            error.add_note(f"reading samples from number {self.read} on of a {kind}")
            raise
        self.read += len(samples)
        if not samples or (self.drop_last and len(samples) < size):
            raise Exhausted
        return samples

    def make(self, samples: list[Any]) -> Any:
        """Returns the batch of some samples."""
        try:
            if self.batch_size is None:
                return samples[0] if self.collate_fn is None else self.collate_fn(samples[0])
            if self.collate_fn is None:
                return collate(samples, range(len(samples)))
            return self.collate_fn(samples)
        except StopIteration as error:
            raise ArgumentError("collate_fn raised StopIteration") from error


def _listed(indices: np.ndarray) -> str:
    shown = ", ".join(str(index) for index in indices[:5].tolist())
    return f"samples {shown}{' ...' if len(indices) > 5 else ''}"
