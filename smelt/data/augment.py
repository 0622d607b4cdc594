"""Samples that are changed at random, differently in every epoch."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

from smelt.data.dataset import Dataset, Samples, as_dataset
from smelt.random import Generator

__all__ = ["Augmented", "generator_of"]


class Augmented(Dataset):
    """A dataset whose samples pass through a random function, each with its own random numbers.

    The numbers depend on the seed, the epoch and the index of the sample, but not on the order in
    which samples are read, nor on the thread that reads them.

    Args:
        dataset: the samples.
        function: (sample, generator) -> the sample to use instead; all its random numbers come from
            the generator.
        seed: seeds all random numbers.
        epoch: number of the epoch; `DataLoader` sets it.

    Example:
        >>> import smelt
        >>> from smelt.data import Augmented, TensorDataset
        >>> shifted = lambda sample, generator: sample[0] + smelt.rand(1, generator=generator)
        >>> data = Augmented(TensorDataset(smelt.zeros(3)), shifted, seed=1)
        >>> (data[2] == data[2]).item(), (data[2] == data.at_epoch(1)[2]).item()
        (True, False)
    """

    def __init__(
        self,
        dataset: Samples,
        function: Callable[[Any, Generator], Any],
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        self.dataset: Dataset = as_dataset(dataset)
        self.function = function
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        position = range(len(self))[index] if -len(self) <= index < len(self) else index
        return self.function(self.dataset[index], generator_of(self.seed, self.epoch, position))

    def at_epoch(self, epoch: int) -> Augmented:
        """Returns the dataset with the random numbers of an epoch."""
        return Augmented(self.dataset.at_epoch(epoch), self.function, self.seed, epoch)


def generator_of(seed: int, epoch: int, index: int) -> Generator:
    """Returns the generator of a sample, with a well-mixed seed even for similar numbers."""
    text = f"{seed} {epoch} {index}".encode()
    return Generator(struct.unpack("<q", hashlib.blake2b(text, digest_size=8).digest())[0])
