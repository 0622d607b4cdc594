"""A backend for einops: `einops.rearrange`, `reduce`, `repeat`, `pack`, `einsum` take tensors.

einops finds its backends among the subclasses of a class of its own. Smelt's is made as soon as
einops is there: now, or when it is imported; `import smelt` does not import it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from smelt import creation
from smelt.dtypes import int64
from smelt.errors import ArgumentError
from smelt.tensor import Tensor
from smelt.tensor.einsum import einsum
from smelt.tensor.shaping import cat, stack

__all__ = ["register"]

_MODULE = "einops._backends"  # where einops keeps its backends


class _Backend:
    """What einops asks of a backend; a base class beside einops' own `AbstractBackend`."""

    framework_name = "smelt"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: np.ndarray) -> Tensor:
        return creation.tensor(x)

    def to_numpy(self, x: Tensor) -> np.ndarray:
        return x.numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        return creation.arange(start, stop, dtype=int64)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return x.reshape(tuple(shape))

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return x.permute(tuple(axes))

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        methods = {"min": x.amin, "max": x.amax, "sum": x.sum, "mean": x.mean, "prod": x.prod}
        methods |= {"any": x.any, "all": x.all}
        if operation not in methods:
            raise ArgumentError(f"einops: unknown reduction {operation!r}")
        return methods[operation](tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
        return stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        return x.unsqueeze(new_position)

    def add_axes(self, x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
        extents = [-1] * n_axes
        for position, extent in pos2len.items():
            x = x.unsqueeze(position)
            extents[position] = extent
        return x.expand(extents)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        return x.repeat(tuple(repeats))

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        return cat(list(tensors), axis)

    def is_float_type(self, x: Tensor) -> bool:
        return x.dtype.is_float

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        return einsum(pattern, *x)


class _WhenImported(MetaPathFinder):
    """A finder that makes the backend when einops' module of backends has been executed.

    The others find the module, in a folder, an archive or wherever they look.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _LoaderThatAdds(spec.loader)
                return spec
        return None


class _LoaderThatAdds(Loader):
    """Stands in for a module's loader, which may be that of other modules too, while it loads."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _add_to(module)


def _add_to(backends: ModuleType) -> None:
    """Makes the class that einops will find; it keeps its subclasses by weak references."""
    backends.SmeltBackend = type(  # type: ignore[attr-defined]
        "SmeltBackend", (_Backend, backends.AbstractBackend), {}
    )


def register() -> None:
    """Lets einops take tensors, now or as soon as it is imported."""
    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        _add_to(loaded)
    elif not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())
