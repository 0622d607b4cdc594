"""Rounded parameters: a model computes with 16-bit copies, its own stay unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smelt.dtypes import DType
from smelt.nn.containers import ParameterList
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["rounded_parameters"]


@contextmanager
def rounded_parameters(model: Module, dtype: DType) -> Iterator[None]:
    """Within the block a model reads copies of its float parameters in another dtype.

    The copies are computed from the parameters, which get their gradients through them. The model
    must not be used by other threads meanwhile.

    Args:
        model: any module.
        dtype: a float dtype.
    """
    copies: dict[int, Tensor] = {}  # one for all places that share a parameter
    held: list[tuple[dict[str, Any], str, Parameter]] = []
    try:
        for holder in [holder for module in model.modules() for holder in _holders(module)]:
            for name, own in list(holder.items()):
                if isinstance(own, Parameter) and own.dtype.is_float:
                    copy = copies.setdefault(id(own), own.to(dtype))
                    held.append((holder, name, own))
                    holder[name] = copy  # setattr would see to it that parameters stay parameters
        yield
    finally:
        for holder, name, own in held:
            holder[name] = own


def _holders(module: Module) -> list[dict[str, Any]]:
    """Returns the dicts in which a module finds its own parameters."""
    entries = [module._entries()] if isinstance(module, ParameterList) else []
    return [vars(module), *entries]
