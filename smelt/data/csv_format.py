"""The format of a CSV file: the settings that all readers of CSV files share."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from smelt.data.gaps import Missing, check_missing
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.ops.op import is_whole_number

__all__ = ["TYPES", "CSVFormat", "documents_format", "takes_format"]

NULLS = ("NA", "N/A", "NaN", "nan", "null", "NULL")  # how many programs write that a value lacks
TYPES: Mapping[type, str] = {float: "Float64", int: "Int64", bool: "Boolean", str: "String"}
ARGUMENTS = """\
separator: what stands between fields, one character. None: a tab in a file whose name ends with
    .tsv, else a comma; a file that looks as if it had another separator is an error.
encoding: of the file, such as "latin-1" or "utf-16".
has_header: whether the first line holds the names of the columns; else they are "column_1",
    "column_2", ..., or `names`. None is True, and refuses a line that holds numbers only, unless
    they count the columns.
names: of the columns, in place of those in the file, or where it has none: say has_header.
skip_rows: how many lines are left out at the beginning of the file.
comment: what a line begins with that is left out, such as "#".
decimal: what stands before the fraction of a number, "." or ",".
thousands: what may stand between groups of three digits, such as "," or " ".
types: name -> bool, int, float or str, for columns that shall have that type.
missing: what becomes of a field without a value. "error" refuses it; "keep" makes it nan in a
    column of numbers, None in one of text; "drop" leaves its row out; a dict, name -> value, fills
    columns, and refuses what the others lack.
nulls: which further texts stand for no value: "?", or ["?", "-"]. An empty field, NA, N/A, NaN,
    nan, null and NULL do so by themselves; with False only an empty field does.
"""
PLACE = "**options: the format of the file, as listed in `CSVFormat`."
Called = TypeVar("Called", bound=Callable[..., Any])


@dataclass(frozen=True)
class CSVFormat:
    """The format of a CSV file, and how to read it; ARGUMENTS explains each setting."""

    usual: ClassVar[str] = ","  # what separates fields where no separator is given

    separator: str | None = None
    encoding: str = "utf-8"
    has_header: bool | None = None
    names: Sequence[str] | None = None
    skip_rows: int = 0
    comment: str | None = None
    decimal: str = "."
    thousands: str | None = None
    types: Mapping[str, type] | None = None
    missing: Missing = "error"
    nulls: str | Sequence[str] | bool = ()

    @classmethod
    def of(cls, function: str, options: Mapping[str, Any]) -> Self:
        """Returns the format from a reader's options; raises if an option is unknown."""
        chosen = cls(**options)
        chosen._check_text(function)
        chosen._check_values(function)
        return chosen

    def for_file(self, name: str) -> CSVFormat:
        """Returns the format of a file of this name, which says what usually separates fields."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return _TSVFormat(**settings) if name.lower().endswith(".tsv") else self

    @property
    def between(self) -> str:
        """The field separator."""
        return self.usual if self.separator is None else self.separator

    @property
    def null_values(self) -> list[str]:
        """The texts that mean a missing value."""
        if isinstance(self.nulls, bool):
            return [""]
        return ["", *NULLS, *([self.nulls] if isinstance(self.nulls, str) else self.nulls)]

    @property
    def is_local(self) -> bool:
        """Whether numbers are written differently from Python's."""
        return self.decimal != "." or self.thousands is not None

    def _check_text(self, function: str) -> None:
        between = self.between
        if len(between.encode()) != 1 or between in '"\r\n':
            raise ArgumentError(
                f"{function}: separator={between!r}; give one character that is neither a quote "
                "nor the end of a line"
            )
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ArgumentError(
                f"{function}: encoding={self.encoding!r}; give one that Python knows, such as "
                '"utf-8", "latin-1", "cp1252", "utf-16"'
            ) from None
        if self.has_header is not None and not isinstance(self.has_header, bool):
            raise ArgumentTypeError(
                f"{function}: has_header must be True or False, not {self.has_header!r}"
            )
        if self.names is not None and self.has_header is None:
            raise ArgumentError(
                f"{function}: names={self.names!r}; give has_header=False where the file has no "
                "names, or has_header=True where these replace them"
            )
        if not is_whole_number(self.skip_rows) or self.skip_rows < 0:
            raise ArgumentError(
                f"{function}: skip_rows={self.skip_rows!r}; give the number of lines above "
                "the header"
            )
        if self.comment is not None and (not self.comment or set(self.comment) & set('"\r\n')):
            raise ArgumentError(f'{function}: comment={self.comment!r}; give a sign such as "#"')

    def _check_values(self, function: str) -> None:
        if self.decimal not in (".", ","):
            raise ArgumentError(f'{function}: decimal={self.decimal!r} must be "." or ","')
        apart = self.thousands
        if apart is not None and (len(apart) != 1 or apart.isalnum() or apart in self.decimal):
            raise ArgumentError(
                f"{function}: thousands={apart!r} beside decimal={self.decimal!r}; give another "
                "character that is neither a digit nor a letter"
            )
        if self.names is not None and not _are_texts(self.names):
            raise ArgumentTypeError(f"{function}: names={self.names!r}; give a list of texts")
        if not (self.nulls is False or isinstance(self.nulls, str) or _are_texts(self.nulls)):
            raise ArgumentTypeError(
                f"{function}: nulls={self.nulls!r}; give a list of texts, or False, where only an "
                "empty field has no value"
            )
        check_missing(function, self.missing)
        for column, kind in (self.types or {}).items():
            if kind not in TYPES:
                raise ArgumentError(
                    f"{function}: types[{column!r}]={kind!r} must be bool, int, float or str"
                )


@dataclass(frozen=True)
class _TSVFormat(CSVFormat):
    """The format of a file whose name ends with .tsv."""

    usual: ClassVar[str] = "\t"


def _are_texts(given: Any) -> bool:
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and all(isinstance(text, str) for text in given)
    )


def takes_format(reader: Called) -> Called:
    """Gives a function with `**options` the settings of `CSVFormat`, to be seen and bound."""
    own = inspect.signature(reader)
    settings = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in dataclasses.fields(CSVFormat)
    ]
    kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    reader.__signature__ = own.replace(parameters=[*kept, *settings])  # type: ignore[attr-defined]
    return documents_format(reader)


def documents_format(owner: Called) -> Called:
    """Lists the settings of `CSVFormat` in a docstring, in the place of `**options`."""
    listed = "".join(f"    {line}\n" for line in ARGUMENTS.splitlines())
    text = inspect.cleandoc(owner.__doc__ or "") + "\n"
    owner.__doc__ = text.replace(f"    {PLACE}\n", listed)
    return owner
