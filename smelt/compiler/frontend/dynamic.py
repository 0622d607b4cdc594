"""Dynamic axes: one version of a step for every length that the compiler treats alike.

A version is compiled with a symbolic number (`ir/symbolic.py`) where the extent of a dynamic axis
stands. It serves each length for which everything that the compiler asked of that number comes out
as it did, with the bits of the step for exactly that length: it is the same program, with other
numbers in it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smelt import tree
from smelt.compiler.artifacts import Parameters, Traced
from smelt.compiler.frontend.signature import Call, Signature
from smelt.errors import ArgumentError, ShapeError
from smelt.ir.program import Slot
from smelt.ir.symbolic import LEAST, Guards
from smelt.ops.op import is_whole_number, normal_axis
from smelt.tensor import Tensor

Axes = Mapping[int, str]  # the names of the extents of some axes
NamedAxes = tuple[tuple[str, tuple[tuple[int, str], ...]], ...]  # of arguments, by their names
_NONE: Axes = {}


def as_axes(function: Callable[..., Any], given: Mapping[str, Axes]) -> NamedAxes:
    """Returns the dynamic axes that a user names, checked against the function's parameters.

    Raises:
        ArgumentError: there is no such parameter, or axes have no names.
    """
    if not given:
        return ()
    if not isinstance(given, Mapping) or not all(isinstance(x, Mapping) for x in given.values()):
        raise ArgumentError(f"compile: dynamic={given!r}; {_EXAMPLE}")
    parameters = _signature(function).parameters
    for name, axes in given.items():
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(parameters)}"
            raise ArgumentError(f"compile: dynamic={name!r} is no argument of the function; {hint}")
        for axis, length in axes.items():
            if (
                not is_whole_number(axis)
                or not isinstance(length, str)
                or not length.isidentifier()
            ):
                raise ArgumentError(f"compile: dynamic={given!r}; {_EXAMPLE}")
    return tuple([(name, tuple(axes.items())) for name, axes in given.items()])


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(getattr(function, "forward", function))


def axes_of(function: Callable[..., Any], call: Call, named: NamedAxes) -> list[Axes]:
    """Returns the dynamic axes of each of a call's tensors."""
    arguments, options = call.rebuilt()
    bound = _signature(function).bind(*arguments, **options).arguments
    found: dict[int, Axes] = {}
    for name, axes in named:
        for x in tree.flatten(bound.get(name))[0]:
            if isinstance(x, Tensor):
                found[id(x)] = {normal_axis(a, x.ndim, f"dynamic {name}"): n for a, n in axes}
    return [found.get(id(x), _NONE) for x in call.tensors]


@dataclass(frozen=True, slots=True)
class Lengths:
    """The extents of the dynamic axes of a call: `values` by the names of `signature`."""

    signature: Signature
    names: tuple[str, ...]
    values: tuple[int, ...]


def lengths_of(call: Call, axes: Sequence[Axes]) -> Lengths | None:
    """Returns the lengths of a call, or None where one is so short that it is a case of its own,
    or there are none.

    Args:
        call: a call of the step.
        axes: the dynamic axes of each of its tensors.

    Raises:
        ShapeError: two axes of one name have different extents.
    """
    found: dict[str, int] = {}
    signature, tensors = list(call.signature), iter(axes)
    for place, part in enumerate(signature):
        if not (isinstance(part, tuple) and len(part) == 3 and place):
            continue
        shape = list(part[0])
        for axis, name in next(tensors).items():
            if found.setdefault(name, shape[axis]) != shape[axis]:
                raise ShapeError(
                    f"dynamic: {name!r} is {found[name]} and {shape[axis]} in one call; axes of "
                    "one name have one length"
                )
            shape[axis] = name
        signature[place] = (tuple(shape), *part[1:])
    if not found or min(found.values()) < LEAST:
        return None
    return Lengths(tuple(signature), tuple(found), tuple(found.values()))


def symbolic_shape(
    x: Tensor, axes: Axes, guards: Guards, symbols: dict[str, Any]
) -> tuple[int, ...]:
    """Returns a tensor's shape with symbols for its dynamic axes."""
    shape = list(x.shape)
    for axis, name in axes.items():
        if name not in symbols:
            symbols[name] = guards.symbol(name, shape[axis])
        shape[axis] = symbols[name]
    return tuple(shape)


class Instances:
    """What a program for any length needs for one: evaluated formulas of its symbols."""

    def __init__(
        self, guards: Guards, traced: Traced, slots: Sequence[Slot], formulas: Sequence[str]
    ) -> None:
        self.serves: Callable[..., bool] = guards.test()
        self._slots = slots
        self._extents = guards.values([extent for slot in slots for extent in slot.shape])
        self._numbers = guards.evaluation(formulas)
        self._arguments = guards.values([number for number, _ in traced.numbers])
        self._dtypes = [dtype for _, dtype in traced.numbers]

    def parameters(self, values: Sequence[int]) -> Parameters:
        """Returns what the program is given for these lengths."""
        extents = iter(self._extents(*values))
        slots = [
            replace(slot, shape=tuple([next(extents) for _ in slot.shape])) for slot in self._slots
        ]
        numbers = np.array(self._numbers(*values), np.int64)
        pairs = zip(self._arguments(*values), self._dtypes, strict=True)
        arguments = [np.array(value, dtype.storage) for value, dtype in pairs]
        return Parameters(tuple(slots), numbers, arguments)


_EXAMPLE = 'give the axes of an argument and names for their lengths: dynamic={"x": {1: "length"}}'
