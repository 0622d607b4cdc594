"""Loops and branches take and give values: what is changed in place later does not show in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor, tree
from smelt.errors import TraceError

Step = Callable[[Tensor], Any]


def a_state_is_an_output(x: Tensor, c: Tensor) -> Any:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        c.copy_(c + x)
        return h + c, c

    return smelt.scan(body, smelt.zeros(3), x)


def a_state_is_the_carry(x: Tensor, c: Tensor) -> Any:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        c.copy_(c + x)
        return c, h * 2

    return smelt.scan(body, smelt.zeros(3), x)


def a_state_is_the_first_carry(x: Tensor, c: Tensor) -> Any:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        c.copy_(h * 2 + x)
        return h * 2 + x, (h, x, c)

    return smelt.scan(body, c, x)


def a_state_is_the_input(x: Tensor, c: Tensor) -> Any:
    table = smelt.stack([c, c * 2])
    last = smelt.scan(lambda h, _: (h + c, None), smelt.zeros(3), length=2)

    def body(h: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        c.copy_(c * 2)
        return h + row.sum(), row

    return last, smelt.scan(body, smelt.zeros(()), c), smelt.scan(body, smelt.zeros(()), table)


def results_outlive_a_change(x: Tensor, c: Tensor) -> Any:
    still, rows = smelt.scan(lambda h, _: (h, h), c, length=2)
    nothing, _ = smelt.scan(lambda h, _: (h, None), c, length=0)
    chosen = smelt.cond(x.sum() > -100.0, lambda: c, lambda: c * 2)
    unmoved = smelt.while_loop(lambda h: h.sum() < -100.0, lambda h: h + 1, c)
    c.copy_(c + 5)
    return still, rows, nothing, chosen, unmoved


def a_branch_sees_a_state_as_it_is(x: Tensor, c: Tensor) -> Any:
    def yes(v: Tensor) -> Tensor:
        c.copy_(c * 2)
        return v * 3  # the tensor itself, so its new contents

    return smelt.cond(x.sum() > -100.0, yes, lambda v: v, c)


def a_while_loop_begins_with_a_state(x: Tensor, c: Tensor) -> Any:
    def body(h: Tensor) -> Tensor:
        c.copy_(c * 2)
        return h + c

    return smelt.while_loop(lambda h: h.sum() < 40.0, body, c)


def loops_share_what_changes_between_them(x: Tensor, c: Tensor) -> Any:
    d = c * 1

    def total() -> Tensor:
        return smelt.scan(lambda h, row: (h + c * row, None), smelt.zeros(3), x)[0]

    first = total()
    c.copy_(first)
    return first, total(), smelt.scan(lambda h, row: (h * 0.5 + c, h + d), d, x)


def two_states_swap(x: Tensor, c: Tensor) -> Any:
    other = smelt.ones(3)

    def body(h: Tensor, row: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        old = c * 1
        c.copy_(other + row)
        other.copy_(old)
        return h + c - other, (c, other)

    return smelt.scan(body, c, x)


@pytest.mark.parametrize(
    "program",
    [
        a_state_is_an_output, a_state_is_the_carry, a_state_is_the_first_carry,
        a_state_is_the_input, results_outlive_a_change, a_branch_sees_a_state_as_it_is,
        a_while_loop_begins_with_a_state, loops_share_what_changes_between_them, two_states_swap,
    ],
    ids=lambda one: one.__name__,
)  # fmt: skip
def test_eager_and_compiled_see_the_same_values(program: Callable[[Tensor, Tensor], Any]) -> None:
    x = smelt.tensor(np.random.default_rng(0).integers(-4, 5, (4, 3))) * 0.25
    seen = []
    for compiled in (False, True):
        c = smelt.tensor([1.0, 2.0, 3.0])
        step: Step = lambda x, c=c: program(x, c)  # noqa: E731
        step = smelt.compile(step) if compiled else step
        results = [step(x), step(x), c]  # the second call goes on from the first one's states
        seen.append([one.numpy().copy() for one in tree.flatten(results)[0]])
    for eager, native in zip(*seen, strict=True):
        np.testing.assert_allclose(native, eager, 1e-5, 1e-5)


def a_view_taken_before(c: Tensor, x: Tensor) -> Any:
    def body(h: Tensor, _: Tensor) -> tuple[Tensor, None]:
        view = c[0]
        c.copy_(c * 2)
        return h + view, None

    return smelt.scan(body, smelt.zeros(3), x)


def a_view_from_outside(c: Tensor, x: Tensor) -> Any:
    view = c[0]

    def body(h: Tensor, _: Tensor) -> tuple[Tensor, None]:
        total = h + view
        c.copy_(c * 2)
        return total, None

    return smelt.scan(body, smelt.zeros(3), x)


def a_view_in_a_branch(c: Tensor, x: Tensor) -> Any:
    def yes() -> Tensor:
        view = c[0]
        c.copy_(c * 2)
        return view + 1

    return smelt.cond(x.sum() > 0, yes, lambda: x[0])


@pytest.mark.parametrize("program", [a_view_taken_before, a_view_from_outside, a_view_in_a_branch])
def test_outdated_views_are_refused_in_bodies_too(program: Callable[..., Any]) -> None:
    c = smelt.ones(4, 3)
    with pytest.raises(TraceError, match="is a view of a tensor that copy_ has changed"):
        smelt.compile(lambda x: program(c, x))(smelt.ones(2, 3))
    assert c.tolist() == smelt.ones(4, 3).tolist()


def test_values_keep_their_gradient() -> None:
    w = smelt.tensor([1.0, 2.0]).requires_grad_()
    last, rows = smelt.scan(lambda h, _: (h, w), w, length=3)
    (last.sum() + rows.sum()).backward()
    assert w.grad.tolist() == [4.0, 4.0]
