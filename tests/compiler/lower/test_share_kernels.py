"""Kernels that differ in where they read become one, which is called with other addresses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import nn
from smelt.compiler.runtime import build
from smelt.errors import CompileError
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import Buffer, Kernel, Load, Loop, Store, constant, index_variable
from smelt.ir.show import kernel_text
from smelt.ir.verify import verify
from smelt.nn import functional as F
from tests.compiler.engines import Case

Loss = Callable[[smelt.Tensor], smelt.Tensor]


def random(*shape: int) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(0).standard_normal(shape))


def parameters(*shapes: tuple[int, ...]) -> list[smelt.Tensor]:
    return [0.3 * random(*shape) for shape in shapes]


def batch_first(x: smelt.Tensor) -> smelt.Tensor:
    w, u = parameters((6, 6), (5, 6))
    h, outputs = smelt.zeros(3, 6, dtype=x.dtype), []
    for t in range(x.shape[1]):
        h = smelt.tanh(x[:, t] @ u + h @ w)
        outputs.append(h)
    return (smelt.stack(outputs, 1) ** 2).sum()


def windows(x: smelt.Tensor) -> smelt.Tensor:
    (w,) = parameters((5, 6))
    steps = range(x.shape[1] - 2)
    return sum((smelt.tanh(x[:, t : t + 3] @ w).sum() for t in steps), smelt.zeros(()))


def differences(x: smelt.Tensor) -> smelt.Tensor:
    total = smelt.zeros(3, 5, dtype=x.dtype)
    for t in range(x.shape[1] - 1):
        total = smelt.exp(-smelt.tanh(total) + x[:, t + 1] - x[:, t]).cumsum(0)
    return total.sum()


def backwards(x: smelt.Tensor) -> smelt.Tensor:
    h = smelt.zeros(3, dtype=x.dtype)
    for t in reversed(range(x.shape[1])):
        h = smelt.tanh(h + x[:, t, 2]).cumsum(0)
    return h.sum()


LOOPS: dict[str, Loss] = {
    "batch first": batch_first,
    "windows": windows,
    "differences": differences,
    "backwards, one column": backwards,
}


def case_of(loss: Loss, steps: int) -> Case:
    return Case(
        lambda states, given: [*smelt.value_and_grad(loss)(given[0])], [], [random(3, steps, 5)]
    )


@pytest.mark.parametrize("name", LOOPS)
def test_steps_of_batch_first_loops_share_their_kernels(name: str) -> None:
    case = case_of(LOOPS[name], 7)
    expected = case.eager().outputs
    programs = case.stages.lowered, case.stages.shared, case.stages.program
    for got in (case.native(), *map(case.interpreted, programs)):
        for one, reference in zip(got.outputs, expected, strict=True):
            np.testing.assert_allclose(one, reference, rtol=1e-9)
    counts = [len(case_of(LOOPS[name], steps).stages.program.kernels) for steps in (40, 80)]
    assert counts[1] <= counts[0] + 3
    assert counts[1] <= 24


def decoder(steps: int) -> Case:
    """Teacher forcing: each step reads a word of the batch and is asked for the next one."""
    embedding, cell, out = nn.Embedding(9, 4), nn.GRUCell(4, 5), nn.Linear(5, 9)
    leaves = [*embedding.parameters(), *cell.parameters(), *out.parameters()]

    def function(states, given):
        (words,) = given
        h, loss = smelt.zeros(3, 5), smelt.zeros(())
        for t in range(steps):
            h = cell(embedding(words[:, t]), h)
            loss = loss + F.cross_entropy(out(h), words[:, t + 1])
        return [loss, *smelt.autograd.grad(loss, leaves)]

    words = smelt.tensor(np.random.default_rng(1).integers(0, 9, (3, steps + 1)))
    return Case(function, leaves, [words])


def test_steps_of_a_decoder_share_their_kernels() -> None:
    case = decoder(5)
    for got in (case.native(), case.interpreted(case.stages.program)):
        for one, expected in zip(got.outputs, case.eager().outputs, strict=True):
            np.testing.assert_allclose(one, expected, rtol=2e-5, atol=1e-6)
    assert len(decoder(60).stages.program.kernels) <= 60


def test_the_code_of_a_step_of_a_loop_is_its_calls() -> None:
    """So LLVM's work grows by lines that move addresses, not by kernels."""
    lines = {
        n: build.text(case_of(batch_first, n).stages.program).count("\n") for n in (40, 80, 160)
    }
    assert lines[160] - lines[80] <= 80 * 80


def test_a_kernel_without_a_counterpart_stays() -> None:
    case = Case(lambda states, given: [given[0][:, 2] * 2], [], [random(3, 4, 5)])
    (before,), (after,) = case.stages.lowered.kernels, case.stages.shared.kernels
    assert before is after


def test_what_is_written_is_not_moved() -> None:
    def function(states, given):
        (state,) = states
        for t in range(3):
            state.copy_(state + state[:, t : t + 1] * given[0])
        return []

    case = Case(function, [random(3, 4)], [random(3, 4)])
    for got in (case.native(), case.interpreted(case.stages.program)):
        np.testing.assert_allclose(got.states[0], case.eager().states[0], rtol=1e-12)


def test_steps_within_a_loop_share_with_those_outside() -> None:
    def function(states, given):
        (x,) = given

        def body(h, _):
            for t in range(3):
                h = smelt.tanh(h + x[:, t]).cumsum(0)
            return h, None

        h = smelt.tanh(x[:, 4] + x[:, 3]).cumsum(0)
        return [smelt.scan(body, h, length=2)[0]]

    case = Case(function, [], [random(3, 5, 2)])
    for got in (case.native(), case.interpreted(case.stages.program)):
        np.testing.assert_allclose(got.outputs[0], case.eager().outputs[0], rtol=1e-12)


# --- elements that are missing --------------------------------------------------------------------

i = index_variable("i")
Y = Buffer("y", (3,), smelt.float32)


def column(missing: int, number: int = 0) -> Kernel:
    """Returns the kernel that copies a column of three rows of four, from an element on."""
    x = Buffer("x", (3, 4), smelt.float32, missing)
    return Kernel(
        "k", (x,), (Y,), (Loop(i, 0, 3, 1, (Store(Y, (i,), Load(x, (i, constant(number)))),)),)
    )


def test_a_text_says_how_many_are_missing() -> None:
    assert "x: float32[3, 4; 3 missing]" in kernel_text(column(3))
    assert kernel_text(column(3), canonical=True) != kernel_text(column(2), canonical=True)


def test_the_verifier_refuses_to_read_what_is_missing() -> None:
    verify(column(3))
    with pytest.raises(CompileError, match="element 9 of x is missing"):
        verify(column(3, number=1))


def test_the_interpreter_wants_what_exists_and_no_more() -> None:
    x, y = np.arange(9, dtype=np.float32), np.zeros(3, np.float32)
    run_kernel(column(3), [y, x])
    assert y.tolist() == [0, 4, 8]
    with pytest.raises(CompileError, match="buffer x is"):
        run_kernel(column(3), [y, np.arange(12, dtype=np.float32)])


def test_llvm_is_promised_what_exists() -> None:
    text = build.text(case_of(batch_first, 7).stages.program)
    existing = (3 * 7 * 5 - 6 * 5) * 8  # six of seven steps may lie before the place that is read
    assert f"dereferenceable({existing})" in text
