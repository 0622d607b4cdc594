"""Datasets: collections of samples with indices."""

from __future__ import annotations

import bisect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from smelt.data.collate import collate
from smelt.errors import ArgumentError, ArgumentTypeError, BoundsError, ShapeError
from smelt.random import Generator, randperm
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked
from smelt.tracing.engine import array_of

__all__ = ["ConcatDataset", "Dataset", "IterableDataset", "Subset", "TensorDataset", "random_split"]


class Samples(Protocol):
    """Anything that can be a dataset: a `Dataset`, a list, or any object with these two methods."""

    def __len__(self) -> int:
        """Returns the number of samples."""

    def __getitem__(self, index: int, /) -> Any:
        """Returns one sample."""


class Dataset(ABC):
    """Samples with indices; a subclass defines their number and each sample.

    A dataset need not be a subclass: Smelt accepts a list, and any object with `__len__` and
    `__getitem__`.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """Returns one sample: a tree of Tensors, arrays or numbers."""

    def batch(self, indices: Sequence[int] | np.ndarray) -> Any:
        """Returns the samples of several indices as one tree, stacked along a new first axis."""
        return collate(self.samples(indices), indices)

    def samples(self, indices: Sequence[int] | np.ndarray) -> list[Any]:
        """Returns the samples of several indices; an exception notes which one it came from."""
        return [self._get_noted(int(index)) for index in indices]

    def _get_noted(self, index: int) -> Any:
        try:
            return self[index]
        except StopIteration as error:  # it would end the loop over the batches in silence
            raise ArgumentError(
                f"sample {index} of a {self._kind()} raised StopIteration; raise another error, or "
                "shorten the dataset"
            ) from error
        except Exception as error:
            error.add_note(f"reading sample {index} of a {self._kind()}")
            raise

    def _kind(self) -> str:
        return type(self).__name__

    def at_epoch(self, epoch: int) -> Dataset:
        """Returns the dataset for an epoch: itself, unless a subclass changes from epoch to
        epoch.
        """
        return self


class IterableDataset(ABC):
    """Samples that come one after the other, such as the lines of a file too large for memory.

    A subclass defines `__iter__`, and optionally `__len__`. A `DataLoader` iterates over it once
    per epoch, in one thread or process, with any number of workers, so that each sample comes once
    and in the same order. (In PyTorch each worker iterates over a copy.)

    Example:
        >>> class Lines(IterableDataset):
        ...     def __iter__(self):
        ...         return iter(["a", "b"])
        >>> list(Lines())
        ['a', 'b']
    """

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yields the samples of an epoch: trees of Tensors, arrays or numbers."""

    def at_epoch(self, epoch: int) -> IterableDataset:
        """Returns the dataset for an epoch: itself, unless a subclass changes from epoch to
        epoch.
        """
        return self


class _Plain(Dataset):
    """Samples of an object that is no `Dataset`."""

    def __init__(self, plain: Samples) -> None:
        self.plain = plain

    def __len__(self) -> int:
        return len(self.plain)

    def __getitem__(self, index: int) -> Any:
        return self.plain[index]

    def _kind(self) -> str:
        return type(self.plain).__name__


def as_dataset(given: Samples) -> Dataset:
    """Returns anything that can be a dataset as a `Dataset`.

    Raises:
        ArgumentError: it has no `__len__` or no `__getitem__`.
    """
    if isinstance(given, Dataset):
        return given
    if isinstance(given, (str, bytes)):
        raise ArgumentError(f"a {type(given).__name__} is not a dataset; give a list of texts")
    if isinstance(given, dict) and given and 0 not in given:
        raise ArgumentError(
            "a dict is a dataset only if its keys are the indices of samples; give a "
            "TensorDataset of its values"
        )
    if hasattr(given, "columns") or hasattr(given, "select"):
        kind = type(given).__name__
        raise ArgumentError(
            f"a {kind} is not a dataset; write as_table(...).dataset(target), or a TensorDataset "
            "of its columns"
        )
    lacking = [name for name in ("__len__", "__getitem__") if not hasattr(given, name)]
    if lacking:
        raise ArgumentError(
            f"a {type(given).__name__} is not a dataset: it has no {' and no '.join(lacking)}; "
            "give a list, a TensorDataset, or an object with both; what can only be iterated over "
            "is an IterableDataset"
        )
    return _Plain(given)


