"""Batches, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.data import DataLoader, TensorDataset
from smelt.errors import ArgumentError
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
