"""Which classes are predicted as which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ShapeError
from smelt.plot.style import BLUE, GRAY, INK, ORANGE, bare, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion"]

LETTER = 0.1  # inches that a letter of the title takes
SHORT = 3  # letters of a class's name that fit below its column
LONG = 26  # letters after which a name is cut
FEW = 30  # classes up to which each count is written, and each class named
WIDEST = 12.0  # inches of the side of the matrix


def confusion(counts: Any, names: Sequence[str] | None = None) -> Figure:
    """Returns a figure of a confusion matrix: hits in blue, mistakes in orange, each with its
    number. With more than 30 classes the cells have no numbers, and not every class has its name.

    Args:
        counts: (classes, classes) integers; a row is a true class, a column a predicted one.
        names: of the classes; their numbers when None.

    Raises:
        ShapeError: `counts` is not square, or the number of names is not the number of classes.
        MissingExtra: matplotlib is not installed.
    """
    counts = np.asarray(counts)
    labels = [str(index) for index in range(len(counts))] if names is None else list(names)
    if counts.shape != (len(labels), len(labels)):
        raise ShapeError(
            f"confusion: counts {counts.shape} with {len(labels)} names must be square"
        )
    shown = [_cut(str(label)) for label in labels]
    longest = max(map(len, shown), default=0)
    room = 0.07 * max(0, longest - SHORT)  # beside the matrix, and below it for rotated names
    side = 1.6 + min(0.46 * len(labels), WIDEST)
    title = _title(counts)
    width = room + max(side, 1 + LETTER * len(title))
    figure = new_figure(width, side + 0.7 * room + 0.35)
    axes = figure.subplots()
    _cells(axes, counts)
    if len(labels) <= FEW:
        _numbers(axes, counts)
    every = -(-len(labels) // FEW)
    places = range(0, len(labels), max(every, 1))
    rotated: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    named = [shown[place] for place in places]
    axes.set_xticks(places, named, **(rotated if longest > SHORT else {}))
    axes.set_yticks(places, named)
    axes.set_xlabel("predicted", color=GRAY, fontsize=9)
    axes.set_ylabel("true", color=GRAY, fontsize=9)
    bare(axes, spines=())
    titled(axes, title)
    return figure


def _cut(name: str) -> str:
    return name if len(name) <= LONG else f"{name[: LONG - 1]}…"


def _cells(axes: Axes, counts: np.ndarray) -> None:
    """Draws the cells as shapes, whose colors a dark page can turn; pixels it could not."""
    edges = np.arange(len(counts) + 1) - 0.5
    width = 2 if len(counts) <= FEW else 0.3
    if len(counts):
        axes.pcolormesh(edges, edges, _colors(counts), edgecolors="white", linewidth=width)
    axes.set_aspect("equal")
    axes.invert_yaxis()


def _numbers(axes: Axes, counts: np.ndarray) -> None:
    strength = _strength(counts)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            is_dark = strength[row, column] > (0.5 if row == column else 0.75)
            color = "white" if is_dark else INK
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=9)


def _title(counts: np.ndarray) -> str:
    hits, total = int(np.trace(counts)), int(counts.sum())
    share = f" ({hits / total:.2%})" if total else ""
    return f"{hits} of {total} right{share}"


def _strength(counts: np.ndarray) -> np.ndarray:
    """Returns 0 to 1: hits as a share of their class; mistakes stronger, so that one is seen."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mistakes = np.where(counts > 0, 0.25 + 0.75 * np.sqrt(share), 0)
    return np.where(np.eye(len(counts), dtype=bool), share, mistakes)


def _colors(counts: np.ndarray) -> np.ndarray:
    """Returns (classes, classes, 3): blue on the diagonal and orange beside it, on paper."""
    paper = _rgb("#f3f5f7")
    full = np.where(np.eye(len(counts), dtype=bool)[..., None], _rgb(BLUE), _rgb(ORANGE))
    return paper + _strength(counts)[..., None] * (full - paper)


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
