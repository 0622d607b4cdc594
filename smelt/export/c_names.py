"""What things are called in exported C: captured tensors, arguments, results, and where calls come
from.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from smelt import tree
from smelt.compiler.artifacts import ResultTree, Traced
from smelt.compiler.frontend.signature import Call as Signature
from smelt.compiler.frontend.signature import is_static
from smelt.compiler.graph.fusion import Group
from smelt.compiler.graph.memory_plan import Planned
from smelt.dtypes import DType
from smelt.ir.graph import Node
from smelt.ir.program import Call, Program, regions
from smelt.memory import address
from smelt.random import default_generator
from smelt.tensor import Tensor

__all__ = ["CParameter", "argument_names", "call_origins", "result_names", "state_names"]


class CParameter(NamedTuple):
    """An argument or a result of the C function, an array of that many elements."""

    name: str
    dtype: DType
    shape: tuple[int, ...]


# --- what the step captured -----------------------------------------------------------------------


def _closed_over(function: Callable[..., Any]) -> list[Any]:
    """Returns the objects that a function is a method of, or closes over."""
    cells = getattr(function, "__closure__", None) or ()
    found = [getattr(function, "__self__", None)]
    for cell in cells:
        with contextlib.suppress(ValueError):  # a name that has no value yet
            found.append(cell.cell_contents)
    return [thing for thing in found if hasattr(thing, "named_parameters")]


def state_names(traced: Traced, function: Callable[..., Any]) -> list[tuple[str, str]]:
    """Returns the name and the kind of each captured tensor.

    A tensor is called what the outermost module calls it that is known: one that the function
    closes over, or that it called.
    """
    known: dict[int, tuple[str, str]] = {}
    optimizers = 0
    for module in (*_closed_over(function), *traced.modules):
        if hasattr(module, "named_parameters"):
            for kind in ("parameters", "buffers"):
                for name, tensor in getattr(module, f"named_{kind}")():
                    known.setdefault(address(tensor.stored), (name, kind))
        elif hasattr(module, "state_dict"):
            stem = type(module).__name__.lower() + (str(optimizers) if optimizers else "")
            optimizers += 1
            for key, value in module.state_dict().items():
                known.setdefault(address(value.stored), (f"{stem}_{key}", "optimizer"))
    known.setdefault(address(default_generator().state.stored), ("generator", "generator"))
    return [
        known.get(address(tensor.stored), (f"state{number}", "other"))
        for number, tensor in enumerate(traced.states)
    ]


# --- parameters of the C function -----------------------------------------------------------------


def argument_names(
    call: Signature, traced: Traced, function: Callable[..., Any]
) -> list[CParameter]:
    """Returns the arguments of the C function, called as those of the Python function."""
    try:
        names = list(inspect.signature(getattr(function, "forward", function)).parameters)
    except (TypeError, ValueError):
        names = []
    places = [
        place
        for place, leaf in zip(tree.paths(call.structure), call.leaves, strict=True)
        if not is_static(leaf)
    ]
    nodes = traced.graph.arguments
    return [
        CParameter(_argument_name(place, names), node.dtype, node.shape)
        for place, node in zip(places, nodes, strict=True)
    ]


def _argument_name(place: str, names: Sequence[str]) -> str:
    """Returns `x_mask` for `[0]['mask']`, where x is the first parameter."""
    position, *keys = re.findall(r"\[(.*?)\]", place) or ["0"]
    number = int(position)
    stem = names[number] if number < len(names) else f"argument{number}"
    return "_".join([stem, *(key.strip("'") for key in keys)])


def result_names(traced: Traced) -> list[CParameter]:
    """Returns the results of the C function, called as the keys or places in what Python gets."""
    result, nodes = traced.result, traced.graph.outputs
    places = [""] * len(nodes)
    if isinstance(result, ResultTree):
        every = zip(tree.paths(result.structure), result.leaves, strict=True)
        places = [place for place, leaf in every if isinstance(leaf, Tensor)]
    names = ["_".join(re.findall(r"\['?(.*?)'?\]", place)) for place in places]
    return [
        CParameter(f"result{name}" if name[:1].isdigit() else name or "result", x.dtype, x.shape)
        for name, x in zip(names, nodes, strict=True)
    ]


# --- where the operations stand -------------------------------------------------------------------


def call_origins(planned: Planned, program: Program) -> Iterator[tuple[Call, str]]:
    """Yields each call with the user's lines and modules that its operations come from."""
    groups = iter(planned.fused.groups)
    for part in program.body:
        inner = regions(part)
        if inner:
            for region, body in zip(inner, _bodies(planned, next(groups)), strict=True):
                yield from call_origins(body, region.program)
        elif isinstance(part, Call):
            places = dict.fromkeys(_place(node) for node in next(groups).members)
            yield part, ", ".join(place for place in places if place)


def _bodies(planned: Planned, group: Group) -> Sequence[Planned]:
    """Returns the bodies of a loop or a branch in the order of its regions."""
    bodies = planned.bodies[group.members[0]].planned
    return bodies[::-1] if len(bodies) == 2 else bodies  # no, yes as numbers: yes, no as regions


def _place(node: Node) -> str:
    file, _, line = node.origin.line.rpartition(":")
    short = f"{os.path.basename(file)}:{line}" if file else ""
    return " ".join(part for part in (short, node.origin.module) if part)
