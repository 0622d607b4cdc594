"""From PyTorch's arguments to Smelt's, and comparison of the results."""

from __future__ import annotations

from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch

import smelt
import smelt.nn.functional as F
from smelt import dtypes
from smelt.tensor import Tensor
from tests.oracle.sums import leaves

DTYPES = {
    torch.bool: dtypes.bool_,
    torch.int32: dtypes.int32,
    torch.int64: dtypes.int64,
    torch.float16: dtypes.float16,
    torch.bfloat16: dtypes.bfloat16,
    torch.float32: dtypes.float32,
    torch.float64: dtypes.float64,
}
TOLERANCE = {"float32": 2e-5, "float64": 1e-9, "float16": 4e-3, "bfloat16": 3e-2}
# settings of PyTorch's storage, which say nothing about values
STORAGE = ("device", "layout", "pin_memory", "memory_format", "requires_grad", "generator")


class Untranslatable(Exception):
    """An argument for which Smelt has no counterpart: complex numbers, small integers."""


def to_smelt(given: Any) -> Any:
    """Returns the argument `given` of a PyTorch function as Smelt takes it."""
    if isinstance(given, torch.Tensor):
        return tensor_to_smelt(given)
    if isinstance(given, torch.dtype):
        if given not in DTYPES:
            raise Untranslatable(str(given))
        return DTYPES[given]
    if isinstance(given, (torch.device, torch.layout, torch.memory_format)):
        raise Untranslatable(str(given))
    if isinstance(given, BuiltinFunctionType | FunctionType):  # an activation
        if not hasattr(F, given.__name__):
            raise Untranslatable(given.__name__)
        return getattr(F, given.__name__)
    if isinstance(given, complex):
        raise Untranslatable("complex")
    if isinstance(given, dict):
        return {name: to_smelt(one) for name, one in given.items() if name not in STORAGE}
    if type(given) in (list, tuple) or isinstance(given, torch.Size):
        kind = list if isinstance(given, list) else tuple
        return kind(to_smelt(one) for one in given)
    return given


def tensor_to_smelt(tensor: torch.Tensor) -> Tensor:
    """Returns a copy of a PyTorch tensor, of the same dtype."""
    if tensor.dtype not in DTYPES or tensor.layout is not torch.strided:
        raise Untranslatable(str(tensor.dtype))
    plain = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        return smelt.tensor(plain.float().numpy().copy()).to(dtypes.bfloat16)
    return smelt.tensor(plain.numpy().copy(), dtype=DTYPES[tensor.dtype])


def separate(tree: Any, seen: set[int]) -> Any:
    """Returns arguments in which no tensor stands twice, which would add up its gradients."""
    if isinstance(tree, torch.Tensor):
        if id(tree) not in seen:
            seen.add(id(tree))
            return tree
        return tree.detach().clone().requires_grad_(tree.requires_grad)
    if isinstance(tree, dict):
        return {name: separate(one, seen) for name, one in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(separate(one, seen) for one in tree)
    return tree


def tensors_in(tree: Any, kinds: tuple[type, ...] = (torch.Tensor, Tensor)) -> Iterator[Any]:
    """Yields the tensors of nested lists, tuples and dicts."""
    if isinstance(tree, kinds):
        yield tree
    elif isinstance(tree, dict):
        for one in tree.values():
            yield from tensors_in(one, kinds)
    elif isinstance(tree, (list, tuple)):
        for one in tree:
            yield from tensors_in(one, kinds)


def replaced(tree: Any, tensors: Iterator[Any], kinds: tuple[type, ...] = (Tensor,)) -> Any:
    """Returns the tree with its tensors replaced by the next ones, in order."""
    if isinstance(tree, kinds):
        return next(tensors)
    if isinstance(tree, dict):
        return {name: replaced(one, tensors, kinds) for name, one in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(replaced(one, tensors, kinds) for one in tree)
    return tree


def array_of(value: Any) -> np.ndarray:
    """Returns a result as a NumPy array that holds it exactly."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        wide = value.float() if value.dtype is torch.bfloat16 else value
        return wide.numpy(force=True)  # PyTorch's gradients may be zeros without memory
    if isinstance(value, Tensor):
        wide = value.to(dtypes.float32) if value.dtype is dtypes.bfloat16 else value
        return np.asarray(wide.numpy())
    return np.asarray(value)


def dtype_name(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return str(value.dtype).removeprefix("torch.")
    return value.dtype.name if isinstance(value, Tensor) else type(value).__name__


def difference(got: Any, expected: Any, only_kind: bool = False) -> str | None:
    """Says how two results differ, or returns None.

    Args:
        got: Smelt's result.
        expected: PyTorch's.
        only_kind: whether only shapes and dtypes count, as of random numbers.
    """
    ours, theirs = leaves(got), leaves(expected)
    if len(ours) != len(theirs):
        return f"number: {len(ours)} results, PyTorch {len(theirs)}"
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        found = _difference(one, other, only_kind)
        if found:
            return found.replace(": ", f": result {place} ", 1)
    return None


def _difference(got: Any, expected: Any, only_kind: bool) -> str | None:
    a, b = array_of(got), array_of(expected)
    if a.shape != b.shape:
        return f"shape: {a.shape}, PyTorch {b.shape}"
    names = dtype_name(got), dtype_name(expected)
    if only_kind or not a.size or a.dtype.kind not in "bifu" or b.dtype.kind not in "bifu":
        return f"dtype: {names[0]}, PyTorch {names[1]}" if names[0] != names[1] else None
    tolerance = max(TOLERANCE.get(name, 0.0) for name in names)
    a, b = a.astype(np.float64), b.astype(np.float64)
    wrong = ~np.isclose(a, b, tolerance, tolerance, equal_nan=True)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"value: {a[place]} at {place}, PyTorch {b[place]}; {wrong.sum()} of {a.size}"
    if names[0] != names[1]:
        return f"dtype: {names[0]}, PyTorch {names[1]}"
    return None


def shown(given: Any, budget: int = 160) -> str:
    """Returns arguments as a short text: tensors by shape and, where small, by value."""
    text = _shown(given)
    return text if len(text) <= budget else text[: budget - 3] + "..."


def _shown(given: Any) -> str:
    if isinstance(given, torch.Tensor):
        values = f"={given.tolist()}" if given.numel() <= 3 else ""
        return f"{dtype_name(given)}{list(given.shape)}{values}"
    if isinstance(given, dict):
        return ", ".join(f"{name}={_shown(one)}" for name, one in given.items())
    if isinstance(given, (list, tuple)):
        return "(" + ", ".join(map(_shown, given)) + ")"
    return repr(given)
