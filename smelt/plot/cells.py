"""Shared by the figures of matrices and images: cells, their colors, names and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ShapeError
from smelt.plot.style import GRAY, INK, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FEW",
    "as_many",
    "balanced",
    "color_scale",
    "diverging",
    "draw_cells",
    "ticks",
    "whole_numbers",
]

FEW = 7  # up to so many cells along an axis each is written out


def draw_cells(axes: Axes, picture: np.ndarray, colors: Any, span: Any, write: bool) -> Any:
    """Draws a matrix (or a color image) cell by cell; returns what a color scale needs."""
    bare(axes, spines=())
    axes.set_xticks([])
    axes.set_yticks([])
    if picture.ndim == 3:
        return axes.imshow(picture)
    shown = axes.imshow(picture, cmap=colors, vmin=span[0], vmax=max(span[1], span[0] + 1e-12))
    if write:
        _write(axes, picture, shown)
    return shown


def _write(axes: Axes, picture: np.ndarray, shown: Any) -> None:
    integral = np.array_equal(picture, np.round(picture))
    for (row, column), value in np.ndenumerate(picture):
        red, green, blue, _ = shown.cmap(shown.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        text = f"{value:.0f}" if integral else f"{round(value, 2) + 0.0:.2f}"
        color = "white" if dark else INK
        axes.text(column, row, text, color=color, ha="center", va="center", fontsize=8)


def ticks(axes: Axes, columns: Any, rows: Any, numbered: bool = False) -> None:
    """Names the columns and rows of a matrix, or numbers some of them."""
    for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):
        if names:
            long = axis is axes.xaxis and max(map(len, map(str, names))) > 2
            labels, turn = [str(name) for name in names], 90 if long else 0
            axis.set_ticks(range(len(names)), labels, fontsize=8, rotation=turn)
        elif numbered:
            axis.set_major_locator(whole_numbers())


def whole_numbers() -> Any:
    """Returns a locator that puts ticks only at integers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, min_n_ticks=1)


def diverging() -> Any:
    """Returns the colors for numbers of both signs: blue, white at 0, orange."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#1d4e89", "#7fa8d1", "#f7f7f7", "#f0a878", "#b84a00"]
    return LinearSegmentedColormap.from_list("smelt", stops)


def balanced(values: np.ndarray) -> tuple[float, float]:
    """Returns limits about 0 that hold all values."""
    largest = float(np.abs(values).max())
    return -largest, largest


def color_scale(figure: Figure, shown: Any, panels: Sequence[Axes]) -> None:
    """Draws the color scale at the right."""
    bar = figure.colorbar(shown, ax=list(panels), shrink=0.8, aspect=24, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=GRAY)


def as_many(what: str, names: Sequence[str] | None, count: int) -> None:
    """Raises ShapeError when there are names, but not one for each."""
    if names is not None and len(names) != count:
        raise ShapeError(f"{what}: {len(names)} names for {count}: {list(names)[:8]}")
