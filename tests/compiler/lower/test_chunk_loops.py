"""Loops that run for chunks of the batch: which do, and that no bit of a result depends on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim
from smelt.compiler.lower import chunk_loops
from smelt.ir.loops import Cast, Store
from smelt.ir.program import loops_in_chunks, with_kernels
from smelt.ir.visit import Body, Transformer
from smelt.tensor import as_tensor
from tests.compiler.engines import Case, agree

RANDOM = np.random.default_rng(5)


def normal(*shape: int) -> Tensor:
    return as_tensor(RANDOM.standard_normal(shape).astype(np.float32))


def chunks(step: Any) -> list[int]:
    """Returns how many chunks the loops of a compiled step have, of those that have several."""
    program = step.executables.newest.stages.program
    return [loop.chunks for loop in loops_in_chunks(program)]


def scanned(body: Callable[[Tensor, Tensor], Tensor], rows: int, steps: int = 64) -> list[int]:
    """Returns the chunks of a loop that carries (rows, 64) over steps of such inputs."""
    step = smelt.compile(lambda x: smelt.scan(lambda h, row: (body(h, row), None), x[0], x)[0])
    x = normal(steps, rows, 64)
    with smelt.settings(compile=False):
        expected = step(x)
    np.testing.assert_allclose(step(x).numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
    return chunks(step)


def trained(make: Callable[..., Any], size: int, batch: int, threads: int) -> tuple[Any, list[int]]:
    """Returns a recurrent layer's parameters after three steps, and the chunks of its loops."""
    smelt.manual_seed(0)
    layer, head = make(size, size, batch_first=True), nn.Linear(size, 3)
    every = [*layer.parameters(), *head.parameters()]
    opt = optim.Adam(every, lr=0.01)

    @smelt.compile
    def step(x: Tensor, y: Tensor) -> None:
        opt.zero_grad()
        F.cross_entropy(head(layer(x)[0][:, -1]), y).backward()
        opt.step()

    draw = np.random.default_rng(0)
    x = draw.normal(size=(batch, 12, size)).astype(np.float32)
    with smelt.settings(threads=threads, verify=True):
        for _ in range(3):
            step(x, draw.integers(0, 3, batch))
    return np.concatenate([np.ravel(one.numpy()) for one in every]), chunks(step)


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize(("size", "batch", "expected"), [(32, 128, 4), (50, 64, 2), (64, 48, 2)])
def test_no_bit_depends_on_chunks_or_threads(
    make: Callable[..., Any], size: int, batch: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for threads in (1, 2, 4):
        weights, found = trained(make, size, batch, threads)
        assert found == [expected] * 2  # forward and backward
        results.append(weights)
    monkeypatch.setattr(chunk_loops, "MOST", 1)
    weights, found = trained(make, size, batch, 2)
    assert not found
    for other in results:
        np.testing.assert_array_equal(other, weights)


def test_what_is_interpreted_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    def total(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        x, w = given
        body = lambda h, row: ((h @ w + row).tanh(), h * 2)  # noqa: E731
        return list(smelt.scan(body, x[0], x, reverse=True))

    monkeypatch.setattr(chunk_loops, "LONG", 1)
    case = Case(total, [], [normal(3, 64, 5), normal(5, 5) * 0.1])
    assert [loop.chunks for loop in loops_in_chunks(case.stages.program)] == [2]
    agree(case, interpret=True)


class Numbered(Transformer):
    """Adds the number of the row to what is stored there."""

    def store(self, store: Store) -> Body:
        (made,) = super().store(store)
        assert isinstance(made, Store)
        return (replace(made, value=made.value + Cast(made.index[0], made.value.dtype)),)


def test_a_row_that_knows_its_number_stays_where_it_is() -> None:
    def total(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        (x,) = given
        return [smelt.scan(lambda h, row: ((h + row).tanh(), None), x[0], x)[0]]

    lowered = Case(total, [], [normal(64, 64, 64)]).stages.lowered
    assert next(loops_in_chunks(chunk_loops.chunk_loops(lowered))).chunks == 2
    spoilt = {
        kernel: replace(kernel, body=Numbered().block(kernel.body)) for kernel in lowered.kernels
    }
    numbered = chunk_loops.chunk_loops(with_kernels(lowered, spoilt))
    assert not list(loops_in_chunks(numbered))


def test_rows_that_see_each_other_stay_together() -> None:
    mixing = normal(64, 64) * 0.05
    assert scanned(lambda h, row: (h + row).tanh(), 64) == [2]
    assert scanned(lambda h, row: (h @ mixing + row).tanh(), 256) == [8]
    assert not scanned(lambda h, row: (mixing @ h + row).tanh(), 64)
    assert not scanned(lambda h, row: (h - h.mean(0) + row).tanh(), 64)
    assert not scanned(lambda h, row: (h * 0.5 + h.flip(0) * 0.4 + row).tanh(), 64)


def test_rows_of_a_part_are_no_part_of_the_rows() -> None:
    step = smelt.compile(
        lambda x: smelt.scan(lambda h, row: ((h * 0.5 + row[:64]).tanh(), None), x[0, :64], x)[0]
    )
    x = normal(64, 128, 64)  # the second chunk's rows begin at row 32, not at 64
    with smelt.settings(compile=False):
        expected = step(x)
    np.testing.assert_allclose(step(x).numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
    assert not chunks(step)


def test_few_rows_and_short_loops_stay_together() -> None:
    assert not scanned(lambda h, row: (h + row).tanh(), 31)
    assert not scanned(lambda h, row: (h + row).tanh(), 67, 256)  # a prime
    assert scanned(lambda h, row: (h + row).tanh(), 96) == [3]
    assert not scanned(lambda h, row: (h + row).tanh(), 64, 2)


def test_a_loop_of_any_length_runs_in_chunks() -> None:
    layer = nn.GRU(32, 32, batch_first=True)
    step = smelt.compile(lambda x: layer(x)[0].sum(1), dynamic={"x": {1: "length"}})
    exact = smelt.compile(lambda x: layer(x)[0].sum(1), dynamic=False)
    with smelt.no_grad():
        for length in (33, 40, 60):
            x = normal(64, length, 32)
            np.testing.assert_array_equal(step(x).numpy(), exact(x).numpy())
    assert step.traces <= 2
    assert chunks(step) == [2]
