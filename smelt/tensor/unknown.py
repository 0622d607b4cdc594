"""Why a tensor has no value to show, said so that one knows what to write instead."""

from __future__ import annotations

from smelt.engine import Eager, Symbol, context, located
from smelt.errors import TraceError
from smelt.ir.graph import ARGUMENT, Node

__all__ = ["unknown"]


def unknown(data: Symbol, what: str) -> TraceError:
    """Returns the error of `what`, a wish for the value of a tensor that has none at present."""
    leaked = isinstance(context.engine, Eager)  # nothing is traced now, so its trace is over
    if leaked and isinstance(data, Node):
        return TraceError(located(data.leak))
    reason = getattr(data, "why_unknown", _KNOWN_LATER)
    is_number_given = isinstance(data, Node) and data.op is ARGUMENT and not data.shape
    hint = _CLOSE_OVER if is_number_given else ""
    shape = f"a tensor of shape {data.shape}"
    return TraceError(located(f"{what} needs the value of {shape} {reason}{hint}"))


_KNOWN_LATER = (
    "that is traced: it is known only when the compiled step runs. Use smelt.where "
    "or smelt.cond to choose by value, return the tensor from the step to look at it, or run the "
    "step eagerly with smelt.settings(compile=False)"
)
_CLOSE_OVER = (
    ". A number given as an argument is a tensor inside the step; close over it to use it as a size"
)
