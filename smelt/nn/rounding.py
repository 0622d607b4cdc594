"""Rounded parameters: a model computes with copies in 16 bits, and its own stay as they are."""

from __future__ import annotations

from contextlib import AbstractContextManager

from smelt.dtypes import DType
from smelt.nn.module import Module
from smelt.nn.substitute import substituted_parameters

__all__ = ["rounded_parameters"]


def rounded_parameters(model: Module, dtype: DType) -> AbstractContextManager[None]:
    """Within the block a model reads copies of its float parameters in another dtype.

    The copies are computed from the parameters, which get their gradients through them. The model
    must not be used by other threads meanwhile.

    Args:
        model: any module.
        dtype: a float dtype.
    """
    return substituted_parameters(model, lambda own: own.to(dtype))
