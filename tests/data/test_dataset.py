"""Datasets and their parts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from smelt.data import (
    DataLoader,
    Dataset,
    Subset,
    Table,
    TensorDataset,
    fetch,
    load_mnist,
    random_split,
)
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError, SmeltError
from smelt.random import Generator


class Squares(Dataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return {"root": index, "square": np.array([index**2], np.float32)}


def numbers(count: int) -> TensorDataset:
    return TensorDataset(np.arange(count), np.arange(2.0 * count).reshape(count, 2))


def test_a_sample_has_a_row_of_each_tensor() -> None:
    row, pair = numbers(4)[-1]
    assert (row.item(), pair.tolist()) == (3, [6, 7])


def test_a_batch_has_the_rows_that_were_asked_for() -> None:
    rows, pairs = numbers(4).batch([2, 0, 2])
    assert rows.tolist() == [2, 0, 2]
    assert pairs.shape == (3, 2)


def test_a_batch_is_a_copy() -> None:
    data = numbers(4)
    rows, _ = data.batch([0])
    rows.copy_(np.array([9]))
    assert data[0][0].item() == 0


def test_samples_of_an_own_dataset_are_stacked() -> None:
    batch = Squares().batch([1, 3])
    assert batch["root"].tolist() == [1, 3]
    assert batch["square"].tolist() == [[1], [9]]


@pytest.mark.parametrize("index", [4, -5])
def test_a_sample_outside_is_refused(index: int) -> None:
    with pytest.raises(BoundsError, match=f"sample {index} is out of range for a dataset of 4"):
        numbers(4)[index]
    with pytest.raises(BoundsError):
        numbers(4).batch([index])


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(3,\), \(4,\)"):
        TensorDataset(np.zeros(3), np.zeros(4))
    with pytest.raises(ShapeError):
        TensorDataset(np.float32(1))
    with pytest.raises(ArgumentError):
        TensorDataset()


def test_what_is_refused_names_the_line() -> None:
    for wrong in (
        lambda: TensorDataset(np.zeros(3), np.zeros(4)),
        lambda: random_split(numbers(10), [5, 4]),
        lambda: load_mnist("/folder"),
        lambda: fetch("mnist", "t10k-labels-idx1-ubyte.gz", "/nowhere"),
    ):
        with pytest.raises(SmeltError, match=f"\n  at {re.escape(__file__)}"):
            wrong()


def test_a_folder_in_the_place_of_the_split_is_recognized() -> None:
    with pytest.raises(
        ArgumentError, match=r'must be one of "train", "test"; the folder is the second'
    ):
        load_mnist("/folder")


def test_a_split_has_every_sample_once() -> None:
    parts = random_split(numbers(10), [7, 3], Generator(1))
    found = [row.item() for part in parts for row, _ in (part[i] for i in range(len(part)))]
    assert [len(part) for part in parts] == [7, 3]
    assert sorted(found) == list(range(10))
    assert found != list(range(10))


def test_a_split_by_fractions_gives_the_rest_to_the_first_parts() -> None:
    assert [len(part) for part in random_split(numbers(10), [0.25, 0.25, 0.5])] == [3, 2, 5]


def test_the_same_generator_splits_alike() -> None:
    first, second = (random_split(numbers(10), [5, 5], Generator(3))[0].indices for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize("lengths", [[5, 4], [11], [-1, 11], [0.5, 0.4], [9.0, 1]])
def test_a_split_that_does_not_add_up_is_refused(lengths: list[float]) -> None:
    with pytest.raises(ArgumentError, match="random_split"):
        random_split(numbers(10), lengths)


def test_a_subset_has_its_own_numbers() -> None:
    part = Subset(numbers(10), [8, 4])
    assert part[1][0].item() == 4
    assert part.batch([1, 0])[0].tolist() == [4, 8]
    with pytest.raises(BoundsError):
        part[2]


def test_samples_of_different_shapes_make_no_batch() -> None:
    class Growing(Squares):
        def __getitem__(self, index: int) -> Any:
            return np.zeros(index)

    with pytest.raises(ShapeError, match=r"\(2,\), and sample 1 \(1,\)"):
        Growing().batch([1, 2])


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([(np.zeros((3, 2)), 1), (np.zeros((4, 2)), 2)], ShapeError,
         r"sample 1\[0\] is \(4, 2\), and sample 0\[0\] \(3, 2\); .*Resize.*pad_sequence"),
        ([np.zeros(3), np.zeros(3), np.zeros(())], ShapeError,
         r"sample 2 is \(\), and sample 0 \(3,\)"),
        ([("a", 1), ("b", 2)], DTypeError, r"sample 0\[0\] .*a str; data.Vocabulary .*collate_fn"),
        ([{"text": "a"}] * 2, DTypeError, r"sample 0\['text'\]"),
        ([Table({"x": [1]})], DTypeError, "sample 0 is a Table, .*batch_size=None"),
        ("abc", ArgumentError, "a str is not a dataset; give a list of texts"),
    ],
)  # fmt: skip
def test_what_makes_no_batch_says_why(samples: Any, error: type[SmeltError], message: str) -> None:
    with pytest.raises(error, match=message):
        list(DataLoader(samples, batch_size=3))


def test_numbers_of_several_kinds_make_a_batch_of_the_wider_one() -> None:
    for samples, dtype in (
        ([1, 2.5], "float32"),
        ([True, 2], "int64"),
        ([np.float64(1), 2], "float64"),
    ):
        (batch,) = DataLoader(samples, batch_size=2)
        assert batch.dtype.name == dtype
        assert batch.stored.dtype == dtype
        assert batch.tolist() == samples


def test_a_table_is_no_tensor_of_a_dataset() -> None:
    pandas = pytest.importorskip("pandas")
    for table in ({"x": [1]}, Table({"x": [1]}), pandas.DataFrame({"x": [1]})):
        with pytest.raises(ArgumentError, match=r"write as_table\(...\).dataset\(target\)"):
            TensorDataset(table)
