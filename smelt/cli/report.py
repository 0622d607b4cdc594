"""smelt report, compare and runs: the results of trainings."""

from __future__ import annotations

from pathlib import Path

from smelt.atomic import write_bytes
from smelt.errors import ArgumentError
from smelt.report import comparison_page, list_runs, read_run, report_page
from smelt.report.comparison import comparison_table
from smelt.report.run import printable
from smelt.report.values import TableOf

__all__ = ["checked_page", "compare", "report", "runs"]

GAP = "  "


def report(run: Path, /, *, out: Path | None = None) -> int:
    """Write a web page about a run: settings, data, curves, mistakes, calibration, time.

    The page needs no script, no network and no other file. What is missing or damaged in the folder
    is named on the page; everything else is shown.

    Args:
        run: folder of a run of smelt train, smelt fit, or train.fit(..., run=folder)
        out: the page (default: report.html in the folder)
    """
    found = read_run(run)
    page = checked_page(run / "report.html" if out is None else out)
    write_bytes(page, report_page(found).encode())
    for problem in found.problems:
        print(f"damaged: {problem}")
    print(f"page: {page}")
    return 0


def compare(runs: list[Path], /, *, out: Path = Path("compare.html")) -> int:
    """Write a web page that shows runs side by side: metrics, settings that differ, curves.

    Args:
        runs: folders of two runs or more
        out: the page
    """
    found = [read_run(run, predictions=False) for run in runs]
    write_bytes(checked_page(out), comparison_page(found).encode())
    _print(comparison_table(found))
    print(f"page: {out}")
    return 0


def runs(folder: Path = Path("runs"), /) -> int:
    """List the runs in a folder, the latest first.

    Args:
        folder: the folder that holds the run folders
    """
    _print(list_runs(folder))
    return 0


def checked_page(page: Path) -> Path:
    """Returns the path of a page; raises ArgumentError unless it ends with .html."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"{page}: the page must be a file whose name ends with .html")
    return page


def _print(table: TableOf) -> None:
    """Prints a table in columns; what could move the cursor of a terminal is shown as a code."""
    rows = [[printable(text) for text in row] for row in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.rjust(width) if place in table.numbers else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(GAP.join(cells).rstrip())
