"""explain: what a network does with one input, call by call, with all shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from smelt.markup import note, table
from smelt.nn.listing import weights_of
from smelt.nn.module import Module
from smelt.nn.summary import check_module, shapes_of, watched

__all__ = ["Call", "Explanation", "explain"]

HEAD = ("layer", "input", "output", "weights")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one module.

    Attributes:
        path: of the module within the network; empty for the network itself.
        kind: its class.
        settings: the settings that its repr shows in parentheses.
        input: the shapes of its arguments.
        output: the shapes of its result.
        weights: the names and shapes of the parameters that it holds itself.
        inside: the calls of modules within it, in order.
    """

    path: str
    kind: str
    settings: str
    input: str
    output: str
    weights: str
    inside: tuple[Call, ...] = field(default=(), repr=False)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Call]]:
        """Yields this call and those inside it in the order in which they begin, with their
        depth.
        """
        yield depth, self
        for call in self.inside:
            yield from call.walk(depth + 1)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of `explain`; `str` gives the table.

    Attributes:
        root: the call of the network itself, with all others inside.
        parameters: number of learned numbers; tied ones are counted once.
    """

    root: Call
    parameters: int

    @property
    def layers(self) -> list[Call]:
        """The calls without calls inside, in order: the path of the data."""
        return [call for _, call in self.root.walk() if not call.inside]

    def _repr_html_(self) -> str:
        calls = list(self.root.walk())
        rows = [(_title(call), call.input, call.output, call.weights) for _, call in calls]
        shown = table(HEAD, rows, indents=[depth for depth, _ in calls])
        return shown + note(f"{self.parameters:,} parameters")

    def __str__(self) -> str:
        rows = [
            ("  " * depth + _title(call), call.input, call.output, call.weights)
            for depth, call in self.root.walk()
        ]
        widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (HEAD, ("-" * (sum(widths) + 6), "", "", ""), *rows)
        ]
        return "\n".join([*lines, "", f"{self.parameters:,} parameters"])

    __repr__ = __str__


def _title(call: Call) -> str:
    name = call.path.rpartition(".")[2]
    return f"{name}: {call.kind}" if name else call.kind


def explain(model: Module, *inputs: Any) -> Explanation:
    """Runs `model` once on `inputs`, in evaluation mode, without gradients; lists every call.

    While `summary` lists the modules of a network, this follows the calls: a module that is called
    twice is listed twice, one that is never called is not listed.

        >>> from smelt import nn, ones
        >>> print(explain(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), ones(5, 4)))
        layer        input   output  weights
        -----------------------------------------------------
        Sequential   (5, 4)  (5, 8)
          0: Linear  (5, 4)  (5, 8)  weight (8, 4), bias (8,)
          1: ReLU    (5, 8)  (5, 8)
        <BLANKLINE>
        40 parameters

    Args:
        model: the network; its modes are restored afterwards.
        inputs: its arguments.

    Returns:
        An Explanation: print it for the table, or walk through its calls.

    Raises:
        ArgumentError: `model` is not a Module.
    """
    check_module("explain", model)
    paths = {id(module): path for path, module in model.named_modules()}
    pending: list[tuple[int, Call]] = []  # calls that have ended, within ones that have not

    def hook(module: Module, arguments: tuple[Any, ...], output: Any) -> None:
        below = {id(submodule) for submodule in module.modules()} - {id(module)}
        first = len(pending)
        while first and pending[first - 1][0] in below:
            first -= 1
        inside = tuple(call for _, call in pending[first:])
        call = _call(module, paths[id(module)], arguments, output, inside)
        pending[first:] = [(id(module), call)]

    watched(model, inputs, hook)
    return Explanation(pending[-1][1], sum(parameter.size for parameter in model.parameters()))


def _call(module: Module, path: str, arguments: Any, output: Any, inside: tuple[Call, ...]) -> Call:
    kind, settings = type(module).__name__, module.extra_repr()
    return Call(
        path, kind, settings, shapes_of(arguments), shapes_of(output), weights_of(module), inside
    )
