"""Closure: what a function reads besides its arguments, so that a change of it is noticed.

A trace takes for constant what globals, closure cells and attributes held. Which of them a function
reads is found in its bytecode (`names_read.py`). Numbers and strings count by value, all else by
identity; of lists, dicts and sets the items count, too. What a `Module` or an optimizer holds is
guarded by its `fingerprint`.

A name that the function itself gives another value while it is traced would keep that one from then
on: it is refused. A list that it appends to is a side effect, which happens once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from smelt.compiler.frontend.names_read import NO_VALUE, Kind, Source, items, sources_of
from smelt.errors import TraceError

ATOMS = (bool, int, float, complex, str, bytes, type(None), np.generic)


class Closure:
    """The values that a function read besides its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._values = {source: source.read() for source in sources_of(function)}
        self._are_identical: Callable[[], bool] = lambda: False

    def settle(self, step: str) -> None:
        """Is told that the trace has ended, which has run the function once.

        Raises:
            TraceError: the function has given a name that it reads another value.
        """
        kept: dict[Source, Any] = {}
        for source, before in self._values.items():
            now = source.read()
            if _is_same(before, now):
                kept |= {} if source.in_fingerprint else {source: now}
            elif source.kind is not Kind.CONTENTS:
                raise TraceError(_described(step, source, before, now))
        self._values = kept
        self._are_identical = _identity_test(kept)

    def check(self) -> bool:
        """Returns whether all that was read is what it was."""
        try:
            if self._are_identical():
                return True
        except NO_VALUE:
            return False
        now = {source: source.read() for source in self._values}
        if not all(map(_is_same, self._values.values(), now.values())):
            return False
        self._values, self._are_identical = now, _identity_test(now)  # equal, but other objects
        return True


def _identity_test(values: Mapping[Source, Any]) -> Callable[[], bool]:
    """Returns a function that tells whether all sources still give these very objects.

    It is one Python expression, such as `h0['model'] is v0 and h1.rate is v1`: a call costs some
    20 ns a name.
    """
    objects: dict[str, Any] = {"items": items, "are": _are}
    tests = []
    for number, (source, value) in enumerate(values.items()):
        objects |= {f"h{number}": source.holder, f"v{number}": value}
        expression = source.expression(f"h{number}")
        is_content = source.kind is Kind.CONTENTS
        tests.append(
            f"are({expression}, v{number})" if is_content else f"{expression} is v{number}"
        )
    return eval(f"lambda: {' and '.join(tests) or True}", objects)


def _are(found: tuple[Any, ...], values: tuple[Any, ...]) -> bool:
    return len(found) == len(values) and all(map(operator.is_, found, values))


def _is_same(before: Any, now: Any) -> bool:
    """Whether two values are one object, equal numbers of one type, or tuples of such."""
    if before is now:
        return True
    if type(before) is not type(now):
        return False
    if isinstance(now, tuple):
        return len(before) == len(now) and all(map(_is_same, before, now))
    if not isinstance(now, ATOMS):
        return False
    return bool(before == now) or bool(before != before and now != now)


def _described(step: str, source: Source, before: Any, now: Any) -> str:
    owner = f" of {source.owner}" if source.owner else ""
    return (
        f"{step}: the function gives {source.name!r}{owner} another value ({_brief(before)} -> "
        f"{_brief(now)}) and reads it, but it runs as Python only while it is traced. Keep it in a "
        "tensor that copy_ changes (a buffer of a module), or change it outside of the step"
    )


def _brief(value: Any) -> str:
    return repr(value) if isinstance(value, ATOMS) else f"a {type(value).__name__}"
