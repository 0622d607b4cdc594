"""A violated check: which value it found, worked out after a compiled step has rejected its data.

Machine code only counts violations, so that a step without any pays for nothing else. When it
stops, nothing has changed yet: arguments and states are as before, and the operations behind the
check are applied to them once more, eagerly.
"""

from __future__ import annotations

from collections.abc import Sequence

from smelt.compiler.artifacts import Traced
from smelt.control.evaluate_graph import evaluate_graph
from smelt.ir.graph import communicates, topological
from smelt.tensor import Tensor
from smelt.tracing.engine import EAGER, no_grad, using
from smelt.tracing.violations import first_violation

__all__ = ["found_by_check"]


def found_by_check(traced: Traced, number: int, arguments: Sequence[Tensor]) -> str:
    """Returns a line about the first value that a check has rejected; "" if it is not known.

    Args:
        traced: the step.
        number: of the check.
        arguments: what the step was given.
    """
    graph, judged = traced.graph, traced.graph.assertions[number].judged
    if judged is None:
        return ""
    leaves = (*graph.arguments, *graph.states)
    if any(communicates(node.op, node.attributes) for node in topological(judged, leaves)):
        return ""  # other ranks would have to take part
    given = dict(zip(leaves, (*arguments, *traced.states), strict=True))
    with using(EAGER), no_grad():
        values = evaluate_graph(judged, given)
    marked, found = (values[node].numpy() for node in judged)
    return first_violation(marked, found) if marked.any() else ""
