"""Closure: what a function reads besides its arguments, so that changes are noticed.

A trace takes the values of globals, closure cells and attributes as constants. Which of them a
function reads is found in its bytecode (`names_read.py`). Numbers and strings are compared by
value, everything else by identity, and so are the items of lists, dicts and sets. What a `Module`
or an optimizer holds is guarded by its `fingerprint`.

If a function changes a name or an item while it is traced, and also reads it, later calls would not
change it again. So the function is traced once more, from what the first trace left behind. If that
changes nothing and gives the same graph (the function fills a table on first use, or writes a value
before it reads it), the trace holds for all later calls; otherwise it is an error. A list that the
function only appends to is a side effect, which happens once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.compiler.frontend.names_read import sources_of
from smelt.compiler.frontend.sources import ATOMS, CONTAINERS, NO_VALUE, Kind, Source, items
from smelt.tensor import Tensor

MANY_ITEMS = 3  # that a message shows


@dataclass(frozen=True, slots=True)
class Change:
    """A value that a function reads, and has changed while it was traced."""

    source: Source
    before: Any
    now: Any

    @property
    def is_steady(self) -> bool:
        """Whether another trace would leave the same again."""
        return are_alike(self.before, self.now)

    @property
    def place(self) -> tuple[int, str]:
        """Identifies the name or the container that has changed."""
        return id(self.source.holder), self.source.name

    @property
    def name(self) -> str:
        """What has changed, and whose it is."""
        owner = f" of {self.source.owner}" if self.source.owner else ""
        is_content = self.source.kind is Kind.CONTENTS
        own = self.source.name or (_brief(self.source.holder) if is_content else "")
        return f"{own!r}{owner}"

    @property
    def difference(self) -> str:
        """The values before and after."""
        if self.source.kind is Kind.CONTENTS:
            return _difference(self.source.holder, self.before, self.now)
        return f"{_brief(self.before)} -> {_brief(self.now)}"

    def describe(self, step: str) -> str:
        """Returns the error text for this change."""
        name, difference = self.name, self.difference
        if self.source.kind is Kind.CONTENTS:
            what = f"changes {name} ({difference})"
        else:
            what = f"gives {name} another value ({difference})"
        return (
            f"{step}: the function {what} and reads it, but it runs as Python only while it is "
            "traced. Keep it in a tensor that copy_ changes (a buffer of a module), or change it "
            "outside of the step"
        )


class Closure:
    """The values that a function read besides its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._values = {source: source.read() for source in sources_of(function)}
        self._are_identical: Callable[[], bool] = lambda: False

    def settle(self) -> list[Change]:
        """Compares values after a trace, which has run the function once.

        Returns:
            The values that the function reads and has changed itself.
        """
        kept: dict[Source, Any] = {}
        changes: list[Change] = []
        for source, before in self._values.items():
            now = source.read()
            is_same = _is_same(before, now)
            if not is_same and source.is_read:
                changes.append(Change(source, before, now))
            if not source.guarded_elsewhere and (is_same or source.is_read):
                kept[source] = now
        self._values = kept
        self._are_identical = _identity_test(kept)
        return changes

    def check(self) -> bool:
        """Returns whether all values that were read are unchanged."""
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

    def change(self) -> Change | None:
        """Returns the first value that has changed, or None."""
        pairs = ((source, before, source.read()) for source, before in self._values.items())
        return next((Change(*one) for one in pairs if not _is_same(*one[1:])), None)


def _identity_test(values: Mapping[Source, Any]) -> Callable[[], bool]:
    """Returns a function that tells whether all sources still give these objects.

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


def are_alike(before: Any, now: Any) -> bool:
    """Whether a trace that starts from `now` does the same as one that starts from `before`.

    Traced tensors are alike if their shapes and dtypes are: a trace cannot use another one's.
    """
    pending = [(before, now)]
    while pending:
        a, b = pending.pop()
        if _is_same(a, b):
            continue
        if type(a) is not type(b):
            return False
        if isinstance(a, Tensor):
            if not (a.is_traced and b.is_traced and a.shape == b.shape and a.dtype is b.dtype):
                return False
        elif isinstance(a, np.ndarray):
            if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
                return False
        elif type(a) in (list, tuple, dict) and len(a) == len(b):
            pending += zip(items(a), items(b), strict=True)
        else:
            return False
    return True


def _difference(container: Any, before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    """Returns which items have changed, what they were and what they are."""
    if not isinstance(container, CONTAINERS) and not hasattr(container, "named_children"):
        return "its elements" if isinstance(container, np.ndarray) else "which it advances"
    old, new = _by_key(container, before), _by_key(container, now)
    differ = [key for key in old | new if not _is_same(old.get(key, _NONE), new.get(key, _NONE))]
    shown = [
        f"[{_brief(key)}]: {_brief(old.get(key, _NONE))} -> {_brief(new.get(key, _NONE))}"
        for key in differ[:MANY_ITEMS]
    ]
    return "; ".join([*shown, "..."] if len(differ) > MANY_ITEMS else shown) or "their order"


def _by_key(container: Any, found: tuple[Any, ...]) -> dict[Any, Any]:
    """Returns items by their keys or positions; those of a set by themselves."""
    if isinstance(container, dict) or not isinstance(container, CONTAINERS):  # a module's children
        half = len(found) // 2
        return dict(zip(found[:half], found[half:], strict=True))
    return dict(zip(found, found, strict=True) if isinstance(container, set) else enumerate(found))


class _Nothing:
    """Stands for a missing item."""


_NONE = _Nothing()


def _brief(value: Any) -> str:
    if value is _NONE:
        return "nothing"
    if isinstance(value, Tensor) and value.is_traced:
        return f"a traced tensor of shape {value.shape}"
    return repr(value) if isinstance(value, ATOMS) else f"a {type(value).__name__}"
