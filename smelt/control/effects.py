"""Effects: what a body does besides its results, carried out where it has run.

A body may change tensors from outside and make conditions on data. A loop carries the contents of
the changed ones and counts the violations; a branch gives them out as results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smelt import dtypes
from smelt.control.body_tracer import CARRY, Carry, Change, Condition, LoopBody
from smelt.control.tuple import get_element
from smelt.ir.graph import Node
from smelt.ops import elementwise
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tracing.engine import current_engine, no_grad


def with_effects(body: LoopBody) -> LoopBody:
    """Returns the body of a loop that also carries what it changes and counts violations."""
    changed = [Carry(change.contents, change.before, change.after) for change in _changes(body)]
    counted = map(_counted, body.tracer.conditions)
    return replace(body, carried=[*body.carried, *changed, *counted])


def last_carry(result_tuple: Tensor, body: LoopBody, count: int) -> list[Tensor]:
    """Returns the last contents of the first `count` carried tensors, and applies the effects."""
    carried = enumerate(body.carried)
    last = [get_element(result_tuple, number, carry.before) for number, carry in carried]
    changed = [change.tensor for change in _changes(body)]
    apply_effects(changed, body.tracer.conditions, last[count:])
    return last[:count]


def _changes(body: LoopBody) -> list[Change]:
    return body.tracer.changes(again=True)


def apply_effects(
    changed: Sequence[Tensor], conditions: Sequence[Condition], results: Sequence[Tensor]
) -> None:
    """Gives the changed tensors their last contents and checks the conditions.

    Args:
        changed: the tensors from outside that a body changes.
        conditions: what it asks of its data.
        results: the last contents of each of the first, the number of violations of each of the
            second.
    """
    count = len(changed)
    with no_grad():
        for tensor, value in zip(changed, results[:count], strict=True):
            tensor.copy_(value)
    for condition, total in zip(conditions, results[count:], strict=True):
        current_engine().require(total, condition.message, condition.error)


def _counted(condition: Condition) -> Carry:
    """Returns the carried number of a condition's violations so far."""
    before = Node(CARRY, (), {"number": 0}, (), dtypes.int64)
    after = Node(elementwise.add, (before, condition.violations), {}, (), dtypes.int64)
    return Carry(full((), 0, dtypes.int64), before, after)
