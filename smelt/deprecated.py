"""Public names that have been replaced: the old one still works, and warns with the new one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from smelt.location import warn

__all__ = ["rename", "rename_module", "renamed_argument", "renamed_method", "renamed_property"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def rename(module: str, names: Mapping[str, str]) -> None:
    """Lets the keys of `names` stand for attributes of a module that are now called otherwise.

    Modules that pickles name do so too, so that files with the old names can be read. Installed
    from outside, since type checkers would let a module with a `__getattr__` have any attribute.
    """

    held = vars(sys.modules[module])
    before = held.get("__getattr__")

    def look_up(name: str) -> Any:
        if name not in names and before is not None:
            return before(name)
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", names[name])
        return getattr(sys.modules[module], names[name])

    held["__getattr__"] = look_up


def rename_module(old: str, new: str) -> None:
    """Lets pickles that name classes in the module `old` be read; they are now in `new`."""
    sys.modules.setdefault(old, sys.modules[new])


def renamed_argument(
    old: str, new: str
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Returns a decorator that lets a function take its argument `new` by its old name too."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        called = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

        @functools.wraps(function)
        def call(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
            if old in options:
                _warn(f"{called}({old}=...)", new)
                options[new] = options.pop(old)
            return function(*arguments, **options)

        return call

    return decorate


def renamed_method(old: str, new: str) -> Callable[..., Any]:
    """Returns a method that calls the one of its object that is now called `new`, and says so."""

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        _warn(f"{type(self).__name__}.{old}", new)
        return getattr(self, new)(*arguments, **options)

    call.__name__ = old
    call.__doc__ = f"Is now called `{new}`."
    return call


def renamed_property(old: str, new: str) -> property:
    """Returns a property with the value of the attribute that is now called `new`."""

    def get(self: Any) -> Any:
        _warn(f"{type(self).__name__}.{old}", new)
        return getattr(self, new)

    return property(get, doc=f"Is now called `{new}`.")


def _warn(old: str, new: str) -> None:
    warn(f"{old} is now called {new}", DeprecationWarning)
