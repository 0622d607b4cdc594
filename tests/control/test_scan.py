"""`scan`: what it costs, what it changes, and what it refuses."""

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
    TraceError,
)

both_engines = pytest.mark.parametrize("run", [lambda f: f, smelt.compile], ids=["eager", "native"])
Run = Callable[[Callable[..., Any]], Callable[..., Any]]


def recurrence(x: Tensor, w: Tensor) -> Tensor:
    h, rows = smelt.scan(lambda h, x: ((h := smelt.tanh(x + h @ w)), h), smelt.zeros(4, 3), x)
    return (rows * rows).sum() + h.sum()


def test_neither_trace_nor_code_grows_with_the_length() -> None:
    nodes, kernels, lines = set(), set(), []
    for length in (8, 64, 512, 4096):
        step = smelt.compile(smelt.value_and_grad(recurrence, (0, 1)))
        step(smelt.zeros(length, 4, 3), smelt.zeros(3, 3))
        stages = step.executables.newest.stages
        nodes.add(len(stages.traced.nodes()))
        kernels.add(len(stages.program.kernels))
        lines.append(len(step.explain("llvm").splitlines()))
    assert len(nodes) == len(kernels) == 1
    # sums of very many numbers, outside of the loops, are shared among threads: a few more lines
    assert max(lines) < 3 * min(lines)


def test_what_a_loop_keeps_for_a_gradient_costs_nothing_without_one() -> None:
    step = smelt.compile(recurrence)
    step(smelt.zeros(50, 4, 3), smelt.zeros(3, 3))
    # one stacked output, the carry, and what one turn needs
    assert step.memory().arena <= (50 + 4) * 4 * 3 * 4 + 512


@both_engines
def test_a_body_may_change_tensors_from_outside(run: Run) -> None:
    count, sums = smelt.tensor(0), smelt.zeros(3)

    def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        count.copy_(count + 1)
        sums.copy_(sums + h)
        return h + x, None

    total, _ = run(lambda x: smelt.scan(body, smelt.zeros(3), x))(smelt.ones(4, 3))
    assert total.tolist() == [4.0] * 3
    assert count.item() == 4
    assert sums.tolist() == [6.0] * 3


def test_random_numbers_are_the_same_bits_in_a_native_loop() -> None:
    def drawn(x: Tensor) -> Tensor:
        def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            h = h + x * smelt.bernoulli(smelt.full((3,), 0.5)) + smelt.randn(3)
            return h, h

        return smelt.scan(body, smelt.zeros(3), x)[1]

    x, results, states = smelt.ones(20, 3), [], []
    for function in (drawn, smelt.compile(drawn)):
        smelt.manual_seed(7)
        results.append(function(x).numpy())
        states.append(smelt.get_rng_state().tolist())
    np.testing.assert_array_equal(*results)
    assert states[0] == states[1]


@both_engines
def test_the_second_run_of_a_turn_sees_the_same_random_numbers(run: Run) -> None:
    """Gradients of dropout inside a loop are those of the mask that was drawn."""

    def loss(x: Tensor) -> Tensor:
        def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            kept = smelt.bernoulli(smelt.full((3,), 0.5))
            return h * kept + x * kept, kept

        h, masks = smelt.scan(body, smelt.ones(3), x)
        return h.sum() + 0.0 * masks.sum()

    smelt.manual_seed(1)
    x = smelt.ones(4, 3).requires_grad_()
    value, gradient = run(smelt.value_and_grad(loss))(x)
    # h is linear in x, so that loss = <gradient, x> + what the first carry gives
    kept_all = value.item() - gradient.sum().item()
    assert kept_all == pytest.approx(round(kept_all), abs=1e-5)
    assert set(np.unique(gradient.numpy())) <= {0.0, 1.0}


@both_engines
def test_detach_and_no_grad_hold_inside_a_loop(run: Run) -> None:
    def loss(x: Tensor) -> Tensor:
        def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
            with smelt.no_grad():
                still = smelt.sin(h)
            return h * (h * x).detach() + still + x, None

        return smelt.scan(body, smelt.ones(3, dtype=x.dtype), x)[0].sum()

    x = smelt.tensor(np.random.default_rng(0).standard_normal((4, 3)))

    def expected(x: Tensor) -> Tensor:
        h, factors = smelt.ones(3, dtype=x.dtype), []
        for t in range(4):
            factors.append(h * x[t])
            h = h * factors[-1] + smelt.sin(h) + x[t]
        total = smelt.ones(3, dtype=x.dtype)
        rows = [total]
        for t in (3, 2, 1):
            total = total * factors[t]
            rows.insert(0, total)
        return smelt.stack(rows)

    gradient = run(smelt.grad(loss))(x)
    np.testing.assert_allclose(gradient.numpy(), expected(x).numpy(), 1e-12)


@both_engines
def test_a_loop_without_turns_returns_what_it_began_with(run: Run) -> None:
    last, rows = run(lambda x: smelt.scan(lambda h, x: (h + x, (h, x * 2)), smelt.ones(3), x))(
        smelt.zeros(0, 3)
    )
    assert last.tolist() == [1.0, 1.0, 1.0]
    assert [row.shape for row in rows] == [(0, 3), (0, 3)]


@both_engines
def test_a_loop_may_carry_nothing(run: Run) -> None:
    def loss(x: Tensor) -> tuple[Tensor, Tensor]:
        _, rows = smelt.scan(lambda _, x: (None, x * x), None, x)
        return rows[1:].sum(), rows

    x = smelt.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    gradient, rows = run(smelt.grad(loss, has_aux=True))(x)
    assert rows.tolist() == (x * x).tolist()
    assert gradient.tolist() == [[0.0, 0.0], [6.0, 8.0], [10.0, 12.0]]


