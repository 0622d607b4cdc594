"""Figures. matplotlib is imported when one is drawn, and not before."""

from smelt.plot.confusion import confusion
from smelt.plot.curves import curves
from smelt.plot.style import require, save

__all__ = ["confusion", "curves", "require", "save"]
