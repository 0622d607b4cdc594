"""Names read: the globals, closure cells, attributes and items that a function reads.

Its bytecode is followed (`stack_walk.py`), and so are the functions, methods and modules that it
calls through names, attributes and items, except those of Smelt and of libraries. For a list, set
or dict it is also found whether the function reads its contents, or only writes to it.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import (
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np

from smelt.compiler.frontend.sources import (
    ATOMS,
    CONTAINERS,
    FIXED,
    MANY_ITEMS,
    UNDEFINED,
    Kind,
    Source,
    defaults_of,
    entries,
    inner_function,
    is_built_in,
    is_library,
    is_users,
    items,
    items_at,
    itself,
    leads_on,
    listed,
    owner_of,
    static,
)
from smelt.compiler.frontend.stack_walk import (
    NOTHING,
    Frame,
    Known,
    LocalFunction,
    Use,
    union,
    walk,
)

MANY_CALLS = 20  # with more different arguments, a function is followed without them
MANY_BYTES = 1 << 24  # a larger array is data, and is not watched
DEEP = 20  # of nested calls: beyond, a function is followed without its arguments
MADE_ANEW = (GetSetDescriptorType, MethodDescriptorType, WrapperDescriptorType)  # by each access
_OF_MODULES = frozenset(["_buffers", "_hooks"])  # a module reports their changes itself
# methods of containers that return nothing, and those that return items
_WRITING = frozenset(
    "append appendleft extend extendleft insert update clear remove discard add sort reverse rotate"
    " move_to_end subtract difference_update intersection_update symmetric_difference_update"
    " __setitem__ __delitem__".split()
)
_TAKING = frozenset("get pop popitem popleft setdefault __getitem__".split())
# methods of the user's classes that operators and functions call
_OPERATORS = frozenset(
    name
    for name in (*dir(int), *dir(list), "__next__", "__enter__", "__exit__")
    if name.startswith("__") and not hasattr(object, name)
)
_LISTING = frozenset("keys values items copy".split())
# functions that only look at their arguments, and those that pass on the items of containers
_LOOKING: dict[Any, Use] = {len: Use.ITEMS, bool: Use.ITEMS, isinstance: Use.IDENTITY}
_LOOKING |= dict.fromkeys((id, type, callable, hasattr), Use.IDENTITY)
_GIVING = (enumerate, zip, reversed, iter, list, tuple)


def sources_of(function: Callable[..., Any]) -> list[Source]:
    """Returns where a function reads values besides its arguments."""
    reader = _Reader()
    reader.follow(function)
    return [
        replace(
            source, is_read=source.kind is not Kind.CONTENTS or id(source.holder) in reader.used
        )
        for source in reader.sources.values()
    ]


class _Reader:
    """Collects names while it follows them: the listener of stack walks."""

    def __init__(self) -> None:
        self.sources: dict[tuple[int, str], Source] = {}  # by holder and name
        self.used: set[int] = set()  # ids of the containers that are read
        self._used_wholly: dict[int, Any] = {}  # those that are read with everything in them
        self._names: dict[int, tuple[str, str]] = {}  # of containers, by id: name and owner
        self._done: dict[Any, Any] = {}  # visited values, by id, which keeps them alive
        self._operators: dict[type, list[FunctionType]] = {}
        self._pending: list[Any] = []
        self._results: dict[Any, tuple[Known, Frame]] = {}  # of functions that were followed
        self._tuples: dict[tuple[int, ...], tuple[Any, ...]] = {}  # by the ids of their parts
        self._calls: dict[CodeType, int] = {}
        self._depth = 0

    def _add(self, source: Source) -> None:
        key = source.name if source.kind is not Kind.CONTENTS else ""
        self.sources.setdefault((id(source.holder), key), source)

    def follow(self, function: Any) -> None:
        """Collects what a function reads, and what that leads to."""
        self._pending.append(function)
        while self._pending:
            self._visit(self._pending.pop())

    def _visit(self, value: Any) -> None:
        """Collects what is read through a value: a function's names, a container's items."""
        if not leads_on(value) or self._is_done(value):
            return
        if isinstance(value, (FunctionType, MethodType, LocalFunction, functools.partial)):
            self.read(self._called(value, [], {}), Use.ALL)
        elif isinstance(value, Frame):
            self.read(self._followed(value), Use.ALL)
        else:
            self._object(value)

    def _is_done(self, value: Any) -> bool:
        """Returns whether a value has been visited, and marks it as visited."""
        key: Any = id(value)
        if isinstance(value, MethodType):  # which is made anew by each access
            key = id(value.__func__), id(value.__self__)
        elif isinstance(value, LocalFunction):
            key = id(value.code), id(value.frame)
        is_done = key in self._done
        self._done[key] = value
        return is_done

    def _object(self, value: Any) -> None:
        if isinstance(value, CONTAINERS):
            self._container(value)
        elif "__wrapped__" in getattr(value, "__dict__", {}):
            self._pending.append(value.__wrapped__)  # a compiled step, or another decorator's
        elif hasattr(value, "fingerprint"):
            held = {name: x for name, x in vars(value).items() if name not in _OF_MODULES}
            for name, x in held.items():
                self._named(x, name, owner_of(value))
            self._use(value)
            self._pending += [getattr(value, "forward", None), *held.values()]
            self._pending += [x for name in _OF_MODULES for x in vars(value).get(name, {}).values()]
        else:
            self._pending += [MethodType(method, value) for method in self._operators_of(value)]

    def _operators_of(self, value: Any) -> list[FunctionType]:
        """Returns the user's methods that operators call on an object."""
        kind = type(value)
        if kind not in self._operators:
            found = [static(value, name) for name in _OPERATORS if hasattr(kind, name)]
            self._operators[kind] = [method for method in found if is_users(method)]
        return self._operators[kind]

    def _container(self, value: Any) -> None:
        if len(value) > MANY_ITEMS:
            return
        self._contents(value)
        self._pending += items(value)

    def _contents(self, container: Any) -> None:
        """Adds the contents of a container to the sources; a tuple cannot change."""
        if not isinstance(container, tuple) and len(container) <= MANY_ITEMS:
            self._add(Source(Kind.CONTENTS, container, *self._names.get(id(container), ("", ""))))

    def _named(self, value: Any, name: str, owner: str) -> None:
        """Remembers names for a container, and for the containers in it."""
        if isinstance(value, ATOMS) or id(value) in self._names:
            return
        self._names[id(value)] = name, owner
        for key, item in entries(value) if isinstance(value, CONTAINERS) else ():
            self._named(item, f"{name}[{key!r}]", owner)

    # --- what the walk asks -----------------------------------------------------------------------

    def global_name(self, namespace: dict[str, Any], name: str) -> Known:
        """Returns what a global name stands for."""
        if name not in namespace:
            return Known((getattr(builtins, name),)) if hasattr(builtins, name) else NOTHING
        return self._found(Source(Kind.ITEM, namespace, name, namespace.get("__name__", "")))

    def cell(self, cell: CellType, name: str) -> Known:
        """Returns what is in a closure cell."""
        return self._found(Source(Kind.CELL, cell, name))

    def _found(self, source: Source) -> Known:
        value = source.read()
        if value is UNDEFINED:
            self._add(source)
            return NOTHING
        is_foreign = isinstance(value, FunctionType) and is_library(value.__module__)
        if not is_foreign and not isinstance(value, FIXED):
            self._add(source)
            self._named(value, source.name, source.owner)
        return Known((value,))

    def attribute(self, value: Known, name: str) -> Known:
        """Returns what an attribute may be, through plain attributes, properties and methods."""
        found = union(self._attribute_of(x, name) for x in value.objects)
        return Known(found.objects, (*value.taken_from, *found.taken_from), found.method)

    def _attribute_of(self, value: Any, name: str) -> Known:
        if isinstance(value, ModuleType) and is_library(value.__name__):
            return NOTHING
        if name == "__dict__" and hasattr(value, name):
            return Known((vars(value),))
        found, own = static(value, name), itself(value)
        if isinstance(own, CONTAINERS) and is_built_in(found):
            return Known((own,), method=name)
        if isinstance(found, (property, functools.cached_property)):
            getter = found.fget if isinstance(found, property) else found.func
            return NOTHING if getter is None else self._called(MethodType(getter, own), [], {})
        method = _method(found, own, name)
        if method is not None:
            return Known((method,))
        if found is UNDEFINED or isinstance(found, MADE_ANEW) or own is not value:
            return NOTHING  # each access makes it anew, like an array's shape: it is no setting
        if name == "training":
            return Known((getattr(value, name),))
        guarded = hasattr(value, "fingerprint")
        return self._found(Source(Kind.ATTRIBUTE, value, name, owner_of(value), guarded))

    def item(self, value: Known, key: Known) -> Known:
        """Returns what `value[key]` may be."""
        found: list[Any] = []
        for container in value.objects:
            if isinstance(container, CONTAINERS):
                found += items_at(container, key)
            else:
                self._use(container)
                found += self._operator(container, "__getitem__", [key]).objects
        return Known(tuple(found), (*value.taken_from, *_containers(value)))

    def entries(self, value: Known) -> Known:
        """Returns what iterating over a value may give."""
        found: list[Any] = []
        for container in _containers(value):
            if len(container) <= MANY_ITEMS:
                found += container
        return Known(tuple(found), (*value.taken_from, *_containers(value)))

    def unpacked(self, value: Known, count: int) -> list[Known]:
        """Returns what each of `count` names may be to which a value is unpacked."""
        self.read(Known(value.objects), Use.ITEMS)
        alike = [x for x in _containers(value) if len(x) == count]
        columns = list(zip(*alike, strict=True)) or [()] * count
        taken_from = (*value.taken_from, *_containers(value))
        return [Known(column, taken_from) for column in columns]

    def made(self, parts: Iterable[Any]) -> tuple[Any, ...]:
        """Returns a tuple that a function builds; from the same parts, the same tuple."""
        kept = tuple([self.made(x) if type(x) is tuple else x for x in parts])
        return self._tuples.setdefault(tuple(map(id, kept)), kept)

    def changed_in_place(self, value: Known) -> bool:
        """Returns whether `value += other` would change the value itself."""
        return bool(value.objects) and all(
            isinstance(x, CONTAINERS) and not isinstance(x, tuple) for x in value.objects
        )

    def read(self, value: Known, use: Use) -> None:
        """Notes that a value is read, and what it was taken from."""
        for container in value.taken_from:
            self._use(container)
        if use is Use.IDENTITY or value.method in _WRITING:
            return
        for x in value.objects:
            if not isinstance(x, CONTAINERS):
                self._use(x)
                self._pending.append(x)
            elif use is Use.ALL:
                self._use_nested(x)
            else:
                self._use(x)
        if use is Use.ALL:
            self._pending += _containers(value)

    def iterated(self, value: Known) -> None:
        """Notes that a function iterates over a value; this advances an iterator."""
        self.read(value, Use.ITEMS)
        for x in value.objects:
            if isinstance(x, Iterator) and not is_users(static(x, "__next__")):
                self._watch(x)

    def _use(self, value: Any) -> None:
        """Notes that what is in a list, set, dict, module or array is read."""
        if isinstance(value, CONTAINERS):
            if not isinstance(value, tuple):
                self.used.add(id(value))
                self._contents(value)
        elif (isinstance(value, np.ndarray) and value.nbytes <= MANY_BYTES) or _is_module(value):
            self._watch(value)

    def _watch(self, value: Any) -> None:
        """Adds an object that a trace must not change, unless each trace leaves the same."""
        names = self._names.get(id(value), ("", ""))
        self.used.add(id(value))
        self._add(Source(Kind.CONTENTS, value, *names, guarded_elsewhere=True))

    def _use_nested(self, container: Any) -> None:
        pending = [container]
        while pending:
            found = pending.pop()
            if id(found) in self._used_wholly or len(found) > MANY_ITEMS:
                continue
            self._used_wholly[id(found)] = found
            self._use(found)
            pending += [x for x in items(found) if isinstance(x, CONTAINERS)]

    # --- calls ------------------------------------------------------------------------------------

    def call(self, callee: Known, arguments: list[Known], named: dict[str, Known]) -> Known:
        """Returns what a call may give back."""
        if callee.method:
            results = [self._container_method(x, callee, arguments, named) for x in callee.objects]
            return union(results)
        self.read(callee, Use.IDENTITY)
        if not callee.objects:
            self._given_away(arguments, named)
        return union([self._called(x, arguments, named) for x in callee.objects])

    def _given_away(self, arguments: Iterable[Known], named: dict[str, Known]) -> None:
        for value in (*arguments, *named.values()):
            self.read(value, Use.ALL)

    def _container_method(
        self, container: Any, callee: Known, arguments: list[Known], named: dict[str, Known]
    ) -> Known:
        """Returns what a method of a container may return."""
        itself = Known((container,), callee.taken_from)
        if callee.method in _TAKING:
            key, *others = arguments or [NOTHING]
            self.read(key, Use.ALL)
            return union((self.item(itself, key), *others))
        self._given_away(arguments, named)
        if callee.method in _LISTING:
            self.read(itself, Use.IDENTITY)
            made = self.made(listed(container, callee.method))
            return Known((made,), (*callee.taken_from, container))
        if callee.method not in _WRITING:
            self.read(itself, Use.ALL)
        return NOTHING

    def _called(self, function: Any, arguments: list[Known], named: dict[str, Known]) -> Known:
        if isinstance(function, MethodType):
            own = [Known((function.__self__,))] if is_users(function.__func__) else []
            return self._called(function.__func__, [*own, *arguments], named)
        if isinstance(function, FunctionType):
            return self._function(function, arguments, named)
        if isinstance(function, LocalFunction):
            frame = function.frame
            bound = self._bound(function.code, {}, arguments, named)
            return self._followed(Frame(function.code, frame.namespace, function.free(), bound))
        if isinstance(function, functools.partial):
            first = [Known((x,)) for x in function.args]
            more = {name: Known((x,)) for name, x in function.keywords.items()}
            return self._called(function.func, [*first, *arguments], more | named)
        if isinstance(function, FIXED):
            return self._built_in(function, arguments, named)
        self._pending.append(function)
        inner = inner_function(function)
        if inner is not None:
            return self._called(inner, arguments, named)
        self._given_away(arguments, named)
        return NOTHING

    def _built_in(self, function: Any, arguments: list[Known], named: dict[str, Known]) -> Known:
        use = _LOOKING.get(function)
        name = arguments[1].objects if function is getattr and len(arguments) > 1 else ()
        if len(name) == 1 and isinstance(name[0], str):
            return union((self.attribute(arguments[0], name[0]), *arguments[2:]))
        if function is vars and arguments:
            return self.attribute(arguments[0], "__dict__")
        if function is next and arguments:
            self.iterated(arguments[0])
        if use is not None:
            for value in arguments:
                self.read(value, use)
            return NOTHING
        is_plain = all(len(x.objects) == 1 and _containers(x) for x in arguments)
        if function in _GIVING and arguments and is_plain and named.keys() <= {"strict", "start"}:
            for value in arguments:
                self.iterated(value)
            made = self.made(function(*[tuple(x.objects[0]) for x in arguments]))
            return Known((made,), tuple([y for x in arguments for y in x.taken_from]))
        self._given_away(arguments, named)
        return NOTHING

    def _function(
        self, function: FunctionType, arguments: list[Known], named: dict[str, Known]
    ) -> Known:
        self._pending.append(getattr(function, "__wrapped__", None))
        if is_library(function.__module__):
            self._given_away(arguments, named)
            return NOTHING
        code = function.__code__
        free = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        bound = self._bound(code, defaults_of(function), arguments, named)
        return self._followed(Frame(code, function.__globals__, free, bound))

    def _bound(
        self,
        code: CodeType,
        defaults: dict[str, Known],
        arguments: list[Known],
        named: dict[str, Known],
    ) -> dict[str, Known]:
        """Returns what a function's parameters may be; arguments without one count as read."""
        positional = code.co_varnames[: code.co_argcount]
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = defaults | dict(zip(positional, arguments, strict=False)) | named
        bound = {name: value for name, value in given.items() if name in names}
        others = {name: value for name, value in given.items() if name not in names}
        for name, value in bound.items():
            for x in value.objects:
                self._named(x, name, f"{code.co_name}()")
            if not any(map(leads_on, value.objects)):
                others[name] = value
        self._given_away(arguments[len(positional) :], others)
        return {name: value for name, value in bound.items() if name not in others}

    def _followed(self, frame: Frame) -> Known:
        """Returns what a function returns; follows it if that has not been done."""
        if self._depth >= DEEP or self._calls.get(frame.code, 0) >= MANY_CALLS:
            self._forget_arguments(frame)
        names = tuple(sorted((name, value.key) for name, value in frame.names.items()))
        free = tuple(sorted((name, _key(value)) for name, value in frame.free.items()))
        key = frame.code, id(frame.namespace), names, free
        if key in self._results:
            return self._results[key][0]
        if self._depth >= DEEP:
            self._pending.append(frame)
            return NOTHING
        self._calls[frame.code] = self._calls.get(frame.code, 0) + 1
        self._results[key] = NOTHING, frame
        self._depth += 1
        walk(frame, self)
        self._depth -= 1
        self._results[key] = frame.returned, frame
        for constant in frame.code.co_consts:
            if isinstance(constant, CodeType):
                self._pending.append(LocalFunction(constant, frame))
        return frame.returned

    def _forget_arguments(self, frame: Frame) -> None:
        """Drops a function's arguments, which count as read, except the object of a method."""
        first = frame.code.co_varnames[:1]
        for name, value in list(frame.names.items()):
            if (name,) != first or len(value.objects) != 1:
                self.read(frame.names.pop(name), Use.ALL)

    def _operator(self, value: Any, name: str, arguments: list[Known]) -> Known:
        """Follows the method that an operator calls on an object of the user's class."""
        found = static(value, name)
        if not is_users(found):
            return NOTHING
        returned = self._called(MethodType(found, value), arguments, {})
        self.read(returned, Use.IDENTITY)
        return returned


def _method(found: Any, value: Any, name: str) -> MethodType | None:
    """Returns an attribute of an object's class as a bound method, if it is a function."""
    if isinstance(found, classmethod):
        return MethodType(found.__func__, value if isinstance(value, type) else type(value))
    is_own = name in getattr(value, "__dict__", {})
    return MethodType(found, value) if isinstance(found, FunctionType) and not is_own else None


def _is_module(value: Any) -> bool:
    return hasattr(type(value), "named_children")


def _key(value: CellType | Known) -> Any:
    return (value.key, 0) if isinstance(value, Known) else ((), id(value))


def _containers(value: Known) -> list[Any]:
    return [x for x in value.objects if isinstance(x, CONTAINERS)]
