"""What things are called in exported C: arguments, results, and where calls come from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from smelt import tree
from smelt.compiler.artifacts import ResultTree, Traced
from smelt.compiler.frontend.signature import Call as Signature
from smelt.compiler.graph.fusion import Group
from smelt.compiler.graph.memory_plan import Planned, constants_of
from smelt.dtypes import DType
from smelt.export.names import input_names
from smelt.ir.graph import Node
from smelt.ir.program import Call, Program, regions
from smelt.tensor import Tensor

__all__ = ["CParameter", "argument_names", "call_origins", "constant_origins", "result_names"]


class CParameter(NamedTuple):
    """An argument or a result of the C function, an array of that many elements."""

    name: str
    dtype: DType
    shape: tuple[int, ...]


# --- parameters of the C function -----------------------------------------------------------------


def argument_names(
    call: Signature, traced: Traced, function: Callable[..., Any]
) -> list[CParameter]:
    """Returns the arguments of the C function, called as those of the Python function."""
    pairs = zip(input_names(call, function), traced.graph.arguments, strict=True)
    return [CParameter(name, node.dtype, node.shape) for name, node in pairs]


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


def constant_origins(planned: Planned) -> dict[int, str]:
    """Returns, for constants by their number, the user's line and module that they come from."""
    places = enumerate(_place(node) for node in constants_of(planned.graph))
    return {number: place for number, place in places if place}


def _bodies(planned: Planned, group: Group) -> Sequence[Planned]:
    """Returns the bodies of a loop or a branch in the order of its regions."""
    bodies = planned.bodies[group.members[0]].planned
    return bodies[::-1] if len(bodies) == 2 else bodies  # no, yes as numbers: yes, no as regions


def _place(node: Node) -> str:
    file, _, line = node.origin.line.rpartition(":")
    short = f"{os.path.basename(file)}:{line}" if file else ""
    return " ".join(part for part in (short, node.origin.module) if part)
