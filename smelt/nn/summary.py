"""summary: a table of a network's layers, with the shapes that one input gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import tree
from smelt.errors import ArgumentError
from smelt.markup import note, table
from smelt.nn.hooks import Hook
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tracing.engine import no_grad

__all__ = ["Row", "Summary", "check_module", "shapes_of", "summary", "watched"]

HEAD = ("layer", "output", "parameters", "bytes")


@dataclass(frozen=True, slots=True)
class Row:
    """One module: its path, class, output shapes, and the size of its own parameters and
    buffers.
    """

    path: str
    kind: str
    output: str
    parameters: int
    size: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of `summary`; `str` gives the table.

    Attributes:
        rows: one per module in the order of `named_modules`.
        parameters: number of learned numbers, tied ones counted once.
        trainable: how many of them are not frozen.
        size: bytes of all parameters and buffers.
    """

    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    size: int

    def _repr_html_(self) -> str:
        rows = [(_title(r), r.output, f"{r.parameters:,}", f"{r.size:,}") for r in self.rows]
        indents = [_depth(row) for row in self.rows]
        total = ("total", "", f"{self.parameters:,}", f"{self.size:,}")
        shown = table(HEAD, rows, numbers=(2, 3), indents=indents, total=total)
        frozen = self.parameters - self.trainable
        return shown + (note(f"{frozen:,} parameters are frozen") if frozen else "")

    def __str__(self) -> str:
        cells = [(_indented(r), r.output, f"{r.parameters:,}", f"{r.size:,}") for r in self.rows]
        total = ("total", "", f"{self.parameters:,}", f"{self.size:,}")
        widths = [max(map(len, column)) for column in zip(HEAD, *cells, total, strict=True)]
        rule = "-" * (sum(widths) + 6)
        lines = [_line(row, widths) for row in (HEAD, *cells, total)]
        frozen = self.parameters - self.trainable
        note = [f"{frozen:,} parameters are frozen"] if frozen else []
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *note])

    __repr__ = __str__


def summary(model: Module, *inputs: Any) -> Summary:
    """Runs `model` once on `inputs`, in evaluation mode, without gradients; lists its layers.

    Args:
        model: the network; its modes are restored afterwards.
        inputs: its arguments.

    Returns:
        A Summary: print it for a table of output shapes, parameters and bytes per layer.

    Raises:
        ArgumentError: `model` is not a Module.
    """
    check_module("summary", model)
    shapes: dict[int, str] = {}

    def hook(module: Module, arguments: tuple[Any, ...], output: Any) -> None:
        shapes[id(module)] = shapes_of(output)

    modules = list(model.named_modules())
    watched(model, inputs, hook)
    rows = tuple(_row(path, module, shapes.get(id(module), "-")) for path, module in modules)
    learned = list(model.parameters())
    trainable = sum(parameter.size for parameter in learned if parameter.requires_grad)
    size = sum(_bytes(tensor) for tensor in (*learned, *model.buffers()))
    return Summary(rows, sum(parameter.size for parameter in learned), trainable, size)


def check_module(what: str, model: Any) -> None:
    """Raises ArgumentError for anything but a Module."""
    if not isinstance(model, Module):
        raise ArgumentError(
            f"{what}: the first argument must be a Module, got a {type(model).__name__}"
        )


def _row(path: str, module: Module, output: str) -> Row:
    parameters = list(module.parameters(recurse=False))
    size = sum(_bytes(tensor) for tensor in (*parameters, *module.buffers(recurse=False)))
    return Row(path, type(module).__name__, output, sum(p.size for p in parameters), size)


def _bytes(tensor: Tensor) -> int:
    return tensor.size * tensor.dtype.itemsize


def watched(model: Module, inputs: tuple[Any, ...], hook: Hook) -> None:
    """Runs `model` once in evaluation mode without gradients; `hook` is called for every call.

    Args:
        model: the network; its modes are restored afterwards.
        inputs: its arguments.
        hook: gets a module, its arguments and its result.
    """
    modes = [(module, module.training) for module in model.modules()]
    handles = [module.register_forward_hook(hook) for module, _ in modes]
    try:
        model.eval()
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode


def shapes_of(value: Any) -> str:
    """Returns the shapes of the tensors in a tree, or a dash."""
    leaves, _ = tree.flatten(value)
    arrays = [leaf for leaf in leaves if isinstance(leaf, (Tensor, np.ndarray))]
    return ", ".join(str(array.shape) for array in arrays) or "-"


def _indented(row: Row) -> str:
    return "  " * _depth(row) + _title(row)


def _depth(row: Row) -> int:
    return row.path.count(".") + 1 if row.path else 0


def _title(row: Row) -> str:
    name = row.path.rpartition(".")[2]
    return f"{name}: {row.kind}" if name else row.kind


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    layer, output, *numbers = cells
    left = [layer.ljust(widths[0]), output.ljust(widths[1])]
    return "  ".join([*left, *(c.rjust(w) for c, w in zip(numbers, widths[2:], strict=True))])
