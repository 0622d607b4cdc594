"""The description of a graph: a hash that two graphs share if and only if they are equal.

It covers everything that passes see: operations, attributes, shapes, dtypes, the bytes of
constants, which leaf is which argument or state, updates, checks, outputs, the graphs of loops and
branches, symbolic numbers. Operands are given by their numbers in postorder. What is only printed
(the user's lines, module names, the messages of checks) is left out.

A graph that cannot be described exactly has no description: one with an attribute of a type that is
not listed here, or with an operation that is not defined in this package, since a name alone does
not identify its rules.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.dtypes import DType
from smelt.ir.graph import CONSTANT, Graph, Node
from smelt.ir.operation import Operation
from smelt.ir.postorder import postorder
from smelt.ir.symbolic import Guards, SymbolicFloat, SymbolicInt, formula

SHORT = 64  # arrays of up to this many bytes are written out, longer ones as their hash
_ROOMS = ("smelt.ir.", "smelt.ops.", "smelt.control.")  # the packages that define operations
_own: set[int] = set()  # ids of the operations found there so far


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """A graph's hash, its constants in the order of the text, and the guards of its symbols."""

    digest: str
    constants: list[np.ndarray]
    guards: Guards | None


class _Inexact(Exception):
    """Raised for something that has no exact description."""


def describe(graph: Graph) -> Description | None:
    """Returns the description of a graph, or None when it cannot be described exactly."""
    writer = _Writer()
    try:
        writer.lines.append(writer.graph(graph))
    except _Inexact:
        return None
    digest = hashlib.sha256("\n".join(writer.lines).encode())
    if writer.guards is not None:  # passes do not note again what was noted before
        guards = writer.guards
        asked = guards.symbols, guards.outcomes, guards.is_settled
        digest.update(repr(asked).encode())
    return Description(digest.hexdigest(), writer.constants, writer.guards)


def describe_part(
    roots: Iterable[Node], is_given: Callable[[Node], bool]
) -> tuple[str, list[Node]] | None:
    """Returns the text of a part of a graph, and its nodes in the order of their numbers there; or
    None when the part cannot be described exactly.

    Parts with the same text compute the same from the nodes for which `is_given` holds. Only shape
    and dtype of those are described, so a pass that uses this must not look beyond them.
    """
    writer = _Writer()
    try:
        for node in postorder(roots, lambda node: () if is_given(node) else node.inputs):
            writer.given(node) if is_given(node) else writer.node(node)
    except _Inexact:
        return None
    return "\n".join(writer.lines), list(writer.numbers)


class _Writer:
    """Writes one line per node, and knows the number of each node that has been written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: dict[Node, int] = {}
        self.graphs: dict[int, str] = {}
        self.constants: list[np.ndarray] = []
        self.guards: Guards | None = None

    def graph(self, graph: Graph) -> str:
        """Writes the nodes of a graph; returns the text of the rest: leaves, outputs, updates."""
        known = self.graphs.get(id(graph))
        if known is None:
            for node in (*graph.arguments, *graph.states, *graph.nodes()):
                if node not in self.numbers:
                    self.node(node)
            pairs = [node for pair in graph.updates for node in pair]
            checks = [check.node for check in graph.assertions]
            parts = graph.arguments, graph.states, graph.outputs, pairs, checks
            known = self.graphs[id(graph)] = f"graph{[self.known(nodes) for nodes in parts]}"
        return known

    def known(self, nodes: Iterable[Node]) -> list[int]:
        """Returns the numbers of nodes."""
        return [self.numbers[node] for node in nodes]

    def node(self, node: Node) -> None:
        """Writes the line of one node, whose operands have been written."""
        if node.op is CONSTANT:
            self.constants.append(node.attributes["array"])
        attributes = [f"{name}={self.value(x)}" for name, x in node.attributes.items()]
        what = f"{_name(node.op)} {self.known(node.inputs)} {' '.join(attributes)}"
        self.line(node, what)

    def given(self, node: Node) -> None:
        """Writes the line of a node of which only shape and dtype are known."""
        self.line(node, "given")

    def line(self, node: Node, what: str) -> None:
        """Writes a line, which begins with the node's shape and dtype, and numbers the node."""
        self.lines.append(f"{self.value(node.shape)} {self.value(node.dtype)} {what}")
        self.numbers[node] = len(self.numbers)

    # --- attributes -------------------------------------------------------------------------------

    def value(self, value: Any) -> str:
        """Returns the text of an attribute; different values or types have different texts."""
        write = _VALUES.get(type(value))
        if write is not None:
            return write(self, value)
        if isinstance(value, np.generic):
            return f"scalar {self.array(np.asarray(value))}"
        if isinstance(value, int) and type(value).__module__.startswith("smelt."):
            return f"{type(value).__name__} {int(value)}"  # a number with methods of its own
        raise _Inexact

    def several(self, values: Iterable[Any]) -> str:
        """Returns the text of a sequence."""
        return f"{type(values).__name__}({', '.join([self.value(part) for part in values])})"

    def items(self, values: dict[Any, Any]) -> str:
        """Returns the text of a dictionary, in its order."""
        return f"dict({self.several(tuple(values))}, {self.several(tuple(values.values()))})"

    def slice(self, value: slice) -> str:
        """Returns the text of a slice."""
        return f"slice{self.several((value.start, value.stop, value.step))}"

    def array(self, array: np.ndarray) -> str:
        """Returns the text of an array."""
        if array.dtype.kind not in "biuf":
            raise _Inexact
        short = array.nbytes <= SHORT
        content = array.tobytes().hex() if short else _hash(np.ascontiguousarray(array))
        return f"array {array.dtype.str}{list(array.shape)} {content}"

    def symbolic(self, number: Any) -> str:
        """Returns the text of a symbolic number."""
        if self.guards not in (None, number.guards):
            raise _Inexact
        self.guards = number.guards
        return f"{'int' if type(number) is SymbolicInt else 'float'} {formula(number)}"


_VALUES: dict[type, Callable[[_Writer, Any], str]] = {
    **dict.fromkeys((type(None), bool, int, str, bytes), lambda writer, value: repr(value)),
    float: lambda writer, value: f"float {struct.pack('<d', value).hex()}",  # tells nans apart
    tuple: _Writer.several,
    list: _Writer.several,
    dict: _Writer.items,
    slice: _Writer.slice,
    np.ndarray: _Writer.array,
    DType: lambda writer, value: value.name,
    SymbolicInt: _Writer.symbolic,
    SymbolicFloat: _Writer.symbolic,
    Graph: _Writer.graph,
}


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(array.data).hexdigest()


def _name(operation: Operation) -> str:
    """Returns the name of an operation of this package, which is unique."""
    if id(operation) not in _own:
        for name, module in list(sys.modules.items()):
            if name.startswith(_ROOMS):
                found = [x for x in vars(module).values() if isinstance(x, Operation)]
                _own.update(map(id, found))
        if id(operation) not in _own:
            raise _Inexact
    return operation.name
