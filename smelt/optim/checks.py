"""Checks of hyper-parameters, with one wording for all optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.tensor import Tensor
from smelt.tensor.checked import described

__all__ = ["fraction", "is_used", "not_negative"]


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
        if not 0 <= value < 1:
            raise ArgumentError(f"{owner}: {name} must lie in [0, 1), got {value}")


def is_used(setting: Any) -> bool:
    """Returns whether a setting takes effect: not 0, or a tensor, whose value may change."""
    return isinstance(setting, Tensor) or setting != 0
