"""What all figures have in common: their colours, their frame, and how they become files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from smelt.errors import MissingExtra
from smelt.export.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "ORANGE",
    "PALE",
    "bare",
    "new_figure",
    "require",
    "save",
    "titled",
]

INK, GREY, PALE = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE = "#2563a8", "#d9620f"
DPI = 160
PADDING = 0.12  # inches around everything


def require() -> None:
    """Says at once whether figures can be drawn: raises MissingExtra when matplotlib is not
    installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("plotting", "plot")


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of so many inches; it needs no screen and no global state.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=PADDING, h_pad=PADDING, wspace=PADDING)
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Takes away what carries no information: ticks, and all of the frame but `spines`."""
    for name, spine in axes.spines.items():
        spine.set_visible(name in spines)
        spine.set_color(PALE)
    axes.tick_params(length=0, labelcolor=GREY, labelsize=9)
    axes.set_axisbelow(True)


def titled(axes: Axes, title: str, **options: Any) -> None:
    """Writes a title to the left above the axes."""
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold", pad=10, **options)


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as a PNG file; the file is there whole or not at all.

    Raises:
        FileError: the file cannot be written there.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
