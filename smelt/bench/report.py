"""What was measured, for readers: lines for a terminal, a table in Markdown, JSON, a figure."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smelt.atomic import write_bytes
from smelt.bench.run import COLUMNS, Measured, Timing
from smelt.plot.style import GRAY, bare, color_of, legend, new_figure, titled
from smelt.train.writer import json_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure", "machine", "markdown", "terminal", "write_json"]

WIDTH = 17  # characters of a column in a terminal


def machine() -> str:
    """Returns the CPU and the operating system on one line."""
    from smelt.compiler.codegen.machine import host_cpu
    from smelt.compiler.runtime.threads import threads

    return f"{platform.machine()}, {host_cpu()}; {threads()} threads; {platform.platform()}"


def terminal(name: str, measured: Measured) -> Iterator[str]:
    """Yields the lines of one case."""
    yield f"{name}: {measured.case.title}"
    for column, timing in measured.times.items():
        yield f"  {column:<14}{_cell(measured, column, timing)}"
    for side, seconds in measured.first.items():
        shown = ", again ".join(f"{one:.2f} s" for one in seconds)
        yield f"  {side}: first step {shown}; memory {measured.memory[side]:.0f} MiB"
    for side, why in measured.missing.items():
        yield f"  {side} is left out: {why}"
    yield from (f"  {remark}" for remark in measured.remarks)


def _cell(measured: Measured, column: str, timing: Timing) -> str:
    """Returns a time or rate, its spread, and how many times Smelt's best it is."""
    ratio = "" if column.startswith("Smelt") else f"{timing.median / measured.ours:.2f} x"
    amount = _amount(measured, timing)
    spread = f"+- {timing.spread:.0%}" if column != "limit" else ""
    return f"{amount:>18} {spread:<8}{ratio:>10}   {timing.threads} threads"


def _amount(measured: Measured, timing: Timing) -> str:
    if measured.case.is_product:
        return f"{measured.case.operations / timing.median / 1e9:.1f} GFLOP/s"
    micro = 1e6 * timing.median
    return f"{micro:,.0f} us" if micro >= 100 else f"{micro:.3g} us"


def markdown(results: Mapping[str, Measured]) -> str:
    """Returns all cases as a table, the factors to Smelt's best in brackets."""
    columns = [name for name in COLUMNS if any(name in one.times for one in results.values())]
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for measured in results.values():
        cells = []
        for column in columns:
            timing = measured.times.get(column)
            shown = "-" if timing is None else _amount(measured, timing)
            if timing is not None and not column.startswith("Smelt"):
                shown += f" ({timing.median / measured.ours:.2g})"
            cells.append(shown)
        lines.append(f"| {measured.case.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_json(results: Mapping[str, Measured], path: Path) -> None:
    """Writes all figures, and of what machine they are.

    Raises:
        FileError: the file cannot be written.
    """
    content = {"machine": machine(), "cases": {n: _plain(one) for n, one in results.items()}}
    write_bytes(path, f"{json_text('bench', content, indent=1)}\n".encode())


def _plain(measured: Measured) -> dict[str, Any]:
    times = {
        column: {"median": t.median, "quartiles": list(t.quartiles), "threads": t.threads}
        for column, t in measured.times.items()
    }
    return {
        "title": measured.case.title,
        "operations": measured.case.operations,
        "times": times,
        "first_step": measured.first,
        "memory": measured.memory,
        "missing": measured.missing,
        "remarks": measured.remarks,
    }


def figure(results: Mapping[str, Measured]) -> Figure:
    """Returns a figure: for each case and column a point, how many times Smelt's best it takes.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    columns = [name for name in COLUMNS if any(name in one.times for one in results.values())]
    drawing = new_figure(7.5, 1.4 + 0.34 * len(results))
    axes = drawing.add_subplot()
    for number, column in enumerate(columns):
        found = [
            (one.times[column].median / one.ours, row)
            for row, one in enumerate(results.values())
            if column in one.times and not math.isnan(one.ours)
        ]
        marker = "|" if column == "limit" else "o"
        color = GRAY if column == "limit" else color_of(number)
        axes.plot(*zip(*found, strict=True), marker, color=color, label=column, markersize=7)
    axes.set_xscale("log")
    axes.axvline(1, color=GRAY, linewidth=0.7)
    axes.set_yticks(range(len(results)), [one.case.title for one in results.values()])
    axes.invert_yaxis()
    axes.grid(axis="x", color="#dfe3e8", linewidth=0.7)
    axes.set_xlabel("time, of Smelt's best", color=GRAY, fontsize=9)
    bare(axes, ("bottom",))
    titled(axes, "one step")
    legend(axes)
    return drawing
