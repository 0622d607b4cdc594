"""Recurrent layers in ONNX: LSTM, GRU and RNN in the place of loops.

A loop is one of these layers where it is, node by node, the loop that the layer of `smelt.nn`
writes. So the layers themselves say what to look for: each is traced, and its graph is laid over
the loop that is there. Any other loop stays one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.signature import flatten_call
from smelt.compiler.frontend.tracer import Tracer
from smelt.control.scan_op import scan_op
from smelt.creation import zeros
from smelt.dtypes import DType, int64
from smelt.export.onnx.prepare import prepared
from smelt.export.onnx.writer import Writer, same
from smelt.ir.graph import ARGUMENT, CONSTANT, STATE, Node
from smelt.nn.recurrent import GRU, LSTM, RNN
from smelt.ops import elementwise
from smelt.ops.contraction import matmul
from smelt.random import Generator, drawing_from
from smelt.tensor import Tensor
from smelt.tracing.engine import no_grad

ANY_TIME, ANY_BATCH = 99991, 99989  # extents in a pattern that stand for all others


@dataclass(frozen=True, slots=True)
class Kind:
    """A layer of ONNX, and that of `smelt.nn`; `gates` are the latter's in the former's order."""

    op_type: str
    make: Callable[..., Any]
    gates: tuple[int, ...]
    attributes: tuple[tuple[str, Any], ...] = ()


KINDS = (
    Kind("LSTM", LSTM, (0, 3, 1, 2)),  # i, o, f, c
    Kind("GRU", GRU, (1, 0, 2), (("linear_before_reset", 1),)),  # z, r, h
    Kind("RNN", RNN, (0,)),  # of tanh; with relu it stays a loop, which all readers know
)


class Pattern(NamedTuple):
    """The loop that a layer writes; what its parameters are called, by their nodes."""

    kind: Kind
    loop: Node
    x: Node
    names: dict[Node, str]


@functools.lru_cache(maxsize=64)
def _pattern(kind: Kind, width: int, size: int, bias: bool, dtype: DType) -> Pattern:
    """Returns the loop of a layer, which draws no numbers from the user's generator."""
    with drawing_from(Generator()):
        layer = kind.make(width, size, bias=bias, dtype=dtype)

    def stand_ins(tracer: Tracer) -> Callable[[Tensor], Tensor]:
        return lambda x: tracer.placeholder((ANY_TIME, ANY_BATCH, width), dtype, False)

    call = flatten_call((zeros(1, 1, width, dtype=dtype),), {})
    with no_grad():
        traced = Builder(layer, kind.op_type).trace(call, stand_ins).traced
    graph = prepared(traced.graph)
    loop = next(node for node in graph.nodes() if node.op is scan_op)
    names = {id(parameter): name for name, parameter in layer.named_parameters()}
    states = zip(graph.states, traced.states, strict=True)
    (x,) = graph.arguments
    return Pattern(kind, loop, x, {node: names[id(tensor)] for node, tensor in states})


# --- laying a pattern over a loop -----------------------------------------------------------------


class Match:
    """Which nodes stand where the leaves of a pattern are."""

    def __init__(self, found: Mapping[Node, Node]) -> None:
        self.found: dict[Node, Node] = dict(found)

    def matches(self, pattern: Node, node: Node) -> bool:
        """Whether a node is computed as the pattern says."""
        if pattern in self.found:
            return self.found[pattern] is node
        if pattern.dtype is not node.dtype or not _alike(pattern.shape, node.shape):
            return False
        if pattern.op is ARGUMENT or pattern.op is STATE:
            self.found[pattern] = node
            return True
        if pattern.op is not node.op or len(pattern.inputs) != len(node.inputs):
            return False
        if pattern.op is CONSTANT:
            return np.array_equal(pattern.attributes["array"], node.attributes["array"])
        alike = _alike_settings(pattern.attributes, node.attributes)
        if not alike or not all(map(self.matches, pattern.inputs, node.inputs)):
            return False
        self.found[pattern] = node
        return True


