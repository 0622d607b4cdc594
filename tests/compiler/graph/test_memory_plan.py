"""The planner: values that live at the same time never share memory, and the peak is what is
allocated.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smelt
from smelt import nn
from smelt.compiler.graph.memory_plan import ALIGNMENT, LiveRange, pack
from smelt.compiler.graph.occupied import Spans
from tests.compiler.engines import Case

live_ranges = st.builds(
    lambda nbytes, first, length: LiveRange(nbytes, first, first + length),
    st.integers(1, 5000),
    st.integers(0, 30),
    st.integers(0, 10),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(live_ranges, max_size=40))
def test_no_two_live_values_overlap(values: list[LiveRange]) -> None:
    offsets, peak = pack(values)
    placed = list(zip(values, offsets, strict=True))
    for number, (a, start) in enumerate(placed):
        assert start % ALIGNMENT == 0
        assert start + a.nbytes <= peak
        for b, earlier in placed[:number]:
            together = a.first <= b.last and b.first <= a.last
            assert not together or start + a.nbytes <= earlier or earlier + b.nbytes <= start
    highest = max([start + live.nbytes for live, start in placed], default=0)
    assert peak == -(-highest // ALIGNMENT) * ALIGNMENT


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(live_ranges, min_size=1, max_size=40))
def test_the_peak_is_no_more_than_without_reuse_and_no_less_than_what_lives(
    values: list[LiveRange],
) -> None:
    _, peak = pack(values)
    rounded = [-(-live.nbytes // ALIGNMENT) * ALIGNMENT for live in values]
    assert peak <= sum(rounded)
    for time in range(45):
        alive = [live.nbytes for live in values if live.first <= time <= live.last]
        assert peak >= sum(alive)


def test_a_chain_of_layers_needs_two_buffers_however_long_it_is() -> None:
    def chain(length: int) -> int:
        weights = [smelt.ones(64, 64) for _ in range(length)]

        def function(states: list, given: list) -> list:
            (x,) = given
            for weight in states:
                x = x @ weight
            return [x]

        return Case(function, weights, [smelt.ones(64, 64)]).stages.program.arena_bytes

    assert chain(3) == chain(9) == 2 * 64 * 64 * 4


def test_the_reported_peak_is_what_is_allocated() -> None:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    @smelt.compile
    def step(x):
        loss = (model(x) ** 2).mean()
        loss.backward()
        return loss

    step(smelt.ones(32, 64))
    version, memory = step.executables.newest, step.memory()
    program = version.stages.program
    ends = [slot.offset + slot.nbytes for slot in program.slots if slot.kind == "arena"]
    assert max(ends) <= memory.arena <= max(ends) + ALIGNMENT
    assert memory.arena == version._frames[0].arena.nbytes
    parameters = sum(p.numpy().nbytes for p in model.parameters())
    assert memory.states >= parameters
    assert memory.arguments == 32 * 64 * 4
    assert memory.results == 4
    parts = (memory.arena, memory.states, memory.arguments, memory.results, memory.constants)
    assert memory.peak == sum(parts)


def test_arena_values_are_never_read_before_they_are_written() -> None:
    """The interpreter's arena starts as nan, so that a value placed wrongly would be seen."""
    weights = [smelt.ones(5, 5) for _ in range(4)]

    def function(states: list, given: list) -> list:
        (x,) = given
        hidden = [x := (x @ weight).tanh() for weight in states]
        return [sum(hidden[1:], hidden[0]).softmax(-1) @ hidden[0]]

    case = Case(function, weights, [smelt.eye(5)])
    (expected,), (got,) = case.eager().outputs, case.interpreted(case.stages.program).outputs
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def placed_one_by_one(values: list[LiveRange]) -> list[int]:
    """Returns what `pack` is to return, by looking at every value for every value."""
    offsets: dict[int, int] = {}
    for index in sorted(range(len(values)), key=lambda i: (-values[i].nbytes, values[i].first)):
        live, ends = values[index], [0]
        taken = [
            (offset, offset + -(-values[other].nbytes // ALIGNMENT) * ALIGNMENT)
            for other, offset in offsets.items()
            if values[other].first <= live.last and live.first <= values[other].last
        ]
        ends += [end for _, end in taken]
        free = [end for end in ends if all(b <= end or end + live.nbytes <= a for a, b in taken)]
        offsets[index] = min(free)
    return [offsets[index] for index in range(len(values))]


@pytest.mark.parametrize("seed", range(40))
def test_each_value_lies_at_the_lowest_offset_that_is_free(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, times = random.integers(0, 50), random.integers(1, 40)
    starts, lengths = random.integers(0, times, count), random.choice([0, 1, 2, 30], count)
    sizes = random.choice([4, 64, 100, 128, 1000, 4096], count)
    values = [
        LiveRange(int(size), int(start), int(min(start + length, times - 1)))
        for size, start, length in zip(sizes, starts, lengths, strict=True)
    ]
    assert pack(values)[0] == placed_one_by_one(values)


def test_the_work_is_in_proportion_to_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all of them live at one time, as what a backward pass reads does."""
    looked_at = 0
    behind = Spans.behind

    def counted(*arguments):
        nonlocal looked_at
        looked_at += 1
        return behind(*arguments)

    def looks(count: int) -> int:
        nonlocal looked_at
        looked_at = 0
        pack([LiveRange(64 * (1 + n % 3), n, 2 * count - n) for n in range(count)])
        return looked_at

    monkeypatch.setattr(Spans, "behind", counted)
    assert looks(2000) <= 2.3 * looks(1000)  # a little more than 2: times the logarithm
