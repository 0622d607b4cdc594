"""Settings of optimizers, arguments of schedules: what is out of range is refused everywhere."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import pytest

import smelt
from smelt import errors, nn, optim
from smelt.optim import lr_scheduler
from smelt.optim.checks import SETTINGS


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(smelt.tensor(list(values)))


def sgd() -> optim.SGD:
    return optim.SGD([parameter(1.0)], lr=0.5, momentum=0.9)


CLASSES = [optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad, optim.RMSprop]
BELOW = -1.5
WRONG = ["x", None, float("nan"), float("inf"), BELOW, [1.0], smelt.tensor([0.1, 0.2]), 1j]
PLACES: dict[str, Callable[..., object]] = {
    "made": lambda kind, name, value: kind([parameter(1.0)], **{name: value}),
    "group": lambda kind, name, value: kind([{"params": parameter(1.0), name: value}]),
    "added": lambda kind, name, value: kind([parameter(1.0)]).add_param_group(
        {"params": parameter(2.0), name: value}
    ),
    "assigned": lambda kind, name, value: operator.setitem(
        kind([parameter(1.0)]).param_groups[0], name, value
    ),
    "updated": lambda kind, name, value: (
        kind([parameter(1.0)]).param_groups[0].update({name: value})
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", CLASSES)
def test_no_setting_takes_a_value_out_of_its_range(kind: Any, place: str) -> None:
    names = kind([parameter(1.0)]).defaults
    assert set(names) <= set(SETTINGS)
    for name, value in itertools.product(names, WRONG):
        if name != "dampening" or value is not BELOW:
            with pytest.raises(errors.SmeltError, match=name[:4]):
                PLACES[place](kind, name, value)


@pytest.mark.parametrize("place", ["group", "added", "assigned", "updated"])
@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (optim.SGD, "learning_rate", "did you mean 'lr'"),
        (optim.Adam, "beta1", "did you mean 'betas'"),
        (optim.AdamW, "weigth_decay", "did you mean 'weight_decay'"),
        (optim.RMSprop, "LR", "did you mean 'lr'"),
        (optim.SGD, "betas", r"not one of its settings \(it has lr, momentum"),
        (optim.Adam, "momentum", "not one of its settings; did you mean 'betas'"),
        (optim.Adam, "rho", r"not one of its settings \(it has lr, betas"),
        (optim.Adagrad, "beta1", "not one of its settings"),
    ],
)
def test_a_key_that_is_meant_for_a_setting_is_refused(
    kind: Any, name: str, message: str, place: str
) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        PLACES[place](kind, name, 0.5)


def test_other_keys_of_a_group_are_the_users() -> None:
    optimizer = optim.Adam([{"params": parameter(1.0), "name": "decoder", "lr_scale": 0.5}])
    group = optimizer.param_groups[0]
    group["layer"] = 3
    assert (group["name"], group["lr_scale"], group["layer"]) == ("decoder", 0.5, 3)


def test_a_refused_value_changes_nothing() -> None:
    optimizer = optim.Adam([parameter(1.0)], lr=0.25)
    group = optimizer.param_groups[0]
    for name, value in (("lr", float("nan")), ("eps", -1.0), ("betas", (0.9, 1.0))):
        with pytest.raises(errors.ArgumentError):
            group[name] = value
    assert (group["lr"].item(), group["eps"], group["betas"]) == (0.25, 1e-8, (0.9, 0.999))
    group["betas"] = [0.5, 0.75]
    assert group["betas"] == (0.5, 0.75)


def test_nesterov_is_checked_in_every_group() -> None:
    with pytest.raises(errors.ArgumentError, match="nesterov needs a momentum"):
        optim.SGD([{"params": parameter(1.0), "nesterov": True}])


def test_a_state_dict_with_values_out_of_range_is_refused() -> None:
    optimizer = optim.Adam([parameter(1.0)], lr=0.25)
    state = {name: value.clone() for name, value in optimizer.state_dict().items()}
    state["param_groups.0.lr"] = smelt.tensor(0.5, dtype=smelt.float64)
    state["param_groups.0.betas.1"] = smelt.tensor(2.0)
    with pytest.raises(errors.StateError, match=r"betas\.1: Adam: beta2 must lie in"):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"].item() == 0.25


def test_a_setting_does_not_become_a_value_of_a_step() -> None:
    optimizer = optim.SGD([parameter(1.0)], lr=0.25)

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        optimizer.param_groups[0]["weight_decay"] = x
        return x

    with pytest.raises(errors.TraceError, match="set it before the step"):
        step(smelt.ones(()))


ARGUMENTS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2, "gamma": 0.1},
    "MultiStepLR": {"milestones": [1], "gamma": 0.1},
    "ExponentialLR": {"gamma": 0.1},
    "ConstantLR": {"factor": 0.5, "total_iters": 3},
    "LinearLR": {"start_factor": 0.5, "end_factor": 0.5, "total_iters": 3},
    "PolynomialLR": {"total_iters": 3, "power": 1.0},
    "CosineAnnealingLR": {"T_max": 3, "eta_min": 0.0},
    "ReduceLROnPlateau": {
        "mode": "min",
        "factor": 0.5,
        "patience": 2,
        "threshold": 0.1,
        "threshold_mode": "rel",
        "cooldown": 1,
        "min_lr": 0.0,
        "eps": 0.1,
    },
    "OneCycleLR": {
        "max_lr": 0.1,
        "total_steps": 5,
        "pct_start": 0.3,
        "anneal_strategy": "cos",
        "base_momentum": 0.8,
        "max_momentum": 0.9,
        "div_factor": 10.0,
        "final_div_factor": 10.0,
    },
    "LambdaLR": {"lr_lambda": lambda t: 1.0},
    "MultiplicativeLR": {"lr_lambda": lambda t: 1.0},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_argument_takes_a_value_out_of_its_range(name: str) -> None:
    kind, arguments = getattr(lr_scheduler, name), ARGUMENTS[name]
    kind(sgd(), **arguments)
    wrong = ["x", None, float("nan"), float("inf"), ["x"], [float("nan")], 1j]
    for argument in arguments:
        for value in wrong:
            with pytest.raises(errors.ArgumentError):
                kind(sgd(), **{**arguments, argument: value})


@pytest.mark.parametrize(
    ("name", "argument", "value", "message"),
    [
        ("StepLR", "gamma", -0.1, "StepLR: gamma must not be negative"),
        ("ExponentialLR", "gamma", -0.1, "gamma must not be negative"),
        ("MultiStepLR", "milestones", [1, "2"], "must be a sequence of whole numbers"),
        ("CosineAnnealingLR", "eta_min", -1.0, "eta_min must not be negative"),
        ("ReduceLROnPlateau", "patience", -1, "patience must not be negative"),
        ("ReduceLROnPlateau", "min_lr", [-1.0], r"min_lr\[0\] must not be negative"),
        ("OneCycleLR", "total_steps", 2.5, "must be a whole number"),
        ("OneCycleLR", "max_lr", -1.0, "max_lr must not be negative"),
        ("OneCycleLR", "div_factor", 0.0, "div_factor must be positive"),
    ],
)
def test_what_is_wrong_is_named(name: str, argument: str, value: Any, message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        getattr(lr_scheduler, name)(sgd(), **{**ARGUMENTS[name], argument: value})


@pytest.mark.parametrize(
    ("kind", "keyword", "hint"),
    [
        (
            optim.Adam,
            "momentum",
            "did you mean 'betas' for 'momentum' (the first of its two numbers)",
        ),
        (
            optim.AdamW,
            "beta_2",
            "did you mean 'betas' for 'beta_2' (the second of its two numbers)",
        ),
        (optim.Adam, "learning_rate", "did you mean 'lr' for 'learning_rate'"),
        (optim.AdamW, "decay", "did you mean 'weight_decay' for 'decay'"),
        (optim.Adagrad, "epsilon", "did you mean 'eps' for 'epsilon'"),
        (optim.RMSprop, "rho", "did you mean 'alpha' for 'rho'"),
        (optim.SGD, "Nesterov", "did you mean 'nesterov' for 'Nesterov'"),
        (optim.Adagrad, "momentum", "it takes (params, lr, lr_decay"),
    ],
)
def test_settings_of_other_libraries_get_the_names_here(kind: Any, keyword: str, hint: str) -> None:
    with pytest.raises(errors.ArgumentTypeError) as caught:
        kind([parameter(1.0)], **{keyword: 0.9})
    assert f"unexpected keyword argument {keyword!r}; {hint}" in caught.value.message
