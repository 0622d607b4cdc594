"""Lower collectives: a node becomes a call of a function of MPI on the slots of its operands.

A collective that was started has a request, an opaque number of MPI's, to wait on. Most MPI
libraries make progress only while they are called; so while a collective is running, each kernel is
followed by a call that lets them.
"""

from __future__ import annotations

from collections.abc import Iterator

from smelt.compiler.graph.memory_plan import Planned
from smelt.ir.graph import Node
from smelt.ir.program import Call, Collective, Part, Progress
from smelt.ops.collective import Collective as CollectiveOp
from smelt.ops.collective import all_reduce_start, all_reduce_wait


class Collectives:
    """The collectives of one program, and which of them are running."""

    def __init__(self, planned: Planned, numbers: Iterator[int]) -> None:
        self.planned = planned
        self.numbers = numbers  # of requests, in the whole step
        self.requests: dict[Node, int] = {}  # of what was begun
        self.under_way: list[Node] = []

    def lowered(self, node: Node) -> Collective:
        """Returns a collective as part of a program."""
        assert isinstance(node.op, CollectiveOp)
        source, target = self.planned.slots[node.inputs[0]], self.planned.slots[node]
        request = 0
        if node.op is all_reduce_start:
            request = self.requests[node] = next(self.numbers)
            self.under_way.append(node)
        elif node.op is all_reduce_wait:
            begun = node.inputs[0]
            request = self.requests[begun]
            self.under_way.remove(begun)
        count = min(int(node.inputs[0].size), int(node.size))
        op, root = node.attributes.get("op", "sum"), node.attributes.get("root", 0)
        # a row of an exchange is what one rank sends to one other
        rows = node.shape[0] if node.op.rows and node.size == node.inputs[0].size else 1
        return Collective(node.op.function, source, target, count // rows, op, root, request)

    def with_progress(self, call: Call) -> Iterator[Part]:
        """Yields a kernel's call, and while a collective is running, what lets MPI progress."""
        yield call
        if self.under_way:
            yield Progress(self.requests[self.under_way[0]])
