"""The kind of data that a user has given, determined in one place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from smelt import tree
from smelt.data import DataLoader, Dataset, IterableDataset, Subset, Table, TensorDataset
from smelt.data.table import as_table
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.random import Generator, permutation
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.checked import a_kind_of
from smelt.train.batch import listed

__all__ = ["Source", "source_of", "split_off", "without_names"]

Kind = Literal["arrays", "samples", "stream", "batches"]


@dataclass(frozen=True, slots=True)
class Source:
    """Data, and their kind.

    Attributes:
        kind: "arrays" in memory, a tree of Tensors (n, ...); "samples" that have indices; a
            "stream" of samples; or ready-made "batches".
        data: the data.
        samples: number of samples; None if that is not known.
    """

    kind: Kind
    data: Any
    samples: int | None = None


def source_of(data: Any, what: str) -> Source:
    """Returns data with their kind.

    Args:
        data: a Tensor or array (n, ...), or a tuple or dict of such (a tree); a TensorDataset; a
            dataset or a list of samples; an IterableDataset; a DataLoader, or another iterable of
            batches.
        what: begins messages.

    Raises:
        ArgumentError: there are no samples, or a tuple holds something other than arrays.
        ArgumentTypeError: `data` are none of these.
        ShapeError: arrays differ in their numbers of samples.
    """
    if isinstance(data, Table):
        raise ArgumentTypeError(
            f"{what}: a Table does not say what its target is; give table.dataset('column')"
        )
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, (Tensor, np.ndarray, tuple, dict)):
        return _arrays(listed(data), what)
    if isinstance(data, (str, bytes, os.PathLike)):
        raise ArgumentTypeError(
            f"{what}: data must be read first, got {data!r}; data.read_csv(path) reads a table, "
            "data.ImageFolder(path) pictures in folders, one a class"
        )
    if isinstance(data, IterableDataset):
        return Source("stream", data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return Source("samples", data, _some(len(data), what, f" in a {type(data).__name__}"))
    if isinstance(data, Iterable):
        return Source("batches", data)
    raise ArgumentTypeError(
        f"{what}: {a_kind_of(data)} holds no samples; give a tuple of arrays (inputs, "
        "target), a dataset (with __len__ and __getitem__) or a DataLoader"
    )


def _arrays(data: Any, what: str) -> Source:
    leaves, _ = tree.flatten(data)
    for leaf in leaves:
        _check_numbers(leaf, what)
    shapes = [tuple(leaf.shape) for leaf in leaves]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        given = ", ".join(map(str, shapes)) or "none"
        raise ShapeError(
            f"{what}: all arrays must have the same first extent, the number of samples; got the "
            f"shapes {given}"
        )
    samples = _some(shapes[0][0], what, "; the arrays' first extent is 0")
    return Source("arrays", tree.map(as_tensor, data), samples)


def _some(count: int, what: str, where: str) -> int:
    if not count:
        raise ArgumentError(f"{what}: there are no samples{where}")
    return count


def _check_numbers(part: Any, what: str) -> None:
    """Raises for a part of the data that is no array of numbers."""
    text = part if isinstance(part, str) else None
    if isinstance(part, np.ndarray) and part.dtype.kind in "USO":
        text = next((value for value in part.flat if isinstance(value, str)), None)
    if text is not None:
        raise ArgumentTypeError(
            f"{what}: the data hold text, such as {str(text)!r}, but must hold numbers; "
            "numpy.unique(labels, return_inverse=True) returns the classes, and the class number "
            "of each label; data.Vocabulary converts texts to numbers"
        )
    if not isinstance(part, (Tensor, np.ndarray)):
        if hasattr(part, "to_numpy"):
            raise ArgumentTypeError(
                f"{what}: a tuple of data must hold arrays, but this one holds {a_kind_of(part)}; "
                "write (frame.to_numpy('float32'), column.to_numpy()), or give the whole table "
                "alone, with target='name of a column'"
            )
        raise ArgumentTypeError(
            f"{what}: a tuple of data must hold arrays, but this one holds {a_kind_of(part)}; "
            "give single samples as a list"
        )


def split_off(data: Any, share: float, what: str) -> tuple[Any, Any]:
    """Returns the data without a fraction of their samples, and that fraction.

    The samples are chosen at random, with a separate generator, so that they are the same ones each
    time.

    Args:
        data: arrays or samples.
        share: above 0, below 1.
        what: begins messages.

    Raises:
        ArgumentError: the share is out of range, leaves one side empty, or the samples have no
            indices.
    """
    if not 0 < share < 1:
        raise ArgumentError(
            f"{what}: validation={share!r} must be a fraction of the data, above 0 and below 1, "
            "or held-out data, such as (x, y)"
        )
    if isinstance(data, DataLoader):
        raise ArgumentError(
            f"{what}: validation={share!r} cannot be split off a DataLoader, which makes batches; "
            f"split its dataset: training, held_out = data.random_split(dataset, [{1 - share:g}, "
            f"{share:g}]), make the DataLoader of training, and give validation=held_out"
        )
    source = source_of(data, what)
    if source.samples is None:
        raise ArgumentError(
            f"{what}: validation={share!r} cannot be split off a {type(data).__name__}, whose "
            "samples have no indices; give held-out data of the same kind as validation="
        )
    count = round(share * source.samples)
    if not 0 < count < source.samples:
        raise ArgumentError(
            f"{what}: validation={share!r} of {source.samples} samples leaves no sample for "
            "one of the two parts"
        )
    rows = permutation(source.samples, generator=Generator()).numpy()
    parts = np.sort(rows[count:]), np.sort(rows[:count])
    if source.kind == "samples":
        first, second = (Subset(data, part.tolist()) for part in parts)
        return first, second
    first, second = (tree.map(lambda x, at=part: x[as_tensor(at)], source.data) for part in parts)
    return first, second


def without_names(data: Any, target: str | Sequence[str] | None) -> Any:
    """Returns a table as the data set of its columns; other data unchanged.

    Raises:
        ArgumentError: a table without a target, or a target without a table.
    """
    if isinstance(data, Table) and target is None:
        raise ArgumentError("fit: give the column of the table to predict, such as target='price'")
    if target is None:
        return data
    if isinstance(data, (tuple, list, dict, Dataset, IterableDataset, DataLoader)):
        raise ArgumentError(
            "fit: target= is for tables; other data contain the target, as the last part of the "
            "tuple"
        )
    table = as_table(data)
    targets = [target] if isinstance(target, str) else list(target)
    text = [name for name in table.text if name not in targets]
    if text:
        raise ArgumentError(
            f"fit: columns of the table hold text: {', '.join(map(repr, text))}; convert them by "
            "data.Preprocessing, or leave them out by table.drop(...)"
        )
    return table.dataset(target)
