"""Lower loops and branches: the body becomes a program of its own, run in memory of the outer one.

A *token* is the node of a loop or branch, its *parts* the nodes of its results. A body is lowered
to a program like a step's. Each of its *slots* (one array of it) has a *binding*: the slot of the
program around it in which it lies. A program with its bindings is a *region*. What lies where:

    slot of the body    scan                         while_loop             cond
    state k             operand k, changed in place  the same; 0 is flag    none
    argument k          operand carried + k; of the  operand carried + k    operand 1 + k; 0 is flag
                        first `sliced`, one turn's
    result k            one turn's of part           none                   part k
                        carried + k
    constant k          a constant of the step's own, in all three

The compiler has given parts 0 to carried - 1 the memory of the operands that they began in.
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

    `members` are its token and the parts that are read; `lower` lowers a body.
    """
    token, *parts = members
    bound = _Bound(planned, token, parts)
    regions = [bound.region(body, lower) for body in planned.bodies[token].planned]
    if token.op.name == "cond":
        no, yes = regions  # as numbers: the flag false is 0, true is 1
        return Branch(bound.operand(0), yes, no), bound.constants
    if token.op.name == "while_loop":
        # its flag is the first tensor that it carries, so each turn writes it where it is read
        return Repeat(regions[0], None, bound.operand(0)), bound.constants
    return Repeat(regions[0], token.attributes["turns"]), bound.constants


class _Bound:
    """Where the slots of a token's bodies lie."""

    def __init__(self, planned: Planned, token: Node, parts: Sequence[Node]) -> None:
        self.planned = planned
        self.token = token
        self.results = {one.attributes["number"]: planned.slots[one] for one in parts}
        self.constants: list[Slot] = []
        self.carried = carry_count(token)
        self.is_branch = token.op.name == "cond"
        self.first = self.carried + self.is_branch  # operand that is argument 0
        self.sliced = token.attributes.get("sliced", 0)

    def operand(self, place: int) -> Slot:
        """Returns the slot of an operand."""
        return self.planned.slots[self.token.inputs[place]]

    def region(self, body: Planned, lower: Lower) -> Region:
        """Returns a body's program with its slots bound."""
        program = lower(body, self.token.op.name)
        first = self.planned.first_constant(body)
        bindings = [self.binding(slot, first) for slot in program.slots if slot.kind != "arena"]
        arena = self.planned.slots.get(self.planned.bodies[self.token].arena)
        return Region(program, tuple(bindings), arena if program.arena_bytes else None)

    def binding(self, slot: Slot, first_constant: int) -> Binding:
        """Returns where a slot of a body lies."""
        number = slot.number
        match slot.kind:
            case "state":
                return Binding(slot, self.operand(number))
            case "argument":
                outer = self.operand(self.first + number)
                return self.along(slot, outer) if number < self.sliced else Binding(slot, outer)
            case "result":
                outer = self.results[self.carried + number]
                return Binding(slot, outer) if self.is_branch else self.along(slot, outer)
        outer = Slot(slot.name, slot.shape, slot.dtype, slot.kind, first_constant + number)
        self.constants.append(outer)
        return Binding(slot, outer)

    def along(self, slot: Slot, outer: Slot) -> Binding:
        """Returns the binding of one turn's slice."""
        stride = slot.nbytes
        if not self.token.attributes["reverse"]:
            return Binding(slot, outer, 0, stride)
        return Binding(slot, outer, (self.token.attributes["turns"] - 1) * stride, -stride)
