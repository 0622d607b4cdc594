"""Axes and shapes, as the rules of several families read them."""

from __future__ import annotations

from collections.abc import Sequence


def axes_from_front(axes: Sequence[int], count: int) -> tuple[int, ...]:
    """Returns axes of a tensor that has so many, counted from the front."""
    return tuple([int(axis) % count if count else 0 for axis in axes])
