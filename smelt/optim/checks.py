"""Checks of hyper-parameters, with one wording for all optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.tensor import Tensor
from smelt.tensor.checked import described

__all__ = ["fraction", "fractions", "is_used", "not_negative", "pair"]


def not_negative(owner: str, **settings: Any) -> None:
    """Raises ArgumentError for a setting below 0 (or nan)."""
    for name, value in settings.items():
        if isinstance(value, Tensor):
            continue
        if not isinstance(value, (int, float, np.number)):
            raise ArgumentTypeError(f"{owner}: {name} must be a number, got {described(value)}")
        if not value >= 0:
            raise ArgumentError(f"{owner}: {name} must not be negative, got {value}")


def fraction(owner: str, **settings: Any) -> None:
    """Raises ArgumentError for a setting outside [0, 1)."""
    for name, value in settings.items():
        if not isinstance(value, (int, float, np.number, Tensor)):
            raise ArgumentTypeError(f"{owner}: {name} must be a number, got {described(value)}")
        if not 0 <= value < 1:
            raise ArgumentError(f"{owner}: {name} must lie in [0, 1), got {value}")


def pair(owner: str, **setting: Any) -> tuple[Any, Any]:
    """Returns a setting that is two numbers.

    Raises:
        ArgumentTypeError: it is something else.
    """
    ((name, value),) = setting.items()
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        shown = f"{len(value)} of them" if isinstance(value, (tuple, list)) else described(value)
        raise ArgumentTypeError(f"{owner}: {name} must be two numbers, got {shown}")
    return value[0], value[1]


def fractions(owner: str, **setting: Any) -> tuple[Any, Any]:
    """Returns a setting that is two numbers in [0, 1).

    Raises:
        ArgumentError: it is something else.
    """
    ((name, _),) = setting.items()
    first, second = pair(owner, **setting)
    fraction(owner, **{f"{name}[0]": first, f"{name}[1]": second})
    return first, second


def is_used(setting: Any) -> bool:
    """Returns whether a setting takes effect: not 0, or a tensor, whose value may change."""
    return isinstance(setting, Tensor) or setting != 0
