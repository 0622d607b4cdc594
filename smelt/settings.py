"""The few settings of the library, changed for a block of code: `with smelt.settings(...)`.

A setting applies to the thread that set it, and ends with its block. Library code reads the current
values from `current`, which is defined in `switches.py`.
"""

from __future__ import annotations

import difflib
import functools
from typing import Any, ClassVar, Final

from smelt.block import Block
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.switches import Current, changes, current, get

__all__ = ["current", "get", "settings"]


class settings(Block):
    """Changes settings for a block or, as a decorator, for a function; others keep their values.

    Args:
        check_nan: True finds the operation that made a nan, or an infinity out of finite numbers,
            once that has reached a result of a compiled step, a state, a gradient, or Python code
            that looks at the value. It raises NumericsError, which names the operation, its
            operands, module and line, forward or backward. Compiled steps stay compiled, and what
            the step had changed is restored. It applies to steps that begin within the block.
        compile: False runs compiled steps eagerly, in NumPy, so that every value can be inspected.
        full_traceback: True shows an error that ends a program, or a notebook cell, with Smelt's
            own frames too, not only with those of the user's code. For a whole program set the
            environment variable SMELT_FULL_TRACEBACK to 1.
        threads: number of threads of native code; the results do not depend on it. None (the
            default) lets the library choose.
        verify: True verifies the loops of every program, before and after optimization; otherwise
            they are verified once, before their first compilation.

    Raises:
        ArgumentTypeError: there is no such setting.
        ArgumentError: `threads` is not an integer, or below 1; `check_nan` is not a bool.

    Example:
        >>> import smelt
        >>> with smelt.settings(compile=False):
        ...     print(smelt.settings.current.compile)
        False
    """

    current: ClassVar[Current] = current
    get: Final = staticmethod(get)

    def __init__(
        self,
        *,
        check_nan: bool | None = None,
        compile: bool | None = None,
        full_traceback: bool | None = None,
        threads: int | None = None,
        verify: bool | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            near = difflib.get_close_matches(name, get(), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(get())}"
            raise ArgumentTypeError(f"settings: there is no {name!r}; {hint}")
        if threads is not None and not (isinstance(threads, int) and threads >= 1):
            raise ArgumentError(
                f"settings: threads must be a whole number of at least 1, got {threads!r}"
            )
        flags = {
            "check_nan": check_nan,
            "compile": compile,
            "full_traceback": full_traceback,
            "verify": verify,
        }
        for name, value in flags.items():
            if value is not None and not isinstance(value, bool):
                raise ArgumentError(f"settings: {name} must be True or False, got {value!r}")
        given = {**flags, "threads": threads}
        super().__init__(current, **{name: x for name, x in given.items() if x is not None})

    def __enter__(self) -> settings:
        changed = changes(self._values)
        own = [vars(place) for place, _ in changed]
        new = [values for _, values in changed]
        before = [{name: getattr(place, name) for name in values} for place, values in changed]
        self._begin(_updates(own, new), _updates(own, before))
        return self


def _updates(own: list[dict[str, Any]], values: list[dict[str, Any]]) -> functools.partial[bool]:
    """Returns C code that updates dicts, once; none of them is left out, since each gives None."""
    return functools.partial(any, map(dict.update, own, values))
