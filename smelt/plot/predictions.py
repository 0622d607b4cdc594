"""Predictions and true values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.errors import ArgumentError
from smelt.plot.style import BLUE, GRAY, PALE, as_array, bare, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["calibration", "predicted_against_true"]


def calibration(bins: Sequence[Mapping[str, float]], *, title: str = "") -> Figure:
    """Returns a reliability diagram: how often a classifier was right at each confidence.

    Args:
        bins: for each its "confidence" and "accuracy", 0 to 1, and its "rows", which determine the
            size of its marker.
        title: above the figure.

    Raises:
        ArgumentError: there are no bins.
        MissingExtra: matplotlib is not installed.
    """
    if not bins:
        raise ArgumentError("calibration: there are no bins to draw")
    figure = new_figure(4.4, 4.2)
    axes = figure.subplots()
    bare(axes, spines=("left", "bottom"))
    rows = np.array([each["rows"] for each in bins], float)
    axes.plot([0, 1], [0, 1], color=PALE, zorder=1)
    confidence, accuracy = ([each[key] for each in bins] for key in ("confidence", "accuracy"))
    size = 30 + 270 * rows / rows.max()
    # not clipped: the mark of the surest answers lies on the corner
    axes.scatter(confidence, accuracy, s=size, color=BLUE, alpha=0.8, zorder=2, clip_on=False)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("confidence", color=GRAY)
    axes.set_ylabel("share that is right", color=GRAY)
    titled(axes, title)
    return figure


def predicted_against_true(predicted: Any, true: Any, *, title: str = "") -> Figure:
    """Returns a figure with a point for each row: the prediction over the true value.

    Args:
        predicted: (n,).
        true: (n,).
        title: above the figure.

    Raises:
        ShapeError: they are not two arrays of equal length.
        MissingExtra: matplotlib is not installed.
    """
    true = as_array("predicted_against_true: true", true, ("n",))
    predicted = as_array("predicted_against_true: predicted", predicted, ("n",))
    figure = new_figure(4.6, 4.4)
    axes = figure.subplots()
    bare(axes, spines=("left", "bottom"))
    both = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(both, both, color=PALE, zorder=1)
    size = float(np.clip(4000 / len(true), 2, 30))
    axes.scatter(true, predicted, s=size, color=BLUE, alpha=0.5, linewidths=0, zorder=2)
    axes.set_xlabel("true", color=GRAY)
    axes.set_ylabel("predicted", color=GRAY)
    titled(axes, title)
    return figure
