"""Kernels that read one place along leading axes: the buffer is the part that lies there."""

from __future__ import annotations

import numpy as np

import smelt
from smelt.nn import functional as F
from tests.compiler.engines import Case


def random(*shape: int) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(0).standard_normal(shape))


def recurrence(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
    h, outputs = smelt.zeros(4, 8, dtype=x.dtype), []
    for row in x.unbind(0):
        h = smelt.tanh(row + h @ w)
        outputs.append(h)
    return (smelt.stack(outputs) ** 2).sum()


def kernels_of_gradient(steps: int) -> int:
    def function(states, given):
        return [smelt.grad(lambda w: recurrence(given[0], w))(given[1])]

    case = Case(function, [], [random(steps, 4, 8), random(8, 8)])
    if steps == 6:
        for got in (case.native(), case.interpreted(case.stages.lowered)):
            np.testing.assert_allclose(got.outputs[0], case.eager().outputs[0], rtol=1e-10)
    return len(case.stages.program.kernels)


def test_steps_of_a_sequence_share_their_kernels() -> None:
    kernels_of_gradient(6)
    assert kernels_of_gradient(200) <= kernels_of_gradient(100) + 3
    assert kernels_of_gradient(200) <= 20


def test_a_stacked_result_is_read_in_proportion_to_its_steps() -> None:
    def reads(steps: int) -> int:
        case = Case(
            lambda states, given: [smelt.grad(lambda w: recurrence(given[0], w))(given[1])],
            [],
            [random(steps, 4, 8), random(8, 8)],
        )
        return sum(len(node) for node in case.stages.fused.ordered.materialized.reads.values())

    assert reads(160) - reads(80) <= 2.2 * (reads(80) - reads(40))


def test_parts_of_arguments_states_constants_and_temporaries() -> None:
    table = smelt.tensor(np.arange(48.0).reshape(4, 3, 4))

    def function(states, given):
        (state,), (x,) = states, given
        temporary = x @ (x.mT @ x)
        kept = state[1] + x[2] * table[3] + temporary[0] * temporary[3, 2, 1]
        state.copy_(state * 2)
        return [kept, state[2, 1] - 1, x[1, 2, 3] + state[0, 0, 0]]

    case = Case(function, [random(4, 3, 4)], [random(4, 3, 4)])
    for got in (case.native(), case.interpreted(case.stages.program)):
        for one, expected in zip(got.outputs, case.eager().outputs, strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-12)
        np.testing.assert_array_equal(got.states[0], case.eager().states[0])


def test_a_state_that_a_kernel_writes_is_read_whole() -> None:
    def function(states, given):
        (state,) = states
        state.copy_(state + state[1] * 2)
        return []

    case = Case(function, [random(3, 4)], [])
    np.testing.assert_array_equal(case.native().states[0], case.eager().states[0])


def test_an_index_that_is_a_number_chooses_while_lowering() -> None:
    def function(states, given):
        (x,) = given
        joined = smelt.cat([x, x * 2, x], 0)
        padded = F.pad(x, (1, 2, 1, 0))
        return [joined[4], joined[-1], padded[0], padded[2], padded[:, 0], padded[:, 3]]

    case = Case(function, [], [random(3, 5)])
    for got in (case.native(), case.interpreted(case.stages.program)):
        for one, expected in zip(got.outputs, case.eager().outputs, strict=True):
            np.testing.assert_array_equal(one, expected)
