"""Matrices as colors: attention maps, positional encodings, any table of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.plot.cells import FEW, as_many, balanced, color_scale, diverging, draw_cells, ticks
from smelt.plot.style import GRAY, as_array, grid_of, headed, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["attention", "heatmap"]


def attention(
    weights: Any,
    tokens: Sequence[str] | None = None,
    *,
    queries: Sequence[str] | None = None,
    columns: int | None = None,
    title: str = "",
) -> Figure:
    """Returns a figure of attention maps: each row is a query, and its weights add up to 1.

    Args:
        weights: (heads, T, S) or (T, S).
        tokens: the names of the S keys, and of the T queries unless those are given.
        queries: the names of the T queries.
        columns: heads in a row; chosen when None.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above, or the number of names differs.
        MissingExtra: matplotlib is not installed.
    """
    weights = as_array("attention: weights", weights, ("heads", "T", "S"), ("T", "S"))
    heads = weights if weights.ndim == 3 else weights[None]
    queries = tokens if queries is None and heads.shape[1] == heads.shape[2] else queries
    as_many("attention: tokens", tokens, heads.shape[2])
    as_many("attention: queries", queries, heads.shape[1])
    rows, columns = grid_of(len(heads), columns or (2 if len(heads) == 4 else None))
    side = 1.2 + 0.2 * max(heads.shape[1:]) if tokens else 1.9
    side = min(max(side, 1.7), 5.0 if len(heads) == 1 else 3.6)
    figure = new_figure(side * columns + 0.9, side * rows + 0.4 * bool(title))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for index, axes in enumerate(panels):
        axes.set_visible(index < len(heads))
        if index < len(heads):
            shown = draw_cells(axes, heads[index], "Blues", (0.0, float(heads.max())), False)
            titled(axes, f"head {index + 1}" if len(heads) > 1 else "", fontsize=9, pad=4)
            ticks(axes, tokens, queries)
            if index % columns == 0:
                axes.set_ylabel("query", color=GRAY, fontsize=8)
            if index + columns >= len(heads):
                axes.set_xlabel("key", color=GRAY, fontsize=8)
    color_scale(figure, shown, panels)
    headed(figure, title)
    return figure


def heatmap(
    values: Any,
    *,
    x_label: str = "",
    y_label: str = "",
    x_names: Sequence[str] | None = None,
    y_names: Sequence[str] | None = None,
    write: bool | None = None,
    title: str = "",
) -> Figure:
    """Returns a figure of a matrix: from white upward in blue, or about 0 where signs differ.

    Args:
        values: (rows, columns).
        x_label: what a column is.
        y_label: what a row is.
        x_names: of the columns.
        y_names: of the rows.
        write: whether each number is written; None writes those of a small matrix.
        title: above the figure.

    Raises:
        ShapeError: `values` is not a matrix, or the number of names differs.
        MissingExtra: matplotlib is not installed.
    """
    values = as_array("heatmap: values", values, ("rows", "columns"))
    as_many("heatmap: x_names", x_names, values.shape[1])
    as_many("heatmap: y_names", y_names, values.shape[0])
    rows, columns = values.shape
    write = max(values.shape) <= FEW if write is None else write
    stretched = max(rows, columns) > 4 * min(rows, columns)
    height = float(np.clip(5.4 * rows / columns, 2.2, 4.4))
    needed = 6.4 if stretched else height * columns / rows + 2.0  # names and the scale beside it
    figure = new_figure(float(np.clip(needed, max(3.2, 0.11 * len(title)), 6.4)), height + 0.5)
    axes = figure.subplots()
    signed = values.min() < 0 < values.max()
    span = balanced(values) if signed else (float(values.min()), float(values.max()))
    shown = draw_cells(axes, values, diverging() if signed else "Blues", span, write)
    axes.set_aspect("auto" if stretched else "equal")
    ticks(axes, x_names, y_names, numbered=True)
    axes.set_xlabel(x_label, color=GRAY, fontsize=9)
    axes.set_ylabel(y_label, color=GRAY, fontsize=9)
    headed(figure, title)
    color_scale(figure, shown, [axes])
    return figure
