"""Lowering: what each kind of group becomes as plain loops, and what states and checks do to the
order.
"""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.errors import BoundsError
from smelt.ir.loops import Loop, Scratch
from smelt.ir.program import Call, Check
from smelt.ir.show import kernel_text
from smelt.tracing.engine import context
from tests.compiler.engines import Case


def numbers(*shape: int) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def case_of(function, *arguments: smelt.Tensor, states: tuple[smelt.Tensor, ...] = ()) -> Case:
    def run(own, given):
        result = function(*own, *given)
        return list(result) if isinstance(result, tuple) else [result]

    return Case(run, list(states), list(arguments))


def kernels(case: Case) -> list[str]:
    """Returns the texts of the lowered kernels; the case also runs alike everywhere."""
    (expected, *runs) = (case.eager(), case.interpreted(case.stages.lowered), case.native())
    for ran in runs:
        for got, reference in zip(
            ran.outputs + ran.states, expected.outputs + expected.states, strict=True
        ):
            np.testing.assert_allclose(got, reference, rtol=1e-5, atol=1e-5)
    return [kernel_text(kernel) for kernel in case.stages.lowered.kernels]


def test_movements_are_indices_and_cost_no_loop() -> None:
    (text,) = kernels(case_of(lambda x: x.T.flip(0)[1:, ::2].reshape(-1) * 2, numbers(6, 4)))
    assert text.count("for ") == 1
    assert "argument0[" in text


def test_an_axis_of_one_needs_no_loop() -> None:
    (text,) = kernels(case_of(lambda x: x + 1, numbers(1, 5, 1)))
    assert text.count("for ") == 1


def test_what_is_used_twice_is_computed_once() -> None:
    (text,) = kernels(case_of(lambda x: x.exp() * x.exp() + x.exp(), numbers(5)))
    assert text.count("exp(") == 1


def test_a_value_inside_a_row_stays_in_a_scratch_row() -> None:
    case = case_of(lambda x: x.exp() / x.exp().sum(-1, keepdim=True), numbers(3, 50))
    (kernel,) = case.stages.lowered.kernels
    (rows,) = kernel.body
    assert isinstance(rows, Loop)
    assert sum(isinstance(part, Scratch) for part in rows.body) == 1
    assert case.stages.lowered.arena_bytes == 0


def test_a_product_takes_its_bias_and_activation_along() -> None:
    (text,) = kernels(
        case_of(lambda x, w, b: (x @ w + b).relu(), numbers(4, 5), numbers(5, 6), numbers(6))
    )
    assert "maximum" in text


@pytest.mark.parametrize("name", ["cumsum", "argsort", "scatter"])
def test_what_has_a_nest_of_its_own_stays_standalone(name: str) -> None:
    functions = {
        "cumsum": lambda x: (x * 2).cumsum(0) + 1,
        "argsort": lambda x: (x * 2).argsort() + 1,
        "scatter": lambda x: smelt.zeros(3, 5).at[smelt.tensor([2, 0, 2, 2])].add(x * 2) + 1,
    }
    texts = kernels(case_of(functions[name], numbers(4, 5)))
    assert len(texts) >= 2


def test_a_state_is_overwritten_by_the_kernel_that_computes_it() -> None:
    def function(w, x):
        w.copy_(w * 0.5 + x)
        return w.sum()

    case = case_of(function, numbers(70), states=(numbers(70),))
    kernels(case)
    assert case.stages.lowered.arena_bytes == 0


def swap(flipped: bool):
    def function(a, b):
        old = a.clone()
        a.copy_(b.flip(0) if flipped else b)
        b.copy_(old)
        return a - b

    return case_of(function, states=(numbers(5), numbers(5) + 1))


def test_states_that_swap_go_through_registers() -> None:
    case = swap(flipped=False)
    kernels(case)
    assert case.stages.lowered.arena_bytes == 0


def test_states_that_swap_crosswise_go_through_a_copy() -> None:
    case = swap(flipped=True)
    kernels(case)
    assert case.stages.lowered.arena_bytes > 0


def test_checks_come_before_any_state_changes() -> None:
    count = smelt.zeros(1)

    def function(w, x):
        w.copy_(w + 1)
        context.engine.require((x > 0).sum(), "negative numbers only", BoundsError)
        return x * 2

    case = case_of(function, smelt.tensor([-1.0, -2.0]), states=(count,))
    body = case.stages.lowered.body
    check = next(number for number, part in enumerate(body) if isinstance(part, Check))
    for part in body[:check]:
        assert isinstance(part, Call)
        outputs = part.slots[: len(part.kernel.outputs)]
        assert all(slot.kind != "state" for slot in outputs)
    assert case.native().code == 0
    wrong = case_of(function, smelt.tensor([-1.0, 2.0]), states=(count,))
    for ran in (wrong.native(), wrong.interpreted(wrong.stages.lowered)):
        assert ran.code == 1
        np.testing.assert_array_equal(ran.states[0], 0)


def test_equal_steps_give_equal_texts() -> None:
    def texts() -> list[str]:
        return kernels(case_of(lambda x: x.softmax(-1) @ x.mT, numbers(4, 8)))

    assert texts() == texts()
