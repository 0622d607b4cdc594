"""Checks of hyperparameters, with the same wording for all optimizers and schedules.

`SETTINGS` says which values a setting may have; a name means the same in every optimizer.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError, TraceError
from smelt.tensor import Tensor
from smelt.tensor.checked import described

__all__ = [
    "SETTINGS",
    "checked_key",
    "checked_setting",
    "fraction",
    "is_used",
    "not_negative",
    "number",
    "one_number",
    "per_group",
    "positive",
]

_OTHER_WORDS = {
    "learning_rate": "lr",
    "rate": "lr",
    "beta": "betas",
    "beta1": "betas",
    "beta2": "betas",
    "beta_1": "betas",
    "beta_2": "betas",
    "momentum": "betas",
    "decay": "weight_decay",
    "l2": "weight_decay",
    "wd": "weight_decay",
    "epsilon": "eps",
    "parameters": "params",
}


def number(owner: str, **settings: Any) -> None:
    """Raises ArgumentError for a setting that is not a finite number."""
    for name, value in settings.items():
        _number(owner, name, value)


def _number(owner: str, name: str, value: Any) -> float:
    if isinstance(value, Tensor):
        value = _number_in(owner, name, value)
    if not isinstance(value, (int, float, np.number)):
        raise ArgumentTypeError(f"{owner}: {name} must be a number, got {described(value)}")
    if not math.isfinite(value):
        raise ArgumentError(f"{owner}: {name} must be a finite number, got {value}")
    return float(value)


def one_number(owner: str, name: str, value: Tensor) -> None:
    """Raises ShapeError for a setting that is a tensor of more or fewer numbers than one."""
    if value.size != 1:
        raise ShapeError(f"{owner}: {name} must be one number, got a tensor of shape {value.shape}")


def _number_in(owner: str, name: str, value: Tensor) -> Any:
    one_number(owner, name, value)
    if value.is_traced:
        raise TraceError(
            f"{owner}: {name} cannot become a value of a compiled step; set it before the step"
        )
    return value.item()


def not_negative(owner: str, **settings: Any) -> None:
    """Raises ArgumentError for a setting below 0, or one that is not a finite number."""
    for name, value in settings.items():
        if _number(owner, name, value) < 0:
            raise ArgumentError(f"{owner}: {name} must not be negative, got {value}")


def positive(owner: str, **settings: Any) -> None:
    """Raises ArgumentError for a setting that is not above 0, or not a finite number."""
    for name, value in settings.items():
        if _number(owner, name, value) <= 0:
            raise ArgumentError(f"{owner}: {name} must be positive, got {value}")


def fraction(owner: str, **settings: Any) -> None:
    """Raises ArgumentError for a setting outside [0, 1], or one that is not a number."""
    for name, value in settings.items():
        if not 0 <= _number(owner, name, value) <= 1:
            raise ArgumentError(f"{owner}: {name} must lie in [0, 1], got {value}")


def per_group(owner: str, name: str, setting: Any, groups: int) -> tuple[Any, ...]:
    """Returns a setting for each group, given once or as a sequence; none may be negative.

    Raises:
        ArgumentError: there are more or fewer than groups, or one is out of range.
    """
    if isinstance(setting, (str, bytes)) or not isinstance(setting, Iterable):
        not_negative(owner, **{name: setting})
        return (setting,) * groups
    values = tuple(setting)
    if len(values) != groups:
        raise ArgumentError(
            f"{owner}: got {len(values)} values of {name} for {groups} groups of parameters"
        )
    not_negative(owner, **{f"{name}[{place}]": value for place, value in enumerate(values)})
    return values


def _betas(owner: str, **settings: Any) -> None:
    for name, value in settings.items():
        for place, beta in enumerate(_two_numbers(owner, name, value, "(0.9, 0.999)"), 1):
            if not 0 <= beta < 1:
                raise ArgumentError(f"{owner}: beta{place} must lie in [0, 1), got {beta}")


def _flag(owner: str, **settings: Any) -> None:
    for name, value in settings.items():
        if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
            raise ArgumentTypeError(
                f"{owner}: {name} must be True or False, got {described(value)}"
            )


def _two_numbers(owner: str, name: str, value: Any, example: str) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        shown = f"{len(value)} of them" if isinstance(value, (tuple, list)) else described(value)
        raise ArgumentTypeError(
            f"{owner}: {name} must be two numbers, such as {example}, got {shown}"
        )
    first, second = (_number(owner, f"{name}[{place}]", one) for place, one in enumerate(value))
    return first, second


def _etas(owner: str, **settings: Any) -> None:
    for name, value in settings.items():
        shrinking, growing = _two_numbers(owner, name, value, "(0.5, 1.2)")
        if not 0 < shrinking < 1 < growing:
            raise ArgumentError(f"{owner}: {name} must be below and above 1, got {value}")


def _bounds(owner: str, **settings: Any) -> None:
    for name, value in settings.items():
        least, most = _two_numbers(owner, name, value, "(1e-6, 50)")
        if not 0 <= least <= most:
            raise ArgumentError(f"{owner}: {name} must be a lower and an upper bound, got {value}")


SETTINGS: dict[str, Callable[..., None]] = {
    "alpha": fraction,
    "amsgrad": _flag,
    "betas": _betas,
    "centered": _flag,
    "dampening": number,
    "decoupled_weight_decay": _flag,
    "eps": not_negative,
    "etas": _etas,
    "initial_accumulator_value": not_negative,
    "initial_lr": not_negative,
    "lr": not_negative,
    "lr_decay": not_negative,
    "maximize": _flag,
    "momentum": not_negative,
    "momentum_decay": not_negative,
    "nesterov": _flag,
    "rho": fraction,
    "step_sizes": _bounds,
    "weight_decay": not_negative,
}


def checked_setting(owner: str, name: str, value: Any) -> Any:
    """Returns the value of a setting as a group holds it.

    Raises:
        ArgumentError: it is outside the setting's range, or of another kind.
    """
    check = SETTINGS.get(name)
    if check is not None:
        check(owner, **{name: value})
    return tuple(value) if check in (_betas, _bounds, _etas) else value


def checked_key(owner: str, name: Any, settings: Collection[str]) -> None:
    """Raises ArgumentError for a key of a group that is another spelling of a setting, or a setting
    of another optimizer. Any other key is the user's own.
    """
    if name in settings or not isinstance(name, str):
        return
    near = [_OTHER_WORDS[name.lower()]] if name.lower() in _OTHER_WORDS else []
    near += difflib.get_close_matches(name.lower(), settings, 1, 0.75)
    known = [one for one in near if one in settings]
    if near or name in SETTINGS:
        hint = f"; did you mean {known[0]!r}?" if known else f" (it has {', '.join(settings)})"
        raise ArgumentError(
            f"{owner}: a group has {name!r}, which is not one of its settings{hint}"
        )


def is_used(setting: Any) -> bool:
    """Returns whether a setting takes effect: not 0, or a tensor, whose value may change."""
    return isinstance(setting, Tensor) or setting != 0
