"""Samplers give the indices of an epoch, and the loader reads them in their order."""

from __future__ import annotations

import pytest

import smelt
from smelt.data import (
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from smelt.errors import ArgumentError

numbers = list(range(10))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_reads_in_the_order_of_its_sampler(workers: int) -> None:
    loader = DataLoader(numbers, 2, sampler=[7, 1, 4], num_workers=workers)
    assert len(loader) == 2
    assert [batch.tolist() for batch in loader] == [[7, 1], [4]]
    assert [batch.tolist() for batch in DataLoader(numbers, 5, sampler=SequentialSampler("abc"))]


def test_samplers_draw() -> None:
    smelt.manual_seed(1)
    assert sorted(RandomSampler(numbers)) == numbers
    assert list(RandomSampler(numbers)) != numbers
    assert len(list(RandomSampler(numbers, num_samples=3))) == 3
    assert len(list(RandomSampler(numbers, replacement=True, num_samples=30))) == 30
    assert sorted(SubsetRandomSampler([5, 2, 3])) == [2, 3, 5]
    assert set(WeightedRandomSampler([0, 1, 0, 3], 20)) == {1, 3}
    assert sorted(WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]
    once, again = (list(RandomSampler(numbers, generator=smelt.Generator(3))) for _ in range(2))
    assert once == again


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArgumentError, match="not both"):
        DataLoader(numbers, sampler=[0], shuffle=True)
    with pytest.raises(ArgumentError, match="replacement=True"):
        RandomSampler(numbers, num_samples=11)
    with pytest.raises(ArgumentError, match="not known"):
        len(DataLoader(numbers, sampler=iter([0])))
