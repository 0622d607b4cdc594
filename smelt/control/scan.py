"""`scan`: a recurrence of any length, whose trace and code do not grow with the length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.control.body_tracer import Direction, trace_loop
from smelt.control.carry import Wording, checked_length, leaves_of, matching, snapshot
from smelt.control.effects import last_carry, with_effects
from smelt.control.scan_op import make_scan
from smelt.control.tuple import get_element
from smelt.errors import ArgumentError, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tensor.shaping import stack
from smelt.tracing.engine import context, current_engine

Body = Callable[[Any, Any], tuple[Any, Any]]


def scan(
    body: Body,
    initial: Any,
    inputs: Any = None,
    *,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Runs `carry, output = body(carry, input)` once per element along the inputs' first axis.

        c[0] = initial;  c[t + 1], y[t] = body(c[t], x[t]);  returns c[T], stack(y)

    Eagerly this is a Python loop. In a compiled step `body` is traced once and becomes a native
    loop: the trace, the code and the compile time do not depend on the length.

    Args:
        body: takes the carry and one input, returns the next carry and an output (trees of
            Tensors; None for nothing). It may use and change other tensors.
        initial: the carry of the first iteration. Each tensor in it keeps its shape and dtype.
        inputs: a tree of Tensors of shape (T, ...); `body` gets (...) of each. None: no inputs.
        length: T; needed when there are no inputs.
        reverse: whether to go from the last input to the first. Output t still belongs to input t.

    Returns:
        The last carry, and the outputs stacked along a new first axis, each (T, ...).

    Raises:
        ArgumentError: no length, a negative one, or one that differs from that of the inputs.
        ShapeError, DTypeError: the inputs differ in T, or a carry changes its shape or dtype.

    The name and the order of arguments are those of JAX's `lax.scan`.
    """
    carry, carry_tree = leaves_of(initial)
    sliced, input_tree = leaves_of(inputs)
    length = _length(sliced, length)
    loop = _Loop(body, carry_tree, input_tree, Direction(length, reverse))
    run = _in_graph if current_engine().writes_graph or not length else _in_python
    return run(loop, carry, sliced)


def _length(sliced: list[Tensor], length: int | None) -> int:
    length = length if length is None else checked_length("scan: length", length)
    if any(not x.ndim for x in sliced):
        raise ShapeError("scan: an input has shape (), so there is no axis to scan along")
    lengths = {x.shape[0] for x in sliced}
    if len(lengths) > 1:
        shapes = ", ".join(str(x.shape) for x in sliced)
        raise ShapeError(
            f"scan: all inputs must have the same length along their first axis, got {shapes}"
        )
    if length is None:
        if not lengths:
            raise ArgumentError("scan: without inputs, give `length`, the number of iterations")
        return lengths.pop()
    if lengths and lengths != {length}:
        raise ArgumentError(f"scan: length={length}, but the inputs have length {lengths.pop()}")
    return length


@dataclass(slots=True)
class _Loop:
    """The body, on lists of tensors; `output_tree` is known once it has run."""

    body: Body
    carry_tree: tree.Structure
    input_tree: tree.Structure
    direction: Direction
    output_tree: tree.Structure = tree.flatten(None)[1]

    def iteration(self, carry: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], Any]:
        """Returns the next carry, and the output as the body gave it."""
        given = tree.unflatten(self.carry_tree, carry), tree.unflatten(self.input_tree, slices)
        following, output = _pair(self.body(*given))
        return matching("scan: the carry", following, self.carry_tree, carry), output

    def results(self, carry: list[Tensor], outputs: list[Tensor]) -> tuple[Any, Any]:
        """Returns the last carry and the stacked outputs as trees."""
        return tree.unflatten(self.carry_tree, carry), tree.unflatten(self.output_tree, outputs)


def _in_python(loop: _Loop, carry: list[Tensor], inputs: list[Tensor]) -> tuple[Any, Any]:
    rows: list[list[Tensor]] = []
    carry, inputs = list(map(snapshot, carry)), list(map(snapshot, inputs))
    steps = range(loop.direction.length)
    for t in reversed(steps) if loop.direction.reverse else steps:
        following, output = loop.iteration(carry, [x[t] for x in inputs])
        carry = list(map(snapshot, following))
        if rows:
            row = matching("scan: the output", output, loop.output_tree, rows[0], _OUTPUTS_DIFFER)
        else:
            row, loop.output_tree = leaves_of(output)
        rows.append(list(map(snapshot, row)))
    if loop.direction.reverse:
        rows.reverse()
    return loop.results(carry, [stack(column) for column in zip(*rows, strict=True)])


def _in_graph(loop: _Loop, initial: list[Tensor], inputs: list[Tensor]) -> tuple[Any, Any]:
    """Writes the body once; the loop carries what it changes besides its own carry, too."""

    def iteration(carry: list[Tensor], slices: list[Tensor]) -> list[Tensor]:
        following, output = loop.iteration(carry, slices)
        outputs, loop.output_tree = leaves_of(output)
        return following + outputs

    body, length = with_effects(trace_loop(iteration, initial, inputs)), loop.direction.length
    if not length:
        context.ends += 1
        empty = [full((0, *node.shape), 0, node.dtype) for node in body.outputs]
        return loop.results(list(map(snapshot, initial)), empty)
    result_tuple = make_scan(body, loop.direction)
    last = last_carry(result_tuple, body, len(initial))
    outputs = enumerate(body.outputs, len(body.carried))
    stacked = [get_element(result_tuple, number, node, length) for number, node in outputs]
    return loop.results(last, stacked)


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            "scan: the body must return a pair (carry, output); use None for no output"
        )
    return result


_OUTPUTS_DIFFER = Wording(
    "in every iteration",
    " has {} in the first iteration and {} in a later one; every iteration needs the same {}",
)
