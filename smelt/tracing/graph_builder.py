"""GraphBuilder: an engine that records operations as nodes of a graph, of a step or of a body.

All ranks must come to their collectives in one order. So each collective, and each loop or branch
that runs some, is given the one before it as a further operand, which it does not look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.dtypes import DType
from smelt.errors import TraceError
from smelt.ir.graph import CONSTANT, Node, Origin, communicates
from smelt.ir.operation import Operation
from smelt.tracing.engine import Data, Engine
from smelt.tracing.origin import current_origin

if TYPE_CHECKING:
    from smelt.ops.op import Op, Type
    from smelt.tensor import Tensor


class GraphBuilder(Engine):
    """Records nodes in order; equal scalar constants become one node."""

    writes_graph = True
    node_class: type[Node] = Node

    def __init__(self) -> None:
        self.born: dict[Node, int] = {}  # how many nodes there were before each one
        self._overwritten: dict[int, tuple[list[int], int, Node]] = {}
        self._scalars: dict[tuple[str, bytes], Node] = {}
        self.ordered: list[Node] = []  # the collectives so far; of a loop or branch, a result

    def node_of(self, tensor: Tensor) -> Node:
        """Returns the node of a tensor; one from outside becomes an input of the graph."""
        raise NotImplementedError

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Node:
        """Records one operation; a collective comes after the one before it."""
        inputs = tuple([self.node_of(operand) for operand in operands])
        is_ordered = communicates(op, attributes)
        if is_ordered:
            inputs += tuple(self.ordered[-1:])
        node = self.record(op, inputs, attributes, kind.shape, kind.dtype, current_origin())
        if is_ordered:
            self._note_ordered(node)
        return node

    def _note_ordered(self, node: Node) -> None:
        if "length" in node.attributes:
            int(node.attributes["length"])  # all ranks must have the same, so it has to be known
        result = node.op.awaited(node)
        if result is not node:
            kind = result.shape, result.dtype, node.origin
            result = self.record(result.op, result.inputs, result.attributes, *kind)
        self.ordered.append(result)

    def note_known(self, data: Data) -> None:
        """Forgets a collective whose result is known, so that it is not run for its order alone."""
        if self.ordered and self.ordered[-1] is data:
            self.ordered.pop()

    def literal(self, array: np.ndarray, dtype: DType) -> Node:
        """Records a value that is known now."""
        if array.ndim:
            attributes = {"array": array.copy()}
            return self.record(CONSTANT, (), attributes, array.shape, dtype, current_origin())
        key = (dtype.name, array.tobytes())
        node = self._scalars.get(key)
        if node is None:
            node = self._scalars[key] = self.record(CONSTANT, (), {"array": array}, (), dtype)
        return node

    def lift(self, tensor: Tensor) -> Data:
        """Returns the node of a tensor."""
        return self.node_of(tensor)

    def record(
        self,
        op: Operation,
        inputs: tuple[Node, ...],
        attributes: dict[str, Any],
        shape: tuple[int, ...],
        dtype: DType,
        origin: Origin = Origin(),  # noqa: B008  immutable
    ) -> Node:
        """Returns a new node of this graph."""
        node = self.node_class(op, inputs, attributes, shape, dtype, origin)
        self.born[node] = len(self.born)
        return node

    def holds(self, data: Data) -> bool:
        """Returns whether the data of a tensor is a node of this graph."""
        return isinstance(data, Node) and data in self.born

    def note_overwritten(self, target: Tensor, node: Node) -> None:
        """Remembers that `target`, and all its views, have the contents `node` from now on."""
        shared = target._version  # a tensor and its views share one count of changes
        self._overwritten[id(shared)] = (shared, len(self.born), node)

    def check_current(self, tensor: Tensor) -> None:
        """Raises for a view whose contents copy_ replaced: eagerly it would show the new ones."""
        overwritten = self._overwritten.get(id(tensor._version))
        if overwritten is None:
            return
        _, time, node = overwritten
        born = self.born[tensor.stored] if self.holds(tensor._data) else -1
        if born < time and tensor._data is not node:
            raise TraceError(VIEW_OUTDATED.format(tensor.shape))


VIEW_OUTDATED = (
    "a tensor of shape {} is a view of a tensor that copy_ has changed since: eagerly it would "
    "show the new contents, but here it would show the old ones. Take the view again after copy_, "
    "or keep the old values with clone()"
)
