"""Body: one iteration of a loop, or one branch, traced into its own graph.

`BodyTracer` is an engine like the one that traces a step. Tensors from outside that the body uses
become inputs of the graph by identity (`captured`); those that it changes by `copy_` are noted, so
that a loop can carry them along; conditions on data are noted, so that it can count their
violations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import errors
from smelt.errors import GradientError, TraceError
from smelt.ir.graph import Leaf, Node
from smelt.location import with_location
from smelt.ops.detach import detach
from smelt.ops.op import Op, Type, Typed
from smelt.tensor import Tensor
from smelt.tracing.engine import Data, Engine, NestedEngine, context, current_engine, using
from smelt.tracing.graph_builder import VIEW_OUTDATED, GraphBuilder

CARRY = Leaf("carry")  # kept from iteration to iteration
SLICE = Leaf("input")  # what this iteration gets of an input
CAPTURED = Leaf("captured")  # the same in every iteration


@dataclass(frozen=True, slots=True)
class Change:
    """A tensor from outside that a body changes: what stands for its contents before and after."""

    tensor: Tensor
    before: Node
    after: Node

    @property
    def contents(self) -> Tensor:
        """The contents before the change as a separate tensor, which does not change with it."""
        return Tensor(self.tensor.lifted, self.tensor.dtype)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on data that a body makes: `violations` counts what breaks it in one run."""

    violations: Node
    message: str
    error: type[errors.SmeltError]


@dataclass(frozen=True, slots=True)
class Carry:
    """One tensor that a loop carries: its first contents, and its nodes in the body."""

    initial: Tensor
    before: Node
    after: Node


@dataclass(frozen=True, slots=True)
class ScannedInput:
    """One input (T, ...), and the node that stands for one iteration's slice of it."""

    rows: Tensor
    node: Node

    @property
    def slice(self) -> Tensor:
        """One iteration's slice."""
        return Tensor(self.node, self.node.dtype)


@dataclass(frozen=True, slots=True)
class Direction:
    """How many iterations a loop has, and from which end it goes."""

    length: int
    reverse: bool


class BodyNode(Node):
    """A node of a body, which says so when it is used outside of it."""

    __slots__ = ()

    @property
    def leak(self) -> str:
        """What to say when the node is used outside of its body."""
        made = f" (made at {self.origin})" if str(self.origin) else ""
        return _LEFT_BODY.format(self.shape, made)


