"""Compares learning-rate schedules with PyTorch's: alone, together, resumed, changed by hand."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import smelt
from smelt import nn, optim
from tests.oracle.derivatives import compare
from tests.oracle.outcome import Case, Tally

STEPS = 26
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "StepLR": [{"step_size": 1}, {"step_size": 4, "gamma": 0.5}, {"step_size": 30}],
    "MultiStepLR": [{"milestones": [3, 3, 9], "gamma": 0.5}, {"milestones": [0, 2]}],
    "ConstantLR": [{}, {"factor": 0.25, "total_iters": 9}, {"factor": 1.0, "total_iters": 0}],
    "LinearLR": [
        {},
        {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 7},
        {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 10},
    ],
    "ExponentialLR": [{"gamma": 0.9}, {"gamma": 1.1}],
    "PolynomialLR": [{}, {"total_iters": 12, "power": 1.7}, {"total_iters": 30, "power": 0.5}],
    "CosineAnnealingLR": [{"T_max": 23, "eta_min": 0.01}, {"T_max": 5}, {"T_max": 1}],
    "LambdaLR": [
        {"lr_lambda": lambda t: 0.95**t},
        {"lr_lambda": [lambda t: 1 / (1 + t), lambda t: t * 0.5]},
    ],
    "MultiplicativeLR": [{"lr_lambda": lambda t: 0.95}, {"lr_lambda": lambda t: 1 - 1 / (2 + t)}],
    "OneCycleLR": [
        {"max_lr": 0.4, "total_steps": 30},
        {"max_lr": [0.4, 0.1], "epochs": 5, "steps_per_epoch": 8, "anneal_strategy": "linear"},
        {"max_lr": 0.4, "total_steps": 28, "three_phase": True, "div_factor": 10.0},
        {"max_lr": 0.2, "total_steps": 40, "cycle_momentum": False, "final_div_factor": 50.0},
        {"max_lr": 0.2, "total_steps": 40, "base_momentum": [0.5, 0.6], "max_momentum": 0.7},
    ],
    "ReduceLROnPlateau": [
        {"patience": 1, "factor": 0.5},
        {"mode": "max", "patience": 0, "cooldown": 2, "threshold_mode": "abs", "min_lr": 0.01},
        {"patience": 0, "factor": 0.3, "min_lr": [0.1, 0.2], "threshold": 0.1, "eps": 0.05},
    ],
}  # fmt: skip
Make = Callable[[Any, Any], list[Any]]


@dataclass(frozen=True)
class Plan:
    """Schedules on one optimizer, and what else happens to its rates.

    Args:
        name: the class under test.
        text: the plan in words.
        make: makes the schedules from a module of schedules and an optimizer.
        event: what happens besides steps.
    """

    name: str
    text: str
    make: Make
    event: str = ""


def single() -> Iterator[tuple[str, str, Make]]:
    for name, settings in SETTINGS.items():
        for own in settings:
            text = ", ".join(f"{key}={value}" for key, value in own.items() if key != "lr_lambda")
            yield (
                name,
                f"{name}({text})",
                lambda room, opt, n=name, s=own: [getattr(room, n)(opt, **s)],
            )


def plans() -> Iterator[Plan]:
    """Yields every plan: single schedules with every event, pairs of kinds in four ways."""
    singles = list(single())
    for name, text, make in singles:
        for event in ("", "by hand", "resumed", "group added"):
            yield Plan(name, text, make, event)
        if name not in ("ReduceLROnPlateau", "OneCycleLR"):
            yield Plan(name, text, make, "last_epoch")
    kinds = {name: (text, make) for name, text, make in singles}
    for (one, (text1, make1)), (other, (text2, make2)) in itertools.product(
        kinds.items(), repeat=2
    ):
        both = lambda room, opt, a=make1, b=make2: [*a(room, opt), *b(room, opt)]  # noqa: E731
        yield Plan(one, f"{text1} and {text2}", both)
        if "ReduceLROnPlateau" in (one, other):
            continue
        for event in ("", "by hand", "resumed"):
            yield Plan("SequentialLR", f"{text1} then {text2}", _in_turn(both, [6]), event)
        yield Plan("ChainedScheduler", f"{text1} with {text2}", _chained(both), "by hand")
        third = kinds["OneCycleLR"][1]
        three = lambda room, opt, a=both, b=third: [*a(room, opt), *b(room, opt)]  # noqa: E731
        yield Plan("SequentialLR", f"{text1}, {text2}, cycle", _in_turn(three, [3, 9]))


def _in_turn(parts: Make, milestones: list[int]) -> Make:
    return lambda room, opt: [room.SequentialLR(opt, parts(room, opt), milestones)]


def _chained(parts: Make) -> Make:
    return lambda room, opt: [room.ChainedScheduler(parts(room, opt))]


def metric(step: int) -> float:
    """Returns a metric that falls, rests, rises and rests again."""
    return math.cos(step / 4.0) + 0.3 * math.sin(step)


def optimizer_of(room: Any, parameter: Callable[[], Any]) -> Any:
    groups = [{"params": [parameter()], "lr": 0.5}, {"params": [parameter()], "lr": 0.3}]
    return room.SGD(groups, momentum=0.9)


def trajectory(
    plan: Plan, room: Any, parameter: Callable[[], Any], compiled: bool = False
) -> list[float]:
    """Returns rates, momenta and the schedules' last rates after each step of a plan."""
    optimizer = optimizer_of(room, parameter)
    if plan.event == "last_epoch":
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"] * 2
        schedules = plan.make(_Resumed(room.lr_scheduler, 4), optimizer)
    else:
        schedules = plan.make(room.lr_scheduler, optimizer)
    advance = _advance(schedules, compiled)
    seen: list[float] = []
    for step in range(STEPS):
        seen += _shown(optimizer, schedules)
        if step in (5, 11) and plan.event == "by hand":
            optimizer.param_groups[1]["lr"] = 0.07
        if step == 7 and plan.event == "group added":
            optimizer.add_param_group({"params": [parameter()], "lr": 0.2})
        if step == 8 and plan.event == "resumed":
            optimizer, schedules = _resumed(plan, room, parameter, optimizer, schedules)
            advance = _advance(schedules, compiled)
        optimizer.step()
        advance(metric(step))
    return seen


