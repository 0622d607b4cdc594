"""16-bit storage: a model computes with rounded copies of its parameters.

Parameters, gradients, moments and buffers are float32. What a step reads, and keeps from the
forward pass to the backward pass, is stored in 16 bits: copies of the parameters, inputs,
activations.
"""

from __future__ import annotations

from typing import Any

from smelt import tree
from smelt.dtypes import DType, bfloat16, float32
from smelt.errors import ArgumentError
from smelt.tensor import Tensor

__all__ = ["precision_of", "rounded", "widened"]


def precision_of(given: Any) -> DType | None:
    """Returns the dtype that a user has chosen for storage; None if nothing is rounded.

    Args:
        given: None, "float32", "bfloat16", or one of these dtypes.

    Raises:
        ArgumentError: it is anything else.
    """
    if given is None or given in ("float32", float32):
        return None
    if given in ("bfloat16", bfloat16):
        return bfloat16
    hint = "; gradients leave the range of float16" if "16" in str(given) else ""
    raise ArgumentError(f"precision={given!r} is not supported; give 'float32' or 'bfloat16'{hint}")


def rounded(values: Any, dtype: DType) -> Any:
    """Returns a tree with its float tensors in a dtype; everything else is unchanged."""

    def narrow(leaf: Any) -> Any:
        return leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.dtype.is_float else leaf

    return tree.map(narrow, values)


def widened(values: Any, dtype: DType) -> Any:
    """Returns a tree in which the tensors of a 16-bit dtype are float32."""

    def wide(leaf: Any) -> Any:
        return leaf.to(float32) if isinstance(leaf, Tensor) and leaf.dtype is dtype else leaf

    return tree.map(wide, values)
