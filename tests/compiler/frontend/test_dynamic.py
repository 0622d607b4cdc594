"""Dynamic axes: few versions serve all lengths, with the bits of the step for exactly each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim, tree
from smelt.compiler.frontend import specialization_cache
from smelt.errors import ArgumentError, CompileError, GradientError, ShapeError, SmeltError

LENGTHS = (9, 13, 10, 17, 9, 12, 21, 25, 11, 29)


class Averaged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(smelt.relu(self.embedding(x)).mean(1))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.layer = nn.GRU(8, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs, last = self.layer(self.embedding(x))
        return self.out(outputs.max(1).values + last[0])


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        positions = smelt.arange(x.shape[1]) / x.shape[1]
        return self.out(self.layer(self.embedding(x) + positions.unsqueeze(-1))[:, -1])


def training(model: nn.Module, **settings: Any) -> Any:
    opt = optim.Adam(model.parameters(), lr=0.01)

    @smelt.compile(**settings)
    def step(x: Tensor, y: Tensor) -> Tensor:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return step


@pytest.mark.filterwarnings("ignore:.*is compiled once more:UserWarning")
@pytest.mark.parametrize("make", [Averaged, Gated, Attending])
def test_training_has_the_bits_of_exact_steps(make: Callable[[], nn.Module]) -> None:
    model = make()
    same = copy.deepcopy(model)
    dynamic = training(model, dynamic={"x": {1: "length"}})
    exact = training(same, dynamic=False)
    draw = np.random.default_rng(0)
    for length in LENGTHS:
        x, y = draw.integers(0, 50, (4, length)), draw.integers(0, 2, 4)
        losses = []
        for step in (dynamic, exact):
            smelt.manual_seed(length)
            losses.append(step(x, y).item())
        assert losses[0] == losses[1]
    for one, other in zip(model.parameters(), same.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert dynamic.traces < exact.traces


def test_lengths_of_one_kind_share_a_version() -> None:
    step = smelt.compile(lambda x: (x * x.shape[1]).sum(1), dynamic={"x": {1: "length"}})
    for length in range(17, 60, 8):
        x = np.arange(3.0 * length, dtype=np.float32).reshape(3, length)
        np.testing.assert_array_equal(step(x).numpy(), (x * length).sum(1))
    assert step.traces <= 3


def test_results_have_the_length_of_the_call() -> None:
    step = smelt.compile(lambda x: (x + 1, x[:, 1:]), dynamic={"x": {1: "length"}})
    for length in (5, 9, 13):
        more, rest = step(np.zeros((2, length), np.float32))
        assert more.shape == (2, length)
        assert rest.shape == (2, length - 1)


def test_two_lengths() -> None:
    dynamic = {"x": {0: "rows"}, "y": {0: "columns"}}
    step = smelt.compile(lambda x, y: x.unsqueeze(1) * y, dynamic=dynamic)
    for rows, columns in ((5, 9), (7, 9), (5, 11), (9, 5)):
        x, y = np.arange(rows, dtype=np.float32), np.arange(columns, dtype=np.float32)
        np.testing.assert_array_equal(step(x, y).numpy(), np.outer(x, y))


def test_a_python_loop_over_the_length_is_right() -> None:
    def total(x: Tensor) -> Tensor:
        result = x[:, 0]
        for place in range(1, x.shape[1]):
            result = result + x[:, place]
        return result

    step = smelt.compile(total, dynamic={"x": {1: "length"}})
    for length in (3, 4, 3):
        x = np.ones((2, length), np.float32)
        assert step(x).tolist() == [length, length]
    assert step.traces == 2


def test_lengths_of_0_and_1_are_cases_of_their_own() -> None:
    step = smelt.compile(lambda x: x.sum(1), dynamic={"x": {1: "length"}})
    for length in (0, 1, 2):
        assert step(np.ones((2, length), np.float32)).tolist() == [length, length]


def test_what_the_step_reads_is_still_noticed() -> None:
    factor = 2.0
    step = smelt.compile(lambda x: x * factor, dynamic={"x": {0: "length"}})
    assert step(smelt.ones(5)).tolist() == [2] * 5
    factor = 3.0
    assert step(smelt.ones(5)).tolist() == [3] * 5
    assert step(smelt.ones(6)).tolist() == [3] * 6


def trained_from_outside(model: nn.Module, lengths: tuple[int, ...]) -> list[float]:
    """Returns the losses of steps of which the model alone is compiled."""
    opt = optim.Adam(model.parameters(), lr=0.01)
    draw, losses = np.random.default_rng(0), []
    for length in lengths:
        x, y = draw.integers(0, 50, (4, length)), draw.integers(0, 2, 4)
        smelt.manual_seed(length)
        opt.zero_grad()
        loss = F.cross_entropy(model(smelt.tensor(x)), smelt.tensor(y))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@pytest.mark.filterwarnings("ignore:.*is compiled once more:UserWarning")
@pytest.mark.parametrize("make", [Averaged, Gated, Attending])
def test_gradients_from_outside_have_the_bits_of_exact_versions(
    make: Callable[[], nn.Module],
) -> None:
    model, lengths = make(), (*LENGTHS, 31, 1, 40)
    dynamic, exact = (
        smelt.compile(copy.deepcopy(model), dynamic=dynamic) for dynamic in (True, False)
    )
    assert trained_from_outside(dynamic, lengths) == trained_from_outside(exact, lengths)
    for one, other in zip(dynamic.parameters(), exact.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert dynamic.traces < exact.traces
    trained_from_outside(dynamic, lengths)  # lengths that others' gradients do not serve get theirs
    traces = dynamic.traces
    trained_from_outside(dynamic, lengths)
    assert dynamic.traces == traces


class Centered(nn.Module):
    """A model whose forward pass changes its own state, and whose backward pass needs a length."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(smelt.ones(3))
        self.register_buffer("mean", smelt.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        with smelt.no_grad():
            self.mean.copy_(self.mean * 0.9 + x.mean(0) * 0.1)
        return ((x - self.mean) * self.weight).tanh() / x.shape[0] ** 0.5


def test_changed_state_and_lengths_in_gradients_are_those_of_the_call() -> None:
    model = Centered()
    compiled = smelt.compile(copy.deepcopy(model))
    draw = np.random.default_rng(1)
    for length in (40, 50, 60, 45, 61, 44):
        x = smelt.tensor(draw.normal(size=(length, 3)).astype(np.float32))
        for each in (model, compiled):
            each.zero_grad()
        first, late = compiled(x), compiled(x)  # the state has moved on before the gradient
        (first + late).square().sum().backward()
        (model(x) + model(x)).square().sum().backward()
        for one, other in zip(model.parameters(), compiled.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            np.testing.assert_allclose(other.grad.numpy(), one.grad.numpy(), rtol=2e-5, atol=1e-7)
        for name, buffer in model.named_buffers():
            np.testing.assert_allclose(
                compiled.state_dict()[name].numpy(), buffer.numpy(), rtol=1e-4
            )
    assert compiled.traces == 3


def cubes(x: Tensor, factor: Tensor) -> Tensor:
    return (x * x * x * factor).sum()


def test_derivatives_of_any_order_and_kind_of_any_length() -> None:
    step = smelt.compile(cubes)
    factor = smelt.tensor(2.0, requires_grad=True)
    for length in (33, 40, 50, 60, 34):
        x = smelt.ones(length, requires_grad=True)
        (first,) = smelt.autograd.grad(step(x, factor), x, create_graph=True)
        (second,) = smelt.autograd.grad(first.sum(), x)
        assert first.tolist() == [6] * length
        assert second.tolist() == [12] * length
        tangent = smelt.jvp(lambda x: step(x, factor), (x,), (smelt.ones(length),))[1]
        assert tangent.item() == 6 * length
        (by_factor,) = smelt.autograd.grad(step(x, factor), factor)  # not what was asked for first
        assert by_factor.item() == length


def test_a_gradient_asked_for_later_needs_no_new_trace() -> None:
    model = smelt.compile(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0)))
    results = [model(smelt.ones(length, 3)) for length in (33, 40, 50, 60)]
    model.eval()  # the gradients are of the calls as they were
    for result in results:
        result.sum().backward()
    assert model.traces == 3


