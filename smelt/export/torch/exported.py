"""Exported: what a module of PyTorch's computes in one of its modes, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from smelt.errors import CompileError
from smelt.export.torch.program import Program
from smelt.tensor import Tensor

__all__ = ["Exported", "Input", "Missing", "State", "refuse"]

LISTED = 20  # operators without a rule that an error names


class Missing(NamedTuple):
    """An operator that has no rule: where it is called, and why it has none."""

    operator: str
    module: str
    line: str
    reason: str


class State(NamedTuple):
    """A parameter or a buffer, by its path."""

    path: str


@dataclass(frozen=True, slots=True)
class Input:
    """One of the leaves of a call.

    Attributes:
        place: what it is called in errors.
        kind: "tensor", "length" for a number that may change, or "constant".
        shape: extents; a name stands for one that may change.
        dtype: of a tensor.
        value: of a constant.
    """

    place: str
    kind: str
    shape: tuple[int | str, ...] = ()
    dtype: Any = None
    value: Any = None


@dataclass(frozen=True)
class Exported:
    """What a module computes in one of its modes.

    Attributes:
        program: the operators.
        sources: what its inputs are: states, constant tensors, numbers of leaves of the call.
        inputs: the leaves of the call.
        updates: paths of states that get new contents, and the outputs that these are.
        results: the numbers of the outputs that are results, a leaf each.
        structure: how the results are nested.
        ranges: the smallest and the largest extent of each name.
    """

    program: Program
    sources: tuple[State | Tensor | int, ...]
    inputs: tuple[Input, ...]
    updates: tuple[tuple[str, int], ...]
    results: tuple[int, ...]
    structure: Any
    ranges: Mapping[str, tuple[float, float]]


def refuse(name: str, missing: Iterable[Missing]) -> CompileError:
    """Returns the error that names all operators without a rule."""
    lines = list(dict.fromkeys(map(_described, missing)))
    more = [f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    listed = "\n  ".join([*lines[:LISTED], *more])
    return CompileError(f"from_torch: {name} has operators that Smelt cannot compute:\n  {listed}")


def _described(one: Missing) -> str:
    module = f" in module {one.module}" if one.module else ""
    line = f" at {one.line}" if one.line else ""
    return f"{one.operator}{module}{line}: {one.reason}"
