"""Containers: modules that hold modules."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, ClassVar, Self, overload

from smelt.errors import ArgumentError, BoundsError
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]


class _Container(Module):
    """What keeps a list of its entries: it costs the same to add one, however many there are."""

    _kind: ClassVar[type] = Module  # that of the entries

    def _entries(self) -> dict[str, Any]:
        """Returns the entries by name, in order; the dict itself, which no caller changes."""
        held = vars(self)
        if "_held" not in held:
            held["_held"] = {name: x for name, x in held.items() if isinstance(x, self._kind)}
        return held["_held"]

    def __setattr__(self, name: str, value: Any) -> None:
        entries = self._entries()
        super().__setattr__(name, value)
        if isinstance(value, self._kind):
            entries[name] = value
        else:
            entries.pop(name, None)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._entries().pop(name, None)


class _Numbered(_Container):
    """Modules under the names 0, 1, 2, ..."""

    def _replace(self, modules: Iterable[Module]) -> None:
        wanted = list(modules)
        for name in list(self._entries()):
            delattr(self, name)
        self.extend(wanted)

    def append(self, module: Module) -> Self:
        """Adds a module at the end; returns the container."""
        given: Any = module
        if not isinstance(given, Module):
            got, hint = f"a {type(module).__name__}", ""
            if isinstance(given, (list, tuple)):
                hint = "; write a * before it"
            elif isinstance(given, type):
                got, hint = f"the class {given.__name__}", f"; write {given.__name__}()"
            raise ArgumentError(f"{type(self).__name__} can only hold modules, got {got}{hint}")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end; returns the container."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Puts a module before number `index`."""
        modules = list(self)
        modules.insert(index, module)
        self._replace(modules)

    def __len__(self) -> int:
        return len(self._entries())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._entries().values())

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            return type(self)._of(list(self)[index])
        return list(self)[self._place(index)]

    @classmethod
    def _of(cls, modules: Iterable[Module]) -> Self:
        return cls().extend(modules)

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, list(self._entries())[self._place(index)], module)

    def __delitem__(self, index: int) -> None:
        modules = list(self)
        del modules[self._place(index)]
        self._replace(modules)

    def _place(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise BoundsError(
                f"{type(self).__name__}: index {index} is out of range, it holds {len(self)} "
                "modules"
            )
        return index


class Sequential(_Numbered):
    """Modules one after the other: `f3(f2(f1(x)))`.

    Args:
        modules: the modules in order, or one dict of names and modules.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                setattr(self, name, module)
        else:
            self.extend(modules)  # type: ignore[arg-type]

    def forward(self, x: Any) -> Any:
        """Passes `x` through the modules in order."""
        before: Module | None = None
        for module in self:
            if isinstance(x, tuple):
                _check_single(before, module, x)
            x, before = module(x), module
        return x


def _check_single(before: Module | None, module: Module, x: tuple[Any, ...]) -> None:
    """Raises for a tuple given to a module whose `forward` says that it takes one Tensor."""
    first = next(iter(inspect.signature(module.forward).parameters.values()), None)
    if first is None or first.annotation not in ("Tensor", Tensor):
        return
    giver = "its input" if before is None else f"the result of {type(before).__name__}"
    raise ArgumentError(
        f"Sequential: {type(module).__name__} takes one tensor, but {giver} is a tuple of "
        f"{len(x)}; insert a module that selects one of them. A recurrent layer returns "
        "(output, state): nn.ManyToMany and nn.ManyToOne add a head to it"
    )


class ModuleList(_Numbered):
    """A list of modules that `parameters()` finds; it is not itself callable."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def _child_path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def _rename(self, name: str) -> None:
        super()._rename(name)
        for key, module in self._entries().items():
            module._rename(self._child_path(key))


class ModuleDict(_Container):
    """A dict of modules that `parameters()` finds; it is not itself callable."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def _child_path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def _rename(self, name: str) -> None:
        super()._rename(name)
        for key, module in self._entries().items():
            module._rename(self._child_path(key))

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds or replaces modules by name."""
        for key, module in modules.items():
            self[key] = module

    def __setitem__(self, key: str, module: Module) -> None:
        if not key or "." in key:
            raise ArgumentError(
                f"ModuleDict: a key must not be empty or contain a dot, got {key!r}"
            )
        setattr(self, key, module)

    def __getitem__(self, key: str) -> Module:
        entry = self._entries().get(key)
        if entry is None:
            known = ", ".join(self._entries())
            raise BoundsError(f"ModuleDict has no module {key!r}; it has: {known}")
        return entry

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __contains__(self, key: str) -> bool:
        return key in self._entries()

    def __len__(self) -> int:
        return len(self._entries())

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def keys(self) -> KeysView[str]:
        """Returns the names."""
        return self._entries().keys()

    def values(self) -> ValuesView[Module]:
        """Returns the modules."""
        return self._entries().values()

    def items(self) -> ItemsView[str, Module]:
        """Returns names and modules."""
        return self._entries().items()


class ParameterList(_Container):
    """A list of parameters that `parameters()` finds."""

    _kind = Parameter

    def __init__(self, parameters: Iterable[Any] = ()) -> None:
        for parameter in parameters:
            self.append(parameter)

    def append(self, parameter: Any) -> Self:
        """Adds a parameter (or a tensor, which becomes one) at the end; returns the list."""
        own = parameter if isinstance(parameter, Parameter) else Parameter(parameter)
        setattr(self, str(len(self)), own)
        return self

    def __len__(self) -> int:
        return len(self._entries())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._entries().values())

    def __getitem__(self, index: int) -> Parameter:
        return list(self)[index]
