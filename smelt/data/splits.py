"""The parts into which a published data set is divided."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smelt.errors import ArgumentError

__all__ = ["part_of"]


def part_of(dataset: str, split: str, names: Mapping[str, str]) -> str:
    """Returns the entry for a split.

    Raises:
        ArgumentError: the data set has no such split.
    """
    if split not in names:
        known = ", ".join(f'"{name}"' for name in names)
        path = isinstance(split, os.PathLike) or os.sep in split
        hint = "; the folder is the second argument, folder=..." if path else ""
        raise ArgumentError(f"{dataset}: split={split!r} must be one of {known}{hint}")
    return names[split]
