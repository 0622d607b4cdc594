"""Samplers: which samples an epoch reads, in which order. Any iterable of indices can be one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np

from smelt.errors import ArgumentError
from smelt.random import Generator, multinomial, randint, randperm
from smelt.tensor import as_tensor
from smelt.tensor.checked import checked

__all__ = [
    "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler",
    "WeightedRandomSampler",
]  # fmt: skip


class Sampler(ABC):
    """The base of samplers: iterating gives the indices of an epoch."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the samplers of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if cls.__module__ == __name__:
            cls.__init__ = checked(cls.__init__, every_kind=True)  # type: ignore[method-assign]

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
        generator: where the order comes from; the default generator when None.

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
        self.num_samples = count if num_samples is None else num_samples
        if self.num_samples > count and not replacement:
            raise ArgumentError(
                f"RandomSampler: {num_samples} of {count} samples; give replacement=True"
            )
        self.data_source, self.replacement, self.generator = data_source, replacement, generator

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
        generator: where the order comes from; the default generator when None.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self.indices), generator=self.generator).tolist()
        return (int(self.indices[place]) for place in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Samples drawn with probabilities in proportion to their weights.

    Args:
        weights: one number a sample, at least 0.
        num_samples: how many an epoch has.
        replacement: whether a sample may come more than once.
        generator: where they come from; the default generator when None.
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = as_tensor(np.asarray(weights, np.float64))
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples
