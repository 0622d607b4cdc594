"""Names read: the globals, closure cells, attributes and items that a function's bytecode reads.

A name is followed with the attributes written behind it, and into the functions, methods and
modules that it leads to, but not into Smelt's own or into libraries.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

MANY_ITEMS = 1000  # a longer list is data, and its items are not looked at
LIBRARIES = frozenset(["smelt", "numpy", *sys.stdlib_module_names])
FIXED = (ModuleType, type, BuiltinFunctionType)  # nobody gives their names to something else
UNDEFINED = object()
NO_VALUE = (AttributeError, KeyError, ValueError)  # what reading raises where there is none now
_OF_MODULES = frozenset(["_buffers", "_hooks"])  # a module says itself when these change
_NEUTRAL = frozenset(["CACHE", "EXTENDED_ARG", "COPY", "PUSH_NULL", "PRECALL", "RESUME", "NOP"])


class Kind(Enum):
    """How a value is read from its holder: the Python text of it, with the holder and the name."""

    ITEM = "{0}[{1!r}]"  # of a namespace
    ATTRIBUTE = "{0}.{1}"
    CELL = "{0}.cell_contents"
    CONTENTS = "items({0})"  # of a list, a set or a dict


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where a function reads a value. What is `in_fingerprint` a module guards by itself."""

    kind: Kind
    holder: Any
    name: str = ""
    owner: str = ""
    in_fingerprint: bool = False

    def expression(self, holder: str) -> str:
        """Returns the Python text that gives the value, for a holder of this name."""
        return self.kind.value.format(holder, self.name)

    def read(self) -> Any:
        """Returns the value; UNDEFINED where there is none now."""
        try:
            match self.kind:
                case Kind.ITEM:
                    return self.holder[self.name]
                case Kind.ATTRIBUTE:
                    return getattr(self.holder, self.name)
                case Kind.CELL:
                    return self.holder.cell_contents
                case Kind.CONTENTS:
                    return items(self.holder)
        except NO_VALUE:
            return UNDEFINED


def items(container: Any) -> tuple[Any, ...]:
    """Returns what is in a list, tuple, set or dict, of this also the keys."""
    if isinstance(container, dict):
        return (*container, *container.values())
    return tuple(container)


def sources_of(function: Callable[..., Any]) -> list[Source]:
    """Returns where a function reads values besides its arguments."""
    reader = _Reader()
    reader.follow(function)
    return list(reader.sources.values())


