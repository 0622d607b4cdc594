"""Checks of a layer's settings, with one wording for all layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError
from smelt.tensor import Tensor

__all__ = ["check_floats", "sizes", "switches"]


def check_floats(layer: object, **given: Tensor) -> None:
    """Raises DTypeError for integers where a layer computes with vectors of floats."""
    for name, x in given.items():
        if x.dtype.kind == "int":
            raise DTypeError(
                f"{type(layer).__name__}: {name} {x.shape} is {x.dtype.name}; make vectors of "
                "tokens by an nn.Embedding first (numbers become floats by .float())"
            )


def sizes(layer: object, **given: Any) -> None:
    """Raises ArgumentError for an extent that is no whole number, or negative."""
    for name, size in given.items():
        if not isinstance(size, (int, np.integer)) or size < 0:
            raise ArgumentError(
                f"{type(layer).__name__}: {name} must be a whole number and not negative, "
                f"got {size!r}"
            )


def switches(layer: object, **given: Any) -> None:
    """Raises ArgumentTypeError for a switch that is no bool, as a number in its place."""
    for name, switch in given.items():
        if not isinstance(switch, (bool, np.bool_)):
            raise ArgumentTypeError(
                f"{type(layer).__name__}: {name} must be True or False, got {switch!r}"
            )