class BodyTracer(GraphBuilder, NestedEngine):
    """The engine that records the graph of a body."""

    node_class: type[Node] = BodyNode

    def __init__(self, outer: Engine) -> None:
        GraphBuilder.__init__(self)
        self.outer = outer
        self.captured: dict[int, tuple[Tensor, Node]] = {}
        self.conditions: list[Condition] = []
        self.computed_again: set[Node] = set()  # for the gradient, as `checkpoint` asked
        self._cuts = context.grad_enabled  # else nothing is differentiated anyway
        self._changed: dict[int, Node] = {}

    # --- the engine's verbs ----------------------------------------------------------------------

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Node:
        """Records one operation, and that no derivative flows through it under `no_grad`."""
        node = super().evaluate(op, operands, attributes, kind)
        cut = self._cuts and not context.grad_enabled and kind.dtype.is_float
        return self._detached(node) if cut and any(x.requires_grad for x in operands) else node

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Records new contents of a tensor: one from outside, or one made in this body."""
        node = self.node_of(value)
        if not self.holds(target._data):
            self.node_of(target)
            self._changed[id(target)] = node
        elif isinstance(self.node_of(target).op, Leaf):
            raise TraceError(_GIVEN_CHANGED.format(target.shape))
        else:
            target._data = node
        self.note_overwritten(target, node)

    def require(
        self,
        violations: Tensor,
        message: str,
        error: type[errors.SmeltError],
        values: Tensor | None = None,
    ) -> None:
        """Records a condition; of the values in it only their number is known outside."""
        if values is not None:
            violations = violations.sum()
        self.conditions.append(Condition(self.node_of(violations), with_location(message), error))

    def lift(self, tensor: Tensor) -> Data:
        """Returns the node of a tensor that is about to be detached."""
        node = self.node_of(tensor)
        return self._detached(node) if self._cuts and node.dtype.is_float else node

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Tells the engine outside that Python looked at a value; raises an error if this body
        changes it.
        """
        if id(tensor) in self._changed:
            raise TraceError(_CHANGED_HERE.format(what, tensor.shape))
        self.outer.note_value(tensor, what)

    def note_computed_again(self, data: Data) -> None:
        """Notes the node."""
        assert isinstance(data, Node)
        self.computed_again.add(data)

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Raises an error for a `.grad` left outside, since it would have a value per iteration."""
        if not self.holds(tensor._data):
            raise GradientError(_GRADIENT_LEFT.format(tensor.shape))

    # --- nodes -----------------------------------------------------------------------------------

    def placeholder(self, like: Typed, kind: Leaf) -> Tensor:
        """Returns a tensor that stands for something of the shape and dtype of `like`."""
        node = self.record(kind, (), {"number": len(self.born)}, like.shape, like.dtype)
        return Tensor(node, like.dtype, context.grad_enabled and like.dtype.is_float)

    def node_of(self, tensor: Tensor) -> Node:
        """Returns what a tensor is in this graph; one from outside becomes an input of it."""
        changed = self._changed.get(id(tensor))
        if changed is not None:
            return changed
        self.check_current(tensor)
        if self.holds(tensor._data):
            return tensor.stored
        entry = self.captured.get(id(tensor))
        if entry is None:
            self._check_owned(tensor.stored)
            entry = self.captured[id(tensor)] = (tensor, self._leaf(tensor))
        return entry[1]

    def changes(self, again: bool = False) -> list[Change]:
        """Returns which tensors from outside have new contents; `again`: the body runs again."""
        if again:
            for key, (tensor, _) in self.captured.items():
                if key not in self._changed and id(tensor._version) in self._overwritten:
                    raise TraceError(VIEW_OUTDATED.format(tensor.shape))
        return [Change(*self.captured[key], after=node) for key, node in self._changed.items()]

    def _check_owned(self, data: Data) -> None:
        """Raises for what belongs to a trace that is over, here where it is used."""
        if isinstance(data, np.ndarray):
            return
        around: Engine | None = self
        while around is not None:
            if around.holds(data):
                return
            around = around.outer
        raise TraceError(data.leak)

    def _leaf(self, tensor: Tensor) -> Node:
        tensor.stored  # noqa: B018  raises for a tensor that was moved
        attributes = {"number": len(self.born)}
        return self.record(CAPTURED, (), attributes, tensor.shape, tensor.dtype)

    def _detached(self, node: Node) -> Node:
        return self.record(detach, (node,), {}, node.shape, node.dtype, node.origin)


@dataclass(frozen=True, slots=True)
class TracedBody:
    """A function that was traced, and the nodes of its results."""

    tracer: BodyTracer
    nodes: list[Node]


@dataclass(frozen=True, slots=True)
class LoopBody:
    """One iteration of a loop that was traced: what it carries, reads slices of, and gives out."""

    tracer: BodyTracer
    carried: list[Carry]
    scanned: list[ScannedInput]
    outputs: list[Node]


def trace_body(function: Callable[[], list[Tensor]]) -> TracedBody:
    """Runs `function` with a new tracer as the engine."""
    return _traced(BodyTracer(current_engine()), function)


def trace_loop(
    iteration: Callable[[list[Tensor], list[Tensor]], list[Tensor]],
    initial: Sequence[Tensor],
    rows: Sequence[Tensor] = (),
) -> LoopBody:
    """Traces `iteration(carry, slices)`, which returns the next carry and then the outputs.

    `initial` are the first contents of the carry, `rows` the inputs (T, ...) to take slices of.
    """
    tracer = BodyTracer(current_engine())
    with using(tracer):
        carry = [tracer.placeholder(x, CARRY) for x in initial]
        slices = [tracer.placeholder(Type(x.shape[1:], x.dtype), SLICE).stored for x in rows]
    before = [x.stored for x in carry]  # what the body makes of `carry` itself does not matter
    scanned = [ScannedInput(x, node) for x, node in zip(rows, slices, strict=True)]
    nodes = _traced(tracer, lambda: iteration(carry, [x.slice for x in scanned])).nodes
    carried = [Carry(*triple) for triple in zip(initial, before, nodes, strict=False)]
    return LoopBody(tracer, carried, scanned, nodes[len(carried) :])


def _traced(tracer: BodyTracer, function: Callable[[], list[Tensor]]) -> TracedBody:
    with using(tracer):
        return TracedBody(tracer, [tracer.node_of(result) for result in function()])


_CHANGED_HERE = (
    "{} needs the value of a tensor of shape {} inside a loop or a branch, where it is known only "
    "at run time. To branch on it, use smelt.where or smelt.cond"
)
_GIVEN_CHANGED = (
    "copy_ into a tensor of shape {} that is an argument of a loop's or branch's body is not "
    "allowed: return the new contents instead, in the carry or as a result"
)
_LEFT_BODY = (
    "a traced tensor of shape {}{} was used outside the body of its scan, while_loop or cond: it "
    "has one value per iteration, and none outside. Return it as an output of the body (scan "
    "stacks outputs), in the carry, or from the branch"
)
_GRADIENT_LEFT = (
    "the body of a scan, while_loop or cond would set the .grad of a tensor of shape {} outside "
    "it, by backward() or by assignment; there would be one per iteration. Use smelt.grad inside "
    "the body, or backward() outside the loop. Optimizers read .grad, so they cannot be used in a "
    "body: write `with smelt.no_grad(): w.copy_(w - lr * g)`, or take many steps with a compiled "
    "step's `repeat` or `over`"
)
