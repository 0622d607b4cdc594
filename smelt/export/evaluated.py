"""What is exported for inference is traced in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smelt.nn.module import Module

__all__ = ["evaluated"]


@contextmanager
def evaluated(function: Any) -> Iterator[None]:
    """Has a module in evaluation mode within the block; another function is left as it is."""
    modules = list(function.modules()) if isinstance(function, Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
