"""An entry runs: what became of it, and its figures as files."""

from __future__ import annotations

import enum
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from smelt import plot
from smelt.book.entry import Drawing, Entry, Page, fill
from smelt.errors import FileError, MissingExtra

__all__ = ["Outcome", "State", "run_entry"]


class State(enum.StrEnum):
    """What became of an entry."""

    HOLDS = "holds"
    FAILS = "fails"
    RAISED = "raised"
    NEEDS_DATA = "needs data"
    NEEDS_EXTRA = "needs extra"


@dataclass(slots=True)
class Outcome:
    """An entry that has run.

    Args:
        entry: what ran.
        page: what it filled; also when it raised, up to there.
        state: what became of it.
        seconds: how long it took, its figures included.
        error: what it raised, as text; one line where that says all.
        files: the figures, name -> path of the PNG file; the SVG file lies beside it.
    """

    entry: Entry
    page: Page
    state: State
    seconds: float
    error: str = ""
    files: dict[str, Path] = field(default_factory=dict)


def run_entry(entry: Entry, folder: Path, seed: int = 0, data: Path | None = None) -> Outcome:
    """Runs an entry and returns what became of it; what it raises is kept in the outcome.

    Args:
        entry: what to run.
        folder: there its figures are written, `E5.1-name.png` and `.svg`.
        seed: of the run.
        data: the folder to look for data sets in.
    """
    page = Page(entry.number, seed, data)
    start = time.perf_counter()
    outcome = Outcome(entry, page, State.RAISED, 0.0)
    with _noting_errors(outcome):
        fill(entry, page)
        outcome.state = State.HOLDS if page.holds else State.FAILS
    with _noting_errors(outcome):
        for part in page.parts:
            if isinstance(part, Drawing):
                outcome.files[part.name] = _write(part, folder / f"{entry.number}-{part.name}")
    outcome.seconds = time.perf_counter() - start
    return outcome


@contextmanager
def _noting_errors(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except FileError as error:
        outcome.state, outcome.error = State.NEEDS_DATA, error.message
    except MissingExtra as error:
        outcome.state, outcome.error = State.NEEDS_EXTRA, error.message
    except Exception:
        outcome.state, outcome.error = State.RAISED, traceback.format_exc()


def _write(drawing: Drawing, stem: Path) -> Path:
    """Writes a figure as PNG and SVG, lets go of what it holds, and returns the PNG's path."""
    picture = stem.with_name(stem.name + ".png")
    plot.save(drawing.figure, picture)
    plot.save(drawing.figure, stem.with_name(stem.name + ".svg"))
    drawing.figure.clear()
    return picture
