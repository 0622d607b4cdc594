"""What notebooks show of Smelt's objects: small pieces of HTML.

They name no color, so that they are as readable on a dark ground as on a white one; they need no
script and nothing from outside; and all text in them is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["GAP", "SHOWN", "Text", "cut", "escaped", "note", "preformatted", "table"]

SHOWN = 60  # rows of a table, the others of which are left out in its middle
GAP = "…"
_INDENT = 1.2  # widths of a letter by which a row stands below the one that it belongs to

Row = Sequence[Any]


class Text(str):
    """A text of several lines, which a notebook shows as it would be printed."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return preformatted(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows in a terminal."""
        printer.text(str(self))


def escaped(text: str) -> str:
    """Returns a text as HTML writes it."""
    import html  # slow to load

    return html.escape(text)


def preformatted(text: str) -> str:
    """Returns HTML for a text whose lines and spaces stay as they are."""
    style = "font-family: monospace; line-height: 1.25; white-space: pre; overflow-x: auto"
    return f'<pre style="{style}">{escaped(text)}</pre>'


def note(*parts: str) -> str:
    """Returns HTML for a line of text: what is not empty, with dots between."""
    return f"<div>{escaped(' · '.join(part for part in parts if part))}</div>"


def cut(count: int, shown: int = SHOWN) -> list[int | None]:
    """Returns which of so many things are shown: all, or the first and last with None between."""
    if count <= shown:
        return list(range(count))
    first = (shown + 1) // 2
    return [*range(first), None, *range(count - (shown - first), count)]


def table(
    head: Row,
    rows: Sequence[Row],
    *,
    numbers: Iterable[int] = (),
    indents: Sequence[int] = (),
    total: Row = (),
) -> str:
    """Returns HTML for a table; of many rows the first and the last.

    Args:
        head: the names of the columns.
        rows: as many cells each; what is no text is shown as `str` does.
        numbers: the places of the columns that hold numbers, which stand to the right.
        indents: how deep the first cell of each row stands; 0 each when left out.
        total: a last row in bold.
    """
    right = set(numbers)
    lines = [_line("th", head, right)]
    for place in cut(len(rows)):
        if place is None:
            left_out = f"{GAP} {len(rows) - SHOWN:,} more {GAP}"
            lines.append(f'<tr><td colspan="{len(head)}">{left_out}</td></tr>')
        else:
            lines.append(_line("td", rows[place], right, indents[place] if indents else 0))
    if total:
        lines.append(_line("th", total, right))
    body = "".join(lines[1:])
    return f"<table><thead>{lines[0]}</thead><tbody>{body}</tbody></table>"


def _line(tag: str, cells: Row, right: set[int], indent: int = 0) -> str:
    parts = []
    for place, cell in enumerate(cells):
        style = f"text-align: {'right' if place in right else 'left'}"
        if not place and indent:
            style += f"; padding-left: {_INDENT * indent + 0.5:g}em"
        parts.append(f'<{tag} style="{style}">{escaped(str(cell))}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"
