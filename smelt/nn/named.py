"""Submodules, parameters and buffers by path, and adding modules by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor
from smelt.tensor.checked import described

if TYPE_CHECKING:
    from smelt.nn.module import Module

__all__ = ["Named"]


class Named:
    """A base class of Module."""

    def add_module(self, name: str, module: Module | None) -> None:
        """Makes a module a submodule, as `self.name = module` does.

        Args:
            name: the attribute that will hold it; in containers also a number, as text.
            module: the submodule, or None for one that is not used.

        Raises:
            ArgumentError: the name is empty, has a dot in it, or is taken by something else.
            ArgumentTypeError: `module` is not a module.
        """
        held = vars(self).get(name)
        if not name or "." in name:
            raise ArgumentError(
                f"add_module: a name must not be empty or contain a dot, got {name!r}"
            )
        if module is not None and not isinstance(module, Named):
            raise ArgumentTypeError(f"add_module: needs a module, got {described(module)}")
        if held is not None and not isinstance(held, Named):
            raise ArgumentError(f"{type(self).__name__} already has an attribute {name!r}")
        setattr(self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def get_submodule(self, target: str) -> Self | Module:
        """Returns the module under a path such as "encoder.0"; under "", the module itself.

        Raises:
            ArgumentError: there is none.
        """
        found: Any = self
        for name in target.split(".") if target else ():
            found = _entry("submodule", found, name, dict(found._below()))
        return found

    def get_parameter(self, target: str) -> Parameter:
        """Returns the parameter under a path; raises ArgumentError when there is none."""
        owner, name = self._owner(target)
        return _entry("parameter", owner, name, dict(owner._own_parameters()))

    def get_buffer(self, target: str) -> Tensor:
        """Returns the buffer under a path; raises ArgumentError when there is none."""
        owner, name = self._owner(target)
        return _entry("buffer", owner, name, dict(owner._own_buffers()))

    def _owner(self, target: str) -> tuple[Any, str]:
        path, _, name = target.rpartition(".")
        return self.get_submodule(path), name


def _entry(kind: str, owner: Any, name: str, entries: dict[str, Any]) -> Any:
    if name not in entries:
        known = ", ".join(entries) or "none"
        raise ArgumentError(f"{type(owner).__name__} has no {kind} {name!r}; it has {known}")
    return entries[name]
