"""Multiple accumulators: several sums in place of one, so that an addition need not wait.

Before:

    acc: float32 = 0.0
    for k in range(0, 10):
        acc = acc + x[k, j]

After, with two accumulators:

    acc: float32 = 0.0
    acc1: float32 = 0.0
    for k in range(0, 10, 2):
        acc = acc + x[k, j]
        acc1 = acc1 + x[k + 1, j]
    acc = acc + acc1

Where the extent leaves a remainder, a loop for it follows on the first accumulator. The loop may
be the innermost of several with nothing between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smelt.compiler.loops.dependence import DependenceInfo, trip_count
from smelt.compiler.loops.substitute import Names, Renaming, combined, identity, renamed
from smelt.ir.loops import (
    Assign,
    Declare,
    Let,
    Loop,
    Read,
    Register,
    Statement,
)
from smelt.ir.visit import Body

SHORTEST = 16  # iterations that a loop must have


def multiple_accumulators(body: Body, count: int, names: Names) -> Body:
    """Returns a body whose summing loops have `count` accumulators, where they allow it."""
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop):
            around, innermost = _descend(statement)
            info = DependenceInfo(innermost.body, {})
            if _may_split(innermost, info):
                result.extend(_split(around, innermost, count, info, names))
                continue
        result.append(statement)
    return tuple(result)


def _descend(loop: Loop) -> tuple[list[Loop], Loop]:
    """Returns the loops of a nest with nothing between them, the innermost apart."""
    around = []
    while len(loop.body) == 1 and isinstance(loop.body[0], Loop):
        around.append(loop)
        loop = loop.body[0]
    return around, loop


def _may_split(loop: Loop, info: DependenceInfo) -> bool:
    """Whether a loop does nothing but accumulate in registers, and is long enough."""
    registers = info.registers.live_in
    is_simple = all(isinstance(part, (Let, Assign)) for part in loop.body)
    is_long = trip_count(loop) >= SHORTEST
    reductions = map(info.registers.reduction, registers)
    return is_simple and is_long and bool(registers) and all(reductions)


def _split(
    around: list[Loop], loop: Loop, count: int, info: DependenceInfo, names: Names
) -> list[Statement]:
    registers = info.registers.live_in
    operations = {register: info.registers.reduction(register) or "add" for register in registers}
    copies = {
        register: [Register(f"{register.name}_{n}", register.dtype) for n in range(1, count)]
        for register in registers
    }
    declared: list[Statement] = [
        Declare(copy, identity(operations[register], register.dtype))
        for register in registers
        for copy in copies[register]
    ]
    body = list(loop.body)
    for number in range(1, count):
        own = {register: copies[register][number - 1] for register in registers}
        body += _Copy(loop, number, own, names).block(loop.body)
    trips = trip_count(loop)
    end = trips // count * count
    loops: list[Statement] = [Loop(loop.variable, 0, end, count, tuple(body))]
    if end < trips:
        loops += renamed([Loop(loop.variable, end, trips, 1, loop.body)], names)
    for outer in reversed(around):
        loops = [replace(outer, body=tuple(loops))]
    totals = [
        Assign(register, (), combined(operations[register], list(map(Read, [register, *own]))))
        for register, own in copies.items()
    ]
    return [*declared, *loops, *totals]


class _Copy(Renaming):
    """The loop's body for the iteration `number` steps on, in registers of its own."""

    def __init__(
        self, loop: Loop, number: int, own: Mapping[Register, Register], names: Names
    ) -> None:
        elements = {register: (copy, ()) for register, copy in own.items()}
        super().__init__(names, {loop.variable.name: loop.variable + number}, elements)
        self.own = own

    def assign(self, assign: Assign) -> Body:
        return (Assign(self.own[assign.register], (), self(assign.value)),)
