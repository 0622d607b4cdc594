"""The report of a run as one web page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from smelt import plot
from smelt.pages import Picture, pictured, render, require
from smelt.plot.curves import drawn_figures
from smelt.report.examples import answers, worst
from smelt.report.run import Run, printable
from smelt.report.values import TableOf, duration, number, settings_of, shown, title_of

__all__ = ["best_of", "figures_of", "report_page"]

PARTS = {  # of times.jsonl, and what they are
    "steps": "training steps",
    "tracing": "tracing the step",
    "compiling": "compiling the step",
    "data": "waiting for batches",
    "validation": "validation",
    "callbacks": "callbacks and files",
    "other": "all else",
}
MULTIPLE = "\n"


def report_page(run: Run) -> str:
    """Returns the HTML of a report.

    Args:
        run: what `read_run` returned.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    require()
    found = run.predictions
    return render(
        "report.html",
        title=f"{run.name}: {run.recipe}",
        run=run,
        facts=list(_facts(run)),
        figures=figures_of(run),
        texts=[(name, text) for name, text in run.result.items() if _is_long(text)],
        curves=curves_of(run),
        answers=None if found is None else answers(found),
        predictions=found,
        examples=[] if found is None else worst(found),
        table=_table_of(run),
        times=_times(run),
        settings=TableOf(
            ("setting", "value"),
            [(name.replace("_", " "), value) for name, value in settings_of(run.config)],
        ),
        data=list(_data(run)),
        model=_model(run),
        files=_files(run),
    )


def _facts(run: Run) -> Iterator[str]:
    summary = run.summary
    epochs = len(run.rows)
    yield f"{epochs:,} finished epoch{'' if epochs == 1 else 's'}"
    if run.seconds is not None:
        yield duration(run.seconds)
    if "started" in summary:
        yield f"started {shown(summary['started'])}"
    if "smelt" in summary:
        yield f"Smelt {shown(summary['smelt'])}, Python {shown(summary.get('python'))}"
    if "platform" in summary:
        yield shown(summary["platform"])


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and MULTIPLE in value


def figures_of(run: Run) -> list[tuple[str, str]]:
    """Returns the results of a run, by name: the final values, and the best of each metric."""
    named = {
        str(name).replace("_", " "): number(value) if isinstance(value, float) else shown(value)
        for name, value in run.result.items()
        if name != "seconds" and not _is_long(value)
    }
    if run.rows:
        last = run.rows[-1]
        named |= {
            f"{title_of(name)}, last epoch": number(value)
            for name, value in last.items()
            if name not in ("epoch", "seconds")
        }
        for name in last:
            best = best_of(run, name) if name.startswith("held_out_") else None
            if best is not None and best[0] != last.get("epoch"):
                epoch, value = best
                named[f"{title_of(name)}, best (epoch {epoch:g})"] = number(value)
    return list(named.items())


def best_of(run: Run, name: str) -> tuple[float, float] | None:
    """Returns the epoch and the best value of a metric; None if it is never finite.

    Of the metric that the run has monitored it is known whether the lowest or the highest value is
    best; of others it is the lowest for losses and errors, else the highest.
    """
    known = [
        (row.get("epoch", place), row[name])
        for place, row in enumerate(run.rows, start=1)
        if math.isfinite(row.get(name, math.nan))
    ]
    monitored, mode = run.monitor
    falls = any(word in name for word in ("loss", "error", "mse", "mae", "mape", "perplexity"))
    if name == monitored and mode:
        falls = mode == "min"
    pick = min if falls else max
    return pick(known, key=lambda pair: pair[1]) if known else None


def curves_of(run: Run) -> list[Picture]:
    """Returns a plot of the loss, and one of each other metric of the epochs."""
    rows = [row for row in run.rows if row]
    names = drawn_figures(rows) if rows else []
    return [pictured(plot.curves(rows, [name]), f"{title_of(name)} by epoch") for name in names]


def _times(run: Run) -> dict[str, Any] | None:
    """Returns where the time went: the seconds and the share of each part of all calls of `fit`."""
    total = sum(_known(row, "seconds") for row in run.times)
    if not total:
        return None
    seconds = {name: sum(_known(row, name) for row in run.times) for name in PARTS}
    parts = [
        {"name": PARTS[name], "seconds": duration(value), "share": value / total, "key": name}
        for name, value in seconds.items()
        if value > 0
    ]
    return {"parts": parts, "total": duration(total), "calls": len(run.times)}


def _known(row: dict[str, float], name: str) -> float:
    value = row.get(name, 0.0)
    return value if math.isfinite(value) and value > 0 else 0.0


def _data(run: Run) -> Iterator[tuple[str, TableOf]]:
    """Yields which data were trained on and held out: a name, and a table of its arrays."""
    data = run.summary.get("data")
    for name, part in data.items() if isinstance(data, dict) else ():
        if not isinstance(part, dict):
            continue
        samples = part.get("samples")
        rows = [
            ("samples", _count(samples) or "not known beforehand"),
            ("kind", shown(part.get("kind"))),
        ]
        arrays = part.get("arrays")
        for number_, array in enumerate(arrays if isinstance(arrays, list) else []):
            if isinstance(array, dict):
                shape = " x ".join(_count(each) for each in _list(array.get("shape")))
                rows.append((f"array {number_ + 1}", f"{shape} {shown(array.get('dtype'))}"))
        yield str(name), TableOf(("", ""), rows)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _model(run: Run) -> dict[str, Any] | None:
    model = run.summary.get("model")
    if not isinstance(model, dict):
        return None
    rows = [
        (shown(each.get("name", "")), shown(each.get("kind", "")), _count(each.get("parameters")))
        for each in _list(model.get("layers"))
        if isinstance(each, dict)
    ]
    parameters = model.get("parameters")
    others = {name: run.summary.get(name) for name in ("loss", "optimizer", "scheduler")}
    return {
        "name": shown(model.get("name")),
        "parameters": _count(parameters),
        "others": [(name, shown(value)) for name, value in others.items() if value],
        "layers": TableOf(("layer", "kind", "parameters"), rows, (2,)),
        "more": model.get("more_layers") or 0,
    }


def _table_of(run: Run) -> dict[str, Any] | None:
    """Returns what `smelt fit` found out: scores beside baselines, importance, columns."""
    found = run.examined
    if not found:
        return None
    scores = {
        name: given for name, given in _dict(found.get("scores")).items() if isinstance(given, dict)
    }
    names = list(dict.fromkeys(name for given in scores.values() for name in given))
    rows = [
        (model.replace("_", " "), *(shown(given.get(name)) for name in names))
        for model, given in scores.items()
    ]
    columns = [
        tuple(shown(value) for value in each.values())
        for each in _list(found.get("columns"))
        if isinstance(each, dict)
    ]
    width = max(map(len, columns), default=0)
    return {
        "target": shown(found.get("target")),
        "task": shown(found.get("task")),
        "rows": [(shown(name), shown(count)) for name, count in _dict(found.get("rows")).items()],
        "scores": TableOf(
            ("model", *(name.replace("_", " ") for name in names)), rows, range(1, len(names) + 1)
        ),
        "verdicts": [shown(each) for each in _list(found.get("verdicts"))],
        "importance": _importance(_list(found.get("importance"))),
        "columns": TableOf(
            ("column", "taken as", "", *[""] * width)[:width],
            [(*row, *[""] * (width - len(row))) for row in columns],
        ),
    }


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _importance(found: list[Any]) -> Picture | None:
    grown = {
        printable(shown(each.get("name"))): max(float(each["mean"]), 0.0)
        for each in found[:12]
        if isinstance(each, dict) and isinstance(each.get("mean"), (int, float))
    }
    if not grown:
        return None
    drawn = plot.bars(grown, title="Growth of the loss when a column is shuffled")
    return pictured(drawn, "Importance of the columns")


def _files(run: Run) -> TableOf:
    """Returns the names and sizes of what is in the folder, links as what they are."""
    rows = []
    for path in sorted(run.path.iterdir())[:200]:
        size = path.lstat().st_size
        kind = " (link)" if path.is_symlink() else "/" if path.is_dir() else ""
        rows.append((f"{path.name}{kind}", f"{size:,}"))
    return TableOf(("file", "bytes"), rows, (1,))
