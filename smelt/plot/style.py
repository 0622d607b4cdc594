"""Shared by all figures: colors, frame, and writing to files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.atomic import replacing
from smelt.errors import ArgumentError, MissingExtra, ShapeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "COLORS",
    "FAINT",
    "GRAY",
    "INK",
    "MARKERS",
    "ORANGE",
    "PALE",
    "as_array",
    "bare",
    "color_of",
    "framed",
    "grid_of",
    "headed",
    "legend",
    "line_of",
    "named",
    "new_figure",
    "picture",
    "require",
    "save",
    "tint",
    "titled",
    "to_png",
    "to_svg",
]

INK, GRAY, PALE, FAINT = "#1f2933", "#66727f", "#dfe3e8", "#f3f5f7"
BLUE, ORANGE = "#2563a8", "#d9620f"
# the first six are told apart by every kind of color vision, and by their lightness in print
COLORS = (
    BLUE, ORANGE, "#2a9d8f", "#9b2d6f", "#c9a227", "#6a7fdb",
    "#7a4a21", "#e07ba6", "#1297b5", "#6f8a17", "#b3261e", "#4b5563",
)  # fmt: skip
# lines are told apart in print, and by who sees no color, by their dashes; five of them, so that
# color and dashes together repeat after 60
DASHES: tuple[Any, ...] = (
    "solid", (0, (5, 2)), (0, (1.2, 1.4)), (0, (7, 2, 1.4, 2)), (0, (3, 1.2, 3, 1.2, 1, 1.2)),
)  # fmt: skip
MARKERS = "osD^vPX*<>p"  # of points; with the twelve colors they repeat after 132
MIXED = 0.45  # how much white, or black, is in the colors after the first
DPI = 160
PIXELS = 96  # an inch of a figure on a page
PADDING = 0.12  # inches around everything
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": DPI},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


def require() -> None:
    """Checks that figures can be drawn: raises MissingExtra if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("plotting", "plot")


def new_figure(width: float, height: float, *, arranged: bool = True) -> Figure:
    """Returns an empty figure of so many inches; it needs no screen and no global state.

    Args:
        width: in inches.
        height: in inches.
        arranged: whether matplotlib gives the panels their places.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=PADDING, h_pad=PADDING, wspace=PADDING)
    layout = engine if arranged else None
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    shown: Any = figure  # whose class cannot be ours: matplotlib is not loaded before it is needed
    shown._repr_png_ = partial(picture, figure)
    return figure


def picture(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """Returns what a notebook shows of a figure: a PNG image, and its size on a page."""
    width, height = figure.get_size_inches() * PIXELS
    return to_png(figure), {"width": round(width), "height": round(height)}


def bare(axes: Axes, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Takes away what carries no information: ticks, and all of the frame but `spines`."""
    for name, spine in axes.spines.items():
        spine.set_visible(name in spines)
        spine.set_color(PALE)
    axes.tick_params(length=0, labelcolor=GRAY, labelsize=9)
    axes.set_axisbelow(True)


def framed(axes: Axes, title: str = "", x_label: str = "", y_label: str = "") -> None:
    """Gives axes that show curves or points their frame: pale grid, small gray labels, a title."""
    bare(axes)
    axes.grid(color=PALE, linewidth=0.7)
    axes.set_xlabel(x_label, color=GRAY, fontsize=9)
    axes.set_ylabel(y_label, color=GRAY, fontsize=9)
    titled(axes, title)


def titled(axes: Axes, title: str, **options: Any) -> None:
    """Writes a title to the left above the axes."""
    if title:
        style = {"color": INK, "fontsize": 11, "fontweight": "bold", "pad": 10, **options}
        axes.set_title(title, loc="left", **style)


def headed(figure: Figure, title: str) -> None:
    """Writes a title above a figure of several panels."""
    if title:
        figure.suptitle(title, x=0.015, ha="left", color=INK, fontsize=12, fontweight="bold")


def legend(axes: Axes, **options: Any) -> None:
    """Names what the axes show, on a white ground without a frame."""
    style = {"facecolor": "white", "edgecolor": "none", "framealpha": 0.9, "fontsize": 9}
    axes.legend(labelcolor=INK, **{**style, **options})


