"""Body: one turn of a loop, or one branch, written down as a graph of its own.

`Writer` is an engine like the one that traces a step. Tensors from outside that the body uses
become inputs of the graph by identity (`closures`); those that it changes by `copy_` are noted, so
that a loop can carry them from turn to turn; conditions on data are noted, so that it can count
their violations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import errors
from smelt.dtypes import DType
from smelt.engine import Data, Engine, context, located, using
from smelt.errors import GradientError, TraceError
from smelt.ir.graph import CONSTANT, Leaf, Node, Origin
from smelt.ops.detach import detach
from smelt.ops.op import Op, Type, Typed
from smelt.tensor import Tensor

CARRY = Leaf("carry")  # kept from turn to turn
SLICE = Leaf("input")  # what this turn gets of an input
CLOSURE = Leaf("closure")  # the same in every turn


@dataclass(frozen=True, slots=True)
class Change:
    """A tensor from outside that a body changes: what stands for its contents before and after."""

    tensor: Tensor
    before: Node
    after: Node

    @property
    def contents(self) -> Tensor:
        """The contents before the change as a tensor of its own, which is not changed with it."""
        return Tensor(self.tensor.lifted, self.tensor.dtype)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on data that a body makes: `violations` counts what breaks it in one turn."""

    violations: Node
    message: str
    error: type[errors.SmeltError]


@dataclass(frozen=True, slots=True)
class Carried:
    """One tensor that goes from turn to turn: its first contents, and its nodes in the body."""

    initial: Tensor
    before: Node
    after: Node


@dataclass(frozen=True, slots=True)
class Sliced:
    """One input (T, ...), and the node that stands for one turn's slice of it."""

    rows: Tensor
    node: Node


@dataclass(frozen=True, slots=True)
class Along:
    """How often a loop turns, and from which end."""

    turns: int
    reverse: bool


class BodyNode(Node):
    """A node of a body, which says so when it is used outside of it."""

    __slots__ = ()

    @property
    def leak(self) -> str:
        """What to say when the node is used outside of its body."""
        made = f" (made at {self.origin})" if str(self.origin) else ""
        return _LEFT_BODY.format(self.shape, made)


