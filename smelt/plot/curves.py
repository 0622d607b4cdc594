"""How loss and accuracy went from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentError
from smelt.plot.style import BLUE, GREY, ORANGE, PALE, bare, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves"]

Rows = Sequence[Mapping[str, float]]


def curves(rows: Rows) -> Figure:
    """Returns a figure of the loss (on a logarithmic scale) and, where known, the held-out
    accuracy.

    Args:
        rows: one for each epoch, as `smelt.train.read_metrics` returns them: "epoch", "loss", and
            perhaps "held_out_loss" and "held_out_accuracy".

    Raises:
        ArgumentError: there are no epochs.
        MissingExtra: matplotlib is not installed.
    """
    if not rows:
        raise ArgumentError("curves: there is no finished epoch to draw")
    panels = 2 if "held_out_accuracy" in rows[0] else 1
    figure = new_figure(5.2 * panels, 3.6)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _loss(axes[0], rows)
    if panels == 2:
        _accuracy(axes[1], rows)
    return figure


def _loss(axes: Axes, rows: Rows) -> None:
    _panel(axes, "Loss", rows)
    _line(axes, rows, "loss", "training", BLUE)
    if "held_out_loss" in rows[0]:
        _line(axes, rows, "held_out_loss", "held out", ORANGE)
    if min(row["loss"] for row in rows) > 0:
        axes.set_yscale("log", subs=())
        locator: Any = axes.yaxis.get_major_locator()
        locator.set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    axes.legend(facecolor="white", edgecolor="none", framealpha=1, labelcolor=GREY, fontsize=9)


def _accuracy(axes: Axes, rows: Rows) -> None:
    _panel(axes, "Held-out accuracy", rows)
    _line(axes, rows, "held_out_accuracy", "held out", ORANGE)
    last = rows[-1]
    axes.annotate(
        f"{last['held_out_accuracy']:.2%}",
        (last["epoch"], last["held_out_accuracy"]),
        xytext=(0, -16),
        textcoords="offset points",
        ha="right",
        color=ORANGE,
        fontsize=11,
        fontweight="bold",
    )
    axes.yaxis.set_major_formatter(_percent)
    axes.set_ylim(top=1.005)


def _percent(value: float, position: float) -> str:
    """Returns a tick's label; the room above the highest accuracy there can be has none."""
    return f"{100 * value:.6g}%" if value < 1.0001 else ""


def _panel(axes: Axes, title: str, rows: Rows) -> None:
    bare(axes, spines=("bottom",))
    titled(axes, title)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_xlabel("epoch", color=GREY, fontsize=9)
    locator: Any = axes.xaxis.get_major_locator()
    locator.set_params(integer=True, min_n_ticks=1)
    axes.margins(x=0.02)


def _line(axes: Axes, rows: Rows, name: str, label: str, colour: str) -> None:
    marker = "o" if len(rows) == 1 else None  # a line through one point cannot be seen
    x, y = [row["epoch"] for row in rows], [row[name] for row in rows]
    axes.plot(x, y, color=colour, label=label, linewidth=2, marker=marker, solid_capstyle="round")
