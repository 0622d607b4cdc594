"""Loops inside of everything else: training, batches, checkpoints, threads, the cache, memory."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim, tree
from smelt.compiler.codegen import machine
from smelt.compiler.runtime import step_cache
from smelt.errors import BoundsError
from smelt.location import running
from smelt.tracing.engine import Eager, context

ROOT = Path(__file__).parent.parent.parent
Run = Callable[[Callable[..., Any]], Callable[..., Any]]
both_engines = pytest.mark.parametrize("run", [lambda f: f, smelt.compile], ids=["eager", "native"])


def drawn(*shape: int) -> Tensor:
    return smelt.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


class Training:
    """A recurrence with dropout, statistics and a counter, trained by Adam."""

    def __init__(self, wrap: Callable[..., Any] | None = None) -> None:
        smelt.manual_seed(3)
        self.weight = nn.Parameter(drawn(3, 3))
        self.count, self.mean = smelt.tensor(0), smelt.zeros(3)
        self.optimizer = optim.Adam([self.weight], lr=0.01)
        turn = self.turn
        self.body = turn if wrap is None else lambda h, x: wrap(turn, h, x)

    def turn(self, h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        h = smelt.tanh(x + F.dropout(h, 0.3, True) @ self.weight)
        with smelt.no_grad():
            self.count.copy_(self.count + 1)
            self.mean.copy_(self.mean * 0.9 + h.detach().mean(0) * 0.1)
        return h, h

    def step(self, x: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        h, rows = smelt.scan(self.body, smelt.zeros(4, 3), x)
        loss = (rows * rows).mean() + h.sum() + (self.mean * self.weight).sum()
        loss.backward()
        self.optimizer.step()
        return loss

    def left(self) -> list[np.ndarray]:
        states = (self.weight, self.count, self.mean, smelt.default_generator().state)
        return [one.numpy().copy() for one in states]


def assert_alike(got: list[Any], wanted: list[Any]) -> None:
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


@pytest.mark.parametrize("wrap", [None, smelt.checkpoint], ids=["plain", "checkpoint"])
def test_training_with_a_loop_is_the_same_in_every_way(wrap: Callable[..., Any] | None) -> None:
    x, results = drawn(6, 4, 3), []
    for way in ("eager", "calls", "repeat"):
        training = Training(wrap)
        step = training.step if way == "eager" else smelt.compile(training.step)
        if way == "repeat":
            losses = step.repeat(5, x).tolist()
        else:
            losses = [step(x).item() for _ in range(5)]
        results.append([losses, *training.left()])
    assert_alike(results[1], results[0])
    for a, b in zip(results[1], results[2], strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_of_data_may_be_sequences() -> None:
    data, results = drawn(10, 4, 3), []
    for way in ("eager", "over"):
        training = Training()
        if way == "over":
            losses = smelt.compile(training.step).over(data, batch_size=3).tolist()
        else:
            losses = [training.step(data[start : start + 3]).item() for start in (0, 3, 6, 9)]
        results.append([losses, *training.left()])
    assert_alike(*results)


def sums_within_rows(x: Tensor, w: Tensor) -> Tensor:
    def row(numbers: Tensor) -> Tensor:
        return smelt.scan(lambda s, v: (smelt.sin(s + v), s), smelt.zeros(()), numbers)[1]

    def turn(h: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return smelt.tanh(h + smelt.vmap(row)(rows) @ w), rows.sum()

    h, totals = smelt.scan(turn, smelt.zeros(4, 3), x)
    return (h * h).sum() + totals.sum()


def choices_within_limits(x: Tensor, w: Tensor) -> Tensor:
    def turn(h: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        def inner(carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            h, n = carry
            h = smelt.cond(h.sum() > 0, lambda h: h * 0.5 - rows @ w, lambda h: h + w.sum(), h)
            return h, n + 1

        def goes_on(carry: tuple[Tensor, Tensor]) -> Tensor:
            return (carry[1] < 5) & (smelt.abs(carry[0]).sum() < 30.0)

        return smelt.while_loop(goes_on, inner, (h, smelt.tensor(0)), max_steps=5)

    h, turns = smelt.scan(turn, smelt.zeros(4, 3), x)
    return (h * h).sum() + turns.sum()


def computed_again(x: Tensor, w: Tensor) -> Tensor:
    def run(x: Tensor) -> Tensor:
        return smelt.scan(lambda h, x: (smelt.tanh(x + h @ w), h), smelt.zeros(4, 3), x)[1]

    return smelt.checkpoint(run, x).sum()


def narrow_carries(x: Tensor, w: Tensor) -> Tensor:
    total = smelt.zeros(())
    for dtype in (smelt.float16, smelt.bfloat16):

        def turn(h: Tensor, x: Tensor, dtype: Any = dtype) -> tuple[Tensor, Tensor]:
            return (h * 0.5 + x.to(dtype)), h

        h, rows = smelt.scan(turn, smelt.zeros(4, 3, dtype=dtype), x * 4.0)
        total = total + h.float().sum() + (rows.float() @ w).sum()
    return total


def other_carries(x: Tensor, w: Tensor) -> Tensor:
    def turn(carry: tuple[Tensor, ...], x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        flag, number, best = carry
        largest = smelt.maximum(best, (x.detach().sum() * 8).to(smelt.int32))
        return (flag ^ (x.sum() > 0), number + 1, largest), (x * number).sum() * flag.float()

    start = smelt.tensor(True), smelt.tensor(0), smelt.tensor(-5, dtype=smelt.int32)
    (flag, number, best), rows = smelt.scan(turn, start, x @ w)
    return rows.sum() + flag.float() + number + best


@pytest.mark.parametrize(
    "loss",
    [sums_within_rows, choices_within_limits, computed_again, narrow_carries, other_carries],
    ids=lambda one: one.__name__,
)
def test_values_and_gradients(loss: Callable[..., Tensor]) -> None:
    operands = drawn(6, 4, 3), drawn(3, 3) * 0.5
    both = smelt.value_and_grad(loss, (0, 1))
    eager, native = both(*operands), smelt.compile(both)(*operands)
    pairs = zip(tree.flatten(native)[0], tree.flatten(eager)[0], strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-3, 1e-4)


@pytest.mark.parametrize("shape", [(0, 4, 3), (6, 0, 3), (6, 4, 0), (0, 0, 0)], ids=str)
def test_nothing_to_do(shape: tuple[int, int, int]) -> None:
    def loss(x: Tensor, w: Tensor) -> Tensor:
        start = smelt.zeros(*shape[1:])
        h, rows = smelt.scan(lambda h, x: ((y := smelt.tanh(x + h @ w)), y), start, x)
        return (h * h).sum() + rows.sum()

    operands = smelt.ones(*shape), smelt.ones(shape[2], shape[2])
    both = smelt.value_and_grad(loss, (0, 1))
    for value, gradients in (both(*operands), smelt.compile(both)(*operands)):
        assert value.item() == 0.0 or shape == (6, 4, 3)
        assert [g.shape for g in gradients] == [x.shape for x in operands]
        assert not any(g.numpy().any() for g in gradients)


@pytest.mark.parametrize("given", [(0,), (1,), (0, 1)], ids=str)
def test_donated_tensors_may_enter_a_loop(given: tuple[int, ...]) -> None:
    def run(h: Tensor, x: Tensor) -> Any:
        return smelt.scan(lambda h, x: (smelt.tanh(h + x), h), h, x)

    last, rows = smelt.compile(run, donate=given)(smelt.ones(4, 3), drawn(6, 4, 3))
    wanted_last, wanted_rows = run(smelt.ones(4, 3), drawn(6, 4, 3))
    assert_alike([last.numpy(), rows.numpy()], [wanted_last.numpy(), wanted_rows.numpy()])


def failing(*_: Any) -> Any:
    raise RuntimeError("in the middle")


def sides(x: Tensor) -> Tensor:
    return smelt.cond(x.sum() > 0, failing, lambda: x)


@both_engines
@pytest.mark.parametrize(
    "program",
    [
        lambda x: smelt.scan(failing, x, x),
        lambda x: smelt.scan(lambda h, x: smelt.vmap(failing)(x), x, x),
        lambda x: smelt.while_loop(failing, lambda h: h, x),
        lambda x: smelt.while_loop(lambda h: h.sum() > 0, failing, x, max_steps=3),
        lambda x: smelt.scan(lambda h, _: (sides(h), None), x, length=2),
    ],
)
def test_an_error_in_a_body_leaves_everything_as_it_was(run: Run, program: Any) -> None:
    count = smelt.tensor(0)

    def step(x: Tensor) -> Any:
        with smelt.no_grad():
            return program(x)

    with pytest.raises(RuntimeError, match="in the middle"):
        run(step)(smelt.ones(3, 3))
    assert isinstance(context.engine, Eager)
    assert context.grad_enabled
    assert not running.modules
    assert (count + 1).item() == 1


def test_a_failed_trace_changes_no_state() -> None:
    count = smelt.tensor(0)

    def body(h: Tensor, x: Tensor) -> Any:
        count.copy_(count + 1)
        return failing()

    with pytest.raises(RuntimeError):
        smelt.compile(lambda x: smelt.scan(body, x[0], x))(smelt.ones(3, 3))
    assert count.item() == 0


def test_the_reported_memory_is_what_is_allocated() -> None:
    training = Training()
    step = smelt.compile(training.step)
    step(drawn(6, 4, 3))
    version, memory = step.executables.newest, step.memory()
    ends = [one.offset + one.nbytes for one in version.stages.program.slots if one.kind == "arena"]
    assert max(ends) <= memory.arena == version._frames[0].arena.nbytes <= max(ends) + 64


def test_a_program_with_loops_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path))
    # an equal step of another test may still be alive, and would not be written there
    monkeypatch.setattr(step_cache, "_linked", WeakValueDictionary())
    first = smelt.compile(Training().step)(drawn(6, 4, 3))
    step_cache._linked.clear()  # so that the next comes from the files
    monkeypatch.setattr(machine, "compile_object", failing)
    again = smelt.compile(Training().step)(drawn(6, 4, 3))
    assert again.item() == first.item()


def test_a_dropped_step_with_loops_is_freed() -> None:
    training = Training()
    step = smelt.compile(training.step)
    step(drawn(6, 4, 3))
    native, weight = weakref.ref(step.executables.newest.native), weakref.ref(training.weight)
    del step, training
    gc.collect()
    assert native() is None
    assert weight() is None


PROGRAM = """
import hashlib
import numpy as np
import smelt

