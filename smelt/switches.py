"""The present values of the library's switches, of each thread; `smelt.settings` changes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

Change = tuple[threading.local, dict[str, Any]]  # what has attributes, and new values by name


class Current(threading.local):
    """The values that hold for the running thread."""

    check_nan: bool = False
    compile: bool = True
    threads: int | None = None
    verify: bool = False
    full_traceback: bool = False


current: Final = Current()
_followers: dict[str, Callable[[Any], Change]] = {}


def get() -> dict[str, Any]:
    """Returns the present value of every switch by its name."""
    return {name: getattr(current, name) for name in Current.__annotations__}


def follow(name: str, function: Callable[[Any], Change]) -> None:
    """Lets other attributes change together with a switch; the function gets its new value and says
    which.

    So whoever obeys a switch need not look at it in each operation.
    """
    _followers[name] = function


def changes(values: dict[str, Any]) -> list[Change]:
    """Returns what changes when switches get values: they, and what follows them."""
    before = get()
    others = [name for name in _followers if name in values and values[name] != before[name]]
    return [(current, values), *[_followers[name](values[name]) for name in others]]
