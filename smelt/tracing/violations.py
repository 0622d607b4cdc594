"""Violations: text about the invalid values that a check has found."""

from __future__ import annotations

import numpy as np

__all__ = ["first_violation"]


def first_violation(marked: np.ndarray, values: np.ndarray) -> str:
    r"""Returns a line, for the end of a message, about the first invalid value.

    Args:
        marked: bool, which values are invalid; at least one is.
        values: of the same shape.

    Example:
        >>> first_violation(np.array([False, True, True]), np.array([0, 7, 9]))
        '\n  found 7 at index [1], and 1 more'
    """
    wrong = np.argwhere(marked)
    place = tuple(map(int, wrong[0]))
    at = f" at index {list(place)}" if place else ""
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"\n  found {values[place]}{at}{more}"
