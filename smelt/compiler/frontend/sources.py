"""Sources: where a function may read values besides its arguments, and what is in containers."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from smelt.compiler.frontend.stack_walk import Known
from smelt.tensor import Tensor

MANY_ITEMS = 1000  # a longer list is data, and its items are not compared
# the stand-ins for lists and dicts in `collections` are Python code like the user's
LIBRARIES = frozenset(["smelt", "numpy", *sys.stdlib_module_names]) - {"collections"}
FIXED = (ModuleType, type, BuiltinFunctionType)  # their names are not expected to change
ATOMS = (bool, int, float, complex, str, bytes, type(None), np.generic)
CONTAINERS = (list, tuple, dict, set, deque, bytearray)
UNDEFINED = object()
NO_VALUE = (AttributeError, KeyError, ValueError)  # what reading raises if there is no value now


class Kind(Enum):
    """How a value is read from its holder: the Python text of it, with the holder and the name."""

    ITEM = "{0}[{1!r}]"  # of a namespace
    ATTRIBUTE = "{0}.{1}"
    CELL = "{0}.cell_contents"
    CONTENTS = "items({0})"  # of a list, a set or a dict


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where a function reads a value, and who owns it.

    A source that is `guarded_elsewhere` needs no guard here: what a module holds is in its
    fingerprint, and the tracer knows which arrays it has used. `is_read` is False for the contents
    of a list, set or dict that the function reaches without reading them.
    """

    kind: Kind
    holder: Any
    name: str = ""
    owner: str = ""
    guarded_elsewhere: bool = False
    is_read: bool = True

    def expression(self, holder: str) -> str:
        """Returns the Python text that gives the value, for a holder of this name."""
        return self.kind.value.format(holder, self.name)

    def read(self) -> Any:
        """Returns the value; UNDEFINED if there is none now."""
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
    """Returns the contents of a list, tuple, set or dict, for a dict with the keys.

    For a module, these are its children with their names; for an array, its bytes. The contents of
    an iterator are never equal.
    """
    if isinstance(container, dict):
        return (*container, *container.values())
    if isinstance(container, CONTAINERS):
        return tuple(container)
    if isinstance(container, np.ndarray):
        return (container.tobytes(),)
    if hasattr(type(container), "named_children"):
        children = dict(container.named_children())
        return (*children, *children.values())
    return (object(),)


def entries(container: Any) -> Iterator[tuple[Any, Any]]:
    """Yields what is in a container with its key or number."""
    if len(container) <= MANY_ITEMS:
        is_dict = isinstance(container, dict)
        yield from dict.items(container) if is_dict else enumerate(container)


def items_at(container: Any, key: Known) -> list[Any]:
    """Returns what may be at a key of a container: all its items if the key is not known."""
    known = [x for x in key.objects if isinstance(x, (str, int, float))]
    if len(known) == 1 == len(key.objects):
        place = known[0]
        if isinstance(container, dict):
            item = dict.get(container, place, UNDEFINED)
            return _made_by(container) if item is UNDEFINED else [item]
        if isinstance(place, int) and place < 0:
            place += len(container)
        return [item for number, item in entries(container) if number == place]
    found = [item for _, item in entries(container)]
    return found if isinstance(container, dict) else [*found, container]  # for a slice


def _made_by(container: dict[Any, Any]) -> list[Any]:
    """Returns an example of what a defaultdict makes for a missing key."""
    kind = getattr(container, "default_factory", None)
    return [_EMPTY[kind]] if kind in (list, dict, set, deque) else []


_EMPTY: dict[Any, Any] = {kind: kind() for kind in (list, dict, set, deque)}


def listed(container: Any, method: str) -> tuple[Any, ...]:
    """Returns what `keys`, `values`, `items` or `copy` of a container gives."""
    if len(container) > MANY_ITEMS:
        return ()
    if method in ("keys", "copy") or not isinstance(container, dict):
        return tuple(container)
    return tuple(dict.values(container) if method == "values" else dict.items(container))


def leads_on(value: Any) -> bool:
    """Whether something that can change is read through a value, except a tensor's contents."""
    return not isinstance(value, (*ATOMS, *FIXED, Tensor))


def static(value: Any, name: str) -> Any:
    """Returns an attribute as it is stored, without running any code to get it."""
    own, classes = getattr(value, "__dict__", {}), type(value).__mro__
    if type(value) is super:
        own, classes = {}, _above(value)
    elif isinstance(value, type):
        classes = (*value.__mro__, *classes)
    for namespace in (own, *map(vars, classes)):
        if name in namespace:
            return namespace[name]
    return UNDEFINED


def itself(value: Any) -> Any:
    """Returns an object; for a `super()`, the object behind it."""
    is_super = type(value) is super
    return value.__self__ if is_super else value


def _above(parent: Any) -> tuple[type, ...]:
    """Returns the classes in which `super()` looks."""
    order = parent.__self_class__.__mro__
    return tuple(order[order.index(parent.__thisclass__) + 1 :])


def is_users(function: Any) -> bool:
    """Whether a function is one that the user has written."""
    return isinstance(function, FunctionType) and not is_library(function.__module__)


def is_built_in(method: Any) -> bool:
    """Whether a method of a container is Python's own: its name says what it does."""
    is_own = getattr(method, "__module__", None) == "collections"
    return method is UNDEFINED or (callable(method) and (is_own or not is_users(method)))


def is_library(module: str | None) -> bool:
    """Whether a module is Smelt's or another library's, which is not followed."""
    return (module or "").split(".")[0] in LIBRARIES


def inner_function(value: Any) -> Any:
    """Returns the function that calling an object leads to, if there is one to follow."""
    if "__wrapped__" in getattr(value, "__dict__", {}):
        return value.__wrapped__
    if hasattr(value, "fingerprint"):
        return getattr(value, "forward", None)
    function = static(value, "__call__")
    return MethodType(function, value) if isinstance(function, FunctionType) else None


def defaults_of(function: FunctionType) -> dict[str, Known]:
    """Returns the values of a function's parameters that a call may leave out."""
    code, given = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    pairs = dict(zip(names, given, strict=True)) | (function.__kwdefaults__ or {})
    return {name: Known((value,)) for name, value in pairs.items()}


def owner_of(value: Any) -> str:
    """Returns the name, for messages, of the object that an attribute belongs to."""
    return getattr(value, "__name__", None) or f"a {type(value).__name__}"