class TensorDataset(Dataset):
    """Tensors whose first axis is the sample.

    Args:
        tensors: each of shape (n, ...).

    Raises:
        ArgumentError: no tensor is given.
        ShapeError: the sizes of the first axes differ.

    Example:
        >>> import smelt
        >>> pairs = TensorDataset(smelt.zeros(3, 2), smelt.arange(3))
        >>> len(pairs), pairs[1][1].item()
        (3, 1)
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ArgumentError("TensorDataset: give at least one tensor")
        for place, given in enumerate(tensors):
            if isinstance(given, Mapping) or hasattr(given, "columns"):
                raise ArgumentError(
                    f"TensorDataset: argument {place} is a {type(given).__name__}, a table of "
                    "columns; write as_table(...).dataset(target), or give arrays of its columns"
                )
        self.tensors: tuple[Tensor, ...] = tuple(as_tensor(tensor) for tensor in tensors)
        shapes = [tensor.shape for tensor in self.tensors]
        if () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(f"TensorDataset: the first extents of {shapes} must be the same")

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        row = _wrapped_index(index, len(self))
        return tuple(_rows(tensor, row) for tensor in self.tensors)

    def batch(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """Returns the samples of several indices, each Tensor of shape (len(indices), ...)."""
        chosen = np.asarray([_wrapped_index(int(index), len(self)) for index in indices], np.int64)
        return tuple(_rows(tensor, chosen) for tensor in self.tensors)


class Subset(Dataset):
    """Some samples of another dataset, in a given order."""

    def __init__(self, dataset: Samples, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset: Dataset = as_dataset(dataset)
        self.indices: np.ndarray = np.asarray(indices, np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[_wrapped_index(index, len(self))])]

    def batch(self, indices: Sequence[int] | np.ndarray) -> Any:
        """Returns the samples of several indices, as the underlying dataset stacks them."""
        return self.dataset.batch(self._below(indices))

    def samples(self, indices: Sequence[int] | np.ndarray) -> list[Any]:
        """Returns the samples of several indices; an exception notes which one it came from."""
        return self.dataset.samples(self._below(indices))

    def _below(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        return self.indices[[_wrapped_index(int(index), len(self)) for index in indices]]

    def at_epoch(self, epoch: int) -> Subset:
        """Returns the same samples of the underlying dataset, for an epoch."""
        return Subset(self.dataset.at_epoch(epoch), self.indices)


class ConcatDataset(Dataset):
    """The samples of several datasets, one dataset after the other.

    Args:
        datasets: at least one.

    Raises:
        ArgumentError: none is given, or two number their classes differently (`ImageFolder`).
    """

    def __init__(self, datasets: Sequence[Samples]) -> None:
        self.datasets: list[Dataset] = [as_dataset(dataset) for dataset in datasets]
        if not self.datasets:
            raise ArgumentError("ConcatDataset: give at least one dataset")
        common_classes("ConcatDataset", *self.datasets)
        self.cumulative_sizes: list[int] = list(itertools.accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        place = _wrapped_index(index, len(self))
        part = bisect.bisect_right(self.cumulative_sizes, place)
        return self.datasets[part][place - (self.cumulative_sizes[part] - len(self.datasets[part]))]

    def at_epoch(self, epoch: int) -> ConcatDataset:
        """Returns the same datasets, for an epoch."""
        return ConcatDataset([dataset.at_epoch(epoch) for dataset in self.datasets])


@checked
def random_split(
    dataset: Samples, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """Returns disjoint parts of a dataset, drawn at random.

    Args:
        dataset: the dataset to divide.
        lengths: how many samples each part has; or fractions with the sum 1, whose rounding
            errors go to the first parts, one sample each.
        generator: draws the order; the default generator when None.

    Raises:
        ArgumentError: the lengths do not add up to the whole.
    """
    counts = part_lengths("random_split", lengths, len(dataset))
    order = randperm(len(dataset), generator=generator).numpy()
    ends = np.cumsum(counts)
    return [
        Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)
    ]


def common_classes(called: str, *given: Any) -> tuple[str, ...]:
    """Returns the names of the classes of datasets that have some, such as `ImageFolder`, in the
    order of their numbers; none where no dataset names any.

    Args:
        called: the function, for messages.
        given: datasets, parts of datasets, loaders, or anything else.

    Raises:
        ArgumentError: two datasets give a class another number.
    """
    numbered = [(data, dict(data.class_to_idx)) for root in given for data in _with_classes(root)]
    for data, numbers in numbered[1:]:
        first, wanted = numbered[0]
        if numbers != wanted:
            places = [getattr(x, "root", type(x).__name__) for x in (first, data)]
            raise ArgumentError(
                f"{called}: the same class number means different classes: {places[0]} has "
                f"{list(wanted)}, and {places[1]} {list(numbers)}; make one of them with the "
                "classes of the other: ImageFolder(root, classes=other)"
            )
    by_number = {number: str(name) for name, number in (numbered[0][1] if numbered else {}).items()}
    return tuple([by_number[number] for number in range(len(by_number)) if number in by_number])


def _with_classes(data: Any) -> Iterator[Any]:
    """Yields the datasets with classes of which something is made."""
    if hasattr(data, "class_to_idx"):
        if getattr(data, "target_transform", None) is None:  # which may make others of the numbers
            yield data
        return
    inner = getattr(data, "datasets", None) or [getattr(data, "dataset", None)]
    for dataset in inner:
        if isinstance(dataset, Dataset):
            yield from _with_classes(dataset)


def _rows(tensor: Tensor, rows: int | np.ndarray) -> Tensor:
    return Tensor(np.array(array_of(tensor)[rows]), tensor.dtype)


def _wrapped_index(index: int, length: int) -> int:
    if not -length <= index < length:
        raise BoundsError(f"sample {index} is out of range for a dataset of {length}")
    return index % length


def check_lengths(called: str, lengths: Any) -> None:
    """Raises for lengths of parts that are not a list, such as the length of one part."""
    if not isinstance(lengths, (Sequence, np.ndarray)) or isinstance(lengths, str):
        raise ArgumentTypeError(
            f"{called}: lengths must be a list with a length or a fraction for each part, such as "
            f"[0.8, 0.2], got {lengths!r}"
        )


def part_lengths(called: str, lengths: Sequence[int | float], total: int) -> list[int]:
    """Returns how many samples each part of `total` has.

    Args:
        called: the function, for messages.
        lengths: numbers of samples, or fractions with the sum 1, whose rounding errors go to the
            first parts, one sample each.
        total: how many samples there are.

    Raises:
        ArgumentError: the lengths do not add up to the whole.
    """
    check_lengths(called, lengths)
    if any(length < 0 for length in lengths):
        raise ArgumentError(f"{called}: lengths {list(lengths)} must not be negative")
    if any(isinstance(length, float) for length in lengths) and abs(sum(lengths) - 1) < 1e-6:
        counts = [int(total * length) for length in lengths]
        for index in range(total - sum(counts)):
            counts[index % len(counts)] += 1
        return counts
    if sum(lengths) != total or any(isinstance(length, float) for length in lengths):
        raise ArgumentError(
            f"{called}: lengths {list(lengths)} must add up to {total}, or be fractions that add "
            "up to 1"
        )
    return [int(length) for length in lengths]
