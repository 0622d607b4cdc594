"""Amounts: bars to compare, and the distribution of a network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ArgumentError, ShapeError
from smelt.nn.module import Module
from smelt.plot.style import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    PALE,
    bare,
    grid_of,
    headed,
    legend,
    named,
    new_figure,
    titled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bars", "histograms"]

LONG = 24  # characters of a name that fit above a panel


def bars(
    values: Mapping[str, float],
    *,
    reference: Mapping[str, float] | None = None,
    highlight: str | None = None,
    unit: str = "",
    log: bool = False,
    names: tuple[str, str] = ("here", "reference"),
    title: str = "",
) -> Figure:
    """Returns a figure of one bar for each value, the first on top, with its number.

    Args:
        values: from a name to a number that is not negative.
        reference: other numbers for some of the names, as a thinner bar below: the book's.
        highlight: the name whose bar is orange.
        unit: written after each number.
        log: whether the axis is logarithmic (all numbers positive).
        names: what `values` and `reference` are, for the legend.
        title: above the figure.

    Raises:
        ArgumentError: there is no value, a negative one (or 0 on a logarithmic axis), or a name
            that is unknown.
        MissingExtra: matplotlib is not installed.
    """
    reference = reference or {}
    _check_bars(values, reference, highlight, log)
    figure = new_figure(6.4, 0.8 + 0.36 * len(values) * (1.5 if reference else 1))
    axes = figure.subplots()
    bare(axes, spines=())
    positions = np.arange(len(values), dtype=float)
    colors = [ORANGE if name == highlight else BLUE for name in values]
    height = 0.42 if reference else 0.66
    axes.barh(positions - 0.22 * bool(reference), list(values.values()), height, color=colors)
    if reference:
        there = [index for index, name in enumerate(values) if name in reference]
        numbers = [reference[name] for name in values if name in reference]
        axes.barh(np.array(there) + 0.22, numbers, 0.3, color="#b6bfc9", label=names[1])
        axes.barh([0], [0], color=BLUE, label=names[0])
        legend(axes, loc="best")
        _numbers(axes, np.array(there) + 0.22, numbers, unit, GRAY)
    _numbers(axes, positions - 0.22 * bool(reference), list(values.values()), unit, INK)
    axes.set_yticks(positions, list(values), color=INK)
    axes.invert_yaxis()
    if log:
        axes.set_xscale("log")
        axes.tick_params(which="minor", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.7)
    axes.margins(x=0.16)
    titled(axes, title)
    return figure


def _check_bars(values: Any, reference: Any, highlight: str | None, log: bool) -> None:
    if not values or (set(reference) | {highlight} - {None}) - set(values):
        raise ArgumentError(
            f"bars: values are {list(values)}; reference ({list(reference)}) and highlight "
            f"({highlight!r}) must be among them"
        )
    lowest = min([*values.values(), *reference.values()])
    if lowest < 0 or (log and lowest == 0):
        raise ArgumentError(f"bars: {lowest} has no bar{' on a logarithmic axis' * log}")


def _numbers(axes: Axes, positions: np.ndarray, values: Any, unit: str, color: str) -> None:
    for position, value in zip(positions, values, strict=True):
        axes.annotate(
            f"{value:,.4g}{unit and ' ' + unit}",
            (value, position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=color,
        )


def histograms(weights: Module | Mapping[str, Any], *, bins: int = 40, title: str = "") -> Figure:
    """Returns a figure with a histogram for each tensor, and its mean and standard deviation.

    Args:
        weights: a network (its parameters are taken), or from a name to an array of any shape.
        bins: bars in each histogram.
        title: above the figure.

    Raises:
        ArgumentError: there is nothing to draw.
        ShapeError: a tensor without elements.
        MissingExtra: matplotlib is not installed.
    """
    given = dict(weights.named_parameters()) if isinstance(weights, Module) else weights
    if isinstance(weights, Module) and not given:
        raise ArgumentError(f"histograms: {type(weights).__name__} has no parameters to draw")
    by_name = named("histograms", given)
    arrays = {name: np.asarray(array).reshape(-1).astype(float) for name, array in by_name.items()}
    if empty := [name for name, array in arrays.items() if not array.size]:
        raise ShapeError(f"histograms: {empty[0]} holds nothing to draw")
    rows, columns = grid_of(len(arrays), min(3, len(arrays)))
    figure = new_figure(2.6 * columns + (len(arrays) == 1) * 1.4, 0.4 * bool(title) + 1.9 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[len(arrays) :]:
        axes.set_visible(False)
    for axes, (name, values) in zip(panels, arrays.items(), strict=False):
        bare(axes, spines=("bottom",))
        count = min(bins, 4 + round(2 * values.size**0.5))
        alike = not np.ptp(values)  # one thin bar among empty ones
        about = (values[0] - abs(values[0]) - 1e-3, values[0] + abs(values[0]) + 1e-3)
        axes.hist(values, 25 if alike else count, range=about if alike else None, color=BLUE)
        axes.axvline(0, color=GRAY, linewidth=0.8)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=5)
        titled(axes, _over_two_lines(f"{name} ({values.size:,})"), fontsize=9, pad=4)
        note = f"mean {values.mean():.3g}, std {values.std():.3g}"
        axes.set_xlabel(note, color=GRAY, fontsize=8)
    headed(figure, title)
    return figure


def _over_two_lines(name: str) -> str:
    """Breaks the long path of a parameter before its last part."""
    path, dot, last = name.rpartition(".")
    return f"{path}{dot}\n{last}" if dot and len(name) > LONG else name
