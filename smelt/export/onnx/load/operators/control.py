"""Branches and loops: If, Loop and Scan, by `cond`, `while_loop` and `scan`.

Where Python runs every operation, a loop is one of Python's: it may carry sequences and tensors
that grow. A compiled step writes the body once, so that what is carried keeps its shape; a loop
that carries a sequence is unrolled there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.control import cond, scan, while_loop
from smelt.creation import arange
from smelt.export.onnx.load.card import GRAPH, INT, INTS, Call, Card, Cards, required
from smelt.export.onnx.load.graph import Graph
from smelt.export.onnx.load.known import Known, Value, known, lifted
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.known_value import known_value
from smelt.tensor.shaping import stack
from smelt.tracing.engine import current_engine

MOST_TURNS = np.iinfo(np.int64).max  # what exporters write for "no limit"


def _if(call: Call, flag: Value) -> tuple[Value, ...]:
    branches = call["then_branch"], call["else_branch"]
    chosen = _value_now(flag)
    if chosen is not None:
        return tuple(call.inner(branches[0] if chosen else branches[1], []))
    return tuple(cond(flag.reshape(()), *(_branch(call, graph) for graph in branches)))


def _value_now(flag: Value) -> bool | None:
    """Returns a condition where it is known now."""
    if isinstance(flag, Known):
        return bool(flag.array.reshape(()))
    if not flag.is_traced:
        return None if current_engine().writes_graph else bool(flag.reshape(()).item())
    constant = known_value(flag._data)
    return None if constant is None else bool(constant.reshape(()))


def _branch(call: Call, graph: Graph) -> Any:
    return lambda: tuple([lifted(value) for value in call.inner(graph, [])])


# --- Loop -----------------------------------------------------------------------------------------


def _turns(call: Call, limit: Value) -> Any:
    """Returns how many turns a loop has at most: a number, None for any, or a tensor."""
    if limit is None:
        return None
    if not isinstance(limit, Known):
        constant = known_value(limit._data)
        if constant is None and current_engine().writes_graph:
            return limit.reshape(()).to(dtypes.int64)
        limit = known(limit.numpy() if constant is None else constant, dtypes.int64)
    number = limit.array.reshape(()).item()
    return None if number == MOST_TURNS else number


def _loop(call: Call, limit: Value = None, flag: Value = None, *initial: Value) -> Any:
    body: Graph = call["body"]
    turns = _turns(call, limit)
    if not current_engine().writes_graph:
        return _python_loop(call, body, turns, flag, list(initial))
    is_counted = turns is not None and not isinstance(turns, Tensor)
    if is_counted and any(isinstance(value, list) for value in initial):  # no native loop has lists
        return _python_loop(call, body, turns, flag, list(initial))
    carried = [lifted(value) for value in initial]
    begins = True if flag is None else _value_now(flag)
    if is_counted and begins is not None and _goes_on_always(body):
        return _counted_loop(call, body, turns if begins else 0, carried)
    if len(body.outputs) > 1 + len(carried):
        raise call.refuse(
            "it ends by a condition and stacks outputs, so that their number is known only when "
            "a compiled step runs; run it eagerly, with smelt.settings(compile=False)"
        )
    return _conditional_loop(call, body, turns, flag, carried)


def _goes_on_always(body: Graph) -> bool:
    """Whether the condition that a body gives is the one that it got, or true."""
    name = body.outputs[0]
    names = {name}
    for node in reversed(body.nodes):
        if names & set(node.outputs):
            if node.op_type in ("Identity", "Cast"):
                names.add(node.inputs[0])
            elif node.op_type == "Constant" and node.settings["value"] is not None:
                return bool(node.settings["value"].array.reshape(()))
            else:
                return False
    return body.inputs[1].name in names


def _turn(call: Call, body: Graph, number: Value, flag: Value, carried: Sequence[Value]) -> Any:
    """Returns the condition, what is carried on, and the outputs of one turn."""
    given = [number, flag, *carried]
    condition, *values = call.inner(body, given)
    return condition, values[: len(carried)], values[len(carried) :]


def _python_loop(
    call: Call, body: Graph, turns: int | None, flag: Value, carried: list[Value]
) -> Any:
    rows: list[list[Value]] = []
    number, runs = 0, flag is None or _is_true(flag)
    while runs and (turns is None or number < turns):
        given = known(np.array(number), dtypes.int64), known(np.array(True), dtypes.bool_)
        condition, carried, outputs = _turn(call, body, *given, carried)
        rows.append([lifted(value) for value in outputs])
        runs = _is_true(condition)
        number += 1
    stacked = [stack(list(column)) for column in zip(*rows, strict=True)]
    if not rows and len(body.outputs) > 1 + len(carried):
        raise call.refuse("it stacks the outputs of no turn, whose shapes nothing says")
    return (*carried, *stacked)


def _is_true(flag: Value) -> bool:
    now = _value_now(flag)
    return bool(flag.reshape(()).item()) if now is None else now  # which says why it cannot


def _counted_loop(call: Call, body: Graph, turns: Any, carried: list[Tensor]) -> Any:
    def iteration(state: tuple[Tensor, ...], number: Tensor) -> Any:
        flag = known(np.array(True), dtypes.bool_)
        _, following, outputs = _turn(call, body, number, flag, state)
        return _all_lifted(following), _all_lifted(outputs)

    last, every = scan(iteration, tuple(carried), arange(turns))
    return (*last, *every)


def _conditional_loop(
    call: Call, body: Graph, turns: Any, flag: Value, carried: list[Tensor]
) -> Any:
    first = as_tensor(True) if flag is None else lifted(flag).reshape(())
    state = (as_tensor(0, dtypes.int64), first, *carried)

    def goes_on(state: tuple[Tensor, ...]) -> Tensor:
        return state[1] if turns is None else state[1] & (state[0] < turns)

    def iteration(state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        number, flag, *values = state
        condition, following, _ = _turn(call, body, number, flag, values)
        return (number + 1, lifted(condition).reshape(()), *_all_lifted(following))

    return tuple(while_loop(goes_on, iteration, state)[2:])


def _all_lifted(values: Sequence[Value]) -> tuple[Tensor, ...]:
    return tuple([lifted(value) for value in values])


# --- Scan -----------------------------------------------------------------------------------------


def _scan(call: Call, *given: Tensor) -> Any:
    """The body takes what is carried and one slice of each scanned input."""
    body: Graph = call["body"]
    scanned = call["num_scan_inputs"]
    count = len(given) - scanned
    carried, rows = given[:count], list(given[count:])
    outputs = len(body.outputs) - count
    directions = list(call["scan_input_directions"] or (0,) * scanned)
    axes = list(call["scan_input_axes"] or (0,) * scanned)
    for place, (x, axis, backward) in enumerate(zip(rows, axes, directions, strict=True)):
        moved = x.movedim(axes_from_front([axis], x.ndim)[0], 0)
        rows[place] = moved.flip(0) if backward else moved

    def iteration(state: tuple[Tensor, ...], slices: tuple[Tensor, ...]) -> Any:
        values = call.inner(body, [*state, *slices])
        return _all_lifted(values[:count]), _all_lifted(values[count:])

    last, every = scan(iteration, tuple(carried), tuple(rows))
    stacked = list(every)
    ends = list(call["scan_output_directions"] or (0,) * outputs)
    axes = list(call["scan_output_axes"] or (0,) * outputs)
    for place, (x, axis, backward) in enumerate(zip(stacked, axes, ends, strict=True)):
        x = x.flip(0) if backward else x
        stacked[place] = x.movedim(0, axes_from_front([axis], x.ndim)[0])
    return (*last, *stacked)


CARDS: Final[Cards] = {
    "If": Card(
        _if,
        {"then_branch": required(GRAPH), "else_branch": required(GRAPH)},
        first=1,
        reads_known=True,
    ),
    "Loop": Card(_loop, {"body": required(GRAPH)}, first=1, reads_known=True),
    "Scan": Card(
        _scan,
        {
            "body": required(GRAPH), "num_scan_inputs": required(INT), "scan_input_axes": INTS,
            "scan_input_directions": INTS, "scan_output_axes": INTS, "scan_output_directions": INTS,
        },
        first=9,
    ),
}  # fmt: skip
