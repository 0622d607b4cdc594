"""Values of a run, formatted for readers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["TableOf", "duration", "number", "settings_of", "shown", "title_of"]

LONG = 300  # characters of a value in a table
DEEP = 3  # maps within each other whose names become one
IN_LIST = 12  # parts of a list that are shown


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table of texts.

    Attributes:
        header: of the columns.
        rows: a text for each column.
        numbers: the indices of the columns that hold numbers.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


def number(value: float | None) -> str:
    """Returns a number as text: four digits, "not finite", or nothing if there is none."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def shown(value: Any) -> str:
    """Returns any value of a JSON file as a text, shortened if it is long."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value) if isinstance(value, float) else str(value)
    if isinstance(value, (list, tuple)):
        parts = [shown(part) for part in value[:IN_LIST]]
        return _cut(", ".join(parts) + (", …" if len(value) > IN_LIST else ""))
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{name} {shown(part)}" for name, part in value.items()))
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def settings_of(config: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yields the settings of a run: name and value; nested ones as "outer inner"."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value and depth < DEEP:
            yield from ((f"{name} {inner}", text) for inner, text in settings_of(value, depth + 1))
        else:
            yield str(name), shown(value)


def duration(seconds: float | None) -> str:
    """Returns how long something took: "0.012 s", "3.4 s", "2:05 min", "1:02:03 h"."""
    if seconds is None or not math.isfinite(seconds):
        return "not known"
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


def title_of(name: str) -> str:
    """Returns the name of a metric of the epochs in words: "held-out f1" of "held_out_f1"."""
    words = name.replace("held_out_", "held-out ", 1).replace("_", " ")
    return words if words.isprintable() else words.encode("unicode_escape").decode()
