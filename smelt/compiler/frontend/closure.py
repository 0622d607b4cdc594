"""Closure: what a function reads besides its arguments, so that a change of it is noticed.

A trace takes for constant what globals, closure cells and attributes held. Which of them a function
reads is found in its bytecode (`names_read.py`). Numbers and strings count by value, all else by
identity; of lists, dicts and sets the items count, too. What a `Module` or an optimizer holds is
guarded by its `fingerprint`.

A name that the function itself gives another value while it is traced would keep that one from then
on: it is refused. A list that it appends to is a side effect, which happens once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.compiler.frontend.names_read import Source, sources_of
from smelt.errors import TraceError

ATOMS = (bool, int, float, complex, str, bytes, type(None), np.generic)


class _Guard:
    """One source, and what it gave."""

    __slots__ = ("ids", "source", "values")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.values = source.read()  # held, so that no other object gets an id of theirs
        self.ids = tuple(map(id, self.values))

    def check(self) -> bool:
        """Returns whether the source gives the same; equal numbers may be other objects."""
        values = self.source.read()
        if len(values) != len(self.values) or not all(map(_is_same, self.values, values)):
            return False
        self.values, self.ids = values, tuple(map(id, values))
        return True


class Closure:
    """The values that a function read besides its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._guards = [_Guard(source) for source in sources_of(function)]

    def settle(self, step: str) -> None:
        """Is told that the trace has ended, which has run the function once.

        Raises:
            TraceError: the function has given a name that it reads another value.
        """
        changed = {guard for guard in self._guards if not guard.check()}
        for guard in changed:
            if guard.source.names:
                raise TraceError(_described(step, guard))
        self._guards = [
            guard
            for guard in self._guards
            if guard not in changed and not guard.source.in_fingerprint
        ]

    def check(self) -> bool:
        """Returns whether all that was read is what it was."""
        for guard in self._guards:
            source = guard.source
            try:
                is_same = tuple(map(id, source.get(source.holder))) == guard.ids
            except (AttributeError, KeyError, ValueError):
                return False
            if not is_same and not guard.check():
                return False
        return True


def _is_same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if type(before) is not type(now) or not isinstance(now, ATOMS):
        return False
    return bool(before == now) or bool(before != before and now != now)


def _described(step: str, guard: _Guard) -> str:
    now = guard.source.read() or (None,) * len(guard.values)  # a name may have been deleted
    pairs = zip(guard.source.names, guard.values, now, strict=False)
    name, before, now = next(found for found in pairs if not _is_same(*found[1:]))
    owner = f" of {guard.source.owner}" if guard.source.owner else ""
    return (
        f"{step}: the function gives {name!r}{owner} another value ({_brief(before)} -> "
        f"{_brief(now)}) and reads it, but it runs as Python only while it is traced. Keep it in a "
        "tensor that copy_ changes (a buffer of a module), or change it outside of the step"
    )


def _brief(value: Any) -> str:
    return repr(value) if isinstance(value, ATOMS) else f"a {type(value).__name__}"
