"""Samplers give the indices of an epoch, and the loader reads them in their order."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.data import (
    DataLoader,
    LengthBatchSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from smelt.errors import ArgumentError, ShapeError

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


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_one_length(drop_last: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 1003)
    sampler = LengthBatchSampler(lengths, 16, drop_last, pool=20, generator=smelt.Generator(0))
    first, second = list(sampler), list(sampler)
    assert len(first) == len(second) == len(sampler) == (62 if drop_last else 63)
    assert first != second
    for batches in (first, second):
        seen = sorted(index for batch in batches for index in batch)
        assert seen == sorted(set(seen))
        assert len(seen) == (992 if drop_last else 1003)
        assert sum(len(batch) < 16 for batch in batches) == (0 if drop_last else 1)
    spans = [np.ptp(lengths[batch]) for batch in first]
    assert np.mean(spans) < 5
    orders = np.array([lengths[batch].max() for batch in first])
    assert (np.diff(orders) < 0).sum() > 20  # the short ones do not come first


def test_equal_lengths_are_told_apart_by_the_next() -> None:
    lengths = [(2, 1), (1, 9), (2, 9), (1, 1), (2, 9), (1, 9)]
    batches = sorted(map(sorted, LengthBatchSampler(lengths, 2, generator=smelt.Generator(1))))
    assert batches in ([[0, 1], [2, 4], [3, 5]], [[0, 5], [1, 3], [2, 4]])


def test_a_loader_by_length_goes_on_where_it_was() -> None:
    def make(generator: bool) -> DataLoader:
        drawn = smelt.Generator(7) if generator else None
        sampler = LengthBatchSampler([n % 7 for n in range(40)], 4, generator=drawn)
        return DataLoader(list(range(40)), batch_sampler=sampler)

    for generator in (True, False):
        smelt.manual_seed(3)
        whole, first, second = make(generator), make(generator), make(generator)
        state = smelt.get_rng_state()
        expected = [batch.tolist() for epoch in range(2) for batch in whole]
        smelt.set_rng_state(state)
        reader = iter(first)
        seen = [next(reader).tolist() for _ in range(3)]
        second.load_state_dict(first.state_dict())
        seen += [batch.tolist() for epoch in range(2) for batch in second]
        assert seen == expected


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, ArgumentError),
        ({"batch_size": 2, "pool": 0}, ArgumentError),
        ({"batch_size": 2, "lengths": np.ones((2, 2, 2))}, ShapeError),
    ],
)
def test_batches_that_make_no_sense_are_refused(options: dict, error: type) -> None:
    with pytest.raises(error, match="LengthBatchSampler: "):
        LengthBatchSampler(**{"lengths": [1, 2], **options})
