"""Functions of one and of two numbers: curves, slopes, contours, and descents on them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import smelt.functional as F
from smelt.autodiff import grad
from smelt.autodiff.record import expected_zeros
from smelt.creation import tensor
from smelt.dtypes import float64
from smelt.errors import ArgumentError, ShapeError
from smelt.plot.style import (
    BLUE,
    GRAY,
    INK,
    MARKERS,
    ORANGE,
    PALE,
    as_array,
    bare,
    color_of,
    framed,
    grid_of,
    headed,
    legend,
    line_of,
    named,
    new_figure,
    titled,
)
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activations", "contour", "descent"]

Function = Callable[[Tensor], Tensor]  # element by element
Limits = tuple[float, float]

ACTIVATIONS: dict[str, Function] = {
    "step": F.step,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "ReLU": F.relu,
    "leaky ReLU (0.01)": F.leaky_relu,
    "GELU": F.gelu,
    "log-sigmoid": F.logsigmoid,
    "softplus": F.softplus,
    "identity": F.identity,
}


def activations(
    functions: Mapping[str, Function] | None = None,
    *,
    limits: Limits = (-5.0, 5.0),
    points: int = 401,
    derivatives: bool = True,
    title: str = "",
) -> Figure:
    """Returns a figure with a panel for each activation: its curve, and its derivative dashed.

    Args:
        functions: from a name to a function that acts on each element of a tensor; those of the
            book when None.
        limits: the ends of the x axis.
        points: number of points of each curve.
        derivatives: whether to draw them, by reverse mode.
        title: above the figure.

    Raises:
        ArgumentError: there is no function, or the limits are not in order.
        ShapeError: a function does not return one number for each.
        MissingExtra: matplotlib is not installed.
    """
    functions = named("activations", ACTIVATIONS if functions is None else functions)
    if wrong := [name for name, function in functions.items() if not callable(function)]:
        raise ArgumentError(f"activations: {wrong[0]} is not a function: {functions[wrong[0]]!r}")
    x = _line("activations", limits, points)
    rows, columns = grid_of(len(functions), min(3, len(functions)))
    wide = 5.6 if columns == 1 else 2.7 * columns
    figure = new_figure(wide, 3.8 if rows == columns == 1 else 0.3 + 2.2 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for axes, (name, function) in zip(panels, functions.items(), strict=False):
        _activation(axes, name, function, x, derivatives)
    for axes in panels[len(functions) :]:
        axes.set_visible(False)
    if derivatives:
        handles, texts = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, texts, loc="outside lower center", ncols=2, fontsize=9, frameon=False
        )
    headed(figure, title)
    return figure


def _activation(axes: Axes, name: str, function: Function, x: np.ndarray, derivative: bool) -> None:
    framed(axes, name)
    for line in (axes.axhline, axes.axvline):
        line(0, color=GRAY, linewidth=0.7)
    heights = _values(f"activations: {name}", function, x)
    axes.plot(*_broken(x, heights), color=BLUE, linewidth=2, label="value")
    if derivative:
        with expected_zeros():  # a jump has no slope, which is what the curve shows
            slopes = grad(lambda x: function(x).sum())(tensor(x, dtype=float64)).numpy()
        dashes: dict[str, Any] = {"linewidth": 1.5, "linestyle": (0, (4, 2))}
        axes.plot(*_broken(x, slopes), color=ORANGE, label="slope", **dashes)
    axes.margins(x=0)


def _broken(x: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the curve with a gap where it jumps, so that no upright line is drawn there."""
    rises = np.abs(np.diff(heights))
    padded = np.pad(rises, 1)
    beside = np.maximum(padded[:-2], padded[2:])
    jumps = np.flatnonzero((rises > 0.2 * np.ptp(heights)) & (rises > 10 * beside)) + 1
    return np.insert(x, jumps, np.nan), np.insert(heights, jumps, np.nan)


def descent(
    function: Function,
    paths: Mapping[str, Any],
    *,
    limits: Limits = (-3.0, 3.0),
    title: str = "",
    x_label: str = "weight",
    y_label: str = "loss",
) -> Figure:
    """Returns a figure of a loss that depends on one number, with the steps that descents took.

    Args:
        function: acts on each element of a tensor.
        paths: from a name to the points visited (steps,); points outside the frame are not drawn.
        limits: the ends of the x axis.
        title: above the figure.
        x_label: what the number is.
        y_label: what the function is.

    Raises:
        ArgumentError: the limits are not in order.
        ShapeError: a path is not one row of numbers, or the function mixes elements.
        MissingExtra: matplotlib is not installed.
    """
    x = _line("descent", limits, 401)
    heights = _values("descent", function, x)
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    framed(axes, title, x_label, y_label)
    axes.plot(x, heights, color=INK, linewidth=1.5)
    for index, (name, path) in enumerate(paths.items()):
        steps = as_array(f"descent: {name}", path, ("n",)).astype(float)
        heights_there = _values("descent", function, steps)
        color, marker = color_of(index), MARKERS[index % len(MARKERS)]
        axes.plot(steps, heights_there, color=color, linewidth=1, alpha=0.6)
        axes.plot(steps, heights_there, marker, color=color, markersize=5, label=name)
    axes.set_xlim(*limits)
    spread = float(np.ptp(heights))
    axes.set_ylim(heights.min() - 0.05 * spread, heights.max() + 0.05 * spread)
    if paths:
        legend(axes, loc="upper center")
    return figure


