"""How a Table is displayed: in a notebook, printed, described by statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from smelt.data.column import Column, is_missing
from smelt.markup import GAP, cut, note, table

__all__ = ["described", "html", "kind_of", "printed"]

MISSING = "–"  # what is shown of a missing value
ROWS, COLUMNS = 20, 20  # of a table in a notebook
LINES, WIDTH = 10, 24  # of a table in print, and characters of a cell
FIGURES = ("mean", "std", "min", "25%", "50%", "75%", "max")

Columns = Mapping[str, Column]


def html(columns: Columns, rows: int) -> str:
    """Returns a table as a notebook shows it: the first and last rows and columns."""
    names = list(columns)
    places = cut(rows, ROWS)
    chosen = [None if n is None else names[n] for n in cut(len(names), COLUMNS)]
    cells = [
        [GAP] * (len(places) + 2) if name is None else _shown_column(name, columns[name], places)
        for name in chosen
    ]
    labels = ["", "", *(GAP if place is None else place for place in places)]
    head, *lines = zip(labels, *cells, strict=True)
    numeric = (n for n, name in enumerate(chosen, 1) if name and _is_numeric(columns[name]))
    size = f"Table of {rows:,} rows, {len(names)} columns"
    return note(size) + table(head, lines, numbers=[0, *numeric])


def printed(columns: Columns, rows: int) -> str:
    """Returns a table in lines of text: names, kinds, and the first and last rows."""
    places = cut(rows, LINES)
    labels = ["", "", *("..." if place is None else str(place) for place in places)]
    lines = [label.rjust(max(map(len, labels))) for label in labels]
    for name, column in columns.items():
        cells = [_short(cell) for cell in _shown_column(name, column, places, "...")]
        width = max(map(len, cells))
        aligned = [
            cell.rjust(width) if _is_numeric(column) else cell.ljust(width) for cell in cells
        ]
        lines = [f"{line}  {cell}" for line, cell in zip(lines, aligned, strict=True)]
    return "\n".join([f"Table of {rows:,} rows, {len(columns)} columns", *map(str.rstrip, lines)])


def described(columns: Columns) -> dict[str, Column]:
    """Returns the columns of a table with a row for each column: what `Table.describe` says."""
    values = list(columns.values())
    figures = np.array([_figures(column) for column in values]).reshape(len(values), len(FIGURES))
    return {
        "column": list(columns),
        "kind": [kind_of(column) for column in values],
        "missing": np.array([is_missing(column).sum() for column in values], np.int64),
        "distinct": np.array([_distinct(column) for column in values], np.int64),
        "most frequent": [_most_frequent(column) for column in values],
        **dict(zip(FIGURES, figures.T, strict=True)),
    }


def kind_of(column: Column) -> str:
    """Returns the dtype of a column of numbers, or "text"."""
    return str(column.dtype) if isinstance(column, np.ndarray) else "text"


def _figures(column: Column) -> list[float]:
    """Returns FIGURES of what is there in a column of numbers, nan where there is none."""
    there = np.asarray(column, np.float64) if _is_numeric(column) else np.empty(0)
    there = there[~np.isnan(there)]
    if not there.size:
        return [np.nan] * len(FIGURES)
    spread = there.std(ddof=1) if there.size > 1 else np.nan
    return [there.mean(), spread, *np.quantile(there, [0, 0.25, 0.5, 0.75, 1])]


def _distinct(column: Column) -> int:
    if isinstance(column, np.ndarray):
        return len(np.unique(column[~is_missing(column)]))
    return len(set(column) - {None})


def _most_frequent(column: Column) -> str | None:
    """Returns the text that a column of text has most often, of several the first."""
    if isinstance(column, np.ndarray):
        return None
    counts = Counter(text for text in column if text is not None)
    return counts.most_common(1)[0][0] if counts else None


def _is_numeric(column: Column) -> bool:
    return isinstance(column, np.ndarray)


def _shown_column(
    name: str, column: Column, places: Sequence[int | None], gap: str = GAP
) -> list[str]:
    """Returns name, kind and cells of a column."""
    cells = (gap if place is None else _shown(column[place]) for place in places)
    return [name, kind_of(column), *cells]


def _shown(value: object) -> str:
    """Returns a cell of a table: a number in few digits, a dash for what is missing."""
    if value is None or value != value:
        return MISSING
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)


def _short(cell: str) -> str:
    """Returns a cell in one line of limited width."""
    line = cell.replace("\n", " ").replace("\r", " ")
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
