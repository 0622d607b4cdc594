"""The origin of what is computed now: the user's line, the module, the derivative."""

from __future__ import annotations

from smelt.ir.graph import Origin
from smelt.location import module_path, running, user_line

__all__ = ["current_origin"]


def current_origin() -> Origin:
    """Returns the user's line, the path of the running module, and what is differentiated."""
    return Origin(user_line(), module_path(), running.derivative)
