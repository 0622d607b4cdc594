"""Timelines: threads as lanes along one time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from smelt.errors import ArgumentError
from smelt.plot.style import GRAY, INK, PALE, bare, color_of, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["timeline", "timelines"]

Lanes = Mapping[str, Sequence[tuple[float, float, str]]]
CHARACTER = 0.075  # inches that a letter of a label takes


def timeline(lanes: Lanes, *, title: str = "", x_label: str = "seconds") -> Figure:
    """Returns a figure of threads as lanes, with a bar for each piece of their work.

    Args:
        lanes: from a thread's name to its work: (start, end, label), ...
        title: above the figure.
        x_label: what the times are.

    Raises:
        ArgumentError: there is no work, or some that ends before it starts.
        MissingExtra: matplotlib is not installed.
    """
    return timelines({"": lanes}, title=title, x_label=x_label)


def timelines(panels: Mapping[str, Lanes], *, title: str = "", x_label: str = "seconds") -> Figure:
    """Returns a figure of several timelines below each other, on one time axis.

    Args:
        panels: from a title to its lanes, as `timeline` takes them.
        title: above the figure.
        x_label: what the times are.

    Raises:
        ArgumentError: there is no work, or some that ends before it starts.
        MissingExtra: matplotlib is not installed.
    """
    ends = [_checked(piece) for lanes in panels.values() for row in lanes.values() for piece in row]
    if not ends:
        raise ArgumentError("timeline: there is nothing to draw")
    heights = [max(1, len(lanes)) for lanes in panels.values()]
    figure = new_figure(7.2, 0.8 + 0.42 * sum(heights) + 0.35 * len(panels) + 0.3 * bool(title))
    rows = figure.subplots(
        len(panels), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
    )
    for index, (axes, (name, lanes)) in enumerate(zip(rows[:, 0], panels.items(), strict=True)):
        _lanes(axes, lanes, 5.8 / max(ends))
        titled(axes, name or title, fontsize=10 if name else 11, pad=4)
        axes.set_xlim(0, max(ends))
        if index == len(panels) - 1:
            axes.set_xlabel(x_label, color=GRAY, fontsize=9)
    if title and "" not in panels:
        figure.suptitle(title, x=0.015, ha="left", color=INK, fontsize=12, fontweight="bold")
    return figure


def _checked(piece: tuple[float, float, str]) -> float:
    start, end, label = piece
    if end < start or start < 0:
        raise ArgumentError(f"timeline: {label!r} runs from {start} to {end}")
    return end


def _lanes(axes: Axes, lanes: Lanes, inches: float) -> None:
    """Draws the bars; `inches` is the length of a unit of time, to see which labels fit."""
    bare(axes, spines=("bottom",))
    axes.grid(axis="x", color=PALE, linewidth=0.7)
    for index, row in enumerate(lanes.values()):
        for start, end, label in row:
            axes.barh(index, end - start, 0.7, start, color=color_of(index), edgecolor="white")
            if len(label) * CHARACTER < (end - start) * inches:
                middle = (start + end) / 2
                axes.text(middle, index, label, ha="center", va="center", color="white", fontsize=8)
    axes.set_yticks(range(len(lanes)), list(lanes), color=INK)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