class _Reader:
    """Collects names while it follows them."""

    def __init__(self) -> None:
        self.sources: dict[tuple[int, str], Source] = {}  # by holder and name
        self._done: set[Any] = set()
        self._pending: list[Any] = []

    def _add(self, source: Source) -> None:
        self.sources.setdefault((id(source.holder), source.name), source)

    def follow(self, value: Any) -> None:
        """Collects what a value leads to: a function's names, a container's items."""
        self._pending.append(value)
        while self._pending:
            self._visit(self._pending.pop())

    def _visit(self, value: Any) -> None:
        if isinstance(value, (str, bytes, int, float, *FIXED)) or value is None:
            return
        if isinstance(value, MethodType):
            self._method(value.__func__, value.__self__)
        elif isinstance(value, FunctionType):
            self._function(value, None)
        elif isinstance(value, functools.partial):
            self._pending += [value.func, *value.args, *value.keywords.values()]
        elif id(value) not in self._done:
            self._done.add(id(value))
            self._object(value)

    def _object(self, value: Any) -> None:
        if isinstance(value, (list, tuple, dict, set)):
            self._container(value)
        elif "__wrapped__" in getattr(value, "__dict__", {}):
            self._pending.append(value.__wrapped__)  # a compiled step, or another decorator's
        elif hasattr(value, "fingerprint"):
            held = [value for name, value in vars(value).items() if name not in _OF_MODULES]
            self._pending += [getattr(value, "forward", None), *held]
        elif callable(value):
            self._method(type(value).__call__, value)

    def _container(self, value: Any) -> None:
        if len(value) > MANY_ITEMS:
            return
        if not isinstance(value, tuple):
            self._add(Source(Kind.CONTENTS, value))
        self._pending += items(value)

    def _method(self, function: Any, instance: Any) -> None:
        if isinstance(function, FunctionType):
            self._function(function, instance)

    def _function(self, function: FunctionType, instance: Any) -> None:
        self._pending.append(getattr(function, "__wrapped__", None))
        if _is_library(function.__module__):
            return
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._code(function.__code__, function.__globals__, cells, instance)

    def _code(
        self,
        code: CodeType,
        namespace: dict[str, Any],
        cells: Mapping[str, CellType],
        instance: Any,
    ) -> None:
        if (code, id(instance)) in self._done:
            return
        self._done.add((code, id(instance)))
        first = code.co_varnames[0] if instance is not None and code.co_varnames else ""
        for kind, name, attributes in _chains(code):
            if kind == "GLOBAL" and name in namespace:
                owner = namespace.get("__name__", "")
                self._name(Source(Kind.ITEM, namespace, name, owner))
                self._attributes(namespace[name], attributes)
            elif name == first:
                self._attributes(instance, attributes)
            elif kind == "DEREF" and name in cells:
                source = Source(Kind.CELL, cells[name], name)
                self._add(source)
                self._attributes(source.read(), attributes)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._code(constant, namespace, cells, None)

    def _name(self, source: Source) -> None:
        value = source.read()
        is_library = isinstance(value, FunctionType) and _is_library(value.__module__)
        if not is_library and not isinstance(value, FIXED):
            self._add(source)

    def _attributes(self, value: Any, names: Iterable[str]) -> None:
        """Follows `value.a.b.c` as far as it leads through plain attributes."""
        for name in names:
            if isinstance(value, ModuleType) and _is_library(value.__name__):
                return
            found = _static(value, name)
            if isinstance(found, property):
                found = found.fget
            if isinstance(found, FunctionType) and name not in getattr(value, "__dict__", {}):
                self._function(found, value)
                return
            if found is UNDEFINED or isinstance(found, GetSetDescriptorType):
                return  # what is made anew by each look, such as an array's shape, is no setting
            if name != "training":
                owner = getattr(value, "__name__", None) or f"a {type(value).__name__}"
                guarded = hasattr(value, "fingerprint")
                self._name(Source(Kind.ATTRIBUTE, value, name, owner, guarded))
            value = getattr(value, name)
        self._pending.append(value)


def _static(value: Any, name: str) -> Any:
    """Returns an attribute as it is stored, without running any code to get it."""
    for namespace in (getattr(value, "__dict__", {}), *map(vars, type(value).__mro__)):
        if name in namespace:
            return namespace[name]
    return UNDEFINED


def _chains(code: CodeType) -> Iterator[tuple[str, str, list[str]]]:
    """Yields each name that is read, its kind, and the attributes written behind it."""
    chain: tuple[str, str, list[str]] | None = None
    for step in dis.get_instructions(code):
        name = step.opname
        if chain is not None and name in ("LOAD_ATTR", "LOAD_METHOD"):
            chain[2].append(step.argval)
            continue
        if name in _NEUTRAL:
            continue
        if chain is not None:
            yield chain
        chain = None
        if name.startswith(("LOAD_GLOBAL", "LOAD_NAME")):
            chain = ("GLOBAL", step.argval, [])
        elif name.startswith(("LOAD_DEREF", "LOAD_CLASSDEREF")):
            chain = ("DEREF", step.argval, [])
        elif name.startswith("LOAD_FAST") and isinstance(step.argval, str):
            chain = ("FAST", step.argval, [])


def _is_library(module: str | None) -> bool:
    return (module or "").split(".")[0] in LIBRARIES
