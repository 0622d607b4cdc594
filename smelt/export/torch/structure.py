"""Structure: how arguments and results are nested.

A skeleton is nested like a value, with the number of a leaf in the place of each leaf.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from smelt.errors import ArgumentError

__all__ = ["TENSOR", "Arguments", "plain", "rebuilt"]

TENSOR = object()  # stands for a tensor, or a length, of the example


class Arguments:
    """What a module was called with, by the names of the parameters of its `forward`.

    Args:
        forward: the function.
        skeleton: arguments and options, with numbers in the place of leaves.
        leaves: the leaves of the example, with TENSOR in the place of what is no constant.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        skeleton: tuple[tuple[Any, ...], Mapping[str, Any]],
        leaves: list[Any],
    ) -> None:
        self._name = f"{type(getattr(forward, '__self__', None)).__name__}.forward"
        self._signature = inspect.signature(forward)
        self._given = self._bound(skeleton[0], skeleton[1])
        self._leaves = leaves

    def _bound(self, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self._signature.bind(*inputs, **options).arguments)

    def leaves(self, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> list[Any]:
        """Returns the leaves of a call, in the order of the example's.

        Raises:
            ArgumentError: the call is nested in another way, or has other arguments.
        """
        try:
            given = self._bound(inputs, options)
        except TypeError as error:
            raise ArgumentError(f"{self._name}: {error}") from None
        found: list[Any] = list(self._leaves)
        for name, value in given.items():
            if name in self._given:
                self._collect(self._given[name], value, name, found)
            elif value is not self._default(name):
                raise ArgumentError(
                    f"{self._name}: the module was imported without the argument {name!r}; give "
                    "from_torch an example of it"
                )
        for name in self._given.keys() - given.keys():
            if not self._is_default(name):
                raise ArgumentError(
                    f"{self._name}: the module was imported with the argument {name!r}, which is "
                    "missing here; give it, or import the module without it"
                )
        return found

    def _default(self, name: str) -> Any:
        return self._signature.parameters[name].default

    def _is_default(self, name: str) -> bool:
        """Whether the example gave a parameter what it is by default."""
        number = self._given[name]
        return isinstance(number, int) and self._leaves[number] is self._default(name)

    def _collect(self, skeleton: Any, value: Any, place: str, found: list[Any]) -> None:
        if isinstance(skeleton, int):
            found[skeleton] = value
        elif isinstance(skeleton, Mapping):
            if not isinstance(value, Mapping) or value.keys() != skeleton.keys():
                keys = ", ".join(map(repr, skeleton))
                raise ArgumentError(f"{self._name}: {place} was a dict with the keys {keys}")
            for key, part in skeleton.items():
                self._collect(part, value[key], f"{place}[{key!r}]", found)
        else:
            if not isinstance(value, (tuple, list)) or len(value) != len(skeleton):
                kind = type(skeleton).__name__
                raise ArgumentError(f"{self._name}: {place} was a {kind} of {len(skeleton)}")
            for number, (part, item) in enumerate(zip(skeleton, value, strict=True)):
                self._collect(part, item, f"{place}[{number}]", found)


def plain(skeleton: Any) -> Any:
    """Returns a skeleton of tuples, named tuples, lists and dicts; other mappings become dicts."""
    if isinstance(skeleton, Mapping):
        return {key: plain(value) for key, value in skeleton.items()}
    if isinstance(skeleton, tuple) and hasattr(skeleton, "_fields"):
        return type(skeleton)(*map(plain, skeleton))
    if isinstance(skeleton, (tuple, list)):
        return (list if isinstance(skeleton, list) else tuple)(map(plain, skeleton))
    if isinstance(skeleton, int) or skeleton is None:
        return skeleton
    fields = getattr(skeleton, "__dict__", None)
    if not fields:
        raise ArgumentError(
            f"from_torch: a result of the class {type(skeleton).__name__} has no counterpart; "
            "return tensors in tuples, lists and dicts"
        )
    return {key: plain(value) for key, value in fields.items()}


def rebuilt(skeleton: Any, leaves: list[Any]) -> Any:
    """Returns the value of a skeleton with these leaves."""
    if isinstance(skeleton, int):
        return leaves[skeleton]
    if isinstance(skeleton, dict):
        return {key: rebuilt(value, leaves) for key, value in skeleton.items()}
    if isinstance(skeleton, tuple) and hasattr(skeleton, "_fields"):
        return type(skeleton)(*[rebuilt(part, leaves) for part in skeleton])
    if isinstance(skeleton, (tuple, list)):
        return type(skeleton)(rebuilt(part, leaves) for part in skeleton)
    return skeleton
