"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ShapeError
from smelt.plot.style import BLUE, GREY, INK, ORANGE, bare, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion"]

LETTER = 0.1  # inches that a letter of the title takes


def confusion(counts: Any, names: Sequence[str] | None = None) -> Figure:
    """Returns a figure of a confusion matrix: hits in blue, mistakes in orange, each with its
    number.

    Args:
        counts: (classes, classes) integers; a row is a true class, a column a predicted one.
        names: of the classes; their numbers when None.

    Raises:
        ShapeError: `counts` is not square, or there is not a name for each class.
        MissingExtra: matplotlib is not installed.
    """
    counts = np.asarray(counts)
    labels = [str(index) for index in range(len(counts))] if names is None else list(names)
    if counts.shape != (len(labels), len(labels)):
        raise ShapeError(
            f"confusion: counts {counts.shape} with {len(labels)} names must be square"
        )
    side = 1.6 + 0.46 * len(labels)
    title = _title(counts)
    figure = new_figure(max(side, 1 + LETTER * len(title)), side + 0.35)
    axes = figure.subplots()
    axes.imshow(_colours(counts))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            shade = _strength(counts)[row, column]
            colour = "white" if row == column and shade > 0.5 else INK
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    positions = range(len(labels))
    axes.set_xticks(positions, labels)
    axes.set_yticks(positions, labels)
    axes.set_xlabel("predicted", color=GREY, fontsize=9)
    axes.set_ylabel("true", color=GREY, fontsize=9)
    bare(axes, spines=())
    titled(axes, title)
    axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    return figure


def _title(counts: np.ndarray) -> str:
    hits, total = int(np.trace(counts)), int(counts.sum())
    share = f" ({hits / total:.2%})" if total else ""
    return f"{hits} of {total} right{share}"


def _strength(counts: np.ndarray) -> np.ndarray:
    """Returns 0 to 1: hits as a share of their class; mistakes stronger, so that one is seen."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mistakes = np.where(counts > 0, 0.25 + 0.75 * np.sqrt(share), 0)
    return np.where(np.eye(len(counts), dtype=bool), share, mistakes)


def _colours(counts: np.ndarray) -> np.ndarray:
    """Returns (classes, classes, 3): blue on the diagonal and orange beside it, on paper."""
    paper = _rgb("#f3f5f7")
    full = np.where(np.eye(len(counts), dtype=bool)[..., None], _rgb(BLUE), _rgb(ORANGE))
    return paper + _strength(counts)[..., None] * (full - paper)


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
