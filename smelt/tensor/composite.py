"""What several operations compute together, said to those who have an operation for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.ops.composite import composite
from smelt.tracing.engine import context

if TYPE_CHECKING:
    from smelt.tensor import Tensor


def marked(y: Tensor, function: str, *inputs: Tensor | None, **settings: Any) -> Tensor:
    """Returns y, in the graph with a mark that it is a function of some tensors, where the one who
    traces asked for such marks (`composites_marked`).

    Args:
        y: what the operations of the function gave.
        function: its name.
        inputs: its tensors; None for those that were not given at the end.
        settings: its other arguments.
    """
    if not context.marks_composites:
        return y
    given = [tensor for tensor in inputs if tensor is not None]
    result: Tensor = composite(y, *given, function=function, **settings)
    return result