def contour(
    function: Callable[[Tensor, Tensor], Tensor],
    *,
    x: Limits = (-3.0, 3.0),
    y: Limits = (-3.0, 3.0),
    points: Mapping[str, tuple[float, float]] | None = None,
    against: Collection[str] = (),
    paths: Mapping[str, Any] | None = None,
    arrows: bool = True,
    title: str = "",
) -> Figure:
    """Returns a figure of the heights of a function of two numbers, with its gradient as arrows.

    Args:
        function: takes two tensors of one shape and returns the heights there.
        x: the ends of the horizontal axis.
        y: the ends of the vertical axis.
        points: named points; from each goes a bold arrow along its gradient, uphill.
        against: the names of points whose arrow goes downhill instead.
        paths: from a name to the points that a descent visited, (steps, 2).
        arrows: whether the field of gradients is drawn faintly.
        title: above the figure.

    Raises:
        ArgumentError: limits that are not in order, or `against` names no point.
        ShapeError: the function mixes elements, or a path is not (steps, 2).
        MissingExtra: matplotlib is not installed.
    """
    points = points or {}
    if unknown := sorted(set(against) - set(points)):
        raise ArgumentError(f"contour: against names {unknown}, points are {sorted(points)}")
    across, up = np.meshgrid(_line("contour", x, 161), _line("contour", y, 161))
    heights = _values("contour", function, across, up)
    figure = new_figure(6.0, 5.0)
    axes = figure.subplots()
    bare(axes, spines=())
    shades = axes.contourf(across, up, heights, levels=14, cmap="Blues", alpha=0.85)
    axes.contour(across, up, heights, levels=14, colors="white", linewidths=0.7)
    bar = figure.colorbar(shades, ax=axes, shrink=0.8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=GRAY)
    if arrows:
        _field(axes, function, x, y)
    _steps(axes, function, points, against, 0.16 * min(x[1] - x[0], y[1] - y[0]))
    _trails(axes, paths or {})
    axes.set(xlim=x, ylim=y, aspect="equal")
    titled(axes, title)
    return figure


def _field(axes: Axes, function: Any, x: Limits, y: Limits) -> None:
    across, up = np.meshgrid(*(np.linspace(a, b, 15)[1:-1] for a, b in (x, y)))
    right, rise = _gradient(function, across, up)
    axes.quiver(across, up, right, rise, color=INK, alpha=0.45, width=0.003, pivot="middle")


def _steps(axes: Axes, function: Any, points: Any, against: Any, length: float) -> None:
    for name, (across, up) in points.items():
        slope = np.array(_gradient(function, np.array(across), np.array(up)))
        color = BLUE if name in against else ORANGE
        step = (-1 if name in against else 1) * length * slope / max(np.hypot(*slope), 1e-12)
        style = {"arrowstyle": "-|>", "color": color, "linewidth": 2.2, "mutation_scale": 16}
        axes.annotate("", (across + step[0], up + step[1]), (across, up), arrowprops=style)
        axes.plot(across, up, "o", color=color, markersize=7, markeredgecolor="white")
        axes.annotate(
            name,
            (across, up),
            xytext=(-9 if step[0] > 0 else 9, -4),
            textcoords="offset points",
            ha="right" if step[0] > 0 else "left",
            color=INK,
            fontsize=10,
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
        )


def _trails(axes: Axes, paths: Mapping[str, Any]) -> None:
    for index, (name, path) in enumerate(paths.items()):
        across, up = as_array(f"contour: {name}", path, ("steps", "2")).T
        mark: dict[str, Any] = {"marker": MARKERS[index % len(MARKERS)], "markersize": 4}
        axes.plot(across, up, **line_of(index + 1), **mark, linewidth=1.5, label=name)
    if paths:
        legend(axes, edgecolor=PALE)


def _gradient(function: Any, *points: np.ndarray) -> tuple[np.ndarray, ...]:
    slopes = grad(lambda *points: function(*points).sum(), argnums=tuple(range(len(points))))
    return tuple(slope.numpy() for slope in slopes(*(tensor(p, dtype=float64) for p in points)))


def _values(what: str, function: Any, *points: np.ndarray) -> np.ndarray:
    """Returns the heights at places of one shape, found eagerly and without gradients."""
    heights = function(*(tensor(point, dtype=float64) for point in points))
    values = np.asarray(heights.detach() if isinstance(heights, Tensor) else heights)
    if values.shape != points[0].shape:
        raise ShapeError(
            f"{what}: the function returned {values.shape} for {points[0].shape}; it must act on "
            "each element"
        )
    return values.astype(float)


def _line(what: str, limits: Limits, count: int) -> np.ndarray:
    low, high = limits
    if not low < high:
        raise ArgumentError(f"{what}: limits ({low}, {high}) must be in order")
    return np.linspace(low, high, count)
