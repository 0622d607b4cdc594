"""Optimizers against stored walks of PyTorch's; groups, state, errors."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import errors, nn, optim
from tests.references.optimizer_cases import OPTIMIZERS, SKIPPED, STARTS, STEPS
from tests.references.running import ENGINES, on

KNOWN = np.load(pathlib.Path(__file__).parents[1] / "references" / "optimizers.npz")
KINDS = {
    "sgd": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, dampening=0.1),
    "adam": lambda parameters: optim.Adam(parameters, lr=0.1, amsgrad=True),
    "adamw": lambda parameters: optim.AdamW(parameters, lr=0.1),
    "rmsprop": lambda parameters: optim.RMSprop(parameters, lr=0.01, centered=True, momentum=0.5),
    "adagrad": lambda parameters: optim.Adagrad(parameters, lr=0.1, lr_decay=0.1),
}


def parameter(*values: float, dtype: Any = "float64") -> nn.Parameter:
    return nn.Parameter(smelt.tensor(list(values), dtype=dtype))


def make_traced(optimizer: optim.Optimizer) -> None:
    """Makes all settings tensors that are numbers and take effect."""
    for group in optimizer.param_groups:
        for name, value in list(group.items()):
            if isinstance(value, float) and value:
                group.make_traced(name)
            elif isinstance(value, tuple):
                for index in range(len(value)):
                    group.make_traced(name, index)


def loss_of(a: smelt.Tensor, b: smelt.Tensor) -> smelt.Tensor:
    return ((a - 1) * (a - 1)).sum() + (a.sum() * b).tanh().sum() + (b * b).sum()


def walk(
    engine: str, kind: str, options: dict[str, Any], steps: int, as_tensors: bool = False
) -> np.ndarray:
    parameters = [nn.Parameter(smelt.tensor(start, dtype="float64")) for start in STARTS]
    optimizer = getattr(optim, kind)(parameters, **options)
    if as_tensors:
        make_traced(optimizer)

    def step(skip: bool) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = loss_of(*parameters)
        loss.backward()
        if skip:
            parameters[1].grad = None
        optimizer.step()
        return loss

    run = on(engine, step)
    seen = []
    for number in range(steps):
        run(number in SKIPPED)
        seen.append(np.concatenate([p.numpy().ravel() for p in parameters]))
    return np.array(seen)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_walk_is_pytorchs(name: str, engine: str) -> None:
    found = walk(engine, *OPTIMIZERS[name], STEPS)
    np.testing.assert_allclose(found, KNOWN[f"optimizer/{name}"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_that_are_tensors_mean_the_same(name: str, engine: str) -> None:
    found = walk(engine, *OPTIMIZERS[name], STEPS, as_tensors=True)
    np.testing.assert_allclose(found, KNOWN[f"optimizer/{name}"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda p, n: optim.SGD(p, n, momentum=n, dampening=n, weight_decay=n),
        lambda p, n: optim.Adam(p, n, betas=(n, n), eps=n, weight_decay=n),
        lambda p, n: optim.AdamW(p, n, betas=(n, n), eps=n, weight_decay=n),
        lambda p, n: optim.RMSprop(p, n, alpha=n, eps=n, weight_decay=n, momentum=n),
        lambda p, n: optim.Adagrad(p, n, lr_decay=n, weight_decay=n, eps=n),
    ],
)
def test_one_compiled_step_serves_all_numbers_of_settings_that_are_tensors(make: Any) -> None:
    def step_of(optimizer: optim.Optimizer, x: nn.Parameter) -> Any:
        @smelt.compile
        def step() -> None:
            optimizer.zero_grad()
            (x * x).sum().backward()
            optimizer.step()

        return step

    x, expected = parameter(1.0, -2.0), parameter(1.0, -2.0)
    optimizer, other = make([x], 0.5), make([expected], 0.125)
    make_traced(optimizer)
    optimizer.load_state_dict(other.state_dict())
    step, its_step = step_of(optimizer, x), step_of(other, expected)
    for _ in range(3):
        step()
        its_step()
    np.testing.assert_allclose(x.tolist(), expected.tolist(), rtol=1e-12)
    for name in ("lr", "weight_decay", "eps"):
        if name in optimizer.param_groups[0]:
            optimizer.param_groups[0][name] = 0.25
    step()
    assert step.traces == 1


@pytest.mark.parametrize("kind", KINDS)
def test_float32_follows_float64(kind: str) -> None:
    ends = []
    for dtype in ("float32", "float64"):
        x = parameter(2.0, -1.0, 0.5, dtype=dtype)
        optimizer = KINDS[kind]([x])
        for _ in range(30):
            optimizer.zero_grad()
            ((x - 3) * (x - 3)).sum().backward()
            optimizer.step()
        assert x.dtype is smelt.dtypes.as_dtype(dtype)
        assert all(moment.dtype is x.dtype for moment in optimizer.state[x].values())
        ends.append(x.numpy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_resumes_exactly(kind: str) -> None:
    def advance(x: nn.Parameter, optimizer: optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            (x * x * x).sum().backward()
            optimizer.step()

    x = parameter(1.0, 2.0, dtype="float32")
    optimizer = KINDS[kind]([x])
    advance(x, optimizer, 5)
    kept = {key: value.numpy().copy() for key, value in optimizer.state_dict().items()}
    other = nn.Parameter(x.detach())
    resumed = KINDS[kind]([other])
    resumed.load_state_dict(kept)
    advance(x, optimizer, 5)
    advance(other, resumed, 5)
    np.testing.assert_array_equal(x.numpy(), other.numpy())


def test_state_dict_names_every_number() -> None:
    optimizer = optim.Adam([parameter(1.0), parameter(2.0, 3.0)], lr=0.5, betas=(0.8, 0.9))
    state = optimizer.state_dict()
    assert state["state.1.exp_avg"].shape == (2,)
    assert state["param_groups.0.lr"].item() == 0.5
    assert state["param_groups.0.betas.1"].item() == 0.9
    assert state["param_groups.0.amsgrad"].item() is False
    assert all(isinstance(value, smelt.Tensor) for value in state.values())


def test_loading_restores_python_settings() -> None:
    first = optim.Adam([parameter(1.0)], betas=(0.7, 0.8), weight_decay=0.25)
    second = optim.Adam([parameter(1.0)])
    second.load_state_dict(first.state_dict())
    group = second.param_groups[0]
    assert group["betas"] == (0.7, 0.8)
    assert group["weight_decay"] == 0.25


def test_loading_refuses_what_does_not_fit_and_changes_nothing() -> None:
    optimizer = optim.Adam([parameter(1.0)], lr=0.5)
    state = optim.Adam([parameter(1.0, 2.0)], lr=0.25).state_dict()
    del state["state.0.exp_avg"]
    with pytest.raises(errors.StateError) as caught:
        optimizer.load_state_dict({**state, "other": smelt.tensor(1.0)})
    assert "state.0.exp_avg: missing" in str(caught.value)
    assert "other: unexpected" in str(caught.value)
    assert "state.0.exp_avg_sq: shape (2,)" in str(caught.value)
    assert optimizer.param_groups[0]["lr"].item() == 0.5


def test_groups_have_settings_of_their_own() -> None:
    a, b = parameter(1.0), parameter(1.0)
    optimizer = optim.SGD([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.1)
    (a + b).sum().backward()
    optimizer.step()
    assert a.item() == 0.5
    assert b.item() == pytest.approx(0.9)


def test_added_group_is_optimized() -> None:
    a, b = parameter(1.0), parameter(1.0)
    optimizer = optim.Adam([a], lr=0.1)
    optimizer.add_param_group({"params": [b], "lr": 0.2})
    (a + b).sum().backward()
    optimizer.step()
    assert b.item() == pytest.approx(0.8)


def test_lr_is_a_tensor_that_assignment_changes() -> None:
    group = optim.SGD([parameter(1.0)], lr=0.5).param_groups[0]
    held = group["lr"]
    group["lr"] = 0.25
    group["lr"] *= 0.5
    group.update(lr=group["lr"] * 2)
    assert group["lr"] is held
    assert held.item() == 0.25


def test_parameters_without_gradient_are_left_alone() -> None:
    a, b = parameter(1.0), parameter(2.0)
    optimizer = optim.AdamW([a, b], lr=0.1)
    a.sum().backward()
    optimizer.step()
    assert b.item() == 2.0
    assert optimizer.param_groups[0]["step"].tolist() == [1, 0]


def test_step_without_any_gradient_does_nothing() -> None:
    a = parameter(1.0)
    optimizer = optim.Adam([a])
    with pytest.warns(UserWarning, match="no parameter of 1 has a gradient"):
        optimizer.step()
    optimizer.step()  # said once
    assert a.item() == 1.0
    assert optimizer.param_groups[0]["step"].tolist() == [0]


def test_zero_grad_forgets_or_zeros() -> None:
    a = parameter(1.0)
    optimizer = optim.SGD([a])
    a.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert a.grad is not None
    assert a.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_fingerprint_and_version_tell_of_changed_settings() -> None:
    optimizer = optim.SGD([parameter(1.0)], lr=0.1, weight_decay=0.1)
    before, version = optimizer.fingerprint(), smelt.guards.version()
    optimizer.param_groups[0]["lr"] = 0.2
    assert smelt.guards.version() == version
    assert optimizer.fingerprint() == before
    optimizer.param_groups[0]["weight_decay"] = 0.2
    assert smelt.guards.version() != version
    assert optimizer.fingerprint() != before


def test_compiled_step_follows_changed_settings() -> None:
    x = parameter(1.0)
    optimizer = optim.SGD([x], lr=0.5)

    @smelt.compile
    def step() -> smelt.Tensor:
        optimizer.zero_grad()
        loss = x.sum()
        loss.backward()
        optimizer.step()
        return loss

    step()
    assert x.item() == 0.5
    optimizer.param_groups[0]["lr"] = 0.25
    step()
    assert x.item() == 0.25
    optimizer.param_groups[0]["weight_decay"] = 1.0
    step()
    assert x.item() == pytest.approx(0.25 - 0.25 * 1.25)


def test_repr_shows_the_settings() -> None:
    text = repr(optim.SGD([parameter(1.0)], lr=0.5, momentum=0.9))
    assert text.startswith("SGD (\nParameter group 0\n")
    assert "    lr: 0.5\n    maximize: False\n    momentum: 0.9" in text


def leaked() -> list[smelt.Tensor]:
    """Returns a value of a trace that is over."""
    seen: list[smelt.Tensor] = []
    smelt.compile(lambda x: seen.append(x * 2.0) or x)(smelt.ones(2))
    return seen


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: optim.SGD([]), errors.ArgumentError, "no parameters to optimize"),
        (lambda x: optim.SGD(iter([])), errors.ArgumentError, "no parameters to optimize"),
        (lambda x: optim.SGD(x), errors.ArgumentError, "iterable"),
        (lambda x: optim.SGD(5), errors.ArgumentError, "iterable, got one int"),
        (lambda x: optim.Adam(nn.ReLU()), errors.ArgumentError, r"give model.parameters\(\)"),
        (lambda x: optim.SGD([1.0]), errors.ArgumentError, "got 1.0 at place 0"),
        (lambda x: optim.SGD("weights"), errors.ArgumentError, "iterable, got one str"),
        (lambda x: optim.SGD([x, "bias"]), errors.ArgumentError, "got 'bias' at place 1"),
        (lambda x: optim.SGD(np.ones(2)), errors.ArgumentError, "iterable, got one ndarray"),
        (lambda x: optim.SGD([np.ones(2)]), errors.ArgumentError, "got an array of float64"),
        (lambda x: optim.SGD([[x]]), errors.ArgumentError, "got a list at place 0"),
        (lambda x: optim.SGD([("x", x)]), errors.ArgumentError, "without names"),
        (lambda x: optim.SGD([nn.ReLU()]), errors.ArgumentError, "got a ReLU"),
        (lambda x: optim.SGD({x}), errors.ArgumentError, "a set, which has no order"),
        (lambda x: optim.SGD({"params": [x]}), errors.ArgumentError, "iterable, got one dict"),
        (lambda x: optim.SGD([{"lr": 0.1}]), errors.ArgumentError, "\"params\"; this one has 'lr'"),
        (lambda x: optim.SGD([{}]), errors.ArgumentError, "this one has nothing"),
        (lambda x: optim.SGD([{"params": None}]), errors.ArgumentError, "got one NoneType"),
        (lambda x: optim.SGD([{"params": nn.ReLU()}]), errors.ArgumentError, "give model.param"),
        (lambda x: optim.SGD([x, {"params": [x]}]), errors.ArgumentError, "not both"),
        (lambda x: optim.SGD([{"params": [x]}, x]), errors.ArgumentError, "not both"),
        (lambda x: optim.SGD([x]).add_param_group([x]), errors.ArgumentError, "a group is a dict"),
        (lambda x: optim.SGD([x]).add_param_group({}), errors.ArgumentError, "has nothing"),
        (lambda x: optim.SGD(leaked()), errors.TraceError, "within a compiled step"),
        (lambda x: optim.SGD([x, x]), errors.ArgumentError, "given twice"),
        (
            lambda x: optim.SGD([{"params": [x]}, {"params": [x]}]),
            errors.ArgumentError,
            "given twice",
        ),
        (lambda x: optim.SGD([x * 2]), errors.GradientError, "computed"),
        (lambda x: optim.SGD([smelt.tensor([1])]), errors.DTypeError, "int64"),
        (lambda x: optim.SGD([x], lr=-0.1), errors.ArgumentError, "lr must not be negative"),
        (lambda x: optim.SGD([{"params": x, "lr": -1.0}]), errors.ArgumentError, "lr must not"),
        (
            lambda x: optim.SGD([{"params": x, "lr": "1"}]),
            errors.ArgumentError,
            "a number, got '1'",
        ),
        (
            lambda x: optim.SGD([{"params": x, "lr": np.nan}]),
            errors.ArgumentError,
            "finite",
        ),
        (lambda x: optim.SGD([x], lr=float("nan")), errors.ArgumentError, "finite number"),
        (lambda x: optim.SGD([x], momentum=-1.0), errors.ArgumentError, "momentum"),
        (lambda x: optim.SGD([x], nesterov=True), errors.ArgumentError, "nesterov"),
        (lambda x: optim.Adam([x], betas=(0.9, 1.0)), errors.ArgumentError, "beta2"),
        (lambda x: optim.Adam([x], eps=-1.0), errors.ArgumentError, "eps"),
        (lambda x: optim.AdamW([x], weight_decay=-1.0), errors.ArgumentError, "AdamW: weight"),
        (lambda x: optim.RMSprop([x], alpha=-1.0), errors.ArgumentError, "alpha"),
        (lambda x: optim.Adagrad([x], lr_decay=-1.0), errors.ArgumentError, "lr_decay"),
    ],
)
def test_bad_arguments_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(parameter(1.0))


def test_momentum_switched_on_later_is_refused() -> None:
    x = parameter(1.0)
    optimizer = optim.SGD([x], lr=0.1)
    optimizer.param_groups[0]["momentum"] = 0.9
    x.sum().backward()
    with pytest.raises(errors.ArgumentError, match="momentum_buffer was switched on"):
        optimizer.step()