draw = np.random.default_rng(0)
x = smelt.tensor(draw.standard_normal((3, 128, 192)).astype(np.float32))
w = smelt.tensor((draw.standard_normal((192, 192)) * 0.1).astype(np.float32))

def loss(x, w):
    def turn(h, x):
        h = smelt.tanh(x + h @ w)
        return h, h.softmax(-1)
    h, rows = smelt.scan(turn, smelt.zeros(128, 192), x)
    return (h * h).sum() + (rows * rows).sum()

step = smelt.compile(smelt.value_and_grad(loss, (0, 1)))
value, gradients = step(x, w)
assert "parallel" in step.explain("scheduled")
digest = hashlib.sha256()
for one in (value, *gradients):
    digest.update(one.numpy().tobytes())
print(digest.hexdigest())
"""


def test_the_same_bits_on_any_number_of_threads(tmp_path: Path) -> None:
    digests = set()
    for threads in (1, 2, 4):
        environment = {**os.environ, "SMELT_THREADS": str(threads), "SMELT_CACHE": str(tmp_path)}
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("way", ["scan", "cond", "while", "nested"])
def test_a_bad_index_in_a_late_turn_changes_no_state(way: str) -> None:
    table, seen = smelt.ones(5, 3), smelt.zeros(3)
    start = smelt.zeros(3)

    def look(h: Tensor, i: Tensor) -> Tensor:
        row = table[i]
        seen.copy_(seen + row)
        return h + row

    def along(h: Tensor, numbers: Tensor) -> Tensor:
        return smelt.scan(lambda h, i: (look(h, i), None), h, numbers)[0]

    @smelt.compile
    def step(numbers: Tensor) -> Any:
        if way == "scan":
            return along(start, numbers)
        if way == "nested":
            return smelt.scan(lambda h, _: (along(h, numbers), None), start, length=2)
        if way == "while":
            carry = (smelt.tensor(0), start)
            body = lambda carry: (carry[0] + 1, look(carry[1], numbers[carry[0]]))  # noqa: E731
            return smelt.while_loop(lambda carry: carry[0] < 3, body, carry)

        def turn(h: Tensor, i: Tensor) -> tuple[Tensor, None]:
            return smelt.cond(i > 0, lambda: look(h, i), lambda: h * 1), None

        return smelt.scan(turn, start, numbers)

    step(smelt.tensor([1, 2, 3]))
    before = seen.tolist()
    assert before[0] > 0
    with pytest.raises(BoundsError):
        step(smelt.tensor([1, 2, 9]))
    assert seen.tolist() == before


@both_engines
def test_gradients_taken_inside_of_a_body_are_differentiated(run: Run) -> None:
    """One step of descent a turn; the loss after all of them, by where it began."""
    x = drawn(4, 3).double()

    def last(p: Tensor) -> Tensor:
        def descend(p: Tensor, row: Tensor) -> tuple[Tensor, None]:
            return p - 0.1 * smelt.grad(lambda p: (smelt.sin(p * row) ** 2).sum())(p), None

        return (smelt.scan(descend, p, x)[0] ** 2).sum()

    def by_hand(p: Tensor) -> Tensor:
        for row in x:
            p = p - 0.1 * smelt.sin(2.0 * p * row) * row
        return (p**2).sum()

    start = smelt.ones(3, dtype=smelt.float64)
    got, wanted = run(smelt.grad(last))(start), smelt.grad(by_hand)(start)
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), 1e-12)


def test_a_loop_keeps_nothing_of_what_is_computed_again() -> None:
    def peak(wrap: Callable[..., Any]) -> int:
        body = wrap(lambda c, x: smelt.tanh(x @ smelt.ones(64, 512)).sum() + c)
        loss = lambda x: smelt.scan(lambda c, x: (body(c, x), None), smelt.zeros(()), x)[0]  # noqa: E731
        step = smelt.compile(smelt.grad(loss))
        step(smelt.zeros(50, 8, 64))
        return step.memory().arena

    kept = 50 * 8 * 512 * 4
    again = lambda body: lambda *given: smelt.checkpoint(body, *given)  # noqa: E731
    assert peak(again) < kept / 2 < kept < peak(lambda body: body)
