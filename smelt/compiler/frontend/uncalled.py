"""Methods that a step names and does not call, such as `opt.step` without its parentheses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import CodeType
from typing import Any

from smelt.compiler.frontend.stack_walk import instructions
from smelt.location import warn

__all__ = ["warn_of_uncalled"]

# methods that are called on a line of their own
METHODS = frozenset({"backward", "eval", "requires_grad_", "step", "train", "zero_", "zero_grad"})


def warn_of_uncalled(function: Callable[..., Any]) -> None:
    """Warns about lines that only name a method: `loss.backward` for `loss.backward()`."""
    code = getattr(getattr(function, "forward", function), "__code__", None)
    if not isinstance(code, CodeType):
        return
    for step, behind in pairwise(instructions(code)):
        is_dropped = behind.opname == "POP_TOP" and step.opname == "LOAD_ATTR"
        if is_dropped and step.argval in METHODS:
            line = step.positions.lineno if step.positions else None
            place = f" at {code.co_filename}:{line}" if line else ""
            warn(f"{code.co_name}: .{step.argval}{place} is not called; write .{step.argval}()")
