"""The loss, and every other metric, by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentError
from smelt.plot.cells import whole_numbers
from smelt.plot.style import GRAY, PALE, bare, grid_of, legend, line_of, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "drawn_figures"]

Rows = Sequence[Mapping[str, float]]
HELD_OUT = "held_out_"
NOT_DRAWN = ("epoch", "seconds")
IN_ROW = 3  # panels beside each other, at most


def curves(rows: Rows, figures: Sequence[str] | None = None) -> Figure:
    """Returns a figure with a panel for the loss, on a logarithmic scale, and one for every other
    metric of the epochs.

    Args:
        rows: one for each epoch, as `smelt.train.read_metrics` returns them: "epoch", "loss", and
            perhaps "held_out_loss", "held_out_accuracy" and others.
        figures: which panels, of "loss" and the names of the others, such as "held_out_accuracy";
            all when None.

    Raises:
        ArgumentError: there are no epochs, or none of them has such a metric.
        MissingExtra: matplotlib is not installed.
    """
    if not rows:
        raise ArgumentError("curves: there is no finished epoch to draw")
    there = drawn_figures(rows)
    chosen = there if figures is None else list(figures)
    if unknown := [name for name in chosen if name not in there]:
        raise ArgumentError(
            f"curves: the epochs have no {unknown[0]!r}; there are {', '.join(there) or 'none'}"
        )
    if not chosen:
        raise ArgumentError("curves: the epochs have no metric to draw")
    lines, columns = grid_of(len(chosen), min(len(chosen), IN_ROW))
    figure = new_figure(5.2 * columns, 3.6 * lines)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[len(chosen) :]:
        axes.set_visible(False)
    for axes, name in zip(panels, chosen, strict=False):
        _loss(axes, rows) if name == "loss" else _figure(axes, rows, name)
    return figure


def drawn_figures(rows: Rows) -> list[str]:
    """Returns the names of the panels of `curves`: "loss" first, then all other metrics, in their
    order.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    losses = ("loss", f"{HELD_OUT}loss")
    others = [name for name in names if name not in (*NOT_DRAWN, *losses)]
    return [*(["loss"] if any(name in names for name in losses) else []), *others]


def _loss(axes: Axes, rows: Rows) -> None:
    _panel(axes, "Loss", "loss")
    known: list[float] = []
    for index, (name, label) in enumerate((("loss", "training"), (f"{HELD_OUT}loss", "held out"))):
        if any(name in row for row in rows):
            _line(axes, rows, name, label, index)
            known += [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
    if known and min(known) > 0:
        axes.set_yscale("log", subs=())
        locator: Any = axes.yaxis.get_major_locator()
        locator.set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    legend(axes, framealpha=1)


def _figure(axes: Axes, rows: Rows, name: str) -> None:
    is_share = name.endswith("accuracy")
    words = name.removeprefix(HELD_OUT).replace("_", " ")
    if not words.isprintable():
        words = words.encode("unicode_escape").decode()
    title = f"Held-out {words}" if name.startswith(HELD_OUT) else words.capitalize()
    _panel(axes, title, words)
    color = _line(axes, rows, name, "held out", 1)
    known = [(row["epoch"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    if known:
        axes.annotate(
            f"{known[-1][1]:.2%}" if is_share else f"{known[-1][1]:.4g}",
            known[-1],
            xytext=(0, -16),
            textcoords="offset points",
            ha="right",
            color=color,
            fontsize=11,
            fontweight="bold",
        )
    if is_share:
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylim(top=1.005)


def _percent(value: float, position: float) -> str:
    """Returns a tick's label; the room above the highest accuracy there can be has none."""
    return f"{100 * value:.6g}%" if value < 1.0001 else ""


def _panel(axes: Axes, title: str, y_label: str) -> None:
    bare(axes, spines=("bottom",))
    titled(axes, title)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_xlabel("epoch", color=GRAY, fontsize=9)
    axes.set_ylabel(y_label, color=GRAY, fontsize=9)
    axes.xaxis.set_major_locator(whole_numbers())
    axes.margins(x=0.02)


def _line(axes: Axes, rows: Rows, name: str, label: str, index: int) -> Any:
    """Draws a figure of the epochs that have it; returns the color of the line."""
    x, y = zip(*_points(rows, name), strict=True)
    marker = "o" if len(x) == 1 else None  # a line through one point cannot be seen
    style = line_of(index)
    axes.plot(x, y, **style, label=label, linewidth=2, marker=marker)
    return style["color"]


def _points(rows: Rows, name: str) -> Iterator[tuple[float, float]]:
    for number, row in enumerate(rows, start=1):
        if name in row:
            yield row.get("epoch", number), row[name]
