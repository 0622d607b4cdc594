"""The graph builder: what the tracer of a step and that of a loop's body have in common.

It makes nodes, each number that is known once, and knows in which order nodes and changes came, so
that a view of contents which `copy_` has replaced since is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smelt import errors
from smelt.dtypes import DType
from smelt.errors import TraceError
from smelt.ir.graph import CONSTANT, Leaf, Node, Origin
from smelt.ops.op import Op, Type
from smelt.tracing.engine import Engine, context, located

if TYPE_CHECKING:
    from smelt.tensor import Tensor


class _Change(NamedTuple):
    version: list[int]  # of the tensor and its views; kept, so that its id is not another's
    born: int  # how many nodes there were
    contents: Node


class GraphBuilder(Engine):
    """An engine that writes a graph."""

    writes_graph = True
    node_type = Node

    def __init__(self) -> None:
        self._born: dict[Node, int] = {}  # how many nodes there were before this one
        self._changes: dict[int, _Change] = {}
        self._numbers: dict[tuple[str, bytes], Node] = {}

    def has(self, node: object) -> bool:
        """Whether a node was made here."""
        return isinstance(node, Node) and node in self._born

    def add(
        self, op: Op | Leaf, inputs: tuple[Node, ...], attributes: dict[str, Any], kind: Type
    ) -> Node:
        """Returns a new node, made at the user's present line and module."""
        origin = Origin(errors.user_line(), ".".join(context.modules))
        return self.record(self.node_type(op, inputs, attributes, kind.shape, kind.dtype, origin))

    def add_leaf(self, op: Leaf, number: int, kind: Type) -> Node:
        """Returns a new node for something from outside of the graph."""
        return self.record(self.node_type(op, (), {"number": number}, kind.shape, kind.dtype))

    def record(self, node: Node) -> Node:
        """Notes a node that was made here."""
        self._born[node] = len(self._born)
        return node

    def literal(self, array: np.ndarray, dtype: DType) -> Node:
        """Records a value that is known now; equal numbers become one node."""
        if array.ndim:
            return self.add(CONSTANT, (), {"array": array.copy()}, Type(array.shape, dtype))
        key = (dtype.name, array.tobytes())
        node = self._numbers.get(key)
        if node is None:
            node = self.record(self.node_type(CONSTANT, (), {"array": array}, (), dtype))
            self._numbers[key] = node
        return node

    # --- changes in place -------------------------------------------------------------------------

    def note_change(self, target: Tensor, contents: Node) -> None:
        """Notes that a tensor, and with it its views, has new contents."""
        version = target._version  # a tensor and its views count their changes together
        self._changes[id(version)] = _Change(version, len(self._born), contents)

    def has_changed(self, tensor: Tensor) -> bool:
        """Whether a tensor, or one that it shares memory with, was changed here."""
        return id(tensor._version) in self._changes

    def refuse_outdated(self, tensor: Tensor) -> None:
        """Raises for a view of contents that copy_ replaced: eagerly it would show the new ones."""
        change = self._changes.get(id(tensor._version))
        if change is not None and tensor._data is not change.contents:
            node = tensor._data
            if not isinstance(node, Node) or self._born.get(node, -1) < change.born:
                raise TraceError(located(VIEW_OUTDATED.format(tensor.shape)))


VIEW_OUTDATED = (
    "a tensor of shape {} is a view of one that copy_ has changed since: eagerly it would show the "
    "new contents, here the old ones. Take the view again after copy_, or keep the old values with "
    "clone()"
)
