"""Lengths: the axes of a step's arguments whose extents change from call to call.

The user names them (`compile(step, dynamic=...)`), or calls show them: if calls differ in the
extents of some axes and in nothing else, these axes change. `template.py` makes one version for all
their lengths.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.compiler.frontend.signature import Call, Signature
from smelt.errors import ArgumentError, ShapeError
from smelt.ir.symbolic import LEAST, Guards
from smelt.ops.op import is_whole_number, normal_axis
from smelt.tensor import Tensor

Axes = Mapping[int, str]  # the names of the extents of some axes
NamedAxes = tuple[tuple[str, tuple[tuple[int, str], ...]], ...]  # of arguments, by their names
_NONE: Axes = {}
SEEN = 2  # different lengths that a step has had before it is compiled for all


def as_axes(function: Callable[..., Any], given: Mapping[str, Axes] | bool) -> NamedAxes | bool:
    """Returns the dynamic axes that a user names, checked against the function's parameters; or
    whether to look for them.

    Raises:
        ArgumentError: there is no such parameter, or axes have no names.
    """
    if isinstance(given, bool):
        return given
    if not isinstance(given, Mapping) or not all(isinstance(x, Mapping) for x in given.values()):
        raise ArgumentError(f"compile: dynamic={given!r}; {_EXAMPLE}")
    parameters = _signature(function).parameters
    for name, axes in given.items():
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(parameters)}"
            raise ArgumentError(
                f"compile: dynamic={name!r}: the function has no such argument; {hint}"
            )
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
    values: tuple[int, ...]


def lengths_of(signature: Signature, axes: Sequence[Axes]) -> Lengths | None:
    """Returns the lengths of a call; None if there are none, if axes of one name differ, or if one
    is so short that it is a special case.

    Args:
        signature: the call's.
        axes: the dynamic axes of each of its tensors.
    """
    found: dict[str, int] = {}
    named, tensors = list(signature), iter(axes)
    for place in _tensor_places(signature):
        shape = list(signature[place][0])
        for axis, name in next(tensors).items():
            if found.setdefault(name, shape[axis]) != shape[axis]:
                return None
            shape[axis] = name
        named[place] = (tuple(shape), *signature[place][1:])
    if not found or min(found.values()) < LEAST:
        return None
    return Lengths(tuple(named), tuple(found.values()))


def check_lengths(call: Call, axes: Sequence[Axes]) -> None:
    """Raises ShapeError when axes of one name have different extents."""
    found: dict[str, int] = {}
    for x, named in zip(call.tensors, axes, strict=True):
        for axis, name in named.items():
            if found.setdefault(name, x.shape[axis]) != x.shape[axis]:
                raise ShapeError(
                    f"dynamic: {name!r} is {found[name]} and {x.shape[axis]} in one call; axes of "
                    "one name have one length"
                )


def changing_axes(known: Sequence[Signature], new: Signature) -> list[Axes] | None:
    """Returns the axes in which a call differs from `SEEN` others, if it differs in nothing else.

    Axes whose extents have always been equal share a name.
    """
    alike = [one for one in known if _without_extents(one) == _without_extents(new)]
    shapes = [[one[place][0] for place in _tensor_places(new)] for one in [*alike, new]]
    if len(set(map(tuple, shapes))) <= SEEN:
        return None
    names: dict[tuple[int, ...], str] = {}
    result: list[Axes] = []
    for of_one in zip(*shapes, strict=True):  # the shapes that one tensor had
        axes = {}
        for axis, extents in enumerate(zip(*of_one, strict=True)):
            if len(set(extents)) > 1:
                axes[axis] = names.setdefault(extents, f"length{len(names)}")
        result.append(axes)
    return result


def _tensor_places(signature: Signature) -> list[int]:
    """Returns where in a signature tensors are described."""
    return [place for place, part in enumerate(signature) if place and isinstance(part, tuple)]


def _without_extents(signature: Signature) -> list[Any]:
    return [
        (len(part[0]), *part[1:]) if isinstance(part, tuple) and place else part
        for place, part in enumerate(signature)
    ]


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


_EXAMPLE = 'give the axes of an argument and names for their lengths: dynamic={"x": {1: "length"}}'
