"""The options that say how a CSV file is written: those of `smelt fit` and `smelt predict`.

A run of `smelt fit` keeps the options that it was given, and `smelt predict` reads tables for it in
the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from smelt.atomic import read_bytes, write_bytes
from smelt.errors import FileError
from smelt.json_text import parsed
from smelt.limits import Within
from smelt.train.writer import json_text

__all__ = ["CSV_OPTIONS", "flag", "keep_options", "kept_options", "takes_csv_options"]

Called = TypeVar("Called", bound=Callable[..., Any])
CSV_OPTIONS: Mapping[str, tuple[Any, str]] = {  # the names are those of `read_csv`
    "separator": (
        str | None,
        'field separator of the CSV file, such as ";" (default: a comma; a tab for .tsv files)',
    ),
    "decimal": (str | None, 'decimal mark of the CSV file, "." or ","'),
    "thousands": (str | None, "thousands separator of the CSV file"),
    "encoding": (str | None, "encoding of the CSV file, such as latin-1 (default: utf-8)"),
    "comment": (str | None, 'lines of the CSV file that begin with this are skipped, such as "#"'),
    "skip_rows": (
        Annotated[int, Within(0)] | None,
        "number of lines to skip above the header of the CSV file",
    ),
    "nulls": (list[str] | None, 'what else means a missing value in the CSV file, such as "?"'),
}
PLACE = "**written: how a CSV file is written, as listed in CSV_OPTIONS"
FILE = "csv.json"  # in the folder of a run


def takes_csv_options(command: Called) -> Called:
    """Gives a command with `**written` the options of CSV files, to be listed and parsed."""
    own = inspect.signature(command)
    kept = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, (kind, _) in CSV_OPTIONS.items()
    ]
    command.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    command.__annotations__ |= {name: kind for name, (kind, _) in CSV_OPTIONS.items()}
    listed = "\n".join(f"    {name}: {text}" for name, (_, text) in CSV_OPTIONS.items())
    command.__doc__ = inspect.cleandoc(command.__doc__ or "").replace(f"    {PLACE}", listed)
    return command


def flag(name: str) -> str:
    """Returns the option of an argument: "--skip-rows" of "skip_rows"."""
    return f"--{name.replace('_', '-')}"


def keep_options(run: Path, written: Mapping[str, Any]) -> None:
    """Writes the options that the table of a run was read with into its folder.

    Raises:
        FileError: the file cannot be written.
    """
    write_bytes(run / FILE, f"{json_text('fit', written, indent=2)}\n".encode())


def kept_options(run: Path) -> dict[str, Any]:
    """Returns the options that the table of a run was read with; none of an older run.

    Raises:
        FileError: the file that holds them is damaged.
    """
    path = run / FILE
    if not path.exists():
        return {}
    try:
        found = parsed(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: is damaged ({error})") from None
    if not isinstance(found, dict) or not all(_is_option(*pair) for pair in found.items()):
        raise FileError(f"{path}: is damaged (it does not hold options of CSV files)")
    return found


def _is_option(name: str, value: Any) -> bool:
    if name == "nulls":
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    return name in CSV_OPTIONS and isinstance(value, int if name == "skip_rows" else str)