def test_what_does_not_vary_is_computed_once() -> None:
    def run(x: Tensor, w: Tensor) -> Tensor:
        return smelt.scan(lambda h, x: (h @ smelt.exp(w).T + x, None), smelt.zeros(3), x)[0]

    step = smelt.compile(run)
    step(smelt.zeros(5, 3), smelt.zeros(3, 3))
    graph = step.executables.newest.stages.traced
    (loop,) = [node for node in graph.nodes() if node.op.name == "scan"]
    (body,) = loop.attributes["bodies"]
    assert "exp" not in [node.op.name for node in body.nodes()]
    assert "exp" in [node.op.name for node in graph.nodes()]


def test_explain_shows_the_loop() -> None:
    step = smelt.compile(recurrence)
    step(smelt.zeros(7, 4, 3), smelt.zeros(3, 3))
    assert "x 7" in step.explain()
    assert "for iteration in range(7):" in step.explain("scheduled")
    assert "    state %" in step.explain("graph")


ONES = smelt.ones(3)
WRONG: list[tuple[Callable[[], Any], type[SmeltError], str]] = [
    (lambda: smelt.scan(lambda c, _: (c, None), ONES), ArgumentError, "length"),
    (lambda: smelt.scan(lambda c, _: (c, None), ONES, length=-1), ArgumentError, "of at least 0"),
    (lambda: smelt.scan(lambda c, x: (c, x), ONES, ONES, length=5), ArgumentError, "length=5"),
    (lambda: smelt.scan(lambda c, x: (c, x), ONES, smelt.tensor(1.0)), ShapeError, "shape ()"),
    (lambda: smelt.scan(lambda c, x: (c, x), ONES, (ONES, smelt.ones(4))), ShapeError, "(4,)"),
    (lambda: smelt.scan(lambda c, x: (c, x), ONES, length=2.0), ArgumentError, "of at least 0"),
    (lambda: smelt.scan(lambda c, x: c, ONES, ONES), ArgumentError, "pair"),
    (lambda: smelt.scan(lambda c, x: ((c, c), x), ONES, ONES), ArgumentError, "same tree"),
    (lambda: smelt.scan(lambda c, x: (c[:2], x), ONES, ONES), ShapeError, "keep its shape"),
    (lambda: smelt.scan(lambda c, x: (c > 0, x), ONES, ONES), DTypeError, "keep its dtype"),
]


@both_engines
@pytest.mark.parametrize("number", range(len(WRONG)))
def test_refusals(run: Run, number: int) -> None:
    wrong, error, says = WRONG[number]
    with pytest.raises(error) as caught:
        run(wrong)()
    assert says in str(caught.value)
    assert "test_scan.py" in str(caught.value)


def test_outputs_that_differ_from_turn_to_turn_are_refused() -> None:
    rows: list[Tensor] = []

    def body(h: Tensor, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        rows.append(x)
        return h, list(rows)

    with pytest.raises(ArgumentError, match="the output must form the same tree"):
        smelt.scan(body, ONES, ONES)


@both_engines
def test_a_numpy_integer_is_a_length(run: Run) -> None:
    count = run(lambda: smelt.scan(lambda n, _: (n + 1, None), smelt.tensor(0), length=np.int64(3)))
    assert count()[0].item() == 3


@both_engines
def test_a_body_reads_the_gradient_that_stands_when_it_runs(run: Run) -> None:
    p = smelt.ones(3).requires_grad_()
    step = run(lambda x: smelt.scan(lambda h, x: (h + p.grad * x, None), smelt.zeros(3), x)[0])
    batched = run(smelt.vmap(lambda x: x * p.grad))
    for gradient in (2.0, 5.0):
        p.grad = smelt.full((3,), gradient)
        assert step(smelt.ones(2, 3)).tolist() == [2 * gradient] * 3
        assert batched(smelt.ones(2, 3)).tolist() == [[gradient] * 3] * 2


@both_engines
def test_a_bad_index_in_a_turn_is_an_error_before_anything_changes(run: Run) -> None:
    table, count = smelt.ones(5, 3), smelt.tensor(0)

    def look(numbers: Tensor) -> Tensor:
        total = smelt.scan(lambda h, i: (h + table[i], None), smelt.zeros(3), numbers)[0]
        count.copy_(count + 1)
        return total

    look = run(look)
    assert look(smelt.tensor([1, 4, 2])).tolist() == [3.0] * 3
    with pytest.raises(BoundsError):
        look(smelt.tensor([1, 7, 2]))
    assert count.item() == 1


def test_backward_inside_a_body_is_refused() -> None:
    w = smelt.ones(3).requires_grad_()

    def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        (w * x).sum().backward()
        return h, None

    with pytest.raises(GradientError, match=r"smelt\.grad"):
        smelt.compile(lambda x: smelt.scan(body, smelt.ones(3), x))(smelt.ones(2, 3))


def test_a_carry_cannot_be_changed_in_place() -> None:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        with smelt.no_grad():
            h.copy_(h + x)
        return h, None

    with pytest.raises(TraceError, match="return the new contents"):
        smelt.compile(lambda x: smelt.scan(body, smelt.ones(3), x))(smelt.ones(2, 3))


def test_a_value_of_one_turn_cannot_leave_the_loop() -> None:
    kept: list[Tensor] = []

    def body(h: Tensor, x: Tensor) -> tuple[Tensor, None]:
        kept.append(h + x)
        return h, None

    def leaks(x: Tensor) -> Tensor:
        smelt.scan(body, smelt.ones(3), x)
        return kept[0] * 2

    with pytest.raises(TraceError, match="outside the body"):
        smelt.compile(leaks)(smelt.ones(2, 3))
