"""Schedules against stored rates of PyTorch's; resuming, errors."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import errors, nn, optim
from smelt.optim import lr_scheduler
from tests.references.optimizer_cases import SCHEDULES, TOGETHER, metric, trajectory
from tests.references.running import ENGINES, on

KNOWN = np.load(pathlib.Path(__file__).parents[1] / "references" / "optimizers.npz")


def sgd(lr: float = 0.5, momentum: float = 0.9) -> optim.SGD:
    return optim.SGD([nn.Parameter(smelt.ones(3))], lr=lr, momentum=momentum)


def schedule(optimizer: optim.Optimizer, kind: str, options: dict[str, Any]) -> Any:
    if kind != "SequentialLR":
        return getattr(lr_scheduler, kind)(optimizer, **options)
    parts = [getattr(lr_scheduler, name)(optimizer, **own) for name, own in options["schedulers"]]
    return lr_scheduler.SequentialLR(optimizer, parts, options["milestones"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_pytorchs(name: str, engine: str) -> None:
    kind, options = SCHEDULES[name]
    optimizer = sgd()
    group = optimizer.param_groups[0]
    scheduler = schedule(optimizer, kind, options)

    def step(value: smelt.Tensor) -> smelt.Tensor:
        scheduler.step(*([value] if kind == "ReduceLROnPlateau" else []))
        return group["lr"] * 1.0

    run = on(engine, step)
    seen = [(float(group["lr"]), float(group["momentum"]))]
    for number in range(59):
        run(smelt.tensor(metric(number), dtype="float64"))
        seen.append((float(group["lr"]), float(group["momentum"])))
    np.testing.assert_allclose(seen, KNOWN[f"schedule/{name}"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TOGETHER)
def test_schedules_together_are_pytorchs(name: str, engine: str) -> None:
    def advance(schedules: list[Any]) -> Any:
        def step(value: smelt.Tensor) -> smelt.Tensor:
            for one in schedules:
                wants = isinstance(one, lr_scheduler.ReduceLROnPlateau)
                one.step(*([value] if wants else []))
            return value

        run = on(engine, step)
        return lambda number: run(smelt.tensor(number, dtype="float64"))

    seen = trajectory(TOGETHER[name], optim, lambda: nn.Parameter(smelt.ones(2)), advance)
    np.testing.assert_allclose(seen, KNOWN[f"together/{name}"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["cosine", "cycle", "sequential", "plateau"])
def test_resumes_exactly(name: str) -> None:
    def advance(scheduler: Any, first: int, steps: int) -> None:
        for number in range(first, first + steps):
            scheduler.step(*([metric(number)] if name == "plateau" else []))

    optimizer, other = sgd(), sgd()
    scheduler = schedule(optimizer, *SCHEDULES[name])
    advance(scheduler, 0, 11)
    resumed = schedule(other, *SCHEDULES[name])
    resumed.load_state_dict({k: v.numpy().copy() for k, v in scheduler.state_dict().items()})
    other.load_state_dict(optimizer.state_dict())
    advance(scheduler, 11, 20)
    advance(resumed, 11, 20)
    assert scheduler.get_last_lr()[0].item() == resumed.get_last_lr()[0].item()
    assert scheduler.last_epoch.item() == 31


def test_each_group_keeps_its_first_rate() -> None:
    groups = [{"params": nn.Parameter(smelt.ones(1)), "lr": lr} for lr in (1.0, 0.1)]
    scheduler = lr_scheduler.ExponentialLR(optim.SGD(groups), 0.5)
    scheduler.step()
    assert [rate.item() for rate in scheduler.get_last_lr()] == [0.5, 0.05]


def test_last_rates_keep_their_value() -> None:
    scheduler = lr_scheduler.ExponentialLR(sgd(), 0.5)
    (before,) = scheduler.get_last_lr()
    scheduler.step()
    assert before.item() == 0.5


def test_one_lambda_per_group() -> None:
    groups = [{"params": nn.Parameter(smelt.ones(1))} for _ in range(2)]
    scheduler = lr_scheduler.LambdaLR(optim.SGD(groups, lr=1.0), [lambda t: t, lambda t: 2.0])
    scheduler.step()
    assert [rate.item() for rate in scheduler.get_last_lr()] == [1.0, 2.0]


def test_cycle_moves_beta1() -> None:
    optimizer = optim.Adam([nn.Parameter(smelt.ones(1))])
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    assert optimizer.param_groups[0]["betas"][0].item() == 0.95
    scheduler.step()
    scheduler.step()
    assert optimizer.param_groups[0]["betas"][0].item() == pytest.approx(0.85)
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_training_with_a_cycle_is_pytorchs_formula(engine: str) -> None:
    x = nn.Parameter(smelt.ones(2, dtype="float64"))
    optimizer = optim.SGD([x], lr=1.0, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=8)

    def step() -> smelt.Tensor:
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    run, expected, b = on(engine, step), np.ones(2), np.zeros(2)
    for _ in range(8):
        lr, momentum = (float(optimizer.param_groups[0][name]) for name in ("lr", "momentum"))
        b = momentum * b + 2 * expected
        expected = expected - lr * b
        run()
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_cycle_ends(engine: str) -> None:
    optimizer = sgd()
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=2)

    def step() -> smelt.Tensor:
        scheduler.step()
        return optimizer.param_groups[0]["lr"] * 1.0

    run = on(engine, step)
    run()
    run()
    with pytest.raises(errors.ArgumentError, match="more steps than total_steps=2"):
        run()
    assert scheduler.last_epoch.item() == 2


def test_changed_setting_shows_in_the_fingerprint() -> None:
    scheduler = lr_scheduler.ExponentialLR(sgd(), 0.5)
    before, version = scheduler.fingerprint(), smelt.guards.version()
    scheduler.gamma = 0.25
    assert scheduler.fingerprint() != before
    assert smelt.guards.version() != version


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: lr_scheduler.StepLR(nn.ReLU(), 1), "StepLR needs an optimizer, got a ReLU"),
        (lambda o: lr_scheduler.LambdaLR(nn.ReLU(), abs), "needs an optimizer"),
        (lambda o: lr_scheduler.OneCycleLR(nn.ReLU(), 0.1, 5), "needs an optimizer"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(nn.ReLU()), "needs an optimizer"),
        (
            lambda o: lr_scheduler.SequentialLR(nn.ReLU(), [lr_scheduler.ConstantLR(o)], []),
            "SequentialLR needs an optimizer",
        ),
        (lambda o: lr_scheduler.StepLR(o, 0), "step_size must be positive"),
        (lambda o: lr_scheduler.StepLR(o, 5, last_epoch=3), "has no initial_lr"),
        (lambda o: lr_scheduler.StepLR(o, 5, last_epoch=-2), "last_epoch must be"),
        (lambda o: lr_scheduler.ConstantLR(o, 1.5), r"factor must lie in \[0, 1\]"),
        (lambda o: lr_scheduler.LinearLR(o, 2.0), "start_factor must lie in"),
        (lambda o: lr_scheduler.MultiplicativeLR(o, [3]), "must be a function, got a int"),
        (lambda o: lr_scheduler.ChainedScheduler([]), "give at least one schedule"),
        (lambda o: lr_scheduler.ChainedScheduler([3]), "got a int"),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ReduceLROnPlateau(o)], []),
            "a ReduceLROnPlateau, whose step cannot be called without a metric",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(sgd())], []),
            "belongs to another optimizer",
        ),
        (lambda o: lr_scheduler.LinearLR(o, total_iters=0), "total_iters"),
        (lambda o: lr_scheduler.PolynomialLR(o, total_iters=0), "total_iters"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), "2 functions for 1 groups"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1), "total_steps"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=0), "positive"),
        (
            lambda o: lr_scheduler.OneCycleLR(o, [0.1, 0.2], 5),
            "got 2 values of max_lr for 1 groups",
        ),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 5, anneal_strategy="sin"), "sin"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 5, pct_start=2.0), "pct_start"),
        (lambda o: lr_scheduler.OneCycleLR(sgd(momentum=0.0), 0.1, 5), "made without one"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="low"), "low"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), "factor"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.0, 0.1]), "got 2 values of min_lr"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o)], [3]), "0 rising"),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o)] * 3, [3, 3]),
            "rising",
        ),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        make(sgd())


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.LambdaLR(o, [lambda t: t]),
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, 5),
        lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1]),
    ],
)
def test_a_later_group_without_its_setting_is_refused(make: Any) -> None:
    optimizer = sgd()
    scheduler = make(optimizer)
    optimizer.add_param_group({"params": [nn.Parameter(smelt.ones(1))]})
    with pytest.raises(errors.ArgumentError, match="group 1 was added to the optimizer later"):
        scheduler.step(*([1.0] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))


def test_a_rate_of_several_numbers_is_refused() -> None:
    with pytest.raises(errors.ShapeError, match="one number"):
        optim.SGD([nn.Parameter(smelt.ones(1))], lr=smelt.tensor([0.1, 0.2]))


def test_an_optimizer_with_a_first_rate_loads_into_one_without() -> None:
    optimizer, other = sgd(), sgd()
    lr_scheduler.ConstantLR(optimizer)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["initial_lr"].item() == 0.5
    assert lr_scheduler.StepLR(other, 2, last_epoch=4).last_epoch.item() == 5


def test_loading_another_schedules_state_is_refused() -> None:
    scheduler = lr_scheduler.ExponentialLR(sgd(), 0.5)
    state = lr_scheduler.ReduceLROnPlateau(sgd()).state_dict()
    with pytest.raises(errors.StateError, match="best"):
        scheduler.load_state_dict(state)