class _Resumed:
    """A module of schedules that makes them with a `last_epoch`."""

    def __init__(self, room: Any, last_epoch: int) -> None:
        self.room, self.last_epoch = room, last_epoch

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **settings: getattr(self.room, name)(
            *given, **settings, last_epoch=self.last_epoch
        )


def _resumed(
    plan: Plan, room: Any, parameter: Any, optimizer: Any, schedules: list[Any]
) -> tuple[Any, list[Any]]:
    states = [schedule.state_dict() for schedule in schedules]
    fresh = optimizer_of(room, parameter)
    others = plan.make(room.lr_scheduler, fresh)
    for schedule, state in zip(others, states, strict=True):
        schedule.load_state_dict(state)
    fresh.load_state_dict(optimizer.state_dict())
    return fresh, others


def _advance(schedules: list[Any], compiled: bool) -> Callable[[float], None]:
    def step(value: Any) -> Any:
        for schedule in schedules:
            wants = type(schedule).__name__ == "ReduceLROnPlateau"
            schedule.step(*([value] if wants else []))
        return value

    if not compiled:
        return step
    fast = smelt.compile(step)
    return lambda value: fast(smelt.tensor(value, dtype=smelt.float64))


def _shown(optimizer: Any, schedules: list[Any]) -> list[float]:
    groups = [float(group[key]) for group in optimizer.param_groups for key in ("lr", "momentum")]
    return groups + [float(rate) for schedule in schedules for rate in schedule.get_last_lr()]


def walk(tally: Tally, names: Callable[[str], bool], checks: set[str], limit: int) -> None:
    """Compares all plans of the schedules whose class's name `names` accepts."""
    for name, chosen in itertools.groupby(sorted(plans(), key=lambda p: p.name), lambda p: p.name):
        every = list(chosen) if names(name) else []
        for plan in every[:: max(1, len(every) // limit)][:limit]:
            _compare_plan(tally, plan, checks)


def _compare_plan(tally: Tally, plan: Plan, checks: set[str]) -> None:
    text = f"{plan.text} {plan.event}"
    case = Case("lr_scheduler", plan.name, plan.name, "float64", "value", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = trajectory(
                plan, torch.optim, lambda: torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
            )
    except (ArithmeticError, KeyError, RuntimeError, ValueError):
        tally.skip(case)  # PyTorch refuses it
        return
    parameter = lambda: nn.Parameter(smelt.ones(2, dtype=smelt.float64))  # noqa: E731
    for check, compiled in (("value", False), ("compiled", True)):
        if check in checks:
            call = partial(_array_by_smelt, plan, parameter, compiled)
            here = replace(case, check=check)
            compare(tally, here, call, torch.tensor(expected, dtype=torch.float64))


def _array_by_smelt(plan: Plan, parameter: Callable[[], Any], compiled: bool) -> Any:
    return smelt.tensor(np.array(trajectory(plan, optim, parameter, compiled)))
