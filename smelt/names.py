"""What a module answers when it is asked for a name that it does not hold.

Some are loaded when they are first wanted. Some are PyTorch's names of what Smelt does otherwise:
the error says what to write. For the rest it names the nearest one.

Installed from outside, since type checkers would let a module with a `__getattr__` of its own have
any attribute.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping
from typing import Any

from smelt.location import with_location

__all__ = ["answer"]


def answer(module: str, lazy: Mapping[str, str], instead: Mapping[str, str]) -> None:
    """Lets a module answer for names that it does not hold.

    Args:
        module: its name.
        lazy: where names are found that are loaded later: "module", or "module:name".
        instead: what to write in the place of names that Smelt has not.
    """
    held = vars(sys.modules[module])

    def look_up(name: str) -> Any:
        if name in lazy:
            place, _, attribute = lazy[name].partition(":")
            loaded = importlib.import_module(place)
            return getattr(loaded, attribute) if attribute else loaded
        raise AttributeError(_message(module, name, held, lazy, instead))

    held["__getattr__"] = look_up
    held["__dir__"] = lambda: sorted({*held, *lazy})


def _message(
    module: str,
    name: str,
    held: Mapping[str, Any],
    lazy: Mapping[str, str],
    instead: Mapping[str, str],
) -> str:
    message = f"module {module!r} has no attribute {name!r}"
    if name.startswith("__"):
        return message  # a protocol of Python's asks
    if name in instead:
        return with_location(f"{message}: {instead[name]}")
    public = {known for known in (*held, *lazy) if not known.startswith("_")}
    near = difflib.get_close_matches(name, public, 1)
    return with_location(f"{message}; did you mean {near[0]!r}?" if near else message)
