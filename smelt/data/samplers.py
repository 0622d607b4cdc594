"""Samplers: which samples an epoch reads, in which order. Any iterable of indices can be one."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.random import Generator, multinomial, randint, randperm
from smelt.tensor import as_tensor
from smelt.tensor.checked import checked_methods
from smelt.tensor.collectives import get_rank, get_world_size

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "BatchSampler", "DistributedSampler", "LengthBatchSampler", "RandomSampler", "Sampler",
    "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
]  # fmt: skip


class Sampler(ABC):
    """The base of samplers: iterating gives the indices of an epoch."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the samplers of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if cls.__module__ == __name__:
            checked_methods(cls)

    @abstractmethod
    def __iter__(self) -> Iterator[int]:
        """Yields the indices of an epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Returns how many there are."""


class SequentialSampler(Sampler):
    """All samples of a dataset, in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """The samples of a dataset in random order.

    Args:
        data_source: the dataset.
        replacement: whether a sample may come more than once.
        num_samples: how many an epoch has; all when None.
        generator: draws the order; the default generator when None.

    Raises:
        ArgumentError: more samples than there are, without replacement.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        count = len(data_source)
        self.num_samples: int = count if num_samples is None else num_samples
        if self.num_samples > count and not replacement:
            raise ArgumentError(
                f"RandomSampler: num_samples={num_samples} is more than the {count} samples; "
                "give replacement=True"
            )
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        count, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            return iter(randint(0, count, (wanted,), generator=self.generator).tolist())
        return iter(randperm(count, generator=self.generator)[:wanted].tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Some samples, in random order.

    Args:
        indices: which.
        generator: draws the order; the default generator when None.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self.indices), generator=self.generator).tolist()
        return (int(self.indices[place]) for place in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Samples drawn with probabilities proportional to their weights.

    Args:
        weights: one number per sample, at least 0.
        num_samples: how many an epoch has.
        replacement: whether a sample may come more than once.
        generator: draws them; the default generator when None.
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights: Tensor = as_tensor(np.asarray(weights, np.float64))
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler):
    """The part of a dataset that one of several processes reads; each process reads another part.

    Args:
        dataset: the dataset, the same in all processes.
        num_replicas: number of processes; all ranks of the process group when None.
        rank: the index of this process, from 0 on; its rank in the process group when None.
        shuffle: whether each epoch has its own random order.
        seed: random seed of the order, the same in all processes.
        drop_last: whether to leave samples out so that all parts are equally long; otherwise the
            first samples are repeated.

    Raises:
        ArgumentError: `rank` is not below `num_replicas`.

    Example:
        >>> [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
        [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        num_replicas = get_world_size() if num_replicas is None else num_replicas
        rank = get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ArgumentError(
                f"DistributedSampler: rank={rank} must lie in 0 to {num_replicas - 1}"
            )
        if not isinstance(dataset, Sized):
            kind = type(dataset).__name__
            raise ArgumentTypeError(
                f"DistributedSampler: a {kind} is not a dataset: it has no __len__"
            )
        self.dataset: Sized = dataset
        self.num_replicas: int = num_replicas
        self.rank: int = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the number of the epoch, which determines its order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        count, total = len(self.dataset), len(self) * self.num_replicas
        order = np.arange(count)
        if self.shuffle:
            order = randperm(count, generator=Generator(self.seed + self.epoch)).numpy()
        if count:
            order = np.resize(order, total)  # cuts off the last ones, or repeats the first
        return iter(order[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        count = len(self.dataset)
        if self.drop_last:
            return count // self.num_replicas
        return math.ceil(count / self.num_replicas)


class BatchSampler(Sampler):
    """The batches of a sampler: lists of indices, for `DataLoader(batch_sampler=...)`.

    Args:
        sampler: gives the indices.
        batch_size: number of indices per batch.
        drop_last: whether to leave out a smaller last batch.

    Raises:
        ArgumentError: `batch_size` is below 1.

    Example:
        >>> list(BatchSampler(SequentialSampler("abcde"), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if batch_size < 1:
            raise ArgumentError(f"BatchSampler: batch_size={batch_size} must be at least 1")
        if not isinstance(sampler, Iterable):
            raise ArgumentTypeError(
                f"BatchSampler: sampler is a {type(sampler).__name__}, which yields no indices"
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        if not isinstance(self.sampler, Sized):
            raise ArgumentTypeError(
                "BatchSampler: the number of indices that the sampler yields is not known"
            )
        full, remainder = divmod(len(self.sampler), self.batch_size)
        return full + (remainder > 0 and not self.drop_last)


class LengthBatchSampler(Sampler):
    """Random batches of samples of similar length, for `DataLoader(batch_sampler=...)`, so that a
    batch has little padding.

    The samples are shuffled, `pool` batches of them at a time are sorted by length and divided into
    batches, and all batches are shuffled again.

    Args:
        lengths: of each sample, (n,); or several, (n, k), such as those of a sentence and of its
            translation: they are sorted by the first length, then by the second, and so on.
        batch_size: number of samples per batch.
        drop_last: whether to leave out, each epoch, the samples that do not fill a batch.
        pool: how many batches are sorted together; a larger pool means less padding and less
            randomness.
        generator: draws the order; the default generator when None.

    Raises:
        ArgumentError: `batch_size` or `pool` is below 1.
        ShapeError: `lengths` has another number of axes.

    Example:
        >>> import smelt
        >>> sampler = LengthBatchSampler([9, 1, 8, 2], batch_size=2, generator=smelt.Generator(0))
        >>> sorted(sampler)
        [[1, 3], [2, 0]]
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: int,
        drop_last: bool = False,
        pool: int = 50,
        generator: Generator | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("pool", pool)):
            if value < 1:
                raise ArgumentError(f"LengthBatchSampler: {name}={value} must be at least 1")
        self.lengths: np.ndarray = np.asarray(lengths)
        if self.lengths.ndim not in (1, 2):
            raise ShapeError(
                f"LengthBatchSampler: lengths {self.lengths.shape} must be (n,) or (n, k)"
            )
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.pool = pool
        self.generator = generator

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        size, whole = self.batch_size, len(self) * self.batch_size
        order = randperm(len(self.lengths), generator=self.generator).numpy()[:whole]
        pools = np.split(order, range(size * self.pool, len(order), size * self.pool))
        ordered = [self._by_length(pool) for pool in pools]
        batches = [pool[n : n + size] for pool in ordered for n in range(0, len(pool), size)]
        for number in randperm(len(batches), generator=self.generator).tolist():
            yield batches[number].tolist()

    def _by_length(self, indices: np.ndarray) -> np.ndarray:
        keys = self.lengths[indices].reshape(len(indices), -1)
        return indices[np.lexsort(keys.T[::-1])]

    def __len__(self) -> int:
        full, remainder = divmod(len(self.lengths), self.batch_size)
        return full + (remainder > 0 and not self.drop_last)
