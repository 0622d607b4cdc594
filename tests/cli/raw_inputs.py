"""The rows of a table as the arrays that an exported model takes, by its description alone: what a
program in any language has to do.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smelt.data import Table
from smelt.data.hashing import murmur_hash

BEGIN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def raw_inputs(description: Mapping[str, Any], table: Table) -> list[np.ndarray]:
    """Returns the inputs for all rows of a table, in the order of the description."""
    arrays = []
    for one in description["inputs"]:
        columns = [read(column, list(table[column["name"]]), one) for column in one["columns"]]
        array = np.concatenate(columns, 1).astype(one["dtype"])
        assert ["rows", *array.shape[1:]] == one["shape"]
        arrays.append(array)
    return arrays


def read(column: Mapping[str, Any], values: Sequence[Any], one: Mapping[str, Any]) -> np.ndarray:
    """Returns the numbers of a column, (n, 1) or (n, features)."""
    if column["kind"] == "category":
        indices = [column["indices"].get(as_text(value), 0) for value in values]
        return np.array(indices)[:, None]
    if column["kind"] == "text":
        return np.array([hashed(value or "", one["hashing"]) for value in values])
    numbers = {"number": float, "date": days, "presence": lambda _: 1.0}[column["kind"]]
    found = [np.nan if is_missing(value) else numbers(value) for value in values]
    return np.array(found)[:, None]


def is_missing(value: Any) -> bool:
    return value is None or value != value


def as_text(value: Any) -> str | None:
    if is_missing(value) or isinstance(value, str):
        return None if is_missing(value) else value
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def days(text: str) -> float:
    date = datetime.datetime.fromisoformat(text)
    date = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return (date - BEGIN).total_seconds() / 86_400


def hashed(text: str, hashing: Mapping[str, Any]) -> np.ndarray:
    row = np.zeros(hashing["features"])
    for word in re.findall(r"(?u)\b\w\w+\b", text.lower()):
        number = murmur_hash(word.encode())
        row[abs(number) % hashing["features"]] += -1 if number < 0 else 1
    return row
