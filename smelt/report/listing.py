"""The runs in a folder, one line each."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from smelt.errors import FileError
from smelt.report.page import best_of
from smelt.report.run import CONFIG, METRICS, Run, printable, read_run
from smelt.report.values import TableOf, duration, number, title_of

__all__ = ["list_runs"]


def list_runs(folder: str | os.PathLike[str]) -> TableOf:
    """Returns the runs in a folder, the latest first: what each is, its progress, its best metric,
    and whether something in it is damaged.

    Args:
        folder: the folder that contains run folders; a run folder itself is a list of one.

    Raises:
        FileError: there is no such folder, or no run in it.
    """
    place = Path(os.fsdecode(folder))
    if not place.is_dir():
        raise FileError(f"{folder}: there is no such folder")
    try:
        paths = [place, *(path for path in place.iterdir() if path.is_dir())]
    except OSError as error:
        raise FileError(f"{folder}: cannot be read ({error.strerror})") from None
    found = [path for path in paths if _is_run(path)]
    if not found:
        raise FileError(
            f"{folder}: there is no run in it; smelt train and smelt fit make some, and so does "
            "train.fit(..., run='runs/name')"
        )
    latest = sorted(found, key=lambda path: (-_changed(path), path.name))
    rows = [_row(read_run(path, predictions=False), _changed(path)) for path in latest]
    return TableOf(
        ("run", "what", "epochs", "time", "best", "last", "changed", ""), rows, (2, 3, 5)
    )


def _is_run(path: Path) -> bool:
    try:
        return any(os.path.lexists(path / name) for name in (CONFIG, METRICS))
    except OSError:
        return False


def _changed(path: Path) -> float:
    """Returns when the run's figures, or else its settings, were last written."""
    there = [path / name for name in (METRICS, CONFIG) if os.path.lexists(path / name)]
    return os.lstat(there[0]).st_mtime if there else 0.0


def _row(run: Run, changed: float) -> tuple[str, ...]:
    figure = _figure(run)
    best, last = best_of(run, figure), run.rows[-1].get(figure) if run.rows else None
    return (
        printable(str(run.path)),
        run.recipe,
        f"{len(run.rows):,}",
        duration(run.seconds),
        "" if best is None else f"{title_of(figure)} {number(best[1])} (epoch {best[0]:g})",
        "" if best is None else number(last),
        f"{datetime.fromtimestamp(changed):%Y-%m-%d %H:%M}",
        "damaged" if run.problems else "",
    )


def _figure(run: Run) -> str:
    """Returns the metric to show of a run: the one it has monitored; else the first of held-out
    data that is no loss.
    """
    there = list(run.rows[-1]) if run.rows else []
    held_out = [name for name in there if name.startswith("held_out_")]
    monitored, _ = run.monitor
    if monitored in there:
        return monitored
    return next((name for name in held_out if name != "held_out_loss"), (held_out or ["loss"])[0])
