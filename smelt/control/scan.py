"""`scan`: a recurrence of any length, whose trace and code do not grow with the length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt import tree
from smelt.control.body_tracer import (
    CARRY,
    BodyTracer,
    Carry,
    Direction,
    ScannedInput,
    scanned_input,
    trace_body,
)
from smelt.control.carry import Wording, checked_length, leaves_of, matching, snapshot
from smelt.control.effects import apply_effects, carried_effects
from smelt.control.scan_op import make_scan
from smelt.control.tuple import get_element
from smelt.errors import ArgumentError, ShapeError
from smelt.ir.graph import Node
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tensor.shaping import stack
from smelt.tracing.engine import context

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

    Eagerly this is the Python loop that it looks like. In a compiled step `body` is traced once and
    becomes a native loop: the trace, the code and the time to compile do not depend on the length.

    Args:
        body: takes the carry and one input, returns the next carry and an output (trees of
            Tensors; None for nothing). It may use and change other tensors.
        initial: the carry of the first turn. Each tensor in it keeps its shape and dtype.
        inputs: a tree of Tensors of shape (T, ...); `body` gets (...) of each. None: no inputs.
        length: T; needed when there are no inputs.
        reverse: whether to go from the last input to the first. Output t still belongs to input t.

    Returns:
        The last carry, and the outputs stacked along a new first axis, each (T, ...).

    Raises:
        ArgumentError: no length, a negative one, or one that is not the inputs'.
        ShapeError, DTypeError: the inputs differ in T, or a carry changes its shape or dtype.

    The name and the order of arguments are those of JAX's `lax.scan`.
    """
    carry, carry_tree = leaves_of(initial)
    sliced, input_tree = leaves_of(inputs)
    length = _length(sliced, length)
    if length and not context.engine.writes_graph:
        return _in_python(body, carry, carry_tree, sliced, input_tree, length, reverse)
    return _in_graph(body, carry, carry_tree, sliced, input_tree, Direction(length, reverse))


def _length(sliced: list[Tensor], length: int | None) -> int:
    length = length if length is None else checked_length("scan: length", length)
    if any(not x.ndim for x in sliced):
        raise ShapeError("scan: an input has shape (), so there is no axis to go along")
    found = {x.shape[0] for x in sliced}
    if len(found) > 1:
        shapes = ", ".join(str(x.shape) for x in sliced)
        raise ShapeError(f"scan: the inputs need one length along their first axis, got {shapes}")
    if length is None:
        if not found:
            raise ArgumentError("scan: without inputs it needs `length`, a number of turns")
        return found.pop()
    if found and found != {length}:
        raise ArgumentError(f"scan: length={length}, but the inputs have {found.pop()} elements")
    return length


def _in_python(
    body: Body,
    carry: list[Tensor],
    carry_tree: tree.Structure,
    sliced: list[Tensor],
    input_tree: tree.Structure,
    length: int,
    reverse: bool,
) -> tuple[Any, Any]:
    rows: list[list[Tensor]] = []
    carry, sliced = list(map(snapshot, carry)), list(map(snapshot, sliced))
    output_tree = tree.flatten(None)[1]
    for t in reversed(range(length)) if reverse else range(length):
        given = tree.unflatten(input_tree, [x[t] for x in sliced])
        following, output = _pair(body(tree.unflatten(carry_tree, carry), given))
        carry = list(map(snapshot, matching("scan: the carry", following, carry_tree, carry)))
        if rows:
            row = matching("scan: the output", output, output_tree, rows[0], _OUTPUTS_DIFFER)
        else:
            row, output_tree = leaves_of(output)
        rows.append(list(map(snapshot, row)))
    if reverse:
        rows.reverse()
    stacked = [stack(column) for column in zip(*rows, strict=True)]
    return tree.unflatten(carry_tree, carry), tree.unflatten(output_tree, stacked)


def _in_graph(
    body: Body,
    initial: list[Tensor],
    carry_tree: tree.Structure,
    inputs: list[Tensor],
    input_tree: tree.Structure,
    direction: Direction,
) -> tuple[Any, Any]:
    """Writes the body once; the loop carries what it changes besides its own carry, too."""
    output_tree = tree.flatten(None)[1]
    before: list[Node] = []
    sliced: list[ScannedInput] = []

    def write(tracer: BodyTracer) -> list[Tensor]:
        nonlocal output_tree
        carry = [tracer.placeholder(x, CARRY) for x in initial]
        before.extend(x.data for x in carry)
        sliced.extend(scanned_input(tracer, x) for x in inputs)
        rows = [Tensor(one.node, one.node.dtype) for one in sliced]
        given = tree.unflatten(carry_tree, carry), tree.unflatten(input_tree, rows)
        following, output = _pair(body(*given))
        made, output_tree = leaves_of(output)
        return matching("scan: the carry", following, carry_tree, carry) + made

    tracer, nodes = trace_body(write)
    count = len(initial)
    carried = [Carry(*one) for one in zip(initial, before, nodes, strict=False)]
    changes = tracer.changes(again=True)
    carried += carried_effects(changes, tracer.conditions)
    if not direction.length:
        empty = [full((0, *node.shape), 0, node.dtype) for node in nodes[count:]]
        last = list(map(snapshot, initial))
        return tree.unflatten(carry_tree, last), tree.unflatten(output_tree, empty)
    result_tuple = make_scan(tracer, carried, sliced, nodes[count:], direction)
    parts = [get_element(result_tuple, place, one.before) for place, one in enumerate(carried)]
    apply_effects([one.tensor for one in changes], tracer.conditions, parts[count:])
    stacked = [
        get_element(result_tuple, place, node, direction.length)
        for place, node in enumerate(nodes[count:], len(carried))
    ]
    return tree.unflatten(carry_tree, parts[:count]), tree.unflatten(output_tree, stacked)


def _pair(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            "scan: the body must return a pair (carry, output); use None for no output"
        )
    return result


_OUTPUTS_DIFFER = Wording(
    "in every turn", " has {} in the first turn and {} in a later one; every turn needs the same {}"
)
