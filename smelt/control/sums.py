"""Sums: what a loop adds up over its turns, added up outside of it where that is better.

The gradient of a weight is a sum over turns of products, `sum over t of a[t]^T @ g[t]`. That is one
product of the stacked operands, which runs at full speed; one small product per turn would not.

    before: for t: total += a[t].T @ g[t]      after: total = A.T @ G,  A and G of (T * n) rows
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smelt.control.body import CARRY, Carried, Sliced
from smelt.control.parts import part_of
from smelt.ir.graph import Node, topological
from smelt.ops import contraction, elementwise, movement, reduction
from smelt.tensor import Tensor
from smelt.tensor.apply import filled

Later = Callable[[], Tensor]  # called once the loop is there


class Sums:
    """Sums over the turns of a loop that is being written.

    `stacked` are outputs that the loop needs for them, `carried` what it adds up itself.
    """

    def __init__(self, sliced: Sequence[Sliced], turns: int) -> None:
        self.stacked: list[Node] = []
        self.carried: list[Carried] = []
        self._turns = turns
        self._rows = {one.node: one.rows for one in sliced}
        self._token: Tensor | None = None
        self._first_carried = self._first_stacked = 0

    def settle(self, token: Tensor, first_carried: int, first_stacked: int) -> None:
        """Says where the loop's results for `carried` and `stacked` begin."""
        self._token = token
        self._first_carried, self._first_stacked = first_carried, first_stacked

    def total(self, node: Node) -> Later:
        """Returns how the sum of a node over all turns is found."""
        if node.op is elementwise.add and all(one.shape == node.shape for one in node.inputs):
            a, b = map(self.total, node.inputs)
            return lambda: a() + b()
        if node.op in (movement.permute, movement.reshape):
            inner = self.total(node.inputs[0])
            return lambda: node.op(inner(), **node.attributes)  # type: ignore[operator]
        if node.op is reduction.sum and self._differs(node.inputs[0]):
            whole, axes = self._whole(node.inputs[0]), node.attributes["axes"]
            return lambda: whole().sum((0, *(axis + 1 for axis in axes)))
        if node.op is contraction.matmul and all(
            one.ndim == 2 and self._differs(one) for one in node.inputs
        ):
            return self._product(*node.inputs)
        return self._added_up(node)

    def _product(self, a: Node, b: Node) -> Later:
        """Sum over t of a[t] @ b[t], as one product that sums over turns and inner axis at once."""
        a = _bare(a)
        turned = a.op is movement.permute and a.attributes["axes"] == (1, 0)
        left, right = self._whole(a.inputs[0] if turned else a), self._whole(b)
        inner = self._turns * b.shape[0]

        def product() -> Tensor:
            x = left() if turned else left().movedim(2, 1)  # (T, k, m)
            return x.reshape(inner, a.shape[0]).T @ right().reshape(inner, b.shape[1])

        return product

    def _whole(self, node: Node) -> Later:
        """Returns how a node's values of all turns, stacked, are found."""
        node = _bare(node)
        rows = self._rows.get(node)
        if rows is not None:
            return lambda: rows
        if node not in self.stacked:
            self.stacked.append(node)
        place = self.stacked.index(node)
        return lambda: part_of(self._made, self._first_stacked + place, node, self._turns)

    def _added_up(self, node: Node) -> Later:
        place = len(self.carried)
        before = Node(CARRY, (), {"number": -1 - place}, node.shape, node.dtype)
        after = Node(elementwise.add, (before, node), {}, node.shape, node.dtype, node.origin)
        self.carried.append(Carried(filled(node.shape, 0, node.dtype), before, after))
        return lambda: part_of(self._made, self._first_carried + place, node)

    @property
    def _made(self) -> Tensor:
        assert self._token is not None, "settle() comes before the sums are asked for"
        return self._token

    def _differs(self, node: Node) -> bool:
        return any(one.op is CARRY or one in self._rows for one in topological((node,)))


def _bare(node: Node) -> Node:
    """Returns what a node is under reshapes that change nothing."""
    while node.op is movement.reshape and node.inputs[0].shape == node.shape:
        node = node.inputs[0]
    return node
