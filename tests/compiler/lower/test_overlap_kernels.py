"""Kernels that run side by side: which do, and that no bit of a result depends on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim
from smelt.compiler.lower import overlap_kernels
from smelt.dtypes import int64
from smelt.ir.loops import Buffer, Kernel, Load, Loop, Store, index_variable
from smelt.ir.program import Program, Sections, all_sections
from smelt.ir.show import program_text
from smelt.tensor import as_tensor
from tests.compiler.engines import Case, agree
from tests.compiler.handmade import Bound, step_of

RANDOM = np.random.default_rng(3)
THREADS = (1, 2, 4)


def normal(*shape: int) -> Tensor:
    return as_tensor(RANDOM.standard_normal(shape).astype(np.float32))


def sections(function: Callable[..., list[Tensor]], *arguments: Tensor) -> list[list[str]]:
    """Returns the kernels that run side by side, with results checked against eager ones."""
    case = Case(lambda states, given: function(*given), [], list(arguments))
    agree(case, interpret=False)
    found = all_sections(case.stages.program)
    return [[call.kernel.name for call in one.calls] for one in found]


@pytest.fixture
def even_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels run side by side however short they are, so that an interpreter can run them."""
    monkeypatch.setattr(overlap_kernels, "PARALLEL_CYCLES", 0)


# --- which kernels --------------------------------------------------------------------------------


def test_products_of_one_operand_run_side_by_side() -> None:
    x, weights = normal(128, 64), [normal(64, 64) for _ in range(3)]
    assert sections(lambda x, *ws: [x @ w for w in ws], x, *weights) == [["matmul"] * 3]


def test_what_reads_a_result_comes_after_it() -> None:
    x, w, v = normal(128, 64), normal(64, 64), normal(64, 64)
    assert sections(lambda x, w, v: [F.softmax(x @ w, -1) @ v], x, w, v) == []


def test_short_kernels_alone_are_left_in_order() -> None:
    x, w, v = normal(4, 4), normal(4, 4), normal(4, 4)
    assert sections(lambda x, w, v: [x @ w, x @ v], x, w, v) == []


def test_memory_that_is_used_again_keeps_kernels_in_order(even_short_ones: None) -> None:
    def function(x: Tensor, w: Tensor) -> list[Tensor]:
        for _ in range(4):  # each product may lie where the one before the last lay
            x = x @ w
        return [x, w @ w]

    case = Case(lambda states, given: function(*given), [], [normal(8, 8), normal(8, 8)])
    agree(case, interpret=True)
    for one in all_sections(case.stages.program):
        memory = [overlap_kernels._Memory(call) for call in one.calls]
        pairs = [(a, b) for a in memory for b in memory if a is not b]
        assert pairs
        assert not any(a.meets(b) for a, b in pairs)


def test_a_carry_is_read_before_its_next_value_is_written(even_short_ones: None) -> None:
    def function(x: Tensor, w: Tensor, v: Tensor) -> list[Tensor]:
        def body(carry: tuple[Tensor, Tensor], _: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            a, b = carry
            return (a @ w, b @ v), F.softmax(a, -1) @ F.softmax(b, -1)

        (a, b), rows = smelt.scan(body, (x, x * 2), smelt.zeros(3))
        return [a, b, rows]

    arguments = [normal(8, 8) for _ in range(3)]
    case = Case(lambda states, given: function(*given), [], arguments)
    agree(case, interpret=True)


# --- that it is right -----------------------------------------------------------------------------


def counting(name: str, iterations: int) -> Kernel:
    """Returns a kernel that adds 1 to each of so many numbers, in parallel if there are several."""
    counts, i = Buffer("counts", (iterations,), int64), index_variable("i")
    more = Store(counts, (i,), Load(counts, (i,)) + 1)
    kind = "parallel" if iterations > 1 else "serial"
    return Kernel(name, (counts,), (counts,), (Loop(i, 0, iterations, 1, (more,), kind),))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    "iterations", [(2, 1), (1, 1, 32), (5, 3), (32, 32, 32), (7, 1, 2, 1, 64), (1, 33)]
)
def test_every_iteration_runs_once(iterations: tuple[int, ...], threads: int) -> None:
    plain = step_of(*[counting(f"k{number}", n) for number, n in enumerate(iterations)])
    order = tuple(reversed(range(len(iterations))))
    program = Program("step", plain.slots, 0, (Sections(plain.body, order),))  # type: ignore[arg-type]
    arrays = [np.zeros(n, np.int64) for n in iterations]
    bound = Bound(program, arrays)
    with smelt.settings(threads=threads):
        for _ in range(50):
            assert bound.run() == 0
    for array in arrays:
        assert (array == 50).all()


def trained(threads: int) -> tuple[np.ndarray, int]:
    """Returns a Transformer's parameters after three steps, and how many sections a step has."""
    smelt.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
    opt = optim.Adam(layer.parameters(), lr=0.01)

    @smelt.compile
    def step(x: Tensor) -> None:
        opt.zero_grad()
        (layer(x) ** 2).mean().backward()
        opt.step()

    x = np.random.default_rng(0).normal(size=(8, 32, 64)).astype(np.float32)
    with smelt.settings(threads=threads, verify=True):
        for _ in range(3):
            step(x)
    found = list(all_sections(step.executables.newest.stages.program))
    return np.concatenate([np.ravel(one.numpy()) for one in layer.parameters()]), len(found)


def test_no_bit_depends_on_it_or_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, count = trained(1)
    assert count > 5
    for threads in THREADS[1:]:
        assert (trained(threads)[0] == expected).all()
    monkeypatch.setattr(overlap_kernels, "MOST", 1)
    alone, count = trained(2)
    assert count == 0
    assert (alone == expected).all()


def test_lengths_that_change() -> None:
    w, v = normal(64, 64), normal(64, 64)
    step = smelt.compile(lambda x: (x @ w, F.relu(x @ v)))
    shared = []
    for rows in (96, 128, 160, 97, 2):
        x = normal(rows, 64)
        with smelt.settings(compile=False):
            expected = step(x)
        for got, one in zip(step(x), expected, strict=True):
            np.testing.assert_allclose(got.numpy(), one.numpy(), rtol=1e-4, atol=1e-4)
        program = step.executables.newest.stages.program
        shared.append(program.is_dynamic and any(all_sections(program)))
    assert any(shared)


def test_it_is_shown() -> None:
    x, w, v = normal(128, 64), normal(64, 64), normal(64, 64)
    case = Case(lambda states, given: [given[0] @ given[1], given[0] @ given[2]], [], [x, w, v])
    text = program_text(case.stages.program)
    assert "    in parallel, in the order 0, 1:\n        matmul(" in text
