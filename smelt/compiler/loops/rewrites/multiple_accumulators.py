"""Several sums in place of one, so that an addition need not wait for the one before.

Before:

    acc: float32 = 0.0
    for k in range(0, 10):
        acc = acc + x[k, j]

After, with two chains:

    acc: float32 = 0.0
    acc1: float32 = 0.0
    for k in range(0, 10, 2):
        acc = acc + x[k, j]
        acc1 = acc1 + x[k + 1, j]
    acc = acc + acc1

Where the extent leaves a rest, a loop for it follows on the first chain. The loop may be the
innermost of several with nothing between them.
"""

from __future__ import annotations

from dataclasses import replace

from smelt.compiler.loops.dependence import Body, analyse, trips
from smelt.compiler.loops.substitute import (
    Names,
    Substitution,
    identity,
    plus,
    rebuild,
    renamed,
    whole,
)
from smelt.ir.loops import (
    Assign,
    Binary,
    Declare,
    Expression,
    Let,
    Loop,
    Read,
    Register,
    Statement,
    Variable,
)

SHORTEST = 16  # iterations that a loop must have


def interleave(body: tuple[Statement, ...], chains: int, names: Names) -> tuple[Statement, ...]:
    """Returns a body whose summing loops go `chains` ways at once, where they allow it."""
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Loop):
            around, innermost = _descend(statement)
            facts = analyse(innermost.body, {})
            if _may_split(innermost, facts):
                result.extend(_split(around, innermost, chains, facts, names))
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


def _may_split(loop: Loop, facts: Body) -> bool:
    """Whether a loop does nothing but collect in registers, and long enough."""
    registers = facts.outer_registers()
    simple = all(isinstance(part, (Let, Assign)) for part in loop.body)
    long = (trips(loop) or 0) >= SHORTEST and loop.start == 0 and loop.step == 1
    return simple and long and bool(registers) and all(map(facts.combine, registers))


def _split(
    around: list[Loop], loop: Loop, chains: int, facts: Body, names: Names
) -> list[Statement]:
    registers = facts.outer_registers()
    operations = {register: facts.combine(register) or "add" for register in registers}
    others = {
        register: [Register(f"{register.name}_{n}", register.dtype) for n in range(1, chains)]
        for register in registers
    }
    declared: list[Statement] = [
        Declare(other, identity(operations[register], register.dtype))
        for register in registers
        for other in others[register]
    ]
    copies = list(loop.body)
    for number in range(1, chains):
        places = {register: (others[register][number - 1], ()) for register in registers}
        copies += _copy(loop, number, places, names)
    count = trips(loop) or 0
    main = count // chains * chains
    loops: list[Statement] = [Loop(loop.variable, 0, main, chains, tuple(copies))]
    if main < count:
        loops += renamed([Loop(loop.variable, main, count, 1, loop.body)], names)
    for one in reversed(around):
        loops = [replace(one, body=tuple(loops))]
    sums = [
        Assign(register, (), _total(operations[register], [register, *others[register]]))
        for register in registers
    ]
    return [*declared, *loops, *sums]


def _copy(
    loop: Loop, number: int, places: dict[Register, tuple[Register, tuple[()]]], names: Names
) -> list[Statement]:
    """Returns the loop's body for the iteration `number` steps on, in registers of its own."""
    variables: dict[str, Expression] = {loop.variable.name: plus(loop.variable, whole(number))}
    change = Substitution(variables, places)
    result: list[Statement] = []
    for statement in loop.body:
        new = rebuild(statement, change)
        if isinstance(new, Let):
            variable = Variable(names.fresh(new.variable.name), new.variable.dtype)
            variables[new.variable.name] = variable
            new = Let(variable, new.value)
        elif isinstance(new, Assign):
            new = Assign(places[new.register][0], (), new.value)
        result.append(new)
    return result


def _total(operation: str, registers: list[Register]) -> Expression:
    parts: list[Expression] = [Read(register) for register in registers]
    while len(parts) > 1:
        parts = [Binary(operation, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]
