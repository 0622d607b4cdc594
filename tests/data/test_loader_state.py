"""A loader goes on where another one was: the same batches, whatever the workers; more samplers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import smelt
from smelt.data import (
    Augmented,
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from smelt.errors import ArgumentError, StateError
from smelt.random import Generator
from smelt.tensor import Tensor


class Numbers(IterableDataset):
    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(range(100 * self.epoch, 100 * self.epoch + 23))

    def at_epoch(self, epoch: int) -> Numbers:
        return Numbers(epoch)


def shifted(sample: tuple[Tensor, ...], generator: Generator) -> Tensor:
    return sample[0] + smelt.rand(2, generator=generator)


def dataset() -> Augmented:
    return Augmented(TensorDataset(smelt.arange(23).float()[:, None].expand(23, 2)), shifted)


MAKERS: dict[str, Callable[[], dict[str, Any]]] = {
    "in order": lambda: {"dataset": dataset(), "batch_size": 4},
    "shuffled": lambda: {"dataset": dataset(), "batch_size": 4, "shuffle": True, "seed": 1},
    "sampler": lambda: {
        "dataset": dataset(),
        "batch_size": 4,
        "sampler": RandomSampler(range(23), generator=Generator(3)),
    },
    "batch sampler": lambda: {
        "dataset": dataset(),
        "batch_sampler": BatchSampler(
            WeightedRandomSampler([1] * 23, 23, generator=Generator(3)), 4, False
        ),
    },
    "stream": lambda: {"dataset": Numbers(), "batch_size": 4},
}


def bits(batch: Any) -> bytes:
    return batch.numpy().tobytes()


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("stop", [0, 1, 4, 6, 8])
def test_an_epoch_goes_on_where_it_was_left(
    kind: str, workers: int, stop: int, tmp_path: Path
) -> None:
    whole = DataLoader(**MAKERS[kind](), num_workers=1)
    expected = [bits(batch) for _ in range(3) for batch in whole]
    first = DataLoader(**MAKERS[kind](), num_workers=2)
    seen = []
    while len(seen) < stop:
        for batch in first:
            seen.append(bits(batch))
            if len(seen) == stop:
                break
    smelt.save({"loader": first.state_dict()}, tmp_path / "state.safetensors")
    second = DataLoader(**MAKERS[kind](), num_workers=workers)
    second.load_state_dict(smelt.load(tmp_path / "state.safetensors")["loader"])
    while second.epoch < 3:
        seen += [bits(batch) for batch in second]
    assert seen == expected


def test_the_default_generator_draws_one_number_an_epoch() -> None:
    loader = DataLoader(list(range(9)), 9, shuffle=True)
    smelt.manual_seed(3)
    (first,) = list(loader)
    smelt.manual_seed(3)
    state = None
    for _ in loader:
        smelt.rand(5)  # what a training draws in between
        state = loader.state_dict()
    other = DataLoader(list(range(9)), 9, shuffle=True)
    assert state is not None
    other.load_state_dict({**state, "batches": 0})
    assert next(iter(other)).tolist() == first.tolist()


def test_a_state_of_another_loader_is_refused() -> None:
    loader = DataLoader(list(range(9)), 2, seed=0)
    state = loader.state_dict()
    for other, message in [
        (DataLoader(list(range(8)), 2, seed=0), "samples=9, but this one has samples=8"),
        (DataLoader(list(range(9)), 3, seed=0), "batch_size=2, but .* batch_size=3"),
        (DataLoader(list(range(9)), 2), "generators=1"),
    ]:
        with pytest.raises(StateError, match=message):
            other.load_state_dict(state)
    with pytest.raises(StateError, match="a state_dict has"):
        loader.load_state_dict({"epoch": 1})


def test_an_epoch_that_is_set_begins_anew() -> None:
    loader = DataLoader(list(range(9)), 2)
    next(iter(loader))
    other = DataLoader(list(range(9)), 2)
    other.load_state_dict(loader.state_dict())
    other.epoch = 5
    assert next(iter(other)).tolist() == [0, 1]


# --- samplers ---------------------------------------------------------------------------------


def test_batches_of_a_sampler() -> None:
    sampler = BatchSampler(SequentialSampler("abcde"), 2, drop_last=True)
    assert (list(sampler), len(sampler)) == ([[0, 1], [2, 3]], 2)
    loader = DataLoader(list(range(9)), batch_sampler=[[8, 1], [2], []][:2], num_workers=2)
    assert [batch.tolist() for batch in loader] == [[8, 1], [2]]
    assert len(loader) == 2
    assert list(DataLoader([3, 4], batch_size=None)) == [3, 4]
    assert list(DataLoader([3, 4], batch_size=None, collate_fn=lambda x: -x)) == [-3, -4]
    with pytest.raises(ArgumentError, match="batch_size=0"):
        BatchSampler([1], 0, False)
    with pytest.raises(TypeError, match="not known"):
        len(BatchSampler(iter([1]), 1, False))


def test_each_replica_reads_its_part() -> None:
    def parts(count: int, **options: Any) -> list[list[int]]:
        samplers = [DistributedSampler(range(count), 3, rank, **options) for rank in range(3)]
        assert len({len(sampler) for sampler in samplers}) == 1
        return [list(sampler) for sampler in samplers]

    assert parts(7, shuffle=False) == [[0, 3, 6], [1, 4, 0], [2, 5, 1]]
    assert parts(7, shuffle=False, drop_last=True) == [[0, 3], [1, 4], [2, 5]]
    assert parts(1, shuffle=False) == [[0], [0], [0]]
    assert parts(0) == [[], [], []]
    assert sorted(index for part in parts(9) for index in part) == list(range(9))
    sampler = DistributedSampler(range(9), 3, 1, seed=4)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first == list(DistributedSampler(range(9), 3, 1, seed=4))
    with pytest.raises(ArgumentError, match="rank=3 must lie in 0 to 2"):
        DistributedSampler(range(9), 3, 3)
