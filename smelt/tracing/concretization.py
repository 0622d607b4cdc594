"""Why a tensor has no value to show, said so that one knows what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smelt.errors import TraceError
from smelt.ir.graph import ARGUMENT, Node
from smelt.tracing.engine import Eager, current_engine

__all__ = ["concretization_error", "list_concretization_error"]


def concretization_error(data: Any, what: str) -> TraceError:
    """Returns the error of `what`, a wish for the value of a tensor that has none at present."""
    leaked = isinstance(current_engine(), Eager)  # nothing is traced now, so its trace is over
    if leaked:
        return TraceError(data.leak)
    reason = getattr(data, "why_abstract", _KNOWN_LATER)
    hint = _CLOSE_OVER if _is_number_given(data) else ""
    shape = f"a tensor of shape {data.shape}"
    return TraceError(f"{what} needs the value of {shape} {reason}{hint}")


def list_concretization_error(value: Sequence[Any]) -> TraceError:
    """Returns the error of a list where one tensor belongs, whose elements have no values yet."""
    kind, first = type(value).__name__, value[0]
    of = f"{kind}s" if isinstance(first, (list, tuple)) else "traced tensors"
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    hint = _PASS_ONE if _is_number_given(getattr(first, "_data", None)) else _JOIN
    return TraceError(f"a {kind} of {len(value)} {of} stands where one tensor belongs: {hint}")


def _is_number_given(data: Any) -> bool:
    return isinstance(data, Node) and data.op is ARGUMENT and not data.shape


_JOIN = "join them with smelt.stack or smelt.cat"
_PASS_ONE = (
    "each number in a list is an argument of its own to a compiled step; give the step a tensor or "
    "an array instead"
)
_KNOWN_LATER = (
    "that is traced: it is known only when the compiled step runs. To look at it, return the "
    "tensor from the step; to choose by it, use smelt.where or smelt.cond; to print it within the "
    "step, run that eagerly, with smelt.settings(compile=False)"
)
_CLOSE_OVER = (
    ". A number given as an argument is a tensor inside the step; close over it to use it as a size"
)
