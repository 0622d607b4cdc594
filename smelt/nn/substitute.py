"""Substitution: a module computes with other tensors in the place of its parameters for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from smelt.nn.containers import ParameterList
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["substituted_parameters"]


@contextmanager
def substituted_parameters(
    model: Module, substitute: Callable[[Parameter], Tensor]
) -> Iterator[None]:
    """Within the block a model reads `substitute(parameter)` in the place of each float parameter.

    The model must not be used by other threads meanwhile.

    Args:
        model: any module.
        substitute: returns a tensor that is computed from the parameter, which gets its gradient
            through it; it is called once for a parameter that stands in several places.
    """
    copies: dict[int, Tensor] = {}
    held: list[tuple[dict[str, Any], str, Parameter]] = []
    try:
        for holder in [holder for module in model.modules() for holder in _holders(module)]:
            for name, own in list(holder.items()):
                if isinstance(own, Parameter) and own.dtype.is_float:
                    if id(own) not in copies:
                        copies[id(own)] = substitute(own)
                    held.append((holder, name, own))
                    # setattr would see to it that parameters stay parameters
                    holder[name] = copies[id(own)]
        yield
    finally:
        for holder, name, own in held:
            holder[name] = own


def _holders(module: Module) -> list[dict[str, Any]]:
    """Returns the dicts in which a module finds its own parameters."""
    entries = [module._entries()] if isinstance(module, ParameterList) else []
    return [vars(module), *entries]