def test_a_second_derivative_after_a_change_is_refused() -> None:
    model = smelt.compile(nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Dropout(0.0)))
    for length in (33, 40, 50):
        x = smelt.ones(length, 3, requires_grad=True)
        result = model(x).sum()
    model.eval()
    with pytest.raises(GradientError, match="has changed since the call"):
        smelt.autograd.grad(result, x, create_graph=True)
    (gradient,) = smelt.autograd.grad(result, x)
    assert gradient.shape == (50, 3)


def test_gradients_of_any_length_under_nan_checks() -> None:
    step = smelt.compile(cubes)
    for length in (33, 40, 50, 60):
        x = smelt.ones(length, requires_grad=True)
        result = step(x, smelt.tensor(2.0))
        with smelt.settings(check_nan=True):
            (gradient,) = smelt.autograd.grad(result, x)
        assert gradient.tolist() == [6] * length


def test_keywords_trees_and_negative_axes() -> None:
    step = smelt.compile(lambda batch: batch["x"] + 1, dynamic={"batch": {-1: "length"}})
    for length in (4, 6):
        assert step(batch={"x": smelt.zeros(2, length)}).shape == (2, length)


def test_nan_checks_use_an_exact_version() -> None:
    step = smelt.compile(lambda x: x + 1, dynamic={"x": {0: "length"}})
    step(smelt.ones(4))
    with smelt.settings(check_nan=True):
        assert step(smelt.ones(4)).tolist() == [2] * 4


