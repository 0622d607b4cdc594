"""Weights that are computed from a direction and a length, which are learned separately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from smelt import guards
from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.ops.op import normal_axis
from smelt.tensor import Tensor
from smelt.tracing.engine import no_grad

__all__ = ["remove_weight_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


@dataclass(frozen=True)
class WeightNorm:
    """Computes `module.name` from `name_g` and `name_v` whenever it is read.

    Attributes:
        name: the weight's.
        dim: the axis whose slices have their own lengths; None for one length.
    """

    name: str
    dim: int | None

    def __call__(self, module: Module) -> Tensor:
        """Returns g * v / ||v||."""
        v, g = getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g")
        return v * (g / self.lengths(v))

    def lengths(self, v: Tensor) -> Tensor:
        """Returns the norm of each slice of v, of size 1 along its other axes."""
        if self.dim is None:
            return v.norm()
        others = tuple(axis for axis in range(v.ndim) if axis != self.dim)
        return v.norm(dim=others, keepdim=True) if others else v.abs()


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Replaces a parameter by its length `name_g` and its direction `name_v` (Salimans 2016).

    weight = g * v / ||v||, computed whenever the module reads it.

    Args:
        module: the module that has the parameter.
        name: the parameter's name.
        dim: the axis whose slices have their own lengths; None or -1 for one length of all.

    Returns:
        The module itself.

    Raises:
        ArgumentError: the module has no parameter of that name, or the axis does not exist.
    """
    weight = vars(module).get(name)
    if not isinstance(weight, Parameter):
        owned = ", ".join(own for own, _ in module.named_parameters(recurse=False)) or "none"
        raise ArgumentError(
            f"weight_norm: {type(module).__name__} has no parameter {name!r}; it has {owned}"
        )
    axis = None if dim in (None, -1) else normal_axis(dim, weight.ndim, "weight_norm")
    norm = WeightNorm(name, axis)
    with no_grad():
        length = norm.lengths(weight)
    delattr(module, name)
    setattr(module, f"{name}_g", Parameter(length, weight.requires_grad))
    setattr(module, f"{name}_v", Parameter(weight, weight.requires_grad))
    vars(module).setdefault("_computed", {})[name] = norm
    guards.changed()
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Turns a weight to which `weight_norm` was applied back into a parameter; returns the module.

    Raises:
        ArgumentError: `weight_norm` was not applied to that weight.
    """
    if not isinstance(vars(module).get("_computed", {}).get(name), WeightNorm):
        raise ArgumentError(
            f"remove_weight_norm: {type(module).__name__}.{name} is not computed by weight_norm"
        )
    with no_grad():
        weight = Parameter(getattr(module, name), getattr(module, f"{name}_v").requires_grad)
    del vars(module)["_computed"][name]
    delattr(module, f"{name}_g")
    delattr(module, f"{name}_v")
    setattr(module, name, weight)
    return module
