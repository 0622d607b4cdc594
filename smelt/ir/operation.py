"""What passes ask of an operation: how its elements come about, what they cost, what it reads.

Families of operations answer with class attributes, so that no pass needs to know their names.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, ClassVar

Axes = tuple[int | None, ...]  # for each axis of an operand: the loop with the same index, if any
EXPENSIVE = 10  # cost from which on an operation is better not done twice


class Pattern(Enum):
    """How the elements of a result come about, which decides what they can be fused with."""

    LEAF = auto()  # from outside of the graph
    POINTWISE = auto()  # each is one expression on elements of the operands
    REDUCTION = auto()  # each combines the elements along some axes
    CONTRACTION = auto()  # each is a sum of products
    STANDALONE = auto()  # in a loop nest of the operation's own: running sums, scatters, sorts
    REGION = auto()  # by running graphs, the attribute `bodies`: a loop or a branch
    RESULT = auto()  # one result of a region, the attribute `number`
    COLLECTIVE = auto()  # by a function of MPI, from the operands of all ranks


class Operation:
    """The capabilities of an operation; a family changes those in which it differs."""

    name: str  # no two have the same
    cost: int = 1  # of one element, where an addition costs 1
    pattern: ClassVar[Pattern] = Pattern.STANDALONE
    is_movement: ClassVar[bool] = False  # whether it gives elements of its operand as they are
    rereads_operands: ClassVar[bool] = False  # whether it reads each element many times
    writes_before_reading: ClassVar[bool] = False  # whether it fills the result, then reads
    runs_one_body: ClassVar[bool] = False  # of a region: the one that the first operand says
    needs_workspace: ClassVar[bool] = False  # whether it needs memory of the result's size besides
    is_ordered: ClassVar[bool] = False  # whether all ranks must come to it in one order

    @property
    def is_inlinable(self) -> bool:
        """Whether an element can be computed inside the loop of whoever reads it."""
        return self.pattern is Pattern.POINTWISE

    def awaited(self, node: Any) -> Any:
        """Returns what a collective waits for that comes after a node of this operation."""
        return node

    def element_cost(self, node: Any) -> int:
        """Returns what one element of a node with this operation costs, besides its operands."""
        return self.cost

    @property
    def is_worth_saving(self) -> bool:
        """Whether a loop keeps the result of each iteration for its gradient."""
        return self.cost >= EXPENSIVE

    def operand_loops(self, node: Any) -> list[Axes]:
        """Returns which loop each axis of each operand of a node runs along with.

        Loops are numbered: first the axes of the result, then those that the operation runs over.
        Of pointwise operations it is not asked.
        """
        return [(None,) * operand.ndim for operand in node.inputs]
