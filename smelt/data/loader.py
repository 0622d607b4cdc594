"""DataLoader: the batches of a dataset, one after the other, made ahead by threads if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import numpy as np

from smelt.data.dataset import Samples, as_dataset
from smelt.data.prefetch import prefetched
from smelt.errors import ArgumentError
from smelt.random import Generator, randperm
from smelt.tensor.checked import checked

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a dataset in batches; each pass over it is an epoch.

    The batches and their order are the same to the bit for any number of workers. Workers are
    threads: they share the dataset, which is not copied, and help where reading waits for files or
    computes outside of Python's lock, as NumPy and Pillow do. They stop when a loop over the loader
    is left, in whatever way.

    Args:
        dataset: what to read: a Dataset, a list, or any object with `__len__` and `__getitem__`.
            With workers, several threads read it at a time.
        batch_size: samples a batch.
        shuffle: whether each epoch has an order of its own, at random.
        drop_last: whether to leave out a last batch that is smaller than the others. A compiled
            step is compiled once more for the smaller batch when it is kept.
        generator: where the order comes from; the default generator when None.
        num_workers: threads that make batches ahead of the loop; 0 makes each batch when it is
            wanted, in the thread that wants it.
        prefetch_factor: batches that each worker may be ahead.
        seed: in place of `generator`, the seed of one of its own.
        collate_fn: (list of samples) -> batch, such as texts made equally long; samples of one
            structure and shape are stacked when None.
        sampler: the indices of an epoch, anything that can be iterated over each epoch, in the
            place of `shuffle`.

    Attributes:
        epoch: counted from 0, the number of the next pass; a dataset that changes from epoch to
            epoch, as `Augmented`, is told. It can be set, to go on where a training was left.

    Raises:
        ArgumentError: `dataset` is none, `batch_size` or `prefetch_factor` is below 1,
            `num_workers` below 0, or both `generator` and `seed`, or `sampler` and
            `shuffle`, are given.

    Example:
        >>> import smelt
        >>> from smelt.data import DataLoader, TensorDataset
        >>> for (x,) in DataLoader(TensorDataset(smelt.arange(5)), batch_size=2, num_workers=2):
        ...     print(x.tolist())
        [0, 1]
        [2, 3]
        [4]
    """

    @checked
    def __init__(
        self,
        dataset: Samples,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        *,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        seed: int | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        sampler: Iterable[int] | None = None,
    ) -> None:
        _at_least("batch_size", batch_size, 1, "a batch has at least 1 sample")
        _at_least("num_workers", num_workers, 0, "0 loads in the thread that asks")
        _at_least("prefetch_factor", prefetch_factor, 1, "a worker makes at least 1 batch ahead")
        if generator is not None and seed is not None:
            raise ArgumentError("DataLoader: give a generator or a seed, not both")
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: give a sampler or shuffle, not both")
        as_dataset(dataset)  # which refuses what is none
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator if seed is None else Generator(seed)
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.collate_fn = collate_fn
        self.sampler = sampler
        self.epoch = 0

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        if self.sampler is None:
            return self._batches(len(self.dataset))
        if not isinstance(self.sampler, Sized):
            raise ArgumentError("DataLoader: how many batches the sampler gives is not known")
        return self._batches(len(self.sampler))

    def _batches(self, count: int) -> int:
        """Returns into how many batches a number of samples falls."""
        full, remainder = divmod(count, self.batch_size)
        return full + (remainder > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        dataset = as_dataset(self.dataset).at_epoch(self.epoch)
        order, size, collate = self._order(), self.batch_size, self.collate_fn
        self.epoch += 1

        def batch(index: int) -> Any:
            chosen = order[index * size : (index + 1) * size]
            try:
                if collate is None:
                    return dataset.batch(chosen)
                return collate(dataset.samples(chosen))
            except StopIteration as error:  # it would end the loop over the batches in silence
                raise ArgumentError(f"DataLoader: batch {index} raised StopIteration") from error

        if self.num_workers == 0:
            return map(batch, range(self._batches(len(order))))
        ahead = self.num_workers * self.prefetch_factor
        return prefetched(batch, self._batches(len(order)), self.num_workers, ahead)

    def _order(self) -> np.ndarray:
        if self.sampler is not None:
            return np.asarray([int(index) for index in self.sampler], np.int64)
        count = len(self.dataset)
        return (
            randperm(count, generator=self.generator).numpy() if self.shuffle else np.arange(count)
        )


def _at_least(name: str, value: int, least: int, why: str) -> None:
    if value < least:
        raise ArgumentError(f"DataLoader: {name}={value}; {why}")
