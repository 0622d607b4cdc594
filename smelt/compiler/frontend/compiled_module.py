"""A compiled module: the module itself, except that calling it runs machine code.

`smelt.compile(model)` returns a view of the same object: an instance of a subclass of the module's
class, which shares the module's dict of attributes. So parameters, `train()`, `eval()`,
`state_dict`, `isinstance`, submodules and attributes are the module's, in both directions, and a
module that contains the view has its parameters.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

from smelt import settings
from smelt.compiler.frontend.signature import flatten_call
from smelt.tracing.engine import Eager, current_engine

_OF_THE_STEP = ("executables", "explain", "memory", "over", "repeat", "times", "traces")


def is_module(function: Any) -> bool:
    """Returns whether compiling an object gives a view of it, as its class says."""
    return bool(getattr(type(function), "stays_itself_compiled", False))


def view_of(module: Any, compiled: Callable[[Any], Any], compile: Callable[[Any], Any]) -> Any:
    """Returns the view of a module whose calls are compiled.

    Args:
        module: a module.
        compiled: returns the compiled step of the view, which calls the view within a trace.
        compile: makes the view of a copy.
    """
    kind = type(module)
    step: Any

    def call(self: Any, *inputs: Any, **options: Any) -> Any:
        if isinstance(current_engine(), Eager) and settings.current.compile:
            return step(*inputs, **options)
        positional, named = flatten_call(inputs, options).rebuilt()
        return kind.__call__(self, *positional, **named)

    names: dict[str, Any] = {
        "__call__": call,
        "__copy__": lambda self: compile(copy.copy(module)),
        "__deepcopy__": lambda self, memo: compile(copy.deepcopy(module, memo)),
        "__reduce_ex__": lambda self, protocol: (compile, (module,)),
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }

    def read_from_step(name: str) -> property:
        return property(lambda self: getattr(step, name))

    names |= {name: read_from_step(name) for name in _OF_THE_STEP if not hasattr(kind, name)}
    made: type[Any] = types.new_class(
        kind.__name__, (kind,), exec_body=lambda own: own.update(names)
    )
    view = object.__new__(made)
    object.__setattr__(view, "__dict__", vars(module))
    step = compiled(view)
    return view
