"""A Figure that a notebook shows as a picture, whether or not pyplot is in use there."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from smelt.plot.style import to_png

__all__ = ["ShownFigure"]

PIXELS = 96  # an inch of a figure on a page


class ShownFigure(Figure):
    """matplotlib's Figure; a notebook asks for the picture, since no window will show it."""

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        width, height = self.get_size_inches() * PIXELS
        return to_png(self), {"width": round(width), "height": round(height)}