def test_one_name_one_length() -> None:
    dynamic = {"x": {0: "n"}, "y": {0: "n"}}
    step = smelt.compile(lambda x, y: x.sum() + y.sum(), dynamic=dynamic)
    with pytest.raises(ShapeError, match="'n' is 3 and 4 in one call"):
        step(smelt.ones(3), smelt.ones(4))


@pytest.mark.parametrize(
    ("dynamic", "words"),
    [
        ({"z": {0: "n"}}, "dynamic='z': the function has no such argument; it has x"),
        ({"x": {0: 3}}, "give the axes of an argument"),
        ({"x": 1}, "give the axes of an argument"),
        ({"x": {"n": 0}}, "give the axes of an argument"),
    ],
)
def test_wrong_axes_are_refused(dynamic: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        smelt.compile(lambda x: x, dynamic=dynamic)


def test_an_axis_that_is_not_there() -> None:
    step = smelt.compile(lambda x: x, dynamic={"x": {2: "n"}})
    with pytest.raises(ArgumentError, match="axis 2 does not exist"):
        step(smelt.ones(3))


def test_lengths_that_change_are_found() -> None:
    step = smelt.compile(lambda x, y: (x * 2).sum(1) + y)
    for length in (20, 25, 30, 18, 21, 29, 19):
        assert step(smelt.ones(3, length), smelt.ones(3)).tolist() == [2 * length + 1] * 3
    assert step.traces <= 4


def test_axes_that_differ_in_a_later_call_have_names_of_their_own() -> None:
    step = smelt.compile(lambda x, y: x.sum() + y.sum())
    for one, other in ((17, 17), (18, 18), (19, 19), (20, 20), (20, 30), (21, 29)):
        assert step(smelt.ones(one), smelt.ones(other)).item() == one + other
    assert step.traces <= 5


def test_without_dynamic_each_length_has_its_version() -> None:
    step = smelt.compile(lambda x: x + 1, dynamic=False)
    for length in range(2, 7):
        step(smelt.ones(length))
    assert step.traces == 5


def test_what_cannot_be_for_any_length_is_told_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> None:
        raise CompileError("not today")

    monkeypatch.setattr(specialization_cache, "make_template", broken)
    step = smelt.compile(lambda x: x + 1)
    for length in (2, 3):
        step(smelt.ones(length))
    with pytest.warns(UserWarning, match="cannot be compiled for all lengths.*not today"):
        assert step(smelt.ones(4)).tolist() == [2] * 4
    assert step(smelt.ones(5)).tolist() == [2] * 5


def test_a_step_that_always_fails_says_so_once() -> None:
    step = smelt.compile(lambda x: x + smelt.ones(2, x.shape[0], 3) if x.shape[0] < 5 else x @ 1.5)
    for length in (3, 4):
        step(smelt.ones(length, 3))
    with pytest.raises(SmeltError):
        step(smelt.ones(6, 3))


def test_many_steps_of_any_length_in_one_call() -> None:
    def count(x: Tensor) -> Tensor:
        total.copy_(total + x.sum())
        return x * 2

    total = smelt.zeros(())
    step = smelt.compile(count)
    for length in (20, 21, 22, 23):
        assert step.repeat(3, smelt.ones(length)).shape == (3, length)
        rows = smelt.ones(6, length)
        assert step.over(rows, batch_size=2).shape == (3, 2, length)
    assert total.item() == 3 * 86 + 6 * 86


def test_an_evaluated_model_takes_any_length() -> None:
    model = Gated()
    compiled = smelt.compile(model).eval()
    with smelt.no_grad():
        for length in (20, 21, 22, 23, 24):
            x = smelt.ones(2, length, dtype=smelt.int64)
            np.testing.assert_allclose(compiled(x).numpy(), model.eval()(x).numpy(), rtol=1e-5)
    assert compiled.traces <= 4


def test_what_a_version_for_any_length_tells_of_itself() -> None:
    step = smelt.compile(lambda x: (x * 2).sum(1), dynamic={"x": {1: "length"}})
    step(smelt.ones(3, 20))
    assert "length" in step.explain("all")
    assert step.memory().arguments == 4 * 3 * 20
    assert repr(step)
    assert len(step.times) == 1


def test_a_length_in_the_result_is_that_of_the_call() -> None:
    def measure(x: Tensor) -> dict[str, Any]:
        n = x.shape[0]
        return {"length": n, "share": 1 / n, "shape": (x.shape, 3 * n + 1), "sum": x.sum()}

    step = smelt.compile(measure)
    for length in (2, 3, 9, 10, 11, 12):
        found, expected = step(smelt.ones(length)), measure(smelt.ones(length))
        assert found == expected
        assert [type(x) for x in found["shape"][0]] == [int]
        assert type(found["length"]) is int
        assert type(found["share"]) is float
    assert step.traces < 6
    several = step.repeat(2, smelt.ones(14))
    assert several["length"] == 14
    with smelt.settings(check_nan=True):
        assert step(smelt.ones(15))["length"] == 15


def test_a_table_by_length_is_found_again() -> None:
    masks: dict[int, Tensor] = {}

    def attend(x: Tensor) -> Tensor:
        n = x.shape[0]
        if n not in masks:
            masks[n] = smelt.tril(smelt.ones(n, n))
        return masks[n] @ x

    step = smelt.compile(attend)
    for length in (2, 3, 4, 5, 9, 4, 5, 9):
        assert step(smelt.ones(length, 2))[-1, 0].item() == length
    assert sorted(masks) == [2, 3, 4, 5, 9]
    assert all(masks[n].shape == (n, n) for n in (2, 3, 4, 5, 9))


@pytest.mark.parametrize(
    "function",
    [
        lambda y: smelt.ones(3).sum(),
        lambda y: smelt.ones(y.shape[0]),
        lambda y: smelt.zeros(y.shape[0], 3).sum() * len(y),
        lambda y: smelt.eye(len(y)),
        lambda y: smelt.arange(len(y)).cumsum(0),
        lambda y: (smelt.ones(2), len(y), len(y) / 2),
    ],
    ids=["nothing", "ones", "sum", "eye", "cumsum", "numbers"],
)
def test_a_step_that_reads_no_element_serves_all_lengths(function) -> None:
    """What a program gets does not depend on whether it uses it."""
    step = smelt.compile(function)
    for length in (20, 21, 22, 23, 7, 64):
        y = smelt.ones(length)
        for found, wanted in zip(
            tree.flatten(step(y))[0], tree.flatten(function(y))[0], strict=True
        ):
            if isinstance(wanted, smelt.Tensor):
                assert found.tolist() == wanted.tolist()
            else:
                assert (type(found), found) == (type(wanted), wanted)


@pytest.mark.parametrize("name", ["batch", "steps", "begin", "table", "v1", "parameters"])
def test_a_length_may_have_any_name(name: str) -> None:
    step = smelt.compile(lambda x: (x @ x.mT).tanh().sum(0), dynamic={"x": {0: name}})
    for length in (5, 9):
        x = smelt.ones(length, 70)
        np.testing.assert_allclose(step(x).numpy(), np.full(length, length), rtol=1e-6)
