"""The few switches of the library, changed for a block of code: `with smelt.settings(...)`.

A switch holds for the thread that set it, and ends with its block. Library code reads the present
values from `current`.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import Any, ClassVar

from smelt.errors import ArgumentError, SmeltError

__all__ = ["current", "get", "settings"]


class Current(threading.local):
    """The values that hold for the running thread."""

    compile: bool = True
    threads: int | None = None
    verify: bool = False
    full_traceback: bool = False


current = Current()


def get() -> dict[str, Any]:
    """Returns the present value of every switch by its name."""
    return {name: getattr(current, name) for name in Current.__annotations__}


class settings(ContextDecorator):
    """Sets switches for a block or, as a decorator, for a function; the others keep their values.

    Args:
        compile: False runs compiled steps eagerly, by NumPy, so that every value can be looked at.
        full_traceback: True lets an error that ends a program, or a cell of a notebook, be shown
            with the frames within Smelt too, not only with those of the user's own code. For a
            whole program set the environment variable SMELT_FULL_TRACEBACK to 1.
        threads: how many threads native code uses; the results do not depend on it. None (the start
            value) lets the library choose.
        verify: True checks the loops of every program, as they were written and as they were
            optimized; otherwise they are checked once, before their first compilation.

    Raises:
        ArgumentError: `threads` is no whole number, or below 1.

    Example:
        >>> import smelt
        >>> with smelt.settings(compile=False):
        ...     print(smelt.settings.current.compile)
        False
    """

    current: ClassVar[Current] = current
    get = staticmethod(get)

    def __init__(
        self,
        *,
        compile: bool | None = None,
        full_traceback: bool | None = None,
        threads: int | None = None,
        verify: bool | None = None,
    ) -> None:
        if threads is not None and not (isinstance(threads, int) and threads >= 1):
            raise ArgumentError(
                f"settings: threads={threads!r}; a whole number of threads is needed, at least 1"
            )
        given = {
            "compile": compile,
            "full_traceback": full_traceback,
            "threads": threads,
            "verify": verify,
        }
        self._new = {name: value for name, value in given.items() if value is not None}
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> settings:
        self._before.append(get())
        vars(current).update(self._new)
        return self

    def __exit__(self, *failure: object) -> None:
        if current.full_traceback and isinstance(failure[1], SmeltError):
            failure[1].full_traceback = True  # it is shown when the block has ended
        vars(current).update(self._before.pop())
