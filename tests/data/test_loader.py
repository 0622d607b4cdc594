"""Batches, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.data import DataLoader, Subset, TensorDataset, random_split
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.random import Generator


def rows(loader: DataLoader) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


@pytest.fixture
def data() -> TensorDataset:
    return TensorDataset(np.arange(7))


def test_batches_come_in_order_and_the_last_is_smaller(data: TensorDataset) -> None:
    loader = DataLoader(data, batch_size=3)
    assert rows(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(loader) == 3


def test_drop_last_leaves_the_smaller_batch_out(data: TensorDataset) -> None:
    loader = DataLoader(data, batch_size=3, drop_last=True)
    assert rows(loader) == [[0, 1, 2], [3, 4, 5]]
    assert len(loader) == 2


def test_every_epoch_has_an_order_of_its_own(data: TensorDataset) -> None:
    loader = DataLoader(data, batch_size=7, shuffle=True, generator=Generator(0))
    first, second = rows(loader)[0], rows(loader)[0]
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second


def test_the_same_seed_gives_the_same_batches(data: TensorDataset) -> None:
    first, second = (
        rows(DataLoader(data, batch_size=2, shuffle=True, generator=Generator(5))) for _ in range(2)
    )
    assert first == second


def test_no_samples_make_no_batches() -> None:
    assert rows(DataLoader(TensorDataset(np.zeros((0, 3))), batch_size=2)) == []


def test_a_batch_of_nothing_is_refused(data: TensorDataset) -> None:
    with pytest.raises(ArgumentError, match="batch_size=0"):
        DataLoader(data, batch_size=0)


class Plain:
    """What a person writes who does not know `Dataset`."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, object]:
        if index == 3:
            raise LookupError("gone")
        return {"x": np.zeros(2), "text": "word"} if index == 4 else {"x": np.ones(2), "text": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_any_object_of_samples_is_a_dataset(workers: int) -> None:
    first = next(iter(DataLoader(Plain(), 3, num_workers=workers and 1, prefetch_factor=1)))
    assert first["x"].shape == (3, 2)
    assert first["text"].tolist() == [1, 1, 1]
    (whole,) = random_split([3, 1, 2], [3])
    assert sorted(b.item() for b in DataLoader(whole, num_workers=workers)) == [1, 2, 3]
    assert [b.tolist() for b in DataLoader([3, 1, 2], 2, num_workers=workers)] == [[3, 1], [2]]
    with pytest.raises(
        ArgumentError, match="generator is not a dataset: it has no __len__ and no __g"
    ):
        DataLoader((number for number in range(3)), num_workers=workers)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_names_the_sample(workers: int) -> None:
    with pytest.raises(LookupError, match="gone") as caught:
        list(DataLoader(Plain(), 5, num_workers=workers))
    assert caught.value.__notes__ == ["reading sample 3 of a Plain"]
    rest = Subset(Plain(), [0, 4])
    with pytest.raises(DTypeError, match=r"sample 4\['text'\] is not a number.* a str") as refused:
        list(DataLoader(rest, 2, num_workers=workers))
    assert f"\n  at {__file__}" in str(refused.value)


def test_samples_of_different_structure_are_refused() -> None:
    with pytest.raises(ShapeError, match="sample 1 is a tuple or list of 1, and sample 0 a tuple"):
        list(DataLoader([(1, 2), (3,)], 2))
    with pytest.raises(ShapeError, match=r"sample 1\[0\] is a dict of \['b'\]"):
        list(DataLoader([({"a": 1}, 2), ({"b": 1}, 3)], 2))
    with pytest.raises(ShapeError, match=r"shape: sample 1\['a'\]"):
        list(DataLoader([{"a": np.ones(1)}, {"a": np.ones(2)}], 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_what_collate_fn_makes_of_samples(workers: int) -> None:
    texts = Subset(["a", "bc", "def"], [2, 1, 0])
    loader = DataLoader(texts, 2, num_workers=workers, collate_fn=" ".join)
    assert list(loader) == ["def bc", "a"]


def test_settings_out_of_range_are_refused(data: TensorDataset) -> None:
    with pytest.raises(ArgumentError, match="num_workers=-1"):
        DataLoader(data, num_workers=-1)
    with pytest.raises(ArgumentError, match="prefetch_factor=0"):
        DataLoader(data, num_workers=1, prefetch_factor=0)
    with pytest.raises(ArgumentError, match="not both"):
        DataLoader(data, generator=Generator(0), seed=0)


def test_a_seed_makes_a_generator(data: TensorDataset) -> None:
    given = DataLoader(data, batch_size=2, shuffle=True, seed=5)
    made = DataLoader(data, batch_size=2, shuffle=True, generator=Generator(5))
    assert rows(given) == rows(made)
