"""Diagrams: boxes, circles and arrows on a sheet that is measured in inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.deprecated import renamed_argument
from smelt.plot.style import BLUE, GRAY, INK, new_figure, picture, tint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Diagram", "Place"]

Point = tuple[float, float]
TITLE = 0.45  # inches that a title takes above the sheet
LETTER = 108.0  # points that a letter may be high in a box of one inch, which holds one
ARROW = "-|>,head_width=2.2,head_length=4.4"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box or circle stands: its center and size, and the middles of its sides."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """The middle of its left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """The middle of its right side."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        """The middle of its upper side."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        """The middle of its lower side."""
        return self.x, self.y - self.height / 2


class Diagram:
    """A sheet to draw on, x to the right and y upward, both in inches from its lower left corner.

        diagram = Diagram(4, 1.2, "A layer")
        linear = diagram.box(1, 0.6, "linear")
        relu = diagram.box(3, 0.6, "ReLU")
        diagram.arrow(linear.right, relu.left, "z")
        plot.save(diagram.figure, "layer.svg")

    Attributes:
        figure: the matplotlib Figure.
    """

    def __init__(self, width: float, height: float, title: str = "") -> None:
        """Makes an empty sheet; raises MissingExtra when matplotlib is not installed."""
        total = height + TITLE * bool(title)
        self.figure: Figure = new_figure(width, total, arranged=False)
        self._axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(0, total))
        self._axes.set_axis_off()
        if title:
            self.text(0.15, total - 0.25, title, size=11, bold=True, align="left")

    def _repr_png_(self) -> Any:
        """What a notebook shows."""
        return picture(self.figure)

    @renamed_argument("colour", "color")
    def box(
        self,
        x: float,
        y: float,
        text: str = "",
        *,
        width: float = 1.2,
        height: float = 0.5,
        color: str = BLUE,
        filled: bool = True,
        note: str = "",
        size: float = 9,
    ) -> Place:
        """Draws a box with rounded corners around a center; returns its place.

        Args:
            x: of its center.
            y: of its center.
            text: within it.
            width: in inches.
            height: in inches.
            color: of its frame; the background is a tint of it.
            filled: whether it has a background; without one its frame is dashed.
            note: small gray text below it.
            size: of the text, in points; text that would not fit is made smaller.
        """
        from matplotlib.patches import FancyBboxPatch

        patch = FancyBboxPatch(
            (x - width / 2 + 0.06, y - height / 2 + 0.06),
            width - 0.12,
            height - 0.12,
            boxstyle="round,pad=0.06",
            facecolor=tint(color) if filled else "none",
            edgecolor=color,
            linewidth=1.4 if filled else 1.0,
            linestyle="-" if filled else (0, (4, 3)),
        )
        self._axes.add_patch(patch)
        longest = max(map(len, text.split("\n")))
        self.text(x, y, text, size=min(size, LETTER * width / max(longest, 1)))
        self.text(x, y - height / 2 - 0.14, note, size=8, color=GRAY)
        return Place(x, y, width, height)

    @renamed_argument("colour", "color")
    def circle(
        self, x: float, y: float, text: str = "", *, radius: float = 0.22, color: str = BLUE
    ) -> Place:
        """Draws a circle around a center with a short text inside; returns its place."""
        from matplotlib.patches import Circle

        style: dict[str, Any] = {"facecolor": tint(color), "edgecolor": color, "linewidth": 1.4}
        self._axes.add_patch(Circle((x, y), radius, zorder=2, **style))
        self.text(x, y, text)
        return Place(x, y, 2 * radius, 2 * radius)

    @renamed_argument("colour", "color")
    def arrow(
        self,
        start: Point,
        end: Point,
        text: str = "",
        *,
        color: str = INK,
        dashed: bool = False,
        bend: float = 0.0,
    ) -> None:
        """Draws an arrow, with a text above its middle.

        Args:
            start: where it begins.
            end: where its head is.
            text: next to it.
            color: of the arrow.
            dashed: whether its line is broken.
            bend: how far it bends to its right, as a fraction of its length.
        """
        from matplotlib.patches import FancyArrowPatch

        patch = FancyArrowPatch(
            start,
            end,
            arrowstyle=ARROW,
            connectionstyle=f"arc3,rad={bend}",
            color=color,
            linewidth=1.3,
            linestyle=(0, (4, 3)) if dashed else "-",
            shrinkA=0,
            shrinkB=0,
        )
        self._axes.add_patch(patch)
        along = np.subtract(end, start)
        middle = np.add(start, end) / 2 + bend / 2 * np.array([along[1], -along[0]])
        upright = abs(along[1]) > abs(along[0])
        away = (0.08, 0.0) if upright else (0.0, 0.12)
        align = "left" if upright else "center"
        self.text(middle[0] + away[0], middle[1] + away[1], text, size=8, align=align)

    @renamed_argument("colour", "color")
    def path(self, points: Sequence[Point], *, color: str = INK, dashed: bool = False) -> None:
        """Draws a line through points, with the head of an arrow at the last."""
        style: dict[str, Any] = {"color": color, "linewidth": 1.3, "solid_capstyle": "round"}
        self._axes.plot(
            *np.array(points[:-1]).T, linestyle=(0, (4, 3)) if dashed else "-", zorder=1, **style
        )
        self.arrow(points[-2], points[-1], color=color, dashed=dashed)

    @renamed_argument("colour", "color")
    def line(self, start: Point, end: Point, *, color: str = GRAY, width: float = 1.0) -> None:
        """Draws a line below everything else."""
        self._axes.plot(*np.array([start, end]).T, color=color, linewidth=width, zorder=0)

    @renamed_argument("colour", "color")
    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 9,
        color: str = INK,
        bold: bool = False,
        align: str = "center",
    ) -> None:
        """Writes a text that is vertically centered at y; `align` says where in it x is."""
        if text:
            weight = "bold" if bold else "normal"
            style: dict[str, Any] = {"fontsize": size, "color": color, "fontweight": weight}
            self._axes.text(x, y, text, ha=align, va="center", zorder=3, **style)
