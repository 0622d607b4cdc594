"""Example inputs, as PyTorch takes them and as Smelt does, and the axes that may change."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt import dtypes
from smelt.export.torch.types import tensor_of
from smelt.tensor import Tensor

__all__ = ["as_smelt", "as_torch", "named_dimensions"]


def as_torch(value: Any) -> Any:
    """Returns an example, or a tree of them, with tensors of PyTorch's."""
    import torch

    if isinstance(value, Tensor):
        if value.dtype is dtypes.bfloat16:
            return torch.from_numpy(value.float().numpy().copy()).bfloat16()
        return torch.from_numpy(np.array(value.numpy()))
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    return _mapped(as_torch, value)


def as_smelt(value: Any) -> Any:
    """Returns an example, or a tree of them, with tensors of Smelt's."""
    import torch

    return tensor_of(value) if isinstance(value, torch.Tensor) else _mapped(as_smelt, value)


def _mapped(function: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: function(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(function, value))
    return type(value)(map(function, value)) if isinstance(value, (tuple, list)) else value


def named_dimensions(shapes: Any) -> Any:
    """Returns dynamic shapes with a dimension of PyTorch's for each name."""
    import torch

    known: dict[str, Any] = {}

    def dimension(given: Any) -> Any:
        if isinstance(given, str):
            if given not in known:
                known[given] = torch.export.Dim(given)
            return known[given]
        if isinstance(given, dict):
            return {key: dimension(value) for key, value in given.items()}
        if isinstance(given, (tuple, list)):
            return type(given)(map(dimension, given))
        return given

    return dimension(shapes)
