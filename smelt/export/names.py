"""What the inputs of an exported function and the tensors that it captured are called."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from smelt import tree
from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.signature import Call, is_static
from smelt.memory import address
from smelt.random import default_generator

if TYPE_CHECKING:
    from smelt.compiler.c.interface import Field

__all__ = ["distinct_tensors", "input_names", "state_names"]


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


def distinct_tensors(fields: Iterable[Field]) -> Iterator[tuple[str, Field]]:
    """Yields the tensors of a state, each with a name of its own: two modules may both have a
    weight.
    """
    names: set[str] = set()
    for field in fields:
        if field.tensor:
            given, number = field.tensor, 1
            while given in names:
                number += 1
                given = f"{field.tensor}_{number}"
            names.add(given)
            yield given, field


def input_names(call: Call, function: Callable[..., Any]) -> list[str]:
    """Returns what each tensor of a call is called: the function's parameter, and the keys or
    places in it.
    """
    try:
        names = list(inspect.signature(getattr(function, "forward", function)).parameters)
    except (TypeError, ValueError):
        names = []
    places = zip(tree.paths(call.structure), call.leaves, strict=True)
    return [_input_name(place, names) for place, leaf in places if not is_static(leaf)]


def _input_name(place: str, names: Sequence[str]) -> str:
    """Returns `x_mask` for `[0]['mask']`, where x is the first parameter."""
    position, *keys = re.findall(r"\[(.*?)\]", place) or ["0"]
    number = int(position)
    stem = names[number] if number < len(names) else f"argument{number}"
    return "_".join([stem, *(key.strip("'") for key in keys)])
