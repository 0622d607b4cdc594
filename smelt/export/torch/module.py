"""TorchModule: a module of PyTorch's, with the same parameters, that Smelt computes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, CompileError, DTypeError, ShapeError
from smelt.export.torch.exported import Exported, Input
from smelt.export.torch.structure import Arguments, rebuilt
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.checked import checked_flags
from smelt.tracing.engine import no_grad

__all__ = ["Part", "TorchModule", "named"]


class Part(Module):
    """A submodule of an imported module: it holds parameters, and the whole computes with them.

    Args:
        settings: what its class in PyTorch shows of it in parentheses.
        training: its mode.
    """

    def __init__(self, settings: str, training: bool) -> None:
        self._settings = settings
        self.training = training

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Raises CompileError: the operators are those of the whole module."""
        raise CompileError(
            f"this {type(self).__name__} is a part of a module from PyTorch, which is computed as "
            "a whole; call the whole, or import the part by itself: from_torch(module.part, x)"
        )

    def extra_repr(self) -> str:
        return self._settings


@checked_flags
class TorchModule(Part):
    """A module of PyTorch's that Smelt computes; `smelt.export.from_torch` makes it.

    Its parameters, buffers and submodules have PyTorch's names and values, so that `state_dict` has
    the same keys. `train()` and `eval()` choose between the operators that the module had in each
    mode.

    Args:
        settings: what its class in PyTorch shows of it in parentheses.
        training: its mode.
        modes: what it computes in training mode (True) and in evaluation mode (False).
        arguments: what it takes.
        frozen: paths of the parts that are in evaluation mode while the whole trains.
    """

    def __init__(
        self,
        settings: str,
        training: bool,
        modes: Mapping[bool, Exported],
        arguments: Arguments,
        frozen: frozenset[str],
    ) -> None:
        super().__init__(settings, training)
        self._imported = _Imported(dict(modes), arguments, frozen)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Computes what the module computes in PyTorch.

        Args:
            inputs: as the examples were, of the same dtypes and, except along dynamic axes, shapes.
            options: likewise.

        Returns:
            What the module returns: tensors, in tuples, lists and dicts as they were nested there.

        Raises:
            ArgumentError: other arguments than those of the examples, or parts in other modes.
            ShapeError: an extent that is not dynamic differs from the example's.
            DTypeError: a dtype differs from the example's.
        """
        self._check_modes()
        exported = self._imported.modes[self.training]
        leaves = self._imported.arguments.leaves(inputs, options)
        given = _checked_leaves(exported, leaves)
        values = [self._source(source, given) for source in exported.sources]
        results = exported.program.run(values)
        with no_grad():
            for path, number in exported.updates:
                self._state(path).copy_(results[number])
        return rebuilt(exported.structure, [results[number] for number in exported.results])

    def _source(self, source: Any, given: list[Any]) -> Any:
        if isinstance(source, int):
            return given[source]
        return source if isinstance(source, Tensor) else self._state(source.path)

    def _state(self, path: str) -> Any:
        """Returns the parameter or the buffer of a path."""
        value: Any = self
        for name in path.split("."):
            value = getattr(value, name)
        return value

    def _check_modes(self) -> None:
        """Raises ArgumentError where a part has not the mode in which it was imported."""
        frozen = self._imported.frozen
        for path, module in self.named_modules(remove_duplicate=False):
            if module.training is not (self.training and path not in frozen):
                mode = "training" if module.training else "evaluation"
                raise ArgumentError(
                    f"{type(self).__name__}: {path} is in {mode} mode, and the whole was imported "
                    "with it in the other one; train() and eval() are for the whole, so set the "
                    "modes of parts in PyTorch, and import again"
                )

    def train(self, mode: bool = True) -> TorchModule:
        """Puts the module into training mode, except the parts that were frozen when imported."""
        super().train(mode)
        for path, module in self.named_modules(remove_duplicate=False):
            if mode and path in self._imported.frozen:
                module.training = False
        return self


@functools.cache
def named(base: type[Part], name: str) -> Any:
    """Returns a class of parts that is called as the class in PyTorch, for errors and `repr`."""
    return type(name, (base,), {"__module__": __name__, "__doc__": base.__doc__})


@dataclass(frozen=True, eq=False)
class _Imported:
    """What never changes of an imported module; copies of the module share it."""

    modes: Mapping[bool, Exported]
    arguments: Arguments
    frozen: frozenset[str]

    def __deepcopy__(self, memo: dict[int, Any]) -> _Imported:
        return self


def _checked_leaves(exported: Exported, leaves: list[Any]) -> list[Any]:
    """Returns the leaves of a call as tensors and numbers, which are as the examples were."""
    lengths: dict[str, tuple[int, str]] = {}
    pairs = zip(exported.inputs, leaves, strict=True)
    return [_checked(expected, leaf, exported, lengths) for expected, leaf in pairs]


def _checked(
    expected: Input, leaf: Any, exported: Exported, lengths: dict[str, tuple[int, str]]
) -> Any:
    if expected.kind == "constant":
        if type(leaf) is not type(expected.value) or leaf != expected.value:
            raise ArgumentError(
                f"{expected.place} was {expected.value!r} when the module was imported, and is a "
                f"constant of it; got {leaf!r}"
            )
        return leaf
    if expected.kind == "length":
        return leaf
    if not isinstance(leaf, (Tensor, np.ndarray)):
        raise ArgumentError(f"{expected.place} must be a tensor, got a {type(leaf).__name__}")
    x = as_tensor(leaf)
    if x.dtype is not expected.dtype:
        raise DTypeError(
            f"{expected.place} was {expected.dtype.name} when the module was imported, and is "
            f"{x.dtype.name}; write .to(smelt.{expected.dtype.name})"
        )
    if len(x.shape) != len(expected.shape):
        raise ShapeError(_other_shape(expected, x))
    for axis, (wanted, extent) in enumerate(zip(expected.shape, x.shape, strict=True)):
        if isinstance(wanted, int):
            if extent != wanted:
                raise ShapeError(_other_shape(expected, x))
            continue
        low, high = exported.ranges.get(wanted, (0, float("inf")))
        if (low > 0 and extent < low) or (high != float("inf") and extent > high):
            raise ShapeError(
                f"{expected.place}: axis {axis} has extent {extent}, outside of {low}..{high}, for "
                "which the module was imported"
            )
        first, place = lengths.setdefault(wanted, (extent, f"axis {axis} of {expected.place}"))
        if first is not extent and first != extent:
            raise ShapeError(
                f"axis {axis} of {expected.place} has extent {extent}, and {place} {first}: they "
                "are one length"
            )
    return x


def _other_shape(expected: Input, x: Tensor) -> str:
    shape = "(" + ", ".join(map(str, expected.shape)) + ")"
    return (
        f"{expected.place} has shape {x.shape}, and the module was imported for {shape}; name the "
        "axes that may change in dynamic_shapes=, as in from_torch(module, x, "
        'dynamic_shapes=({0: "batch"},))'
    )
