"""Errors for a tensor without a value: why there is none, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smelt.errors import TraceError
from smelt.ir.graph import ARGUMENT, Node
from smelt.tracing.engine import Eager, current_engine

__all__ = ["concretization_error", "list_concretization_error"]


def concretization_error(data: Any, what: str) -> TraceError:
    """Returns the error for `what`, which needs the value of a tensor that has none."""
    leaked = isinstance(current_engine(), Eager)  # nothing is being traced: its trace is over
    if leaked:
        return TraceError(data.leak)
    reason = getattr(data, "why_abstract", _KNOWN_LATER)
    hint = _CLOSE_OVER if _is_number_given(data) else ""
    shape = f"a tensor of shape {data.shape}"
    return TraceError(f"{what} needs the value of {shape} {reason}{hint}")


def list_concretization_error(value: Sequence[Any]) -> TraceError:
    """Returns the error for a list of traced tensors where one tensor is needed."""
    kind, first = type(value).__name__, value[0]
    of = f"{kind}s" if isinstance(first, (list, tuple)) else "traced tensors"
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    hint = _PASS_ONE if _is_number_given(getattr(first, "_data", None)) else _JOIN
    return TraceError(f"got a {kind} of {len(value)} {of} where one tensor is needed: {hint}")


def _is_number_given(data: Any) -> bool:
    return isinstance(data, Node) and data.op is ARGUMENT and not data.shape


_JOIN = "join them with smelt.stack or smelt.cat"
_PASS_ONE = (
    "each number in a list is a separate argument of a compiled step; pass the step a tensor or an "
    "array instead"
)
_KNOWN_LATER = (
    "that is traced: it is known only when the compiled step runs. To look at it, return the "
    "tensor from the step; to branch on it, use smelt.where or smelt.cond; to print it within the "
    "step, run the step eagerly, with smelt.settings(compile=False)"
)
_CLOSE_OVER = (
    ". A number passed as an argument is a tensor inside the step; to use it as a size, make it a "
    "variable outside the step instead"
)
