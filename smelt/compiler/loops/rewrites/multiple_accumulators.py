"""Multiple accumulators: several sums in place of one, so that no addition waits.

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

If the extent leaves a remainder, a loop over it follows, on the first accumulator. The loop may be
the innermost of several with nothing between them.
"""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.nest import Nest, find_nest
from smelt.compiler.loops.substitute import Element, Names, Renaming, combined, identity, renamed
from smelt.ir.loops import (
    Assign,
    Declare,
    Expression,
    Let,
    Loop,
    Read,
    Register,
    Statement,
    trip_count,
)
from smelt.ir.symbolic import is_symbolic
from smelt.ir.visit import Body

SHORTEST = 9  # iterations that a loop must have


def multiple_accumulators(body: Body, count: int, names: Names) -> Body:
    """Returns a body whose summing loops have `count` accumulators, where they allow it."""
    result: list[Statement] = []
    for statement in body:
        nest = find_nest(statement) if isinstance(statement, Loop) else None
        if nest is not None and _may_split(nest):
            result += _split(nest, count, names)
        else:
            result.append(statement)
    return tuple(result)


def _may_split(nest: Nest) -> bool:
    """Whether a nest does nothing but accumulate in registers, and its last loop is long enough."""
    is_simple = all(isinstance(part, (Let, Assign)) for part in nest.body)
    operations = nest.info.registers.reductions.values()
    is_reduction = bool(operations) and None not in operations
    return is_simple and is_reduction and trip_count(nest.loops[-1]) >= SHORTEST


def _split(nest: Nest, count: int, names: Names) -> Body:
    *around, loop = nest.loops
    before: list[Statement] = []
    after: list[Statement] = []
    copies: list[dict[Register, Element]] = [{} for _ in range(1, count)]
    for register, operation in nest.info.registers.reductions.items():
        assert operation is not None
        accumulators = [register]
        for number, elements in enumerate(copies, 1):
            accumulators.append(Register(f"{register.name}_{number}", register.dtype))
            elements[register] = (accumulators[-1], ())
            before.append(Declare(accumulators[-1], identity(operation, register.dtype)))
        after.append(Assign(register, (), combined(operation, list(map(Read, accumulators)))))
    body = list(nest.body)
    for number, elements in enumerate(copies, 1):
        index: dict[str, Expression] = {loop.variable.name: loop.variable + number}
        body += Renaming(names, index, elements).block(nest.body)
    tail = trip_count(loop) % count
    end = trip_count(loop) - tail
    loops: Body = (Loop(loop.variable, 0, end, count, tuple(body)),)
    if is_symbolic(tail) or tail:
        loops += renamed([replace(loop, start=end)], names)
    for outer in reversed(around):
        loops = (replace(outer, body=loops),)
    return (*before, *loops, *after)
