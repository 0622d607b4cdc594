"""`while_loop`: a loop whose number of iterations is known only when the step runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from smelt import dtypes, tree
from smelt.autodiff.vmap import Batched
from smelt.control.body_tracer import BodyTracer, trace_loop
from smelt.control.carry import checked_length, leaves_of, matching, snapshot
from smelt.control.cond import check_bool, cond_in_graph
from smelt.control.effects import last_carry, with_effects
from smelt.control.same_on_all_ranks import same_on_all_ranks
from smelt.control.scan import scan
from smelt.control.while_op import make_while
from smelt.errors import ArgumentError
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import where
from smelt.tracing.engine import current_engine

Condition = Callable[[Any], Any]
Body = Callable[[Any], Any]


def while_loop(
    condition: Condition, body: Body, initial: Any, *, max_steps: int | None = None
) -> Any:
    """Runs `carry = body(carry)` while `condition(carry)` is true; returns the last carry.

    Eagerly this is Python's `while`. In a compiled step it is a native loop.

    Args:
        condition: takes the carry, returns a bool Tensor of shape ().
        body: takes the carry, returns the next one. It may use and change other tensors.
        initial: the first carry, a tree of Tensors; each keeps its shape and dtype.
        max_steps: maximum number of iterations. It is an error if that is not enough. A compiled
            loop has a gradient in reverse mode only with `max_steps`, since memory for every
            iteration is planned before the step runs; forward mode needs no limit.

    Raises:
        ArgumentError: `max_steps` is negative, or was reached while the condition was still true.
        ShapeError, DTypeError: the carry changes its shape or dtype, or the condition is not one
            bool.

    A loop that never ends cannot be interrupted while it runs natively: give `max_steps` when in
    doubt. The name and the order of arguments are those of JAX's `lax.while_loop`.
    """
    if max_steps is not None:
        max_steps = checked_length("while_loop: max_steps", max_steps)
    carry, structure = leaves_of(initial)
    loop = _Loop(condition, body, structure)
    if max_steps is not None and current_engine().writes_graph:
        last = _limited(loop, carry, max_steps)
    elif current_engine().writes_graph:
        last = _in_graph(loop, carry)
    else:
        last = _in_python(loop, carry, max_steps)
    return tree.unflatten(structure, last)


class _Loop:
    """The two functions, on lists of tensors."""

    def __init__(self, condition: Condition, body: Body, structure: tree.Structure) -> None:
        self._condition = condition
        self._body = body
        self.structure = structure

    def goes_on(self, carry: list[Tensor]) -> Tensor:
        flag = as_tensor(self._condition(tree.unflatten(self.structure, carry)))
        check_bool("while_loop: the condition", flag)
        return flag

    def iteration(self, carry: list[Tensor]) -> list[Tensor]:
        following = self._body(tree.unflatten(self.structure, carry))
        return matching("while_loop: the carry", following, self.structure, carry)


def _in_python(loop: _Loop, carry: list[Tensor], max_steps: int | None) -> list[Tensor]:
    steps, carry = 0, list(map(snapshot, carry))
    flag = loop.goes_on(carry)
    while _any(flag):
        if steps == max_steps:
            raise ArgumentError(_NOT_ENOUGH.format(max_steps))
        following = loop.iteration(carry)
        if flag.is_traced:  # inside vmap: examples that have ended keep what they have
            pairs = zip(following, carry, strict=True)
            following = [where(flag, new, old) for new, old in pairs]
        carry, steps = list(map(snapshot, following)), steps + 1
        flag = loop.goes_on(carry)
    return carry


def _any(flag: Tensor) -> bool:
    """Whether a flag holds, for one example at least if it is one of a batch."""
    while isinstance(flag._data, Batched):
        flag = flag._data.tensor
    return bool(flag.numpy().any())


def _limited(loop: _Loop, carry: list[Tensor], max_steps: int) -> list[Tensor]:
    """A scan of as many turns, in which a turn does nothing once the condition has failed."""

    def iteration(carry: list[Tensor], _: None) -> tuple[list[Tensor], None]:
        flag = loop.goes_on(carry)
        return cond_in_graph(flag, loop.iteration, lambda same: same, (carry,), _CONDITION), None

    last, _ = scan(iteration, carry, length=max_steps)
    unfinished = loop.goes_on(last).to(dtypes.int64)
    current_engine().require(unfinished, _NOT_ENOUGH.format(max_steps), ArgumentError)
    return last


def _in_graph(loop: _Loop, initial: list[Tensor]) -> list[Tensor]:
    """Writes body and condition once; the flag is the first tensor that the loop carries.

    Where they have collectives, all ranks must make as many turns.
    """

    def iteration(carry: list[Tensor], _: list[Tensor]) -> list[Tensor]:
        following = loop.iteration(carry[1:])
        flag, engine = loop.goes_on(following), current_engine()
        if isinstance(engine, BodyTracer) and engine.ordered:
            flag = same_on_all_ranks(flag, _CONDITION)
        return [flag, *following]

    traced = trace_loop(iteration, [loop.goes_on(initial), *initial])
    if traced.tracer.ordered:
        first, *others = traced.carried
        flag = same_on_all_ranks(first.initial, _CONDITION)
        traced = replace(traced, carried=[replace(first, initial=flag), *others])
    body = with_effects(traced)
    return last_carry(make_while(body), body, 1 + len(initial))[1:]


_CONDITION = "while_loop: the condition"
_NOT_ENOUGH = "while_loop: the condition still holds after max_steps={} iterations"
