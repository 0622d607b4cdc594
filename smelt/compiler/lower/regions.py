"""Lower loops and branches: the body becomes a program of its own, run in memory of the outer one.

A body is lowered to a program like a step's. Each of its *slots* (one array) has a *binding*: the
slot of the program around it that holds it. A program with its bindings is a *region*. The bindings
of a loop that carries C tensors:

    slot of the body    scan                         while_loop             cond
    state k             operand k, changed in place  the same; 0 is flag    none
    argument k          operand C + k; of the first  operand C + k          operand 1 + k; 0 is flag
                        `scanned`, a slice of it
    result k            a slice of result C + k      none                   result k
    constant k          a constant of the step's own, in all three

Results 0 to C - 1 already have the memory of the operands that hold their first contents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smelt.compiler.graph.memory_plan import Planned
from smelt.ir.graph import Node, carry_count
from smelt.ir.program import Binding, Branch, Part, Program, Region, Repeat, Slot

Lower = Callable[[Planned, str], Program]


def lower_region(
    planned: Planned, members: Sequence[Node], lower: Lower
) -> tuple[Part, list[Slot]]:
    """Returns a loop or branch as part of a program, and the slots of its bodies' constants.

    `members` are its node and the nodes of its results; `lower` lowers a body.
    """
    node, *results = members
    binder = _Binder(planned, node, results)
    regions = [binder.region(body, lower) for body in planned.bodies[node].planned]
    if node.op.runs_one_body:
        no, yes = regions  # as numbers: the flag false is 0, true is 1
        return Branch(binder.operand(0), yes, no), binder.constants
    length = node.attributes.get("length")
    # without one, the first tensor that is carried is the flag: it is written where it is read
    flag = binder.operand(0) if length is None else None
    return Repeat(regions[0], length, flag), binder.constants


class _Binder:
    """Binds the slots of the bodies of a loop or branch."""

    def __init__(self, planned: Planned, node: Node, results: Sequence[Node]) -> None:
        self.planned = planned
        self.node = node
        self.results = {result.attributes["number"]: planned.slots[result] for result in results}
        self.constants: list[Slot] = []
        self.carried = carry_count(node)
        self.is_branch = node.op.runs_one_body
        self.first = self.carried + self.is_branch  # operand that is argument 0
        self.scanned = node.attributes.get("scanned", 0)

    def operand(self, position: int) -> Slot:
        """Returns the slot of an operand."""
        return self.planned.slots[self.node.inputs[position]]

    def region(self, body: Planned, lower: Lower) -> Region:
        """Returns a body's program with its slots bound."""
        program = lower(body, self.node.op.name)
        first = self.planned.first_constant(body)
        bindings = [self.binding(slot, first) for slot in program.slots if slot.kind != "arena"]
        arena = self.planned.slots.get(self.planned.bodies[self.node].arena)
        return Region(program, tuple(bindings), arena if program.arena_bytes else None)

    def binding(self, slot: Slot, first_constant: int) -> Binding:
        """Returns the binding of a slot of a body."""
        number = slot.number
        match slot.kind:
            case "state":
                return Binding(slot, self.operand(number))
            case "argument":
                outer = self.operand(self.first + number)
                return self.slice(slot, outer) if number < self.scanned else Binding(slot, outer)
            case "result":
                outer = self.results[self.carried + number]
                return Binding(slot, outer) if self.is_branch else self.slice(slot, outer)
        outer = Slot(slot.name, slot.shape, slot.dtype, slot.kind, first_constant + number)
        self.constants.append(outer)
        return Binding(slot, outer)

    def slice(self, slot: Slot, outer: Slot) -> Binding:
        """Returns the binding of the slice that one iteration reads or writes."""
        stride = slot.nbytes
        if not self.node.attributes["reverse"]:
            return Binding(slot, outer, 0, stride)
        return Binding(slot, outer, (self.node.attributes["length"] - 1) * stride, -stride)
