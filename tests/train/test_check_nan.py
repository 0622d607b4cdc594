"""`check_nan`: what it reports, what it lets pass, and what an error leaves behind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim
from smelt.errors import BoundsError, NumericsError

INF, NAN = math.inf, math.nan
ways = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


def said(function: Callable[..., Any], *arguments: Any, compiled: bool = True) -> str:
    """Returns what the check says of a function of tensors; "" when it says nothing."""
    try:
        with smelt.settings(check_nan=True):
            result = (smelt.compile(function) if compiled else function)(*arguments)
            for leaf in smelt.tree.flatten(result)[0] if compiled else [result]:
                leaf.tolist()
    except NumericsError as error:
        return str(error)
    return ""


def numbers(*values: Any, **options: Any) -> Tensor:
    return smelt.tensor(list(values), **options)


# --- what is meant -------------------------------------------------------------------------------


def masked_attention(x: Tensor) -> Tensor:
    mask = smelt.tensor([[True, False], [False, False]])
    return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)


def handmade_attention(x: Tensor) -> Tensor:
    hidden = smelt.tensor([[False, True], [False, False]])
    return F.softmax((x @ x.mT).masked_fill(hidden, -INF), -1)


def halves(x: Tensor) -> Tensor:
    return smelt.where(x > 0, smelt.log(x), 0.0)


def guarded(x: Tensor) -> Tensor:
    """The unchosen side is finite too, so that its gradient is."""
    return halves(smelt.where(x > 0, x, 1.0)).sum()


def slope(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return smelt.grad(lambda x: function(x).sum())


SQUARE = smelt.tensor([[0.0, 2.0], [-1.0, 3.0]])
MEANT = {
    "a mask": (masked_attention, SQUARE),
    "a mask by hand": (handmade_attention, SQUARE),
    "their gradients": (slope(masked_attention), SQUARE),
    "a gradient by hand": (slope(handmade_attention), SQUARE),
    "the unchosen side": (halves, SQUARE),
    "its gradient": (slope(guarded), SQUARE),
    "max pooling": (lambda x: F.max_pool2d(x[None], 2, padding=1), SQUARE),
    "its slope": (slope(lambda x: F.max_pool2d(x[None], 2, padding=1)), SQUARE),
    "a literal": (lambda x: smelt.where(x > 0, x, -INF), SQUARE),
    "full": (lambda x: smelt.full((2,), INF) + x, SQUARE),
    "logsumexp of nothing": (lambda x: smelt.logsumexp(x + numbers(0.0, -INF), 0), SQUARE),
    "its derivative": (slope(lambda x: smelt.logsumexp(x + numbers(0.0, -INF), 0)), SQUARE),
    "ignored labels": (lambda x: F.cross_entropy(x, numbers(1, -100)), SQUARE),
    "bce at 0 and 1": (lambda x: F.binary_cross_entropy((x > 0).float(), (x > 1).float()), SQUARE),
    "bce with logits": (lambda x: F.binary_cross_entropy_with_logits(x * 200, x * 0 + 1), SQUARE),
    "norm of 0": (slope(lambda x: (x * 0).norm()), SQUARE),
    "infinite input": (lambda x: 1 / x, numbers(INF, -INF)),
    "sorted padding": (lambda x: smelt.sort(smelt.where(x > 0, x, INF))[0], SQUARE),
    "given nan, not used": (lambda x: smelt.where(smelt.isnan(x), 0.0, x), numbers(NAN, 1.0)),
    "nan_to_num": (lambda x: smelt.nan_to_num(x / 0.0), SQUARE),
    "a question": (lambda x: smelt.isfinite(x / 0.0), SQUARE),
    "the smallest so far": (lambda x: smelt.minimum(smelt.full((2,), INF), x), SQUARE),
}


@ways
@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_is_not_reported(name: str, compiled: bool) -> None:
    function, x = MEANT[name]
    assert said(function, x, compiled=compiled) == ""


# --- what is reported ----------------------------------------------------------------------------

REPORTED = {
    "log": (smelt.log, numbers(1.0, 0.0), "log made -inf out of finite numbers, in 1 of 2"),
    "root": (smelt.sqrt, numbers(1.0, -1.0), "sqrt made nan out of finite numbers"),
    "overflow": (lambda x: x * 1e38, numbers(1e9, 1.0), "mul made inf out of finite numbers"),
    "float16": (lambda x: x.half(), numbers(1e5, 1.0), "cast made inf out of finite numbers"),
    "bfloat16": (
        lambda x: x.to(smelt.bfloat16),
        numbers(3.4e38, 1.0),
        "cast made inf out of finite",
    ),
    "half sum": (lambda x: x.half().sum(), numbers(6e4, 6e4), "cast made inf out of finite"),
    "mixed": (smelt.log, numbers(0.0, INF), "log made -inf out of finite numbers, in 1 of 2"),
    "inf - inf": (lambda x: x - x, numbers(INF, 2.0), "sub made nan out of infinities, in 1 of 2"),
    "0 inf": (lambda x: x * INF, numbers(0.0, 2.0), "mul made nan out of infinities, in 1 of 2"),
    "product": (lambda x: x @ x, numbers(1e30, 1.0), "matmul made inf out of finite numbers"),
    "variance": (lambda x: x[:1].var(), numbers(1.0, 2.0), "div made nan out of finite numbers"),
    "unchosen": (slope(halves), numbers(0.0, 1.0), "div made inf out of finite numbers"),
    "through max": (lambda x: (x / 0.0).max(), numbers(0.0, 1.0), "div made nan and inf out of"),
    "a batch": (smelt.vmap(lambda x: x.log()), numbers(1.0, 0.0), "log made -inf out of finite"),
    "tangent": (lambda x: smelt.jvp(smelt.sqrt, (x,), (x + 1,))[1], numbers(0.0), "div made inf"),
    "float64": (smelt.exp, numbers(800.0, dtype=smelt.float64), "exp made inf out of finite"),
    "first of two": (lambda x: x.log() + x.rsqrt(), numbers(0.0), "log made -inf out of finite"),
    "written first": (lambda x: (y := x.rsqrt(), x.log() + y)[1], numbers(0.0), "div made inf out"),
    "cumulative": (lambda x: (x * 1e38).cumsum(0), numbers(3.0, 3.0), "cumsum made inf out of"),
}


@ways
@pytest.mark.parametrize("name", REPORTED)
def test_what_is_wrong_is_reported(name: str, compiled: bool) -> None:
    function, x, expected = REPORTED[name]
    found = said(function, x, compiled=compiled)
    assert found.startswith(expected), found
    assert f"\n  at {__file__}:" in found


@ways
def test_operands_are_shown_with_their_ranges(compiled: bool) -> None:
    x = smelt.tensor([[1.0, 2.0, -INF], [0.5, 4.0, 1.0]])
    found = said(lambda x, y: x / y, x, numbers(0.0, 1.0, 2.0), compiled=compiled)
    assert "operand 1 is float32 (2, 3), 0.5 to 4, 1 -inf" in found
    assert "operand 2 is float32 (3,), 0 to 2" in found
    assert "in 2 of 6 numbers, the first at [0, 0]" in found


@ways
def test_the_derivative_of_a_derivative_is_named(compiled: bool) -> None:
    def bend(x: Tensor) -> Tensor:
        return smelt.grad(smelt.grad(lambda x: (x**1.5).sum() if x.ndim else x**1.5))(x)

    found = said(bend, smelt.tensor(0.0), compiled=compiled)
    assert "in the backward of pow at " in found
    assert ", in the backward of pow at " in found


def test_a_nan_that_came_in_is_told_by_its_name() -> None:
    model = nn.Linear(2, 1)
    found = said(lambda x, y: model(x).sum() + y, numbers(1.0, 2.0), smelt.tensor(NAN))
    assert found.startswith("a nan came in with argument 2 of lambda: float32 (), 1 nan")
    with smelt.no_grad():
        model.weight.copy_(smelt.full((1, 2), NAN))
    found = said(lambda x: model(x).sum(), numbers(1.0, 2.0))
    assert found.startswith("a nan came in with the state weight: float32 (1, 2), 2 nan")


def test_a_nan_that_came_in_eagerly_is_told_where_it_is_read() -> None:
    found = said(lambda x: x * 2, numbers(NAN, 1.0), compiled=False)
    assert found.startswith("mul made nan out of a nan that it was given, in 1 of 2")


# --- what an error leaves behind ------------------------------------------------------------------


class Trained:
    """A network with every kind of state: parameters, moments, statistics, random numbers."""

    def __init__(self) -> None:
        smelt.manual_seed(0)
        self.model = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 1)
        )
        self.opt = optim.Adam(self.model.parameters(), lr=1e-2)
        self.step = smelt.compile(self._step)

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        loss = ((self.model(x)[:, 0] - y) ** 2).mean()
        loss = loss + smelt.log(x.sum() ** 2)
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        return loss

    def state(self) -> list[bytes]:
        tensors = [*self.model.state_dict().values(), smelt.get_rng_state()]
        tensors += smelt.tree.flatten(self.opt.state_dict())[0]
        return [np.asarray(tensor).tobytes() for tensor in tensors]


GOOD = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
BAD = GOOD.copy()
BAD[12:18] = 0.0  # its sum has no logarithm
TARGETS = GOOD.sum(1)


def test_after_an_error_every_state_is_as_before() -> None:
    trained = Trained()
    with smelt.settings(check_nan=True):
        trained.step(GOOD[:6], TARGETS[:6])
        before = trained.state()
        with pytest.raises(NumericsError, match="log made -inf"):
            trained.step(BAD[12:18], TARGETS[:6])
    assert trained.state() == before


def test_the_check_changes_no_bit() -> None:
    plain, checked = Trained(), Trained()
    losses = [plain.step(GOOD[:6], TARGETS[:6]).item() for _ in range(5)]
    smelt.manual_seed(0)
    checked = Trained()
    with smelt.settings(check_nan=True):
        assert [checked.step(GOOD[:6], TARGETS[:6]).item() for _ in range(5)] == losses
    assert checked.step.traces == 1
    smelt.manual_seed(1)


@pytest.mark.parametrize("way", ["over", "repeat"])
def test_of_many_steps_the_wrong_one_is_named_and_those_before_it_are_done(way: str) -> None:
    checked, plain = Trained(), Trained()
    if way == "repeat":
        with smelt.settings(check_nan=True):
            checked.step.repeat(3, GOOD[:6], TARGETS[:6])
            with pytest.raises(NumericsError, match="log made -inf"):
                checked.step.repeat(3, BAD[12:18], TARGETS[:6])
        return
    smelt.manual_seed(3)
    for first in (0, 6):
        plain.step(GOOD[first : first + 6], TARGETS[first : first + 6])
    expected = plain.state()
    smelt.manual_seed(3)
    with smelt.settings(check_nan=True), pytest.raises(NumericsError, match="in step 2") as caught:
        checked.step.over(BAD, TARGETS, batch_size=6)
    assert "the steps before it are done" in str(caught.value)
    assert checked.state() == expected


def test_infinities_that_a_step_was_given_cost_a_second_run_and_no_more() -> None:
    best = smelt.full((), INF)

    @smelt.compile
    def step(x: Tensor) -> Tensor:
        with smelt.no_grad():
            best.copy_(smelt.minimum(best, x.sum()))
        return smelt.where(x > 0, x, -INF)

    with smelt.settings(check_nan=True):
        assert step(numbers(-1.0, 2.0)).tolist() == [-INF, 2.0]
        assert best.item() == 1.0
        stacked = step.repeat(2, numbers(-3.0, 2.0))
        assert stacked.tolist() == [[-INF, 2.0]] * 2
        assert best.item() == -1.0


def test_gradients_left_by_an_earlier_call_are_put_back() -> None:
    weight = nn.Parameter(numbers(1.0, 2.0))

    @smelt.compile
    def accumulate(x: Tensor) -> Tensor:
        loss = (weight * x).sum().log()
        loss.backward()
        return loss

    with smelt.settings(check_nan=True):
        accumulate(numbers(1.0, 1.0))
        before = weight.grad.tolist()
        with pytest.raises(NumericsError, match="log made -inf"):
            accumulate(numbers(0.0, 0.0))
        assert weight.grad.tolist() == before
        weight.grad = None
        with pytest.raises(NumericsError, match="log made -inf"):
            accumulate(numbers(0.0, 0.0))
        assert weight.grad is None


def test_eagerly_a_state_does_not_take_what_is_wrong() -> None:
    state = smelt.zeros(2)
    with smelt.settings(check_nan=True), pytest.raises(NumericsError, match="new contents"):
        state.copy_(numbers(0.0, 1.0).log())
    assert state.tolist() == [0.0, 0.0]


def test_a_condition_names_its_step_as_without_the_check() -> None:
    labels = np.zeros(40, np.int64)
    labels[31] = 7
    step = smelt.compile(lambda x, y: F.cross_entropy(x, y))
    found = []
    for check in (False, True):
        with smelt.settings(check_nan=check), pytest.raises(BoundsError) as caught:
            step.over(np.zeros((40, 3), np.float32), labels, batch_size=2)
        found.append(str(caught.value))
    assert found[0] == found[1]
    assert "in step 15 of this call" in found[0]


# --- compiled functions within eager code ---------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 2])
def test_the_backward_pass_of_a_compiled_function_is_checked(calls: int) -> None:
    root = smelt.compile(lambda x: smelt.sqrt(x).sum())
    with smelt.settings(check_nan=True):
        for _ in range(calls - 1):
            root(numbers(4.0, requires_grad=True)).backward()
        x = numbers(0.0, requires_grad=True)
        with pytest.raises(NumericsError, match=re.escape("in the backward of sqrt at")):
            root(x).backward()
        assert x.grad is None


def test_the_forward_pass_of_a_compiled_function_is_checked() -> None:
    layers = nn.Sequential(nn.Linear(2, 2), nn.Softplus())
    with smelt.no_grad():
        layers[0].weight.copy_(smelt.ones(2, 2))
    model = smelt.compile(layers)
    x = numbers(1.0, 1.0, requires_grad=True)
    with smelt.settings(check_nan=True):
        model(x).sum().backward()
        with pytest.raises(NumericsError, match="in module sequential.0"):
            model(x * 3e38)


def test_without_compilation_the_results_of_a_step_are_checked() -> None:
    step = smelt.compile(lambda x: x.log())
    with smelt.settings(check_nan=True, compile=False):
        for call in (step, lambda x: step.repeat(2, x), lambda x: step.over(x, batch_size=1)):
            with pytest.raises(NumericsError, match="it reached a result of lambda"):
                call(numbers(1.0, 0.0))


def test_forward_without_the_check_has_no_line() -> None:
    x = numbers(0.0, requires_grad=True)
    loss = smelt.sqrt(x).sum()
    with smelt.settings(check_nan=True), pytest.raises(NumericsError) as caught:
        loss.backward()
    assert "in the backward of sqrt, which ran before check_nan was on" in str(caught.value)


def test_a_value_that_overflows_only_natively_is_told() -> None:
    """NumPy adds in another order; the check says so and does not look on."""
    from smelt.compiler.frontend.nan_check import CheckedExecutable

    step = smelt.compile(lambda x: x.exp())
    with smelt.settings(check_nan=True):
        step(numbers(1.0))
        checked = step.executables.newest.checked
    assert isinstance(checked, CheckedExecutable)
    wrong = np.full(1, INF, np.float32)
    with pytest.raises(NumericsError, match="when NumPy computes"):
        checked._examine([np.ones(1, np.float32)], [wrong], [])


def test_a_loop_is_searched_iteration_by_iteration() -> None:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        h = smelt.cond(x > 2, lambda h: h / (h - h), lambda h: h + x, h)
        return h, h

    for reverse in (False, True):
        found = said(
            lambda x, r=reverse: smelt.scan(body, smelt.tensor(0.5), x, reverse=r)[1],
            numbers(1.0, 2.0, 3.0),
        )
        assert found.startswith("div made "), found
