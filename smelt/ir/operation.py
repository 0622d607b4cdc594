"""What passes ask of an operation: how its elements are computed, what they cost, what it reads.

Each family of operations answers in class attributes, so that no pass needs to know their names.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, ClassVar

Axes = tuple[int | None, ...]  # for each axis of an operand: the loop that indexes it, if any
EXPENSIVE = 10  # an operation of at least this cost is better not computed twice


class Pattern(Enum):
    """How the elements of a result are computed, which decides what they can be fused with."""

    LEAF = auto()  # outside the graph
    POINTWISE = auto()  # each is an expression of elements of the operands
    REDUCTION = auto()  # each combines the elements along some axes
    CONTRACTION = auto()  # each is a sum of products
    STANDALONE = auto()  # in a loop nest of the operation's own: running sums, scatters, sorts
    REGION = auto()  # a loop or a branch: by running graphs, the attribute `bodies`
    RESULT = auto()  # one result of a region, selected by the attribute `number`
    COLLECTIVE = auto()  # by a function of MPI, from the operands of all ranks


class Operation:
    """The properties of an operation; a family overrides those in which it differs."""

    name: str  # unique
    cost: int = 1  # per element, where an addition costs 1
    pattern: ClassVar[Pattern] = Pattern.STANDALONE
    is_movement: ClassVar[bool] = False  # whether it only moves or copies elements of its operand
    rereads_operands: ClassVar[bool] = False  # whether it reads each element many times
    writes_before_reading: ClassVar[bool] = False  # whether it fills the result, then reads
    runs_one_body: ClassVar[bool] = False  # whether the first operand selects which body runs
    needs_workspace: ClassVar[bool] = False  # whether it needs extra memory of the result's size
    is_ordered: ClassVar[bool] = False  # whether all ranks must reach such nodes in one order

    @property
    def is_inlinable(self) -> bool:
        """Whether an element can be computed in the loop that reads it."""
        return self.pattern is Pattern.POINTWISE

    def awaited(self, node: Any) -> Any:
        """Returns what a collective waits for that comes after a node of this operation."""
        return node

    def element_cost(self, node: Any) -> int:
        """Returns the cost of one element of a node with this operation, without its operands."""
        return self.cost

    @property
    def is_worth_saving(self) -> bool:
        """Whether a loop keeps the result of each iteration for its gradient."""
        return self.cost >= EXPENSIVE

    def operand_loops(self, node: Any) -> list[Axes]:
        """Returns, for each operand of a node, which loop indexes each of its axes.

        Loops are numbered: first the axes of the result, then those that the operation reduces.
        It is not called for pointwise operations.
        """
        return [(None,) * operand.ndim for operand in node.inputs]
