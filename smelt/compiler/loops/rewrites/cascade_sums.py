"""Cascade sums: a long sum becomes a sum of the sums of pieces, for smaller rounding errors.

Before:

    acc: float32 = 0.0
    for k in range(0, 300):
        acc = acc + x[k, j]

After:

    acc: float32 = 0.0
    for k0 in range(0, 300, 128):
        acc_part: float32 = 0.0
        for k in range(k0, minimum(k0 + 128, 300)):
            acc_part = acc_part + x[k, j]
        acc = acc + acc_part

It runs after the plans, on the loops that these made. A register, of one number or of a tile of
vectors, is added to at most LONG times in a row. A tile of products leaves no registers free for a
second one, which would go through memory for each piece: there the limit is DEEP, and the products
of most networks are not so deep. (NumPy and PyTorch sum in pairs.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from smelt.compiler.loops.rewrites.hoist_loads import unroll
from smelt.compiler.loops.substitute import Names, identity
from smelt.compiler.loops.tile_sizes import size_class
from smelt.ir.loops import (
    Assign,
    Binary,
    Declare,
    Expression,
    Fma,
    If,
    Loop,
    Read,
    Register,
    Select,
    Statement,
    index_variable,
    trip_count,
    walk,
)
from smelt.ir.symbolic import is_symbolic
from smelt.ir.visit import Body, Transformer, expressions, statements

LONG = 128  # additions in a row, for the size class of a loop
DEEP = 2048  # the same for products in a tile of more sums than NARROW
NARROW = 4

Additions = dict[Register, int]  # how often each register is added to


def cascade_sums(body: Body, names: Names) -> Body:
    """Returns statements in which no register is added to too often in a row."""
    return _Cascade(names).block(body)[0]


class _Cascade:
    def __init__(self, names: Names) -> None:
        self.names = names

    def block(self, body: Body) -> tuple[Body, Additions]:
        """Returns statements with short sums, and the additions to registers from outside them."""
        result: list[Statement] = []
        additions: Additions = {}
        for statement in body:
            made, found = self.statement(statement)
            result += made
            for register, count in found.items():  # a tail makes no difference
                additions[register] = max(additions.get(register, 0), count)
        for statement in body:
            if isinstance(statement, Declare):
                additions.pop(statement.register, None)
        return tuple(result), additions

    def statement(self, statement: Statement) -> tuple[Body, Additions]:
        """Returns the same for one statement."""
        if isinstance(statement, Loop):
            return self.loop(statement)
        if isinstance(statement, If):
            body, additions = self.block(statement.body)
            return (replace(statement, body=body),), additions
        if isinstance(statement, Assign) and statement.register.dtype.is_float:
            return (statement,), {statement.register: 1}
        return (statement,), {}

    def loop(self, loop: Loop) -> tuple[Body, Additions]:
        """Returns the same for a loop: itself, or pieces of it."""
        body, additions = self.block(loop.body)
        loop = replace(loop, body=body)
        sums = [register for register in additions if _is_sum(register, body)]
        if loop.kind != "serial" or not sums or not _is_counted(loop):
            return (loop,), additions
        once, long = max(additions.values()), _longest(sums, body)
        trips = size_class(trip_count(loop))
        if trips * once <= long:
            return (loop,), {register: n * trips for register, n in additions.items()}
        return self.pieces(loop, sums, _piece_size(once, long))

    def pieces(self, loop: Loop, sums: Sequence[Register], size: int) -> tuple[Body, Additions]:
        """Cuts a loop into pieces of `size` iterations; the last may be shorter."""
        first = index_variable(self.names.fresh(f"{loop.variable.name}0"))
        stop = first + size * loop.step
        trips = trip_count(loop)
        if is_symbolic(trips) or trips % size:
            stop = stop.minimum(loop.stop)
        body = self.piece(replace(loop, start=first, stop=stop), sums)
        # there may be many pieces, which are cut again
        return self.loop(Loop(first, loop.start, loop.stop, size * loop.step, body))

    def piece(self, loop: Loop, sums: Sequence[Register]) -> Body:
        """Returns a loop that sums in registers of its own, then adds these to the sums."""
        fresh = self.names.fresh
        parts = {sum_: replace(sum_, name=fresh(f"{sum_.name}_part")) for sum_ in sums}
        before = [Declare(part, identity("add", part.dtype)) for part in parts.values()]
        body = _Instead(parts).block((loop,))
        after = [statement for pair in parts.items() for statement in self.added(*pair)]
        return (*before, *body, *after)

    def added(self, register: Register, part: Register) -> list[Statement]:
        """Returns `register += part`, element by element."""
        axes = [(index_variable(self.names.fresh("e")), count) for count in register.shape]
        index: tuple[Expression, ...] = tuple([variable for variable, _ in axes])
        total = Binary("add", Read(register, index), Read(part, index))
        return unroll((Assign(register, index, total),), axes)


def _is_counted(loop: Loop) -> bool:
    return isinstance(loop.start, int) and isinstance(loop.stop, int)


def _piece_size(once: int, longest: int) -> int:
    """Returns how many iterations with `once` additions each make a piece: a power of two."""
    size = 1
    while 2 * size * once <= longest:
        size *= 2
    return size


def _longest(sums: Sequence[Register], body: Body) -> int:
    """Returns how long sums may be."""
    is_wide = sum(math.prod(register.shape) for register in sums) > NARROW
    has_products = any(type(part) is Fma for root in expressions(body) for part in walk(root))
    return DEEP if is_wide and has_products else LONG


def _is_sum(register: Register, body: Body) -> bool:
    """Whether a body only ever adds to a register."""
    assigns = [
        part for part in statements(body) if isinstance(part, Assign) and part.register is register
    ]
    reads = sum(
        type(part) is Read and part.register is register
        for expression in expressions(body)
        for part in walk(expression)
    )
    own = [_reads_of_sum(assign) for assign in assigns]
    return all(own) and sum(own) == reads


def _reads_of_sum(assign: Assign) -> int:
    """Returns how often an assignment reads its own register if it adds to it, else 0."""
    old = Read(assign.register, assign.index)
    value, reads = assign.value, 1
    if isinstance(value, Select) and value.no == old:
        value, reads = value.yes, 2
    match value:
        case Fma(c=read) if read == old:
            return reads
        case Binary(op="add", a=read) if read == old:
            return reads
    return 0


class _Instead(Transformer):
    """Replaces registers by others of the same kind."""

    def __init__(self, registers: Mapping[Register, Register]) -> None:
        super().__init__()
        self.registers = registers

    def assign(self, assign: Assign) -> Body:
        (made,) = super().assign(assign)
        assert isinstance(made, Assign)
        return (replace(made, register=self.registers.get(made.register, made.register)),)

    def read(self, read: Read) -> Expression:
        register = self.registers.get(read.register, read.register)
        return Read(register, self.all(read.index))
