"""Points of the plane: classes, the border that a model draws between them, generated samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.creation import tensor
from smelt.deprecated import renamed_argument
from smelt.dtypes import float32
from smelt.errors import ArgumentError, ShapeError
from smelt.plot.style import (
    BLUE,
    INK,
    MARKERS,
    ORANGE,
    as_array,
    color_of,
    framed,
    grid_of,
    headed,
    legend,
    new_figure,
    tint,
    titled,
)
from smelt.tensor import Tensor
from smelt.tracing.engine import no_grad

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["decision_boundary", "sample_variants", "samples", "scatter"]

Limits = tuple[float, float]


@renamed_argument("colours", "colors")
def scatter(
    points: Any,
    labels: Any,
    *,
    names: Sequence[str] | None = None,
    x_label: str = "x",
    y_label: str = "y",
    x_limits: Limits | None = None,
    y_limits: Limits | None = None,
    colors: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Returns a figure of points, each class with its own color and marker.

    Args:
        points: (n, 2).
        labels: (n,), the class of each, integers from 0.
        names: of the classes; "class 0", ... when None.
        x_label: what the first number is.
        y_label: what the second is.
        x_limits: the ends of the horizontal axis; chosen for the points when None.
        y_limits: the ends of the vertical axis.
        colors: of the classes; Smelt's default colors when None.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above, or there are fewer names than classes.
        ArgumentError: a label is not a class number.
        MissingExtra: matplotlib is not installed.
    """
    points, labels = _classified("scatter", points, labels, names)
    figure = new_figure(6.0, 4.5)
    axes = figure.subplots()
    framed(axes, title, x_label, y_label)
    _classes(axes, points, labels, names, colors)
    axes.set(xlim=x_limits, ylim=y_limits)
    legend(axes)
    return figure


def decision_boundary(
    model: Callable[[Tensor], Tensor],
    points: Any,
    labels: Any,
    *,
    names: Sequence[str] | None = None,
    resolution: int = 200,
    title: str = "",
) -> Figure:
    """Returns a figure of the plane in the colors of the classes that a model predicts, and of the
    points that it should have learned.

    Args:
        model: takes (m, 2) float32 and returns a logit for class 1, (m,) or (m, 1), or a logit
            for each class, (m, classes). A Module is called in the mode that it is in.
        points: (n, 2).
        labels: (n,), integers from 0.
        names: of the classes.
        resolution: number of points along each axis at which the model is evaluated.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above.
        ArgumentError: the resolution is below 2, a point is not finite, or a label is not a class
            number.
        MissingExtra: matplotlib is not installed.
    """
    points, labels = _classified("decision_boundary", points, labels, names)
    if resolution < 2:
        raise ArgumentError(f"decision_boundary: resolution must be 2 or more, got {resolution}")
    if not np.isfinite(points).all():
        raise ArgumentError("decision_boundary: a point is inf or nan")
    margin = 0.15 * np.ptp(points, axis=0) + 1e-3
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    figure = new_figure(5.6, 4.6)
    axes = figure.subplots()
    framed(axes, title)
    _regions(axes, model, low, high, resolution)
    _classes(axes, points, labels, names)
    legend(axes)
    return figure


@renamed_argument("centres", "centers")
def samples(
    target: Any,
    generated: Any,
    *,
    centers: Any = None,
    x_limits: Limits = (-4.0, 4.0),
    y_limits: Limits = (-3.0, 3.0),
    title: str = "GAN samples vs target mixture",
) -> Figure:
    """Returns a figure of generated points as crosses over the points they should look like.

    Args:
        target: (n, 2), drawn small and pale.
        generated: (m, 2).
        centers: of the target's modes, (k, 2), or None.
        x_limits: the ends of the horizontal axis.
        y_limits: the ends of the vertical axis.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above.
        MissingExtra: matplotlib is not installed.
    """
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    framed(axes, title)
    _mixture(axes, target, generated, centers)
    axes.set(xlim=x_limits, ylim=y_limits)
    legend(axes, loc="upper right", markerscale=1.5)
    return figure


