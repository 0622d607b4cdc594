"""Arguments such as `module__width=64`, which are passed to `module`."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.nn.module import Module
from smelt.tensor.suggestions import nearest

__all__ = ["Routed", "made_of"]

_NOTHING = object()


class Routed:
    """A base of estimators: arguments of their parts, as parameters of the estimator.

    Attributes:
        routed: names of the parts.
    """

    routed: ClassVar[tuple[str, ...]] = ()

    def _given(self) -> dict[str, Any]:
        """Returns the arguments that are none of the signature, by name; what `fit` has learned
        begins or ends with an underscore.
        """
        own = super().get_params(deep=False)  # type: ignore[misc]
        return {
            name: value
            for name, value in vars(self).items()
            if name not in own and not name.startswith("_") and not name.endswith("_")
        }

    def _check_routed(self) -> None:
        """Refuses arguments that no part can have; in `fit`, since scikit-learn wants constructors
        to take what they get.
        """
        for name in self._given():
            if not self._is_routed(name):
                parts = ", ".join(f"{part}__..." for part in self.routed)
                meant = nearest(inspect.signature(type(self)), [name])
                raise ArgumentTypeError(
                    f"{type(self).__name__} has no argument {name!r}{meant}; arguments of its "
                    f"parts are {parts}"
                )

    def _is_routed(self, name: str) -> bool:
        part, separator, argument = name.partition("__")
        return part in self.routed and bool(separator) and bool(argument)

    def _of(self, part: str) -> dict[str, Any]:
        """Returns the arguments of a part."""
        prefix = f"{part}__"
        return {
            name.removeprefix(prefix): value
            for name, value in vars(self).items()
            if name.startswith(prefix)
        }

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns all parameters by name, with those of the parts that were given."""
        own: dict[str, Any] = super().get_params(deep)  # type: ignore[misc]
        return own | self._given()

    def set_params(self, **params: Any) -> Self:
        """Sets parameters, also those of parts.

        Raises:
            ArgumentError: there is no such parameter.
        """
        known = self.get_params(deep=False)
        unknown = [name for name in params if name not in known and not self._is_routed(name)]
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; there are "
                f"{', '.join(known)}, and {', '.join(f'{part}__...' for part in self.routed)}"
            )
        self.__dict__.update(params)
        return self


def made_of(
    name: str,
    part: Any,
    options: Mapping[str, Any],
    *,
    first: Any = _NOTHING,
    found: Mapping[str, Any] | None = None,
    keeps_functions: bool = False,
) -> Any:
    """Returns what a part of an estimator is made to.

    Args:
        name: of the part.
        part: a class or function; a module is copied.
        options: its arguments.
        first: its first argument, where it has one.
        found: further arguments, for those that take them by these names.
        keeps_functions: whether a function is taken as it is, and is no maker.

    Raises:
        ArgumentError: arguments for what takes none.
        ArgumentTypeError: it is nothing that makes something, or does not take the arguments.
    """
    if isinstance(part, Module):
        if options:
            raise ArgumentError(
                f"{name} is an instance of {type(part).__name__}, which takes no "
                f"{', '.join(f'{name}__{option}' for option in options)}; give the class"
            )
        return copy.deepcopy(part)
    if not callable(part):
        raise ArgumentTypeError(f"{name}={part!r} must be a class, or a function that makes one")
    if keeps_functions and not isinstance(part, type):
        return functools.partial(part, **options) if options else part
    arguments = [] if first is _NOTHING else [first]
    _check_known(name, part, options)
    extra = {key: value for key, value in (found or {}).items() if key in _arguments_of(part)}
    return part(*arguments, **{**extra, **options})


def _check_known(name: str, part: Any, options: Mapping[str, Any]) -> None:
    """Raises for an argument that a user's class or function has not; Smelt's say so themselves."""
    try:
        signature = inspect.signature(part)
    except ValueError:  # it tells no signature
        return
    taken = signature.parameters
    if str(getattr(part, "__module__", "")).startswith("smelt.") or any(
        each.kind is each.VAR_KEYWORD for each in taken.values()
    ):
        return
    for option in options:
        if option not in taken:
            raise ArgumentTypeError(
                f"{name}__{option}: {getattr(part, '__name__', part)} has no argument {option!r}"
                f"{nearest(signature, [option])}; it takes ({', '.join(taken)})"
            )


def _arguments_of(function: Any) -> set[str]:
    """Returns the names of the arguments of a function; none of what is written in C."""
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # it tells no signature
        return set()
