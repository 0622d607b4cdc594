"""smelt book: the book's programs, figures, tables and problems, by their numbers."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal

from smelt import pages
from smelt.atomic import writable_folder, write_bytes
from smelt.book.entry import CHAPTERS, Entry, entries, find, ordered
from smelt.book.page import make_page
from smelt.book.runner import Outcome, State, run_entry
from smelt.book.source import program
from smelt.book.text import CLAIM_HEADER, claim_rows, columns, page_text, summary
from smelt.cli.program import group
from smelt.limits import SEEDS, Within

__all__ = ["book"]

EVERYTHING = ["all"]
Kind = Literal["program", "algorithm", "figure", "table", "problem"]


def list_entries(
    *, chapter: Annotated[int, Within(1, 8)] | None = None, kind: Kind | None = None
) -> int:
    """List the numbers and titles of the book.

    A number followed by "+" is the corrected version of a program that fails as printed.

    Args:
        chapter: only this chapter
        kind: only entries of this kind
    """
    rows = [
        (entry.number, entry.kind, entry.title)
        for entry in entries(chapter)
        if kind in (None, entry.kind)
    ]
    for line in columns(rows) if rows else ():
        print(line)
    return 0


def show(number: str, /) -> int:
    """Print the program of a number, with its description.

    Args:
        number: of the book, such as E5.1
    """
    entry = find(number)
    print(f"# {entry.number}  {entry.title}\n#")
    for line in entry.text.splitlines():
        print(f"# {line}".rstrip())
    print(f"\n{program(entry)}", end="")
    return 0


def run(
    numbers: list[str],
    /,
    *,
    out: Path = Path("runs/book"),
    data: Path | None = None,
    seed: Annotated[int, Within(0, SEEDS - 1)] = 0,
) -> int:
    """Run entries of the book, whole chapters, or all of it, and check what the book claims.

    Entries run in the order of the book, each once, regardless of the order in which they are
    given.

    Each entry's figures are written as PNG and SVG; book.html (page.html for chosen numbers) is one
    page with every program, result, figure and claim, that needs no other file.

    The exit code is 1 when a claim does not hold, an entry raises an error, or data are missing.

    Args:
        numbers: such as E5.1, a chapter such as 5, or all
        out: folder for the page and the figures
        data: folder with data sets (default: the folder SMELT_DATA, then the cache; otherwise they
            are downloaded)
        seed: random seed of the entries for which the book states none
    """
    everything = numbers == EVERYTHING
    chosen = entries() if everything else ordered(n for text in numbers for n in _named(text))
    pages.require(figures=any(entry.kind == "figure" for entry in chosen))
    folder = writable_folder(out)
    outcomes: list[Outcome] = []
    progress = _progress(len(chosen), everything)
    try:
        for entry in chosen:
            progress.start(entry)
            outcomes.append(run_entry(entry, folder, seed, data))
            progress.end(outcomes[-1])
    finally:  # Ctrl-C too leaves a page, of what has run
        progress.stop()
        page = folder / ("book.html" if everything else "page.html")
        write_bytes(page, make_page(outcomes).encode())
    _report(outcomes, everything)
    print(f"page: {page}")
    return 0 if all(outcome.state is State.HOLDS for outcome in outcomes) else 1


book: Final = group(
    "book",
    "Run the programs, figures and problems of the book.",
    {"list": list_entries, "show": show, "run": run},
)


def _named(text: str) -> list[Entry]:
    """Returns the entries of a chapter, or the one of a number."""
    if text.isdecimal() and int(text) in CHAPTERS:
        return entries(int(text))
    return [find(text)]


def _report(outcomes: list[Outcome], everything: bool) -> None:
    """Prints the closing table, and one line that sums up."""
    if everything:
        print()
        width = shutil.get_terminal_size((120, 24)).columns
        for line in columns([CLAIM_HEADER, *claim_rows(outcomes)], width):
            print(line)
    print(f"\n{summary(outcomes)}")


def _progress(total: int, everything: bool) -> PlainProgress:
    live = everything and sys.stdout.isatty() and find_spec("rich") is not None
    return LiveProgress(total, everything) if live else PlainProgress(total, everything)


class PlainProgress:
    """Prints a line for each entry of the whole book, and the pages of chosen ones."""

    def __init__(self, total: int, everything: bool) -> None:
        self.total = total
        self.everything = everything
        self.done: int = 0

    def start(self, entry: Entry) -> None:
        """Called when an entry begins."""

    def end(self, outcome: Outcome) -> None:
        """Prints what became of an entry."""
        self.done += 1
        if not self.everything:
            self.print(page_text(outcome) + "\n")
            return
        count = f"{self.done:{len(str(self.total))}}/{self.total}"
        entry = outcome.entry
        self.print(
            f"{count}  {outcome.state:11}  {outcome.seconds:6.2f} s  {entry.number} {entry.title}"
        )

    def stop(self) -> None:
        """Called when no entry follows."""

    def print(self, text: str) -> None:
        """Prints lines at once, so that they are seen through a pipe too."""
        print(text, flush=True)


class LiveProgress(PlainProgress):
    """Shows below those lines, by means of rich, what is running."""

    def __init__(self, total: int, everything: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        super().__init__(total, everything)
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            Elapsed(),
            TextColumn("{task.description}"),
        )
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def start(self, entry: Entry) -> None:
        """Shows what is running."""
        self._bar.update(self._task, description=f"{entry.number} {entry.title}")

    def end(self, outcome: Outcome) -> None:
        """Prints what became of an entry, and moves the bar."""
        super().end(outcome)
        self._bar.advance(self._task)

    def stop(self) -> None:
        """Takes the bar away."""
        self._bar.stop()

    def print(self, text: str) -> None:
        """Prints lines above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)
