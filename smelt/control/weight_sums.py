"""Weight sums: what a loop adds up over its iterations, outside of it where that is better.

The gradient of a weight is a sum of products, `sum over t of a[t]^T @ g[t]`. That is one product of
the stacked operands, which runs at full speed; one small product per iteration would not.

    before: for t: total += a[t].T @ g[t]      after: total = A.T @ G,  A and G of (T * n) rows
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smelt.control.body_tracer import CARRY, Carry, ScannedInput
from smelt.control.tuple import get_element
from smelt.ir.graph import Node, topological
from smelt.ops import contraction, elementwise, movement, reduction
from smelt.tensor import Tensor
from smelt.tensor.apply import full

Later = Callable[[], Tensor]  # called once the loop is there


class DeferredSums:
    """Sums over the iterations of a loop that is being traced.

    `stacked` are outputs that the loop needs for them, `carried` what it adds up itself.
    """

    def __init__(self, sliced: Sequence[ScannedInput], length: int) -> None:
        self.stacked: list[Node] = []
        self.carried: list[Carry] = []
        self._length = length
        self._rows = {scanned.node: scanned.rows for scanned in sliced}
        self._tuple: Tensor | None = None
        self._first_carried = self._first_stacked = 0

    def bind(self, result_tuple: Tensor, first_carried: int, first_stacked: int) -> None:
        """Says where the loop's results for `carried` and `stacked` begin."""
        self._tuple = result_tuple
        self._first_carried, self._first_stacked = first_carried, first_stacked

    def total(self, node: Node) -> Later:
        """Returns how the sum of a node over all iterations is found."""
        if node.op is elementwise.add and all(x.shape == node.shape for x in node.inputs):
            a, b = map(self.total, node.inputs)
            return lambda: a() + b()
        if node.op in (movement.permute, movement.reshape):
            inner = self.total(node.inputs[0])
            return lambda: node.op(inner(), **node.attributes)  # type: ignore[operator]
        if node.op is reduction.sum and self._differs(node.inputs[0]):
            values, axes = self._whole(node.inputs[0]), node.attributes["axes"]
            return lambda: values().sum((0, *(axis + 1 for axis in axes)))
        if node.op is contraction.matmul and all(
            operand.ndim == 2 and self._differs(operand) for operand in node.inputs
        ):
            return self._product(*node.inputs)
        return self._accumulated(node)

    def _product(self, a: Node, b: Node) -> Later:
        """Sum over t of a[t] @ b[t], as one product that sums over both t and the inner axis."""
        a = _bare(a)
        transposed = a.op is movement.permute and a.attributes["axes"] == (1, 0)
        left, right = self._whole(a.inputs[0] if transposed else a), self._whole(b)
        inner = self._length * b.shape[0]

        def product() -> Tensor:
            x = left() if transposed else left().movedim(2, 1)  # (T, k, m)
            return x.reshape(inner, a.shape[0]).T @ right().reshape(inner, b.shape[1])

        return product

    def _whole(self, node: Node) -> Later:
        """Returns how a node's values of all iterations, stacked, are found."""
        node = _bare(node)
        rows = self._rows.get(node)
        if rows is not None:
            return lambda: rows
        if node not in self.stacked:
            self.stacked.append(node)
        place = self.stacked.index(node)
        return lambda: get_element(
            self._result_tuple, self._first_stacked + place, node, self._length
        )

    def _accumulated(self, node: Node) -> Later:
        place = len(self.carried)
        before = Node(CARRY, (), {"number": -1 - place}, node.shape, node.dtype)
        after = Node(elementwise.add, (before, node), {}, node.shape, node.dtype, node.origin)
        self.carried.append(Carry(full(node.shape, 0, node.dtype), before, after))
        return lambda: get_element(self._result_tuple, self._first_carried + place, node)

    @property
    def _result_tuple(self) -> Tensor:
        assert self._tuple is not None, "bind() comes before the sums are asked for"
        return self._tuple

    def _differs(self, node: Node) -> bool:
        return any(x.op is CARRY or x in self._rows for x in topological((node,)))


def _bare(node: Node) -> Node:
    """Returns what a node is under reshapes that change nothing."""
    while node.op is movement.reshape and node.inputs[0].shape == node.shape:
        node = node.inputs[0]
    return node
