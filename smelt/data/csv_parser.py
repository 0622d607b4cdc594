"""Records of CSV files as columns, parsed by polars; errors name row and column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from smelt.data.column import Column
from smelt.data.csv_format import TYPES, CSVFormat
from smelt.data.csv_records import CSVRecords, not_utf8
from smelt.errors import FileError

__all__ = ["Parser", "polars_type", "values_of"]

FIRST_ROWS = 1000  # from which types are read, where they suffice


class Parser:
    """Parses records in regular form, as `CSVRecords` gives them.

    Args:
        polars: the library.
        records: what gave them, whose header is known.
        types: name -> the type of a column: one of `TYPES`, or one of polars'.
        written: the format of the file.
        columns: which columns, in this order; all when None.
    """

    def __init__(
        self,
        polars: Any,
        records: CSVRecords,
        types: Mapping[str, Any],
        written: CSVFormat,
        columns: Sequence[str] | None,
    ) -> None:
        self.polars = polars
        self.written = written
        self.name: str = records.name
        self.names: list[str] = records.names or []
        self.columns: list[str] = self.names if columns is None else list(columns)
        self.types: dict[str, Any] = {
            name: polars_type(polars, kind) for name, kind in types.items()
        }
        self._texts: set[str] = set()  # columns of the contents that are none of numbers
        # polars has ways of its own with names that are empty or hold quotes
        self._theirs = polars.read_csv(records.header, separator=records.separator.decode()).columns
        self._options = {
            "separator": records.separator.decode(),
            "null_values": written.null_values,
            "columns": [self.names.index(column) for column in self.columns],
        }

    def frame(self, content: bytes, first_row: int = 0) -> Any:
        """Returns the data frame of contents, with types that hold every row.

        The first rows usually determine the types; inspecting all rows first would take ten times
        as long.

        Args:
            content: the header, and records.
            first_row: number of records before these in the file.

        Raises:
            FileError: a field does not have the requested type, or is not UTF-8.
        """
        self._texts = set()
        if self.written.is_local:
            content = self._plain(content, first_row)
        known = set(self.columns) <= set(self.types)
        try:
            frame = self._parsed(content, infer_schema_length=0 if known else FIRST_ROWS)
        except self.polars.exceptions.PolarsError:
            # a later row has another type, or a field is none of the type asked for
            return self._inferred(content, first_row)
        texts = (column for column in frame if column.dtype == self.polars.String)
        if not known and any(text.head(FIRST_ROWS).null_count() == FIRST_ROWS for text in texts):
            return self._inferred(content, first_row)
        return frame

    def _inferred(self, content: bytes, first_row: int) -> Any:
        """Returns the data frame of contents, with types inferred from all of them."""
        try:
            return self._parsed(content, infer_schema_length=None)
        except self.polars.exceptions.PolarsError as error:
            if (encoding := not_utf8(self.name, content, first_row)) is not None:
                raise encoding from None
            self._refuse_fields(content, first_row)
            reason = str(error).splitlines()[0]
            raise FileError(f"{self.name}: cannot be read as CSV ({reason})") from None

    def _plain(self, content: bytes, first_row: int) -> bytes:
        """Returns contents with numbers in the form that Python has, in columns that hold them."""
        try:
            frame = self.polars.read_csv(
                content, **{**self._options, "columns": None}, infer_schema=False
            )
        except self.polars.exceptions.PolarsError:
            raise not_utf8(self.name, content, first_row) or FileError(
                f"{self.name}: cannot be read as CSV"
            ) from None
        digits, point = r"\d+", re.escape(self.written.decimal)
        if self.written.thousands is not None:
            digits = rf"(?:\d{{1,3}}(?:{re.escape(self.written.thousands)}\d{{3}})+|\d+)"
        number = rf"^ *[+-]?(?:{digits}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)? *$"
        changed = [
            self._with_plain_numbers(
                frame[self._theirs[self.names.index(name)]], name, number, first_row
            )
            for name in self.columns
        ]
        null = next((text for text in self.written.null_values if text), "")
        plain = frame.with_columns(changed).write_csv(
            separator=self._options["separator"], null_value=null
        )
        return plain.encode()

    def _with_plain_numbers(self, text: Any, name: str, number: str, first_row: int) -> Any:
        """Returns a column of text with numbers rewritten, unless it holds something else."""
        kind = self.types.get(name)
        found = text.str.contains(number)
        if kind in (self.polars.Float64, self.polars.Int64, self.polars.Int128):
            fits = found | text.is_null()
            written = f"is not a number with decimal={self.written.decimal!r}"
            _require(self.name, text.alias(name), fits, written, first_row)
        elif kind is not None or not found.all():
            if kind is None and not text.str.contains("^(?i:true|false)$").all():
                self._texts.add(name)  # what Python would take for a number is none here
            return text
        plain = text.str.strip_chars(" ")
        if self.written.thousands is not None:
            plain = plain.str.replace_all(self.written.thousands, "", literal=True)
        return plain.str.replace(self.written.decimal, ".", literal=True)

    def _parsed(self, content: bytes, types: bool = True, **options: Any) -> Any:
        typed = {**self.types, **dict.fromkeys(self._texts, self.polars.String)}
        wanted = {
            self._theirs[self.names.index(name)]: kind
            for name, kind in typed.items()
            if types and name in self.columns
        }
        frame = self.polars.read_csv(
            content, schema_overrides=wanted, **{**self._options, **options}
        )
        ours = dict(zip(self._theirs, self.names, strict=True))
        return frame.rename(ours, strict=False).select(self.columns)

    def _refuse_fields(self, content: bytes, first_row: int) -> None:
        """Raises for the first field that is not of the type asked for, if there is one."""
        try:
            texts = self._parsed(content, types=False, infer_schema=False)
        except self.polars.exceptions.PolarsError:
            return  # it is not the types
        for column, kind in self.types.items():
            if column in self.columns and kind != self.polars.String:
                text = texts[column]
                fits = self._typed(text, kind).is_not_null() | text.is_null()
                _require(self.name, text, fits, f"cannot be read as {str(kind).lower()}", first_row)

    def _typed(self, text: Any, kind: Any) -> Any:
        """Returns texts as values of a type, null what is none."""
        if kind == self.polars.Boolean:
            lowered = text.str.to_lowercase()
            return lowered.replace_strict(
                {"true": True, "false": False}, default=None, return_dtype=kind
            )
        return text.cast(kind, strict=False)


def polars_type(polars: Any, kind: Any) -> Any:
    """Returns the polars type for one of `TYPES`; a polars type is returned unchanged."""
    return getattr(polars, TYPES[kind]) if isinstance(kind, type) and kind in TYPES else kind


def values_of(
    name: str, series: Any, polars: Any, gaps: bool | None = None, first_row: int = 0
) -> Column:
    """Returns a column of a data frame as a column of a table.

    Args:
        name: of the file, for messages.
        series: bools, integers, floats or texts.
        polars: the library.
        gaps: whether the column has missing values somewhere, so that bools and integers become
            float64; None: determine it.
        first_row: number of rows before these in the file.

    Raises:
        FileError: an integer cannot be represented exactly.
    """
    lacking = bool(series.null_count()) if gaps is None else gaps
    if series.dtype == polars.String:
        return series.to_list()
    if series.dtype == polars.Boolean and lacking:
        return series.cast(polars.Float64).to_numpy()
    if series.dtype == polars.Int128:
        inside = series.cast(polars.Int64, strict=False)
        _require(
            name, series, inside.is_not_null() | series.is_null(), "does not fit int64", first_row
        )
        series = inside
    if series.dtype.is_integer() and lacking:
        floats = series.cast(polars.Float64)
        back = floats.cast(polars.Int64, strict=False)
        lacks = (
            "is in a column with missing values, which becomes float64 and cannot hold it exactly"
        )
        _require(
            name, series, (back == series).fill_null(False) | series.is_null(), lacks, first_row
        )
        return floats.to_numpy()
    return series.to_numpy()


def _require(name: str, series: Any, holds: Any, trouble: str, first_row: int = 0) -> None:
    """Raises, with row and column, when something does not hold for all of a column."""
    if not holds.all():
        row = int((~holds).arg_max())
        raise FileError(
            f"{name}: column {series.name!r}, row {row + first_row} (the first below the header "
            f"is 0): {series[row]} {trouble}; read the column as text, or as rounded numbers, by "
            f"types={{{series.name!r}: str}} or float, or fill in or drop what is missing"
        )