class Writer:
    """The engine that writes the graph of a body."""

    writes_graph = True

    def __init__(self, outer: Engine) -> None:
        self.outer = outer
        self.closures: dict[int, tuple[Tensor, Node]] = {}
        self.conditions: list[Condition] = []
        self._cuts = context.grad_enabled  # else nothing is differentiated anyway
        self._changed: dict[int, Node] = {}
        self._born: dict[Node, int] = {}  # how many nodes there were before this one
        self._overwritten: dict[int, tuple[int, Node]] = {}
        self._scalars: dict[tuple[str, bytes], Node] = {}

    # --- the engine's verbs ----------------------------------------------------------------------

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Data:
        """Records one operation, and that no derivative flows through it under `no_grad`."""
        inputs = tuple([self.node_of(operand) for operand in operands])
        node = self._record(BodyNode(op, inputs, attributes, kind.shape, kind.dtype, _origin()))
        cut = self._cuts and not context.grad_enabled and kind.dtype.is_float
        return self._detached(node) if cut and any(x.requires_grad for x in operands) else node

    def literal(self, array: np.ndarray, dtype: DType) -> Node:
        """Records a value that is known now; equal numbers become one node."""
        if array.ndim:
            return self._record(BodyNode(CONSTANT, (), {"array": array.copy()}, array.shape, dtype))
        key = (dtype.name, array.tobytes())
        node = self._scalars.get(key)
        if node is None:
            node = self._record(BodyNode(CONSTANT, (), {"array": array}, (), dtype))
            self._scalars[key] = node
        return node

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Records new contents of a tensor: one from outside, or one made in this body."""
        node = self.node_of(value)
        if not self.owns(target):
            self.node_of(target)
            self._changed[id(target)] = node
        elif isinstance(self.node_of(target).op, Leaf):
            raise TraceError(located(_GIVEN_CHANGED.format(target.shape)))
        else:
            target._data = node
        # a tensor and its views count their changes together
        self._overwritten[id(target._version)] = (len(self._born), node)

    def require(self, violations: Tensor, message: str, error: type[errors.SmeltError]) -> None:
        """Records a condition."""
        self.conditions.append(Condition(self.node_of(violations), located(message), error))

    def lift(self, tensor: Tensor) -> Data:
        """Returns the node of a tensor that is about to be detached."""
        node = self.node_of(tensor)
        return self._detached(node) if self._cuts and node.dtype.is_float else node

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Tells the engine outside that Python looked at a value; refuses one that this body
        changes.
        """
        if id(tensor) in self._changed:
            raise TraceError(located(_CHANGED_HERE.format(what, tensor.shape)))
        note = getattr(self.outer, "note_value", None)
        if note is not None:
            note(tensor, what)

    def note_module(self, module: Any) -> None:
        """Tells the engine outside whose settings this depends on."""
        note = getattr(self.outer, "note_module", None)
        if note is not None:
            note(module)

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Refuses a `.grad` that would be left outside, since it has a value per turn."""
        if not self.owns(tensor):
            raise GradientError(located(_GRADIENT_LEFT.format(tensor.shape)))

    def note_gradient_read(self, tensor: Tensor) -> None:
        """Tells the engine outside that this depends on a `.grad`."""
        note = getattr(self.outer, "note_gradient_read", None)
        if note is not None:
            note(tensor)

    # --- nodes -----------------------------------------------------------------------------------

    def placeholder(self, like: Typed, kind: Leaf) -> Tensor:
        """Returns a tensor that stands for something of the shape and dtype of `like`."""
        node = self._record(BodyNode(kind, (), {"number": len(self._born)}, like.shape, like.dtype))
        return Tensor(node, like.dtype, context.grad_enabled and like.dtype.is_float)

    def owns(self, tensor: Tensor) -> bool:
        """Returns whether a tensor was made in this body."""
        data = tensor._data
        return isinstance(data, Node) and data in self._born

    def node_of(self, tensor: Tensor) -> Node:
        """Returns what a tensor is in this graph; one from outside becomes an input of it."""
        changed = self._changed.get(id(tensor))
        if changed is not None:
            return changed
        self._refuse_outdated(tensor)
        if self.owns(tensor):
            return tensor.data
        found = self.closures.get(id(tensor))
        if found is None:
            self._refuse_stray(tensor._data)
            found = self.closures[id(tensor)] = (tensor, self._leaf(tensor))
        return found[1]

    def changes(self, again: bool = False) -> list[Change]:
        """Returns which tensors from outside have new contents; `again`: the body turns again."""
        if again:
            for key, (tensor, _) in self.closures.items():
                if key not in self._changed and id(tensor._version) in self._overwritten:
                    raise TraceError(located(VIEW_OUTDATED.format(tensor.shape)))
        return [Change(*self.closures[key], after=node) for key, node in self._changed.items()]

    def _refuse_outdated(self, tensor: Tensor) -> None:
        """Raises for a view of contents that copy_ replaced: eagerly it would show the new ones."""
        found = self._overwritten.get(id(tensor._version))
        if found is not None:
            place, node = found
            born = self._born[tensor.data] if self.owns(tensor) else -1
            if born < place and tensor._data is not node:
                raise TraceError(located(VIEW_OUTDATED.format(tensor.shape)))

    def _refuse_stray(self, data: Data) -> None:
        """Raises for what belongs to a body that is written already, here where it is used."""
        around: Any = self if isinstance(data, BodyNode) else None
        while around is not None:
            if data in getattr(around, "_born", ()):
                return
            around = getattr(around, "outer", None)
        if isinstance(data, BodyNode):
            raise TraceError(located(data.leak))

    def _leaf(self, tensor: Tensor) -> Node:
        tensor.data  # noqa: B018  raises for a tensor that was moved
        attributes = {"number": len(self._born)}
        return self._record(BodyNode(CLOSURE, (), attributes, tensor.shape, tensor.dtype))

    def _detached(self, node: Node) -> Node:
        return self._record(BodyNode(detach, (node,), {}, node.shape, node.dtype, node.origin))

    def _record(self, node: Node) -> Node:
        self._born[node] = len(self._born)
        return node


def sliced_by(writer: Writer, rows: Tensor) -> Sliced:
    """Returns an input of a loop, with a new node for one turn's slice."""
    return Sliced(rows, writer.placeholder(Type(rows.shape[1:], rows.dtype), SLICE).data)


def written(function: Callable[[Writer], list[Tensor]]) -> tuple[Writer, list[Node]]:
    """Runs `function` with a new writer as the engine; returns it and the nodes of the result."""
    writer = Writer(context.engine)
    with using(writer):
        results = function(writer)
        return writer, [writer.node_of(one) for one in results]


def _origin() -> Origin:
    return Origin(errors.user_line(), ".".join(context.modules))


VIEW_OUTDATED = (
    "a tensor of shape {} is a view of one that copy_ has changed since: eagerly it would show the "
    "new contents, here the old ones. Take the view again after copy_, or keep the old values with "
    "clone()"
)
_CHANGED_HERE = (
    "{} needs the value of a tensor of shape {} that a loop or a branch changes: it is known only "
    "when it runs. Use smelt.where or smelt.cond to choose by value"
)
_GIVEN_CHANGED = (
    "copy_ into a tensor of shape {} that a loop or a branch was given: return the new contents "
    "instead, as the carry or as a result"
)
_LEFT_BODY = (
    "a traced tensor of shape {}{} left the body of the scan, while_loop or cond that it belongs "
    "to: it has a value per turn, and none outside. Give it out as an output of the body (scan "
    "stacks them), put it into the carry, or return it from the branch"
)
_GRADIENT_LEFT = (
    "the body of a scan, while_loop or cond would set the .grad of a tensor of shape {} outside of "
    "it, by backward() or by assignment; there would be one for each turn. Get it by smelt.grad "
    "inside the body, or by backward() outside of the loop. Optimisers read .grad, so they cannot "
    "be used in here: write `with smelt.no_grad(): w.copy_(w - lr * g)`, or take many steps with "
    "a compiled step's `repeat` or `over`"
)
