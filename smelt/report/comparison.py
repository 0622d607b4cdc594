"""Several runs side by side as one web page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smelt import plot
from smelt.errors import ArgumentError
from smelt.pages import Picture, pictured, render, require
from smelt.report.page import best_of
from smelt.report.run import Run, printable
from smelt.report.values import TableOf, duration, number, settings_of, title_of

__all__ = ["comparison_page", "comparison_table"]

NOT_COMPARED = ("epoch", "seconds")


def comparison_page(runs: Sequence[Run]) -> str:
    """Returns the HTML of a page that shows runs side by side.

    Args:
        runs: what `read_run` returned, at least two.

    Raises:
        ArgumentError: there are fewer than two.
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    if len(runs) < 2:
        raise ArgumentError("compare: give at least two run folders")
    require()
    names = run_names(runs)
    return render(
        "compare.html",
        title="Runs compared",
        figures=comparison_table(runs),
        settings=_settings(runs),
        curves=_curves(runs),
        problems=[
            (name, text)
            for name, run in zip(names, runs, strict=True)
            for text in (*run.problems, *run.missing)
        ],
        runs=list(zip(names, runs, strict=True)),
    )


def run_names(runs: Sequence[Run]) -> list[str]:
    """Returns a name for each run: that of its folder, or its path if two have the same name."""
    names = [run.name for run in runs]
    paths = [printable(str(run.path)) for run in runs]
    chosen = [
        path if names.count(name) > 1 else name for name, path in zip(names, paths, strict=True)
    ]
    return [
        f"{name} ({place + 1})" if chosen.count(name) > 1 else name
        for place, name in enumerate(chosen)
    ]


def comparison_table(runs: Sequence[Run]) -> TableOf:
    """Returns a row for each run: its epochs, time, the best value of each metric, and its
    results.
    """
    figures = dict.fromkeys(
        name for run in runs for row in run.rows for name in row if name not in NOT_COMPARED
    )
    results = dict.fromkeys(
        name
        for run in runs
        for name, value in run.result.items()
        if name != "seconds" and isinstance(value, (int, float))
    )
    rows = []
    for name, run in zip(run_names(runs), runs, strict=True):
        best = [best_of(run, figure) for figure in figures]
        ended = [run.result.get(result) for result in results]
        rows.append(
            (
                name,
                run.recipe,
                f"{len(run.rows):,}",
                duration(run.seconds),
                *("" if each is None else number(each[1]) for each in best),
                *(number(each) if isinstance(each, (int, float)) else "" for each in ended),
            )
        )
    header = (
        "run", "what", "epochs", "time", *(f"best {title_of(name)}" for name in figures),
        *(name.replace("_", " ") for name in results),
    )  # fmt: skip
    return TableOf(header, rows, range(2, len(header)))


def _settings(runs: Sequence[Run]) -> TableOf:
    """Returns the settings in which the runs differ, a column for each run."""
    given = [dict(settings_of(run.config)) for run in runs]
    names = dict.fromkeys(name for each in given for name in each)
    rows = [
        (name.replace("_", " "), *(each.get(name, "") for each in given))
        for name in names
        if len({each.get(name) for each in given}) > 1
    ]
    return TableOf(("setting", *run_names(runs)), rows)


def _curves(runs: Sequence[Run]) -> list[Picture]:
    """Returns a picture of each figure that a run has by epoch, with a curve for each run."""
    names = dict.fromkeys(
        name for run in runs for row in run.rows for name in row if name not in NOT_COMPARED
    )
    pictures = []
    for name in names:
        lines = {
            called: [row.get(name, math.nan) for row in run.rows]
            for called, run in zip(run_names(runs), runs, strict=True)
            if any(math.isfinite(row.get(name, math.nan)) for row in run.rows)
        }
        if not lines:
            continue
        words = title_of(name)
        drawn = plot.loss_curves(
            lines, title=words.capitalize(), x_label="epoch", y_label=words, start=1
        )
        pictures.append(pictured(drawn, f"{words} by epoch, a line for each run"))
    return pictures
