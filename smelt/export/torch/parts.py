"""The parameters, buffers and submodules of a module of PyTorch's, under the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.errors import CompileError, DTypeError, SmeltError
from smelt.export.torch.module import Part, named
from smelt.export.torch.types import tensor_of
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

if TYPE_CHECKING:
    import torch

__all__ = ["fill"]


def fill(module: torch.nn.Module, root: Part) -> None:
    """Gives a module the parameters, buffers and parts of a module of PyTorch's.

    What the original holds under several names is one thing here, too.

    Raises:
        CompileError: a name that a Module of Smelt's has for something else.
        DTypeError: a dtype that Smelt does not have.
    """
    parts: dict[int, Part] = {id(module): root}
    tensors: dict[int, Tensor] = {}
    stack = [("", module, root)]
    while stack:
        path, original, part = stack.pop()
        _fill_tensors(path, original, part, tensors)
        for name, child in original._modules.items():
            if child is None:
                continue
            if id(child) not in parts:
                kind = named(Part, type(child).__name__)
                parts[id(child)] = kind(child.extra_repr(), child.training)
                stack.append((f"{path}{name}.", child, parts[id(child)]))
            _set(part, name, parts[id(child)], f"{path}{name}")


def _fill_tensors(
    path: str, original: torch.nn.Module, part: Part, tensors: dict[int, Tensor]
) -> None:
    for name, given in original._parameters.items():
        if given is not None:
            if id(given) not in tensors:
                values = _values(given, path + name)
                tensors[id(given)] = Parameter(values, given.requires_grad)
            _set(part, name, tensors[id(given)], path + name)
    for name, buffer in original._buffers.items():
        if buffer is not None:
            if id(buffer) not in tensors:
                tensors[id(buffer)] = _values(buffer, path + name)
            is_kept = name not in original._non_persistent_buffers_set
            part.register_buffer(name, tensors[id(buffer)], is_kept)


def _values(tensor: torch.Tensor, path: str) -> Tensor:
    try:
        return tensor_of(tensor)
    except DTypeError as error:
        raise DTypeError(f"{error.message}: {path}") from None


def _set(part: Part, name: str, value: Any, path: str) -> None:
    try:
        setattr(part, name, value)
    except SmeltError as error:
        raise CompileError(
            f"from_torch: {path} cannot keep its name: {error.message}; rename it in PyTorch"
        ) from None
