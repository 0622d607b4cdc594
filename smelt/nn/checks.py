"""Checks of a layer's settings, with one wording for all layers."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, DepthError, DTypeError
from smelt.location import running
from smelt.nn.hooks import KINDS
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["check_container", "check_depth", "check_floats", "sizes", "switches"]

BOOKS = frozenset(("_buffers", "_held", *KINDS))  # attributes in which a module keeps its own
FIRST_ITEMS = 256  # of a container that are looked at: more than a model has layers in a list
MANY_MODULES = 40  # more than a model has within each other on purpose


def check_depth(error: RecursionError) -> None:
    """Raises Smelt's error for modules that are nested too deep, once Python has enough stack for
    it.

    Every module that the error passes on its way up calls this. For a function that calls itself
    within one module, Python's own error is kept.

    Raises:
        DepthError: the error has passed through many modules.
    """
    deepest: list[str] = vars(error).setdefault("modules", list(running.modules))
    if isinstance(error, DepthError) or len(deepest) - len(running.modules) < MANY_MODULES:
        return
    raise DepthError(
        f"modules are nested {len(deepest)} deep, more than Python's recursion limit of "
        f"{sys.getrecursionlimit()} allows; does a module call itself in its forward()? Otherwise "
        "put the layers into one nn.Sequential or nn.ModuleList, which call them one after the "
        "other, or raise the limit with sys.setrecursionlimit()"
    ) from None


def check_floats(layer: object, **given: Tensor) -> None:
    """Raises DTypeError for integers if a layer computes with vectors of floats."""
    for name, x in given.items():
        if x.dtype.kind == "int":
            raise DTypeError(
                f"{type(layer).__name__}: {name} {x.shape} must be float, got {x.dtype.name}; turn "
                "tokens into vectors with an nn.Embedding first, or numbers into floats with "
                ".float()"
            )


def sizes(layer: object, **given: Any) -> None:
    """Raises ArgumentError for a size that is not an integer, or is negative."""
    for name, size in given.items():
        if not isinstance(size, (int, np.integer)) or size < 0:
            raise ArgumentError(
                f"{type(layer).__name__}: {name} must be a whole number and not negative, "
                f"got {size!r}"
            )


def switches(layer: object, **given: Any) -> None:
    """Raises ArgumentTypeError for a flag that is not a bool, such as a number."""
    for name, switch in given.items():
        if not isinstance(switch, (bool, np.bool_)):
            raise ArgumentTypeError(
                f"{type(layer).__name__}: {name} must be True or False, got {switch!r}"
            )


def check_containers(module: object) -> None:
    """Refuses the plain containers among a module's attributes in which modules or parameters are
    by now.
    """
    for name, value in vars(module).items():
        if isinstance(value, (list, tuple, dict)) and name not in BOOKS:
            check_container(type(module).__name__, name, value)


def check_container(owner: str, name: str, value: Any) -> None:
    """Raises an error for modules and parameters in plain containers, where nothing would find
    them.

    Only the first items of a long container are checked.
    """
    if not isinstance(value, (list, tuple, dict)):
        return
    items = islice(value.values() if isinstance(value, dict) else value, FIRST_ITEMS)
    if any(isinstance(item, Parameter) or hasattr(item, "named_parameters") for item in items):
        kind = "ModuleDict" if isinstance(value, dict) else "ModuleList (or ParameterList)"
        raise ArgumentError(
            f"{owner}.{name}: parameters() and state_dict() would not find modules and parameters "
            f"in a {type(value).__name__}; use nn.{kind}"
        )
