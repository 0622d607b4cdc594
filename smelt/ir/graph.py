"""The graph of a step: immutable nodes, each an operation with operands, shape, dtype, origin."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from smelt.dtypes import DType
from smelt.errors import TraceError
from smelt.ir.operation import Operation, Pattern
from smelt.ir.postorder import postorder


@dataclass(frozen=True)
class Leaf(Operation):
    """An operation without operands: where a value enters the graph."""

    pattern = Pattern.LEAF
    name: str
    cost: int = 0


# An argument is passed by the caller, a state is captured (a parameter, buffer, optimizer moment or
# generator); both have an attribute `number`. A constant is known while tracing; its attribute is
# `array`.
ARGUMENT = Leaf("argument")
STATE = Leaf("state")
CONSTANT = Leaf("constant")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node comes from: the user's line, and the path of the module that was running.

    `derivative` is what it belongs to if differentiation made it.
    """

    line: str = ""
    module: str = ""
    derivative: Derivative | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.module, self.line) if part)


@dataclass(frozen=True, slots=True)
class Derivative:
    """The rule of an operation that differentiation runs, as text "the backward of mul at a.py:7".

    Attributes:
        walk: "backward" or "forward derivative".
        operation: the name of the operation that is differentiated.
        differentiated: where it was applied; None if that was not noted, which is eager code
            without `check_nan`.
    """

    walk: str
    operation: str
    differentiated: Origin | None

    def __str__(self) -> str:
        name, origin = f"the {self.walk} of {self.operation}", self.differentiated
        if origin is None:
            return f"{name}, which ran before check_nan was on"
        within = f", in {origin.derivative}" if origin.derivative else ""
        return f"{name} at {origin.line}{within}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Node:
    """One operation: `op(*inputs, **attributes)`, a tensor of `shape` and `dtype`.

    Nodes are compared by identity; `simplify` merges those that compute the same.
    """

    op: Operation
    inputs: tuple[Node, ...]
    attributes: dict[str, Any]
    shape: tuple[int, ...]
    dtype: DType
    origin: Origin = Origin()

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def leak(self) -> str:
        """The error text for a node that is used outside its graph."""
        made = f" (made at {self.origin})" if str(self.origin) else ""
        return (
            f"a traced tensor of shape {self.shape}{made} was used outside its compiled step; "
            "there it has no value. Return it from the step instead of storing it in a variable "
            "or attribute"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TraceError(self.leak)

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.dtype.name}{list(self.shape)}>"


@dataclass(frozen=True, slots=True)
class Assertion:
    """A condition that must hold for a step to continue: `node` (int64, ()) counts violations.

    `judged` holds two nodes of the graph as traced: a bool that marks the invalid values, and the
    values.
    """

    node: Node
    message: str
    judged: tuple[Node, Node] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A traced step.

    `arguments` and `states` are its leaves in order, `outputs` what it returns, `updates` pairs
    each state that changes with the node that holds its new value.
    """

    arguments: tuple[Node, ...]
    states: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Node, Node], ...] = ()
    assertions: tuple[Assertion, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def roots(self) -> tuple[Node, ...]:
        """The nodes that must be computed: checks, outputs, new states."""
        return (
            *(assertion.node for assertion in self.assertions),
            *self.outputs,
            *(new for _, new in self.updates),
        )

    @property
    def next_states(self) -> list[Node]:
        """The node of each state's value after a run."""
        changed = dict(self.updates)
        return [changed.get(node, node) for node in self.states]

    def nodes(self) -> list[Node]:
        """Every node that the roots need, operands before users."""
        return topological(self.roots)


def topological(roots: Iterable[Node], known: Iterable[Node] = ()) -> list[Node]:
    """Returns the nodes that `roots` depend on and themselves, operands before users, without
    `known` nodes and what only those need.

    The order depends only on the graph, so equal steps print equal text.
    """
    return postorder(roots, operator.attrgetter("inputs"), known)


def rebuilt(
    graph: Graph, change: Callable[[Node], Node], given: Mapping[Node, Node] | None = None
) -> Graph:
    """Returns the graph with each node replaced by `change(node)`, after its operands; one of
    `given` by what is given for it.
    """
    new: dict[Node, Node] = dict(given or {})
    for node in graph.nodes():
        if node in new:
            continue
        inputs = tuple([new[operand] for operand in node.inputs])
        same = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        new[node] = change(node if same else replace(node, inputs=inputs))
    return replace(
        graph,
        outputs=tuple([new[node] for node in graph.outputs]),
        updates=tuple([(old, new[value]) for old, value in graph.updates]),
        assertions=tuple([Assertion(new[check.node], check.message) for check in graph.assertions]),
    )


def constant_node(array: np.ndarray, dtype: DType, origin: Origin = Origin()) -> Node:
    """Returns a leaf that holds `array` (in the dtype's storage type)."""
    return Node(CONSTANT, (), {"array": array}, array.shape, dtype, origin)


def scalar_value(node: Node) -> bool | int | float | None:
    """Returns the value of a constant node with one element, or None for any other node."""
    if node.op is not CONSTANT or node.attributes["array"].size != 1:
        return None
    return node.attributes["array"].item() if node.dtype.name != "bfloat16" else None


def communicates(op: Operation, attributes: Mapping[str, Any]) -> bool:
    """Returns whether an operation is a collective, or runs some in its bodies."""
    inside = (node for body in attributes.get("bodies", ()) for node in body.nodes())
    return op.is_ordered or any(communicates(node.op, node.attributes) for node in inside)


def own_operands(node: Node) -> tuple[Node, ...]:
    """Returns the operands of a node, without that which says only what comes before it."""
    if node.op.is_ordered:
        return node.inputs[:1]
    if node.op.pattern is not Pattern.REGION:
        return node.inputs
    body = node.attributes["bodies"][0]
    return node.inputs[: node.op.runs_one_body + len(body.states) + len(body.arguments)]


def carry_count(region: Node) -> int:
    """Returns how many leading operands of a loop are its carry; 0 for a branch."""
    return len(region.attributes["bodies"][0].states)


def graph_text(graph: Graph) -> str:
    """Returns the graph as text: a line per node, `%3 = mul(%1, %2) float32[4, 5]  # user.py:7`.

    The bodies of a loop or a branch follow its line, indented.
    """
    names: dict[Node, str] = {}
    lines = []
    for node in graph.nodes():
        names[node] = f"%{len(names)}"
        operands = [names[operand] for operand in node.inputs]
        bodies = node.attributes.get("bodies", ())
        shown = ((key, value) for key, value in node.attributes.items() if key != "bodies")
        operands += [f"{key}={_brief(value)}" for key, value in shown]
        shape = f"{node.dtype.name}[{', '.join(map(str, node.shape))}]"
        origin = f"  # {node.origin}" if str(node.origin) else ""
        lines.append(f"{names[node]} = {node.op.name}({', '.join(operands)}) {shape}{origin}")
        for body in bodies:
            lines += [f"    {line}" for line in graph_text(body).splitlines()]
    lines += [f"check {names[a.node]} == 0: {a.message}" for a in graph.assertions]
    lines += [f"state {names[old]} <- {names[new]}" for old, new in graph.updates if old in names]
    lines.append(f"return {', '.join(names[node] for node in graph.outputs)}")
    return "\n".join(lines)


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.item()!r}" if value.ndim == 0 else f"<{value.dtype}{list(value.shape)}>"
    return repr(value)
