"""The raw columns of a table to the tensors of a network: what of `data.Preprocessing` is
arithmetic, as a module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from smelt import nn
from smelt.data import Preprocessing
from smelt.data.dates import PARTS
from smelt.data.hashing import TOKEN
from smelt.dtypes import float32, float64, int32
from smelt.errors import ShapeError
from smelt.export.inference import InferenceTensor
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import floor, isnan, where
from smelt.tensor.indexing import check_bounds
from smelt.tensor.shaping import cat, stack

__all__ = ["RawColumns", "parts_of_date"]

# the calendar repeats after 400 years; counted from March 1 of the year 0, leap days come last
CYCLE, YEAR, FOUR_YEARS, CENTURY = 146_097, 365, 1_460, 36_524  # days
MARCH_FIRST = 719_468  # days from March 1 of the year 0 to 1970
NEW_YEAR = 306  # days from March 1 to January 1
MARCH = 59  # days of January and February
THURSDAY = 3  # the first day of 1970, from Monday 0 on


class RawColumns(nn.Module):
    """Turns the raw columns of a table into what `Preprocessing.transform` makes of them.

    Missing numbers are nan. A date is the number of days since 1970-01-01 00:00 UTC, with the time
    as a fraction. A column of which only the presence counts is nan where there is no value, and
    any number where there is one. A category is its index, from 1 on; 0 is missing or unknown. A
    text is `text_features` numbers: the sums of the signs of its words, by their hashes.

    Args:
        preprocessing: as it was fitted.

    Buffers: fill, shift and scale (numbers,), float64.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        state = preprocessing.state_dict()
        types: dict[str, str] = state["types"]
        self.raw: list[tuple[str, str]] = [
            (name, kind) for name, kind in types.items() if kind in ("number", "date", "presence")
        ]
        places = {name: place for place, (name, _) in enumerate(self.raw)}
        places |= {f"{name}_{PARTS[0]}": places[name] for name, kind in self.raw if kind == "date"}
        presence = [name for name, kind in self.raw if kind == "presence"]
        self.told: list[int] = [places[name] for name in [*state["indicated"], *presence]]
        self.categories: Mapping[str, Sequence[str]] = state["categories"]
        self.texts: list[str] = [name for name, kind in types.items() if kind == "text"]
        self.text_features: int = state["text_features"]
        self.fill: nn.Buffer = nn.Buffer(as_tensor(np.array(state["fill"], np.float64)))
        self.shift: nn.Buffer = nn.Buffer(state["shift"])
        self.scale: nn.Buffer = nn.Buffer(state["scale"])

    def inputs(self) -> tuple[InferenceTensor, ...]:
        """Returns what `forward` takes, with the names, kinds and categories of the columns."""
        numbers = [{"name": name, "kind": kind, **MEANING[kind]} for name, kind in self.raw]
        grouped = [
            {
                "name": name,
                "kind": "category",
                "indices": {text: index for index, text in enumerate(known, 1)},
                "missing_or_other": 0,
            }
            for name, known in self.categories.items()
        ]
        texts = [
            {"name": name, "kind": "text", "first": place * self.text_features}
            for place, name in enumerate(self.texts)
        ]
        size = self.text_features * len(texts)
        hashing = {"features": self.text_features, **HASHING}
        found = [
            InferenceTensor("numbers", float64, (len(numbers),), {"columns": numbers}),
            InferenceTensor("categories", int32, (len(grouped),), {"columns": grouped}),
            InferenceTensor("text", float32, (size,), {"columns": texts, "hashing": hashing}),
        ]
        return tuple(one for one in found if one.facts["columns"])

    def forward(
        self,
        numbers: Tensor | None = None,
        categories: Tensor | None = None,
        text: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Returns tensors as `Preprocessing.transform` does.

        Args:
            numbers: float64 (n, columns): numbers, dates and columns of presence, in their order.
            categories: int (n, columns).
            text: float32 (n, columns * text_features).

        Raises:
            ShapeError: another number of columns.
            BoundsError: an index that the column has not.
        """
        tensors = {}
        if numbers is not None:
            _check_columns("numbers", numbers, len(self.raw))
            tensors["numbers"] = self._scaled(numbers)
        if categories is not None:
            _check_columns("categories", categories, len(self.categories))
            for place, (name, known) in enumerate(self.categories.items()):
                check_bounds(f"category {name}", categories[:, place], len(known) + 1)
            tensors["categories"] = categories.long()
        if text is not None:
            _check_columns("text", text, len(self.texts) * self.text_features)
            tensors["text"] = self._normalized(text)
        return tensors

    def _scaled(self, raw: Tensor) -> Tensor:
        parts = []
        measured = [place for place, (_, kind) in enumerate(self.raw) if kind != "presence"]
        if measured:
            values = self._measured(raw)
            filled = where(isnan(values), self.fill, values)
            parts.append(((filled - self.shift) / self.scale).float())
        if self.told:
            parts += [isnan(part).float() for part in _columns(raw, self.told)]
        return cat(parts, dim=1)

    def _measured(self, raw: Tensor) -> Tensor:
        """Returns the columns that are scaled, (n, numbers): of each date all of its parts."""
        parts, place = [], 0
        for kind, run in groupby(kind for _, kind in self.raw):
            count = len(list(run))
            if kind == "number":
                parts.append(raw[:, place : place + count])
            elif kind == "date":
                parts += [parts_of_date(raw[:, place + n]) for n in range(count)]
            place += count
        return cat(parts, dim=1)

    def _normalized(self, text: Tensor) -> Tensor:
        """Returns counts of which those of each column have the norm 1, or are all 0."""
        each = text.reshape(text.shape[0], len(self.texts), self.text_features)
        norms = each.square().sum(2, keepdim=True).sqrt()
        return (each / where(norms > 0, norms, 1.0)).reshape(*text.shape)


MEANING: Mapping[str, Mapping[str, Any]] = {
    "number": {"missing": "nan"},
    "date": {
        "unit": "days since 1970-01-01 00:00 UTC, the time of day as a fraction",
        "missing": "nan",
    },
    "presence": {"value": "any number where there is a value", "missing": "nan"},
}
HASHING: Mapping[str, str] = {
    "words": f"what the regular expression {TOKEN} finds in the text in lower case",
    "hash": "MurmurHash3 of 32 bits and seed 0 of a word in UTF-8, as a signed number",
    "place": "first + |hash| modulo features",
    "adds": "1 for each word, or -1 where its hash is negative",
}


def _check_columns(what: str, x: Tensor, count: int) -> None:
    if x.ndim != 2 or x.shape[1] != count:
        raise ShapeError(f"{what}: needs the shape (n, {count}), got {x.shape}; see inputs()")


def _columns(raw: Tensor, places: Sequence[int]) -> list[Tensor]:
    """Returns columns in the order of places, those that are neighbors as one part."""
    parts, start = [], 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            parts.append(raw[:, places[start] : places[end - 1] + 1])
            start = end
    return parts


def parts_of_date(days: Tensor) -> Tensor:
    """Returns the day, the day of the year, from 1 on, and the day of the week, Monday 0: (n,) days
    since 1970 to (n, 3); nan gives nan.

    The day of the year is that of the civil calendar, by whole cycles, centuries, four years and
    years (Hinnant, "chrono-compatible low-level date algorithms").
    """
    day = floor(days)
    shifted = day + MARCH_FIRST
    in_cycle = shifted - floor(shifted / CYCLE) * CYCLE
    leap_days = floor(in_cycle / FOUR_YEARS) - floor(in_cycle / CENTURY)
    year = floor((in_cycle - leap_days - floor(in_cycle / (CYCLE - 1))) / YEAR)
    since_march = in_cycle - (YEAR * year + floor(year / 4) - floor(year / 100))
    is_leap = ((_modulo(year, 4) == 0) & (_modulo(year, 100) != 0)) | (year == 0)
    from_march = since_march + (MARCH + 1) + is_leap.to(day.dtype)
    of_year = where(since_march >= NEW_YEAR, since_march - (NEW_YEAR - 1), from_march)
    return stack([days, of_year, _modulo(day + THURSDAY, 7)], dim=1)


def _modulo(x: Tensor, divisor: int) -> Tensor:
    return x - floor(x / divisor) * divisor