def color_of(index: int) -> str:
    """Returns the color of a curve or class, by its index.

    After the twelve of COLORS come lighter ones, then darker ones; they repeat after 36.
    """
    round_, place = divmod(index, len(COLORS))
    color = COLORS[place]
    if not round_ % 3:
        return color
    ground = 1.0 if round_ % 3 == 1 else 0.0
    mixed = ((1 - MIXED) * channel + MIXED * ground for channel in _channels(color))
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in mixed)


def line_of(index: int) -> dict[str, Any]:
    """Returns color and dashes of a curve, by its index, for `axes.plot`."""
    return {"color": color_of(index), "linestyle": DASHES[index % len(DASHES)]}


def tint(color: str, strength: float = 0.13) -> tuple[float, ...]:
    """Returns a pale version of a color, as red, green and blue from 0 to 1."""
    return tuple(1 - strength * (1 - channel) for channel in _channels(color))


def _channels(color: str) -> list[float]:
    """Returns red, green and blue of "#rrggbb", from 0 to 1."""
    return [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]


def grid_of(count: int, columns: int | None = None) -> tuple[int, int]:
    """Returns rows and columns for so many panels: near a square, a little wider than high."""
    if columns is None:
        wide = count if count <= 3 else round((1.6 * count) ** 0.5)
        columns = -(-count // -(-count // wide))  # no more than the rows need
    return -(-count // columns), columns


def as_array(what: str, values: Any, *shapes: tuple[str, ...]) -> np.ndarray:
    """Returns `values` as a NumPy array that has as many axes as one of `shapes`.

    Args:
        what: the function and the argument, for the message: "attention: weights".
        values: a tensor, an array, or lists.
        shapes: the names of the axes that are allowed; a name that is a number is a size.

    Raises:
        ShapeError: there are other axes, or none of their elements.
    """
    wanted = " or ".join(f"({', '.join(axes)}{',' * (len(axes) == 1)})" for axes in shapes)
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise ShapeError(f"{what} must have shape {wanted}: {error}") from None
    if not any(_fits(array.shape, axes) for axes in shapes):
        got = f"a {type(values).__name__}" if array.dtype == object else array.shape
        raise ShapeError(f"{what} must have shape {wanted}, got {got}")
    if not array.size:
        raise ShapeError(f"{what} {array.shape} holds nothing to draw")
    return array


def named(what: str, things: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Returns what is to be drawn, by name; raises ArgumentError for what has no names, or is
    empty.
    """
    if not isinstance(things, Mapping):
        raise ArgumentError(
            f"{what}: needs a dict from a name to what is drawn, such as {{'run 1': ...}}, got a "
            f"{type(things).__name__}"
        )
    if not things:
        raise ArgumentError(f"{what}: there is nothing to draw")
    return things


def _fits(shape: tuple[int, ...], axes: tuple[str, ...]) -> bool:
    sizes = zip(shape, axes, strict=False)
    return len(shape) == len(axes) and all(
        not name.isdigit() or size == int(name) for size, name in sizes
    )


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as a PNG, SVG or PDF file, completely or not at all.

    Args:
        figure: the figure to write.
        path: its suffix (.png, .svg, .pdf) determines the format.

    Raises:
        ArgumentError: an unknown suffix.
        FileError: the file cannot be written there.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ArgumentError(f"save: {os.fspath(path)} must end in .png, .svg or .pdf")
    with replacing(path) as temporary:
        temporary.write_bytes(_rendered(figure, kind))


def to_png(figure: Figure) -> bytes:
    """Returns a figure as a PNG image."""
    return _rendered(figure, "png")


def to_svg(figure: Figure) -> str:
    """Returns a figure as an SVG document; the same figure gives the same text."""
    return _rendered(figure, "svg").decode()


def _rendered(figure: Figure, kind: str) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    # without a salt the ids in the text are random; there is no other way to give one
    with matplotlib.rc_context({"svg.hashsalt": "smelt"}):
        figure.savefig(stream, format=kind, **FORMATS[kind])
    return stream.getvalue()
