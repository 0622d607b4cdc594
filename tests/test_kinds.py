"""What Python would take for true or false: every argument that is True or False refuses the rest.

A walk over all public functions, constructors and methods finds these arguments by their
annotations, so that a new one is held to it, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import autograd, data, export, nn, optim
from smelt.errors import ArgumentTypeError
from smelt.optim import lr_scheduler

ROOMS: tuple[ModuleType, ...] = (
    *(smelt, F, nn, optim, lr_scheduler, data, autograd, export, nn.utils, nn.init),
)
# what is checked where it is used, or has no effect
ELSEWHERE = {
    "Tensor.__init__",  # the fields of a tensor, made by every operation
    "Methods.to",  # copy changes no value, and non_blocking nothing
    "settings.__init__",
    "set_grad_enabled.__init__",
    "Parameter.__init__",
    *("Descent.__init__", "TorchModule.__init__", "Part.__init__"),  # results
}
FLAGS = ("bool", "bool | None")


def flags_of(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if str(one.annotation) in FLAGS]


def methods_of(kind: type) -> Iterator[tuple[str, FunctionType]]:
    for base in kind.__mro__:
        for name, value in vars(base).items():
            public = not name.startswith("_") or name == "__init__"
            if public and isinstance(value, FunctionType) and base.__module__.startswith("smelt"):
                yield f"{base.__name__}.{name}", value


def with_flags() -> dict[str, FunctionType]:
    """Every public function of Smelt's with an argument that is True or False."""
    found: dict[str, FunctionType] = {}
    for room in ROOMS:
        for name in room.__all__:
            value = getattr(room, name)
            if isinstance(value, FunctionType):
                found[f"{room.__name__}.{name}"] = value
            elif isinstance(value, type) and value.__module__.startswith("smelt"):
                found |= dict(methods_of(value))
    return {name: one for name, one in found.items() if flags_of(one) and name not in ELSEWHERE}


FUNCTIONS = with_flags()


def test_the_walk_finds_them() -> None:
    assert len(FUNCTIONS) > 100
    wanted = {"smelt.sum", "LSTM.__init__", "SGD.__init__", "Module.train", "CompiledStep.over"}
    assert wanted | {"MultiheadAttention.forward", "Tensor.backward"} <= FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_flag_is_true_or_false(name: str) -> None:
    """The flag is looked at before anything else, so the other arguments do not matter."""
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters
    needed = [
        one.name
        for one in parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    for flag in flags_of(function):
        for value in ("False", 2, "", [], smelt.ones(2)):
            options = dict.fromkeys(needed, smelt.ones(1)) | {flag: value}
            arguments = [options.pop(first) for first in needed[:1] if first != flag]
            with pytest.raises(ArgumentTypeError, match=rf"{flag} must be True or False"):
                function(*arguments, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.LSTM(2, 3, batch_first="False"), "LSTM: batch_first must be True or False"),
        (lambda: nn.BatchNorm1d(2, affine=2), "BatchNorm1d: affine must be True or False, got 2"),
        (lambda: nn.GRU(2, 3, bidirectional=None), "GRU: bidirectional must be .*, got None"),
        (lambda: nn.Linear("2", 3), "Linear: in_features must be a whole number, got '2'"),
        (lambda: nn.Dropout("0.5"), "Dropout: p must be a number, got '0.5'"),
        (lambda: nn.LeakyReLU("x"), "LeakyReLU: negative_slope must be a number"),
        (lambda: optim.SGD([nn.Parameter(smelt.ones(1))], dampening="0"), "SGD: dampening must be"),
        (lambda: nn.ReLU().train("no"), "ReLU.train: mode must be True or False, got 'no'"),
        (lambda: smelt.ones(2, 2).sum(0, 1), "keepdim must be .*; give several axes as one tuple"),
        (lambda: smelt.set_grad_enabled("no"), "set_grad_enabled: mode must be True or False"),
    ],
)
def test_errors_name_the_argument(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=message):
        call()


@pytest.mark.parametrize("name", ["check_nan", "compile", "full_traceback", "verify"])
def test_settings_are_true_or_false(name: str) -> None:
    with pytest.raises(smelt.errors.ArgumentError, match=f"{name} must be True or False, got 'no'"):
        smelt.settings(**{name: "no"})


def test_numpy_has_bools_too() -> None:
    assert nn.Linear(2, 3, bias=np.bool_(False)).bias is None
    assert smelt.ones(2, 2).sum(0, keepdim=np.bool_(True)).shape == (1, 2)
