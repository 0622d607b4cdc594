"""Numbers that follow one another: losses and moving averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ArgumentError, ShapeError
from smelt.plot.cells import whole_numbers
from smelt.plot.style import (
    BLUE,
    GRAY,
    as_array,
    color_of,
    framed,
    legend,
    line_of,
    named,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_rates", "loss_curves", "moving_average", "named_rows"]

Curves = Mapping[Any, Any]  # from a name to its numbers: an array, a tensor or a list
FEW = 300.0  # below this factor a logarithmic scale also names 2 and 5 of each decade
WIDE = 50.0  # a loss that falls by more than this factor is drawn on a logarithmic scale


def loss_curves(
    losses: Curves,
    *,
    title: str = "Loss",
    x_label: str = "step",
    y_label: str = "loss",
    every: int = 1,
    start: int = 0,
    log: bool | None = None,
    smooth: int = 1,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Returns a figure of one curve for each run, named in a legend.

    Args:
        losses: from the name of a run to its losses (steps,).
        title: above the figure.
        x_label: what the steps are.
        y_label: what the losses are.
        every: number of steps between two losses.
        start: the step of the first loss.
        log: whether the scale is logarithmic; None chooses it for positive losses with a wide
            range.
        smooth: width of a running mean; above 1 the losses themselves are drawn faintly.
        levels: from a name to a loss to compare with, such as that of chance, or the book's value.

    Raises:
        ShapeError: a run's losses are not a vector of numbers.
        ArgumentError: there is no run, `every` or `smooth` is not positive, or a logarithmic scale
            is asked for and no loss is positive.
        MissingExtra: matplotlib is not installed.
    """
    if every < 1 or smooth < 1:
        raise ArgumentError(
            f"loss_curves: every ({every}) and smooth ({smooth}) must be at least 1"
        )
    runs = named_rows("loss_curves", losses)
    if log and not any((row > 0).any() for row in runs.values()):
        raise ArgumentError("loss_curves: log=True, but no loss is positive")
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    framed(axes, title, x_label, y_label)
    axes.xaxis.set_major_locator(whole_numbers())
    for index, (name, row) in enumerate(runs.items()):
        _curve(axes, start + every * np.arange(len(row)), row, name, index, smooth)
    for name, level in (levels or {}).items():
        axes.axhline(level, color=GRAY, linewidth=1.2, linestyle=(0, (5, 3)), label=name)
    _scale(axes, np.concatenate([*runs.values(), np.asarray(list((levels or {}).values()))]), log)
    axes.margins(x=0.02)
    legend(axes)
    return figure


def learning_rates(losses: Curves, *, title: str = "The same descent, other steps") -> Figure:
    """Returns a figure of one loss curve for each learning rate, the smallest in blue.

    A run that diverges leaves the frame at the top, so that the others can still be read.

    Args:
        losses: from a learning rate to its losses (steps,).
        title: above the figure.

    Raises:
        ShapeError: a run's losses are not a vector of numbers.
        ArgumentError: there is no run.
        MissingExtra: matplotlib is not installed.
    """
    runs = named_rows("learning_rates", dict(sorted(named("learning_rates", losses).items())))
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    framed(axes, title, "step", "loss")
    axes.xaxis.set_major_locator(whole_numbers())
    for index, (rate, row) in enumerate(runs.items()):
        label = f"learning rate {rate}"
        axes.plot(row, **line_of(index), linewidth=2, marker="o", markersize=4, label=label)
    first = max(row[0] for row in runs.values())
    axes.set_ylim(-0.06 * first, 2.2 * first)
    legend(axes)
    return figure


def moving_average(
    series: Any,
    averages: Curves | None = None,
    *,
    dates: Sequence[Any] | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """Returns a figure of a series, and of its moving averages on top of it.

    Args:
        series: the numbers (n,).
        averages: from a name to a smoothed series. One that is shorter than the series ends with
            it, since y(n) needs what came before: x(n - 4) to x(n).
        dates: of each number (dates or numbers, n of them); 0 to n - 1 when None.
        title: above the figure.
        x_label: what the dates are.
        y_label: what the numbers are.

    Raises:
        ShapeError: not one row of numbers, an average longer than the series, or dates that are
            not as many.
        MissingExtra: matplotlib is not installed.
    """
    series = as_array("moving_average: series", series, ("n",))
    smoothed = named_rows("moving_average", averages) if averages else {}
    times = np.arange(len(series)) if dates is None else np.asarray(dates)
    if len(times) != len(series) or any(len(row) > len(series) for row in smoothed.values()):
        sizes = ", ".join(f"{name} {len(row)}" for name, row in smoothed.items())
        raise ShapeError(
            f"moving_average: series {len(series)}, dates {len(times)}, averages "
            f"{sizes or 'none'}: there must be as many dates, and at most as many averages"
        )
    figure = new_figure(7.2, 3.6)
    axes = figure.subplots()
    framed(axes, title, x_label, y_label)
    raw, width = (GRAY, 1.0) if smoothed else (BLUE, 1.5)
    axes.plot(times, series, color=raw, linewidth=width, alpha=0.8, label="series")
    for index, (name, row) in enumerate(smoothed.items()):
        axes.plot(times[-len(row) :], row, **line_of(index + 1), linewidth=2, label=name)
    axes.margins(x=0.01)
    if smoothed:
        legend(axes)
    figure.align_labels()
    return figure


def named_rows(what: str, curves: Curves) -> dict[Any, np.ndarray]:
    """Returns the curves as arrays of floats; the error names one that is not."""
    return {
        name: as_array(f"{what}: {name}", row, ("n",)).astype(float)
        for name, row in named(what, curves).items()
    }


def _curve(
    axes: Axes, steps: np.ndarray, row: np.ndarray, name: str, index: int, smooth: int
) -> None:
    width = min(smooth, len(row))
    if width > 1:
        axes.plot(steps, row, color=color_of(index), linewidth=0.7, alpha=0.25)
        row = np.convolve(row, np.full(width, 1 / width), mode="valid")
        steps = steps[width - 1 :]
    marker = "o" if len(row) == 1 else None  # a line through one point cannot be seen
    axes.plot(steps, row, **line_of(index), linewidth=1.8, marker=marker, label=name)


def _scale(axes: Axes, shown: np.ndarray, log: bool | None) -> None:
    known = shown[np.isfinite(shown)]
    wide = known.size > 0 and known.min() > 0 and known.max() > WIDE * known.min()
    if wide if log is None else log:
        axes.set_yscale("log", subs=())
        locator: Any = axes.yaxis.get_major_locator()
        few = known.size > 0 and known.max() < FEW * known.min()
        locator.set_params(subs=(1, 2, 5) if few else (1,))
        axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
