"""Dates as numbers: dates in tables are text as in ISO 8601."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence

import numpy as np

from smelt.errors import DTypeError

__all__ = ["PARTS", "holds_dates", "numbers_of_dates", "written_otherwise"]

ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
)
OTHER_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}(?:[T ].*)?")  # such as 31.12.2024
DIGITS = r"(?:\d{1,3}(?:[.,' ]\d{3})+|\d+)(?:[.,]\d+)?"
OTHER_NUMBER = re.compile(rf"[^\w\s]?\s?{DIGITS}\s?[^\w\s]?")  # such as $1,200 and 5 %
PARTS = ("day", "day_of_year", "weekday")
DAY = 86_400  # seconds
BEGIN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def holds_dates(column: Sequence[str | None]) -> bool:
    """Returns whether there are texts, and all of them are dates as in ISO 8601."""
    present = [text for text in column if text is not None]
    return bool(present) and all(_read(text) is not None for text in present)


def written_otherwise(column: Iterable[str | None]) -> str:
    """Returns what to do with texts that look like dates or numbers and are not read as such, as it
    stands behind a reason; "" where they look like neither.
    """
    present = [text for text in column if text is not None]
    if all(OTHER_DATE.fullmatch(text) for text in present):
        return "; they look like dates, which must be written as 2024-12-31"
    if all(OTHER_NUMBER.fullmatch(text) for text in present):
        return (
            f"; they look like numbers, such as {present[0]!r}: leave out everything but the digits"
        )
    return ""


def numbers_of_dates(name: str, column: Sequence[str | None]) -> list[np.ndarray]:
    """Returns dates as numbers, for each of `PARTS` an array float64 (n,), missing ones nan: days
    since 1970, with the time as their fraction; the day of the year, from 1 on; the day of the
    week, Monday 0.

    Raises:
        DTypeError: a text is not a date.
    """
    rows = np.full((len(column), len(PARTS)), np.nan)
    for row, text in enumerate(column):
        if text is None:
            continue
        date = _read(text)
        if date is None:
            raise DTypeError(
                f"Preprocessing: column {name!r} holds {text!r} in row {row}, but a date must be "
                "written as in ISO 8601, such as 2024-12-31"
            )
        days = (date - BEGIN).total_seconds() / DAY
        rows[row] = days, date.timetuple().tm_yday, date.weekday()
    return list(rows.T)


def _read(text: str) -> datetime.datetime | None:
    """Returns the date of a text, in UTC where it names no zone; None if it is none."""
    if not ISO.fullmatch(text):
        return None
    try:
        date = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)
