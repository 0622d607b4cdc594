"""A compiled module: the module itself, but that calling it runs machine code.

`smelt.compile(model)` returns another view of the same object: of a class of its own, derived from
the module's, with the same attributes in the same dict. So parameters, `train()`, `eval()`,
`state_dict`, `isinstance`, submodules and attributes are the module's, in both directions, and a
module that holds it holds its parameters.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

Compile = Callable[[Any], Any]

_OF_THE_STEP = ("executables", "explain", "memory", "over", "repeat", "times", "traces")


def is_module(function: Any) -> bool:
    """Returns whether compiling an object gives a view of it: where its class says so."""
    return bool(getattr(type(function), "stays_itself_compiled", False))


def view_of(module: Any, step: Any, compile: Compile) -> Any:
    """Returns the view of a module whose calls `step`, its compiled call, runs.

    `compile` makes the view of a copy.
    """
    kind = type(module)

    def call(self: Any, *inputs: Any, **options: Any) -> Any:
        return step(*inputs, **options)

    def copied(self: Any) -> Any:
        return compile(copy.copy(module))

    def copied_deeply(self: Any, memo: dict[int, Any]) -> Any:
        return compile(copy.deepcopy(module, memo))

    def reduced(self: Any, protocol: Any = None) -> Any:
        return compile, (module,)

    names: dict[str, Any] = {
        "__call__": call,
        "__copy__": copied,
        "__deepcopy__": copied_deeply,
        "__reduce_ex__": reduced,
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    for name in _OF_THE_STEP:
        if not hasattr(kind, name):
            names[name] = _read_from(step, name)
    made: type[Any] = types.new_class(
        kind.__name__, (kind,), exec_body=lambda own: own.update(names)
    )
    view = object.__new__(made)
    object.__setattr__(view, "__dict__", vars(module))
    return view


def _read_from(step: Any, name: str) -> property:
    return property(lambda self: getattr(step, name), doc=f"`{name}` of the compiled step.")