@renamed_argument("centres", "centers")
def sample_variants(
    target: Any,
    variants: Mapping[str, Any],
    *,
    centers: Any = None,
    notes: Mapping[str, str] | None = None,
    columns: int | None = None,
    x_limits: Limits = (-4.0, 4.0),
    y_limits: Limits = (-3.0, 3.0),
    title: str = "",
) -> Figure:
    """Returns a figure with a panel for each variant of a generator, on the same axes.

    Args:
        target: (n, 2), drawn small and pale in each panel.
        variants: from a name to its samples (m, 2).
        centers: of the target's modes, (k, 2), or None.
        notes: from a variant's name to what is written below its name.
        columns: panels in a row; chosen when None.
        x_limits: the ends of the horizontal axes.
        y_limits: the ends of the vertical axes.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above.
        ArgumentError: there is no variant, or a note for none.
        MissingExtra: matplotlib is not installed.
    """
    notes = notes or {}
    if not variants or set(notes) - set(variants):
        raise ArgumentError(
            f"sample_variants: variants {list(variants)} and notes {list(notes)} do not fit"
        )
    rows, columns = grid_of(len(variants), columns)
    figure = new_figure(2.7 * columns, 0.5 + 2.4 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axes, (name, generated) in zip(panels, variants.items(), strict=False):
        framed(axes)
        note = f"\n{notes[name]}" if name in notes else ""
        titled(axes, name + note, fontsize=9, pad=5)
        _mixture(axes, target, generated, centers)
        axes.set(xlim=x_limits, ylim=y_limits)
    for index in range(len(variants), len(panels)):
        panels[index].set_visible(False)
        panels[index - columns].tick_params(labelbottom=True)  # it is the lowest of its column
    headed(figure, title)
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=3,
        fontsize=9,
        frameon=False,
        markerscale=2,
    )
    return figure


def _mixture(axes: Axes, target: Any, generated: Any, centers: Any) -> None:
    target = as_array("samples: target", target, ("n", "2"))
    generated = as_array("samples: generated", generated, ("m", "2"))
    dots: dict[str, Any] = {"color": BLUE, "alpha": 0.22, "markersize": 3, "markeredgewidth": 0}
    axes.plot(*target.T, "o", label="target", **dots)
    size, alpha = (7, 1.0) if len(generated) <= 100 else (3, 0.4)
    crosses: dict[str, Any] = {"color": ORANGE, "markersize": size, "alpha": alpha}
    axes.plot(*generated.T, "x", label="generated", markeredgewidth=1.4, **crosses)
    if centers is not None:
        centers = as_array("samples: centers", centers, ("k", "2"))
        axes.plot(*centers.T, "o", color=INK, markeredgecolor="white", label="centers")


def _classified(
    what: str, points: Any, labels: Any, names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    points = as_array(f"{what}: points", points, ("n", "2"))
    numbers = as_array(f"{what}: labels", labels, ("n",))
    if numbers.dtype.kind not in "biuf" or (numbers % 1 != 0).any():
        raise ArgumentError(f"{what}: labels must be class numbers, 0, 1, ...; got {numbers[:4]}")
    labels = numbers.astype(int)
    if len(points) != len(labels):
        raise ShapeError(f"{what}: {len(points)} points have {len(labels)} labels")
    if labels.min() < 0 or (names is not None and labels.max() >= len(names)):
        raise ShapeError(
            f"{what}: labels reach from {labels.min()} to {labels.max()}, "
            f"names are {list(names) if names is not None else 'not given'}"
        )
    return points, labels


def _classes(
    axes: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] | None,
    colors: Sequence[str] | None = None,
) -> None:
    for label in np.unique(labels):
        axes.plot(
            *points[labels == label].T,
            MARKERS[label % len(MARKERS)],
            color=color_of(label) if colors is None else colors[label % len(colors)],
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.7,
            label=f"class {label}" if names is None else names[label],
        )


def _regions(axes: Axes, model: Any, low: np.ndarray, high: np.ndarray, resolution: int) -> None:
    """Colors the plane by the class that the model gives each place, with smooth borders."""
    across, up = (np.linspace(a, b, resolution) for a, b in zip(low, high, strict=True))
    plane = np.stack(np.meshgrid(across, up), axis=-1)  # (resolution, resolution, 2)
    logits = _logits(model, plane.reshape(-1, 2)).reshape(resolution, resolution, -1)
    shades = np.array([tint(color_of(index), 0.16) for index in range(logits.shape[-1])])
    extent = (low[0], high[0], low[1], high[1])
    axes.imshow(shades[logits.argmax(axis=-1)], extent=extent, origin="lower", aspect="auto")
    for index in range(1, logits.shape[-1]) if logits.shape[-1] == 2 else range(logits.shape[-1]):
        others = np.delete(logits, index, axis=-1).max(axis=-1)
        axes.contour(across, up, logits[..., index] - others, levels=[0], colors=INK, linewidths=1)


def _logits(model: Callable[[Tensor], Tensor], plane: np.ndarray) -> np.ndarray:
    """Returns (m, classes); one logit z for class 1 is the pair 0, z."""
    with no_grad():
        logits = np.asarray(model(tensor(plane, dtype=float32)))
    if logits.shape[:1] != (len(plane),) or logits.ndim > 2:
        raise ShapeError(
            f"decision_boundary: the model returned {logits.shape} for {plane.shape}; it must "
            "return (m,), (m, 1) or (m, classes)"
        )
    logits = logits.reshape(len(plane), -1)
    return logits if logits.shape[1] > 1 else np.pad(logits, ((0, 0), (1, 0)))
