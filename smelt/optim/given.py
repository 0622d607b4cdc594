"""The parameters of an optimizer, or groups of them with their own settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, GradientError, TraceError
from smelt.tensor import Tensor
from smelt.tensor.checked import described

__all__ = ["groups_of", "listed", "parameters_of"]

READ_ONCE = "What parameters() returns can be read only once"
PARAMETERS = "give model.parameters(), or a list of tensors"


def groups_of(owner: str, params: Any) -> list[Any]:
    """Returns the groups of an optimizer's parameters; a single one without settings if they are
    tensors.

    Raises:
        ArgumentError: there are none, tensors and groups are mixed, or it is something else.
    """
    given = _listed(owner, "params", params)
    if not given:
        raise ArgumentError(
            f"{owner}: there are no parameters to optimize; {PARAMETERS}. {READ_ONCE}"
        )
    groups = [isinstance(one, Mapping) for one in given]
    if any(groups) and not all(groups):
        raise ArgumentError(
            f"{owner}: params are tensors or groups of them, not both; give each group as a dict "
            'with "params"'
        )
    return given if all(groups) else [{"params": given}]


def parameters_of(owner: str, group: Any) -> list[Tensor]:
    """Returns the parameters of one group, of which there may be none.

    Raises:
        ArgumentError: it is not a group, or holds objects that are not tensors.
        DTypeError: one is not a float tensor.
        GradientError: one was computed.
        TraceError: one is a value of a compiled step.
    """
    if not isinstance(group, Mapping):
        raise ArgumentTypeError(
            f'{owner}: a group is a dict with "params" and settings, got {described(group)}'
        )
    if "params" not in group:
        names = ", ".join(map(repr, group)) or "nothing"
        raise ArgumentError(f'{owner}: a group needs its "params"; this one has {names}')
    params = group["params"]
    parameters = [params] if isinstance(params, Tensor) else _listed(owner, '"params"', params)
    for place, x in enumerate(parameters):
        _check(owner, place, x)
    return parameters


def listed(owner: str, params: Any) -> list[Any]:
    """Returns the tensors of an iterable in a list.

    Raises:
        ArgumentError: it is a model, or an exhausted iterator.
        ArgumentTypeError: it is not iterable.
    """
    _check_no_model(owner, params)
    if not isinstance(params, Iterable):
        raise ArgumentTypeError(f"{owner}: {PARAMETERS}, got {described(params)}")
    given = list(params)
    if not given and isinstance(params, Iterator):
        raise ArgumentError(f"{owner}: no parameters; {PARAMETERS}. {READ_ONCE}")
    return given


def _check_no_model(owner: str, params: Any) -> None:
    if hasattr(params, "named_parameters"):
        raise ArgumentError(
            f"{owner}: give model.parameters(), not the {type(params).__name__} itself"
        )


def _listed(owner: str, what: str, params: Any) -> list[Any]:
    _check_no_model(owner, params)
    if isinstance(params, (set, frozenset)):
        raise ArgumentTypeError(
            f"{owner}: {what} is a set, which has no order, so that the state of one parameter "
            "could become another's; give a list"
        )
    whole = isinstance(params, (Tensor, Mapping, str, bytes)) or hasattr(params, "__array__")
    if whole or not isinstance(params, Iterable):
        raise ArgumentTypeError(
            f"{owner}: {what} must be iterable, got one {type(params).__name__}; use [...], or "
            "model.parameters()"
        )
    return list(params)


def _check(owner: str, place: int, x: Any) -> None:
    if not isinstance(x, Tensor):
        named = isinstance(x, tuple) and len(x) == 2 and isinstance(x[1], Tensor)
        hint = "; give parameters without names" if named else f"; {PARAMETERS}"
        raise ArgumentTypeError(
            f"{owner} optimizes tensors, got {described(x)} at place {place}{hint}"
        )
    if x.is_traced:
        raise TraceError(
            f"{owner}: the tensor {x.shape} at place {place} is a value within a compiled step, "
            "not a parameter; make parameters and optimizer outside of the step"
        )
    if x.tape_entry is not None:
        raise GradientError(
            f"{owner}: a computed tensor {x.shape} is not a parameter; optimize what it was "
            "computed from, or its values alone by x.detach().requires_grad_()"
        )
    if not x.dtype.is_float:
        raise DTypeError(f"{owner} optimizes floats, got {x.dtype.name} {x.shape}")
