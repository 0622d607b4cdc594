"""Reads a run folder as far as possible: a report is needed most for a run that failed.

A run folder may come from a stranger, or from a crash. Nothing in it is run or imported, and no
path or link in it is followed. Everything that can be read is shown, and what is missing or damaged
is named.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from smelt.errors import FileError, SmeltError
from smelt.json_text import parsed
from smelt.train import Predictions, read_predictions
from smelt.train.predictions import PREDICTIONS

__all__ = ["Run", "printable", "read_run"]

CONFIG, METRICS, SUMMARY, TIMES = "config.json", "metrics.jsonl", "summary.json", "times.jsonl"
RESULT, EXAMINED = "result.json", "report.json"
LARGEST = 64 << 20  # bytes of a file of text that is read
DEEPEST = 40  # lists and maps within each other, after which a file is no run's
SHOWN = 5  # runs that a message names
Value = TypeVar("Value")


@dataclass(slots=True)
class Run:
    """A run folder.

    Attributes:
        path: the folder.
        config: the settings.
        rows: the metrics of each finished epoch; nan for numbers that were not finite.
        summary: what was trained, on what; empty in the folder of the user's own loop.
        times: where the time of each call of `fit` went.
        result: the results of a recipe.
        examined: the evaluation of a table's model by `smelt fit`.
        predictions: for held-out or test data; None if none are saved.
        problems: what is damaged, one sentence each.
        missing: what is not there, and what that means, one sentence each.
    """

    path: Path
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    times: list[dict[str, float]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    examined: dict[str, Any] = field(default_factory=dict)
    predictions: Predictions | None = None
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return printable(self.path.resolve().name)

    @property
    def recipe(self) -> str:
        """What was trained: the recipe, "table" for `smelt fit`; else the model's name."""
        known = self.config.get("recipe") or _part(self.summary, "model", dict).get("name")
        return printable(str(known)) if known else "a training"

    @property
    def monitor(self) -> tuple[str, str]:
        """The metric of the rows that decided which epoch is best, and whether "min" or "max" is
        best; empty where it is not known.
        """
        found = _part(self.summary, "monitor", dict)
        return _part(found, "name", str), _part(found, "mode", str)

    @property
    def seconds(self) -> float | None:
        """How long it took: the total time if that is known, else the steps of finished epochs."""
        whole = [row["seconds"] for row in self.times if "seconds" in row]
        steps = [row["seconds"] for row in self.rows if math.isfinite(row.get("seconds", math.nan))]
        return sum(whole) if whole else sum(steps) if steps else None


def read_run(path: str | os.PathLike[str], predictions: bool = True) -> Run:
    """Returns the contents of a run folder.

    Args:
        path: the folder.
        predictions: whether to read the predictions too.

    Raises:
        FileError: there is no such folder, or it has neither config.json nor metrics.jsonl.
    """
    folder = Path(os.fsdecode(path))
    if not folder.is_dir():
        raise FileError(f"{path}: is not the folder of a run (there is no such folder)")
    if not any(os.path.lexists(folder / name) for name in (CONFIG, METRICS)):
        inner = sorted({file.parent.name for file in folder.glob(f"*/{METRICS}")})
        instead = f"; it holds {', '.join(inner[:SHOWN])}: name one of these" if inner else ""
        raise FileError(
            f"{path}: is not the folder of a run (it has no {CONFIG} and no {METRICS}){instead}"
        )
    run = Run(folder)
    lost = "so the settings are not known"
    run.config = _read(run, CONFIG, lambda text: _map(parsed(text)), lost) or {}
    run.rows = _lines(run, METRICS, "so there are no curves")
    run.summary = _read(run, SUMMARY, lambda text: _map(parsed(text)), "") or {}
    run.times = _lines(run, TIMES, "")
    run.result = _read(run, RESULT, lambda text: _map(parsed(text)), "") or {}
    run.examined = _read(run, EXAMINED, lambda text: _map(parsed(text)), "") or {}
    if not run.rows and not run.problems and METRICS not in " ".join(run.missing):
        run.missing.append("No epoch is finished yet, so there are no curves.")
    if predictions:
        _add_predictions(run)
    return run


def _add_predictions(run: Run) -> None:
    run.predictions = _predictions(run)
    if run.predictions is None and not any(PREDICTIONS in each for each in run.problems):
        run.missing.append(
            f"There is no {PREDICTIONS}, so single examples are not shown: fit writes it at the "
            "end of a training with held-out data whose outputs are classes or numbers, and "
            "smelt.train.save_predictions writes it at any time."
        )


def _read(run: Run, name: str, read: Callable[[bytes], Value], lost: str) -> Value | None:
    """Returns what a file says; None, and a sentence in the run, where it does not.

    Args:
        run: whose folder it is in.
        name: of the file.
        read: contents -> value; raises ValueError.
        lost: what follows where the file is missing; empty where it need not be there.
    """
    try:
        return read(_contents(run.path / name))
    except FileNotFoundError:
        if lost:
            run.missing.append(f"There is no {name}, {lost}.")
    except OSError as error:
        run.problems.append(f"{name} cannot be read ({error.strerror or error}).")
    except (ValueError, RecursionError) as error:
        run.problems.append(f"{name} is damaged ({_short(error)}).")
    return None


def _contents(path: Path) -> bytes:
    """Returns what is in a file of the folder itself: no link, device or pipe.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is something else, or too large.
    """
    _check_ordinary(path)
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it is longer than {LARGEST >> 20} MB")
    return content


def _check_ordinary(path: Path) -> None:
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise ValueError("it is a link, which a report does not follow")
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is not an ordinary file")


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it holds no values by name")
    if _depth(value) > DEEPEST:
        raise ValueError("it is nested too deeply")
    return value


def _depth(value: Any) -> int:
    """Returns how many lists and maps lie within each other, up to one more than is taken."""
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [part for each in inner for part in each if isinstance(part, (dict, list))]
        depth += 1
    return depth


def _lines(run: Run, name: str, lost: str) -> list[dict[str, float]]:
    """Returns the rows of a file with a map of numbers in each line, up to one that is damaged."""
    content = _read(run, name, bytes, lost) or b""
    whole, _, torn = content.rpartition(b"\n")
    if torn:
        run.problems.append(f"The last line of {name} is not whole, and is left out.")
    rows = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            rows.append(_numbers(_map(parsed(line))))
        except (ValueError, RecursionError) as error:
            run.problems.append(
                f"Line {number} of {name} is damaged ({_short(error)}); what follows is left out."
            )
            break
    return rows


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a row; what is null was not finite."""
    kept = {name: math.nan if value is None else value for name, value in row.items()}
    found = {name: value for name, value in kept.items() if isinstance(value, (int, float))}
    if not found:
        raise ValueError("it holds no number")
    return {name: float(value) if abs(value) < 1e300 else math.nan for name, value in found.items()}


def _predictions(run: Run) -> Predictions | None:
    try:
        _check_ordinary(run.path / PREDICTIONS)
        return read_predictions(run.path)
    except FileNotFoundError:
        return None
    except SmeltError as error:  # which begins with the path
        run.problems.append(f"{PREDICTIONS}: {_short(error.message.partition(': ')[2])}")
    except (OSError, ValueError) as error:
        run.problems.append(f"{PREDICTIONS} cannot be read ({_short(error)}).")
    return None


def printable(text: str) -> str:
    """Returns a text in which unprintable characters are escaped as in Python."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _part(values: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """Returns a part of what a file says, or an empty one where it is of another kind."""
    found = values.get(name)
    return found if isinstance(found, kind) else kind()


def _short(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:199]}…"
