"""The origin of what is computed now: the user's line, the module, the derivative."""

from __future__ import annotations

from smelt.ir.graph import Origin
from smelt.location import module_path, running, user_line

__all__ = ["current_origin", "derivative_of"]


def current_origin() -> Origin:
    """Returns the user's line, the path of the running module, and what is differentiated."""
    return Origin(user_line(), module_path(), running.derivative)


def derivative_of(walk: str, operation: str, origin: Origin | None) -> str:
    """Returns how a derivative is named: "the backward of mul at train.py:7".

    Args:
        walk: "backward" or "forward derivative".
        operation: the name of what is differentiated.
        origin: where that was applied; None where nobody noted it, which is eager code without
            `check_nan`.
    """
    name = f"the {walk} of {operation}"
    if origin is None:
        return f"{name}, which ran before check_nan was on"
    within = f", in {origin.derivative}" if origin.derivative else ""
    return f"{name} at {origin.line}{within}"