def _alike(pattern: Any, value: Any) -> bool:
    """Whether two values are equal, but for extents of a pattern that stand for all others."""
    if isinstance(pattern, tuple):
        return len(pattern) == len(value) and all(map(_alike, pattern, value))
    if isinstance(pattern, int) and isinstance(value, int):
        return pattern in (ANY_TIME, ANY_BATCH) or same(pattern, value)
    return bool(pattern == value)


def _alike_settings(pattern: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    return pattern.keys() == settings.keys() and all(
        _alike(value, settings[key]) for key, value in pattern.items()
    )


def _match(pattern: Pattern, node: Node) -> Match | None:
    """Returns what stands in a loop for the leaves of a pattern, if it is that loop."""
    loop = pattern.loop
    (wanted,), (body,) = loop.attributes["bodies"], node.attributes["bodies"]
    counts = [(len(one.states), len(one.arguments)) for one in (wanted, body)]
    if counts[0] != counts[1] or node.attributes["scanned"] != 1:
        return None
    leaves = zip((*wanted.states, *wanted.arguments), (*body.states, *body.arguments), strict=True)
    inside, outside = Match(dict(leaves)), Match({})
    carried = len(body.states)
    fits = all(map(inside.matches, wanted.next_states, body.next_states))
    fits = fits and all(output is body.next_states[0] for output in body.outputs)
    if fits and all(map(outside.matches, loop.inputs[carried:], node.inputs[carried:])):
        return outside
    return None


def _width(node: Node) -> int | None:
    """Returns how wide the rows are that a layer projects before its loop."""
    while node.op is elementwise.add:
        node = node.inputs[0]
    width = node.inputs[0].shape[-1] if node.op is matmul else None
    return width if type(width) is int else None


def recurrent_layer(w: Writer, node: Node, operands: Sequence[str]) -> list[str] | None:
    """Writes a loop as the layer that it is; None where it is none."""
    (body,) = node.attributes["bodies"]
    if node.attributes["scanned"] != 1 or not body.states or body.states[0].ndim != 2:
        return None
    size, width = body.states[0].shape[-1], _width(node.inputs[len(body.states)])
    if width is None or type(size) is not int or not node.inputs[0].dtype.is_float:
        return None
    for kind in KINDS:
        for bias in (True, False):
            pattern = _pattern(kind, width, size, bias, node.inputs[0].dtype)
            match = _match(pattern, node)
            if match is not None:
                return _written(w, node, pattern, match, operands)
    return None


def _written(
    w: Writer, node: Node, pattern: Pattern, match: Match, operands: Sequence[str]
) -> list[str]:
    (body,), kind = node.attributes["bodies"], pattern.kind
    size, carried = body.states[0].shape[-1], len(body.states)
    values = {name: w.values[match.found[leaf]] for leaf, name in pattern.names.items()}
    rows = np.concatenate([np.arange(size) + size * gate for gate in kind.gates])

    def ordered(name: str) -> str:
        if len(kind.gates) == 1:
            return str(values[name])
        return w.add("Gather", values[name], w.file.constant(rows, int64), axis=0)

    def one_direction(value: str) -> str:
        return w.add("Unsqueeze", value, w.ints([0]))

    weights = [one_direction(ordered(f"weight_{part}_l0")) for part in ("ih", "hh")]
    biases = ""
    if "bias_ih_l0" in values:
        parts = [ordered(f"bias_{part}_l0") for part in ("ih", "hh")]
        biases = one_direction(w.add("Concat", *parts, axis=0))
    results = w.add_all(
        kind.op_type,
        [
            w.values[match.found[pattern.x]],
            *weights,
            biases,
            "",
            *map(one_direction, operands[:carried]),
        ],
        1 + carried,
        hidden_size=size,
        direction="reverse" if node.attributes["reverse"] else "forward",
        **dict(kind.attributes),
    )
    every = w.squeezed(results[0], [1])
    return [*(w.squeezed(last, [0]) for last in results[1:]), *(every for _ in body.outputs)]
