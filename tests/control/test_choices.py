"""`cond` and `while_loop`: what they run, what they change, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.errors import (
    ArgumentError,
    BoundsError,
    DTypeError,
    GradientError,
    ShapeError,
    SmeltError,
)

both_engines = pytest.mark.parametrize("run", [lambda f: f, smelt.compile], ids=["eager", "native"])
Run = Callable[[Callable[..., Any]], Callable[..., Any]]
YES, NO = smelt.tensor(True), smelt.tensor(False)


@both_engines
def test_only_one_side_changes_anything(run: Run) -> None:
    state = smelt.tensor([1.0, 2.0])

    def add_one(x: Tensor) -> Tensor:
        state.copy_(state + 1)
        return x

    step = run(lambda p, x: smelt.cond(p, add_one, lambda x: x * 2, x))
    assert step(YES, smelt.tensor(3.0)).item() == 3.0
    assert state.tolist() == [2.0, 3.0]
    assert step(NO, smelt.tensor(3.0)).item() == 6.0
    assert state.tolist() == [2.0, 3.0]


@both_engines
def test_the_side_that_does_not_run_checks_nothing(run: Run) -> None:
    table = smelt.ones(5, 3)
    step = run(lambda p, i: smelt.cond(p, lambda: table[i], lambda: smelt.zeros(3)))
    assert step(NO, smelt.tensor(9)).tolist() == [0.0] * 3
    assert step(YES, smelt.tensor(4)).tolist() == [1.0] * 3
    with pytest.raises(BoundsError):
        step(YES, smelt.tensor(9))


@both_engines
def test_python_values_choose_before_the_run(run: Run) -> None:
    assert run(lambda x: smelt.cond(True, lambda x: x, lambda x: -x, x))(YES.to(smelt.int64)) == 1


@both_engines
def test_random_draws_move_the_generator_only_where_they_run(run: Run) -> None:
    step = run(lambda p: smelt.cond(p, lambda: smelt.randn(3), lambda: smelt.zeros(3)))
    smelt.manual_seed(3)
    before = smelt.get_rng_state().tolist()
    step(NO)
    assert smelt.get_rng_state().tolist() == before
    drawn = step(YES)
    smelt.manual_seed(3)
    np.testing.assert_array_equal(drawn.numpy(), smelt.randn(3).numpy())


@both_engines
def test_a_loop_that_need_not_turn_does_not(run: Run) -> None:
    step = run(lambda x: smelt.while_loop(lambda h: h.sum() < 0.0, lambda h: h + 1, x))
    assert step(smelt.ones(3)).tolist() == [1.0] * 3


@both_engines
def test_a_loop_may_change_tensors_from_outside(run: Run) -> None:
    count = smelt.tensor(0)

    def body(h: Tensor) -> Tensor:
        count.copy_(count + 1)
        return h * 2

    step = run(lambda x: smelt.while_loop(lambda h: h.sum() < 40.0, body, x))
    assert step(smelt.ones(3)).tolist() == [16.0] * 3
    assert count.item() == 4


@both_engines
def test_newton_finds_the_root(run: Run) -> None:
    def root(a: Tensor) -> Tensor:
        def wrong(x: Tensor) -> Tensor:
            return smelt.abs(x * x - a) > 1e-12

        return smelt.while_loop(wrong, lambda x: 0.5 * (x + a / x), a, max_steps=60)

    a = smelt.tensor(2.0, dtype=smelt.float64)
    value, slope = run(smelt.value_and_grad(root))(a)
    assert value.item() == pytest.approx(2**0.5, rel=1e-14)
    assert slope.item() == pytest.approx(0.5 / 2**0.5, rel=1e-10)


@both_engines
def test_max_steps_is_enough_or_an_error(run: Run) -> None:
    def grown(steps: int) -> Callable[[Tensor], Tensor]:
        return lambda x: smelt.while_loop(
            lambda h: h.sum() < 40.0, lambda h: h * 2, x, max_steps=steps
        )

    assert run(grown(4))(smelt.ones(3)).tolist() == [16.0] * 3
    with pytest.raises(ArgumentError, match="max_steps=3"):
        run(grown(3))(smelt.ones(3))


def test_an_endless_loop_has_no_compiled_reverse_mode() -> None:
    def loss(x: Tensor) -> Tensor:
        return smelt.while_loop(lambda h: h.sum() < 40.0, lambda h: h * 2, x).sum()

    x = smelt.ones(3)
    assert smelt.grad(loss)(x).tolist() == [16.0] * 3  # eagerly the loop is Python's own
    with pytest.raises(GradientError, match="max_steps"):
        smelt.compile(smelt.grad(loss))(x)


X = smelt.ones(3)
WRONG: list[tuple[Callable[[Tensor], Any], type[SmeltError], str]] = [
    (lambda x: smelt.cond(x.sum(), lambda: x, lambda: x), DTypeError, "bool"),
    (lambda x: smelt.cond(x > 0, lambda: x, lambda: x), ShapeError, ".any()"),
    (lambda x: smelt.while_loop(lambda h: h, lambda h: h, x), DTypeError, "bool"),
    (lambda x: smelt.while_loop(lambda h: h > 0, lambda h: h, x), ShapeError, ".all()"),
    (
        lambda x: smelt.while_loop(lambda h: h.sum() > 0, lambda h: h[:1], x),
        ShapeError,
        "keep its shape",
    ),
    (
        lambda x: smelt.while_loop(lambda h: h.sum() > 0, lambda h: h, x, max_steps=-2),
        ArgumentError,
        "max_steps",
    ),
]


@both_engines
@pytest.mark.parametrize("number", range(len(WRONG)))
def test_refusals(run: Run, number: int) -> None:
    wrong, error, says = WRONG[number]
    with pytest.raises(error) as caught:
        run(wrong)(X)
    assert says in str(caught.value)
    assert "test_choices.py" in str(caught.value)


def test_sides_that_differ_are_refused_before_anything_runs() -> None:
    step = smelt.compile(lambda p: smelt.cond(p, lambda: smelt.zeros(2), lambda: smelt.zeros(3)))
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        step(YES)
