"""What a loop body reads and writes, and so which of its loops may run in any order.

An access knows how far apart the elements are that neighbouring iterations of a loop touch (its
`stride`). A loop is *independent* when no two of its iterations touch a common element that either
writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from smelt.dtypes import DType, int64
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    REDUCE,
    Assign,
    Binary,
    Buffer,
    Declare,
    Expression,
    Fma,
    If,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Statement,
    Store,
    Transpose,
    Variable,
    children,
)

UNKNOWN_TRIPS = 16  # how often a loop with computed bounds is thought to run
_SLOW = "exp log sin cos tanh erf log1p expm1 pow atan2 div sqrt mod floordiv"
COSTLY = frozenset(_SLOW.split())
COSTLY_PRICE = 8  # what a costly operation counts, in plain ones


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store in a body."""

    buffer: Buffer
    index: tuple[Expression, ...]
    sums: tuple[Affine | None, ...]  # the index, axis by axis
    hidden: frozenset[str]  # variables in axes that are no sum
    stored: bool
    masked: bool
    trips: int  # how often it runs for one run of the body
    terms: Mapping[str, int]  # elements to step over for one step of a variable

    @property
    def hidden_last(self) -> bool:
        """Whether the index along the last axis is no sum."""
        return not self.sums or self.sums[-1] is None

    def stride(self, name: str) -> int | None:
        """Returns how many elements one step of a variable goes; None when it is not regular."""
        return None if name in self.hidden else self.terms.get(name, 0)


@dataclass(slots=True)
class Body:
    """All that the scheduler asks about a list of statements."""

    accesses: list[Access] = field(default_factory=list)
    work: int = 0  # arithmetic operations of one run
    assigned: dict[Register, list[Assign]] = field(default_factory=dict)
    reads: dict[Register, int] = field(default_factory=dict)  # how many places read it
    declared: set[Register] = field(default_factory=set)
    scratches: set[Buffer] = field(default_factory=set)
    loops: dict[str, int] = field(default_factory=dict)  # loops around and inside, and their trips
    steering: set[str] = field(default_factory=set)  # variables in bounds and conditions
    wides: set[DType] = field(default_factory=set)  # dtypes that are loaded, stored or accumulated
    inner: set[str] = field(default_factory=set)  # the loops inside
    deepest_work: int = 1  # operations of one run of the innermost loops
    movable: bool = True  # nothing in it that only its author may place
    written: dict[Buffer, list[Access]] = field(default_factory=dict)
    roots: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def has_loops(self) -> bool:
        """Whether there are loops inside."""
        return bool(self.inner)

    def outer_registers(self) -> list[Register]:
        """Returns the registers that it changes but does not declare."""
        return [register for register in self.assigned if register not in self.declared]

    def independent(self, name: str) -> bool:
        """Tells whether iterations of a loop around this body share no element that one writes."""
        return (
            self.movable
            and all(self._apart(accesses, name) for accesses in self.written.values())
            and not self.outer_registers()
        )

    def reducible(self, name: str) -> bool:
        """Tells the same, except that registers of outside may collect sums and the like."""
        return (
            self.movable
            and all(self._apart(accesses, name) for accesses in self.written.values())
            and all(self.combine(register) for register in self.outer_registers())
        )

    def combine(self, register: Register) -> str | None:
        """Returns the operation that a register collects with, when it does nothing else."""
        assigns = self.assigned[register]
        if register.shape or len(assigns) != 1 or self.reads.get(register) != 1:
            return None
        match assigns[0].value:
            case Fma(c=Read(register=read)) if read is register:
                return "add"
            case Binary(op=op, a=Read(register=read)) if read is register and op in REDUCE:
                return op
        return None

    def _apart(self, accesses: list[Access], name: str) -> bool:
        """One buffer's accesses: none meets another one of a different step of the loop."""
        first = accesses[0]
        if first.buffer in self.scratches:
            return True
        for axis, total in enumerate(first.sums):
            if total is None or not total.coefficient(name):
                continue
            alone = not any(other in self.loops and other != name for other in total.terms)
            if alone and all(access.sums[axis] == total for access in accesses):
                return True
        if any(access.index != first.index for access in accesses[1:]):
            return False
        return any(total is not None and self._tells(total, name) for total in first.sums)

    def _tells(self, total: Affine, name: str) -> bool:
        """Whether an index alone says which step of the loop it belongs to.

        It does when it counts like a clock: each variable steps over all that smaller ones reach.
        """
        if not total.coefficient(name):
            return False
        reach = 0
        ordered = sorted((abs(step), other) for other, step in total.terms.items())
        for step, other in ordered:
            if other in self.loops:
                if step <= reach:
                    return False
                reach += step * max(self.loops[other] - 1, 0)
        return True


def analyse(statements: tuple[Statement, ...], around: Mapping[str, int]) -> Body:
    """Returns what there is to know about a body; `around` are the loops around it, with trips."""
    body = Body(loops=dict(around))
    _Walker(body).block(statements, 1)
    stored = {access.buffer for access in body.accesses if access.stored}
    for access in body.accesses:
        if access.buffer in stored:
            body.written.setdefault(access.buffer, []).append(access)
    return body


def trips(loop: Loop) -> int | None:
    """Returns how often a loop runs, or None when its bounds are computed."""
    if isinstance(loop.start, int) and isinstance(loop.stop, int):
        return max(0, -(-(loop.stop - loop.start) // loop.step))
    return None


def names_in(expression: Expression) -> Iterator[str]:
    """Yields the names of the variables in an expression."""
    stack = [expression]
    while stack:
        part = stack.pop()
        if type(part) is Variable:
            yield part.name
        else:
            stack.extend(children(part))


class _Walker:
    def __init__(self, body: Body) -> None:
        self.body = body
        self.sums: dict[str, Affine | None] = {}  # int64 lets

    def block(self, statements: tuple[Statement, ...], count: int) -> None:
        for statement in statements:
            self.statement(statement, count)

    def statement(self, statement: Statement, count: int) -> None:
        body = self.body
        match statement:
            case Let(variable=variable, value=value):
                self.expression(value, count)
                body.roots[variable.name] = self.roots(value)
                if value.dtype is int64:
                    self.sums[variable.name] = affine(value, self.sums)
            case Store(buffer=buffer, index=index, value=value, mask=mask):
                self.access(buffer, index, mask, True, count)
                self.expression(value, count)
            case Assign(register=register, value=value):
                body.assigned.setdefault(register, []).append(statement)
                self.expression(value, count)
            case Declare(register=register, start=start):
                body.declared.add(register)
                body.wides.add(register.dtype)
                self.expression(start, count)
            case Scratch(buffer=buffer):
                body.scratches.add(buffer)
            case Loop():
                self.loop(statement, count)
            case If(condition=condition, body=inner):
                body.steering |= self.roots(condition)
                self.expression(condition, count)
                self.block(inner, count)
            case Transpose():
                body.movable = False

    def loop(self, loop: Loop, count: int) -> None:
        for bound in (loop.start, loop.stop):
            if not isinstance(bound, int):
                self.body.steering |= self.roots(bound)
        times = trips(loop)
        self.body.loops[loop.variable.name] = (1 << 40) if times is None else times
        self.body.inner.add(loop.variable.name)
        runs = count * (UNKNOWN_TRIPS if times is None else times)
        before = self.body.work
        self.block(loop.body, runs)
        if not any(isinstance(part, Loop) for part in loop.body):
            once = (self.body.work - before) // max(runs, 1)
            self.body.deepest_work = max(self.body.deepest_work, once)

    def expression(self, expression: Expression, count: int) -> None:
        if isinstance(expression, Load):
            self.access(expression.buffer, expression.index, expression.mask, False, count)
        elif isinstance(expression, Read):
            reads = self.body.reads
            reads[expression.register] = reads.get(expression.register, 0) + 1
        else:
            parts = children(expression)
            if parts:
                costly = getattr(expression, "op", None) in COSTLY and expression.dtype.is_float
                self.body.work += count * (COSTLY_PRICE if costly else 1)
                for part in parts:
                    self.expression(part, count)

    def access(
        self,
        buffer: Buffer,
        index: tuple[Expression, ...],
        mask: Expression | None,
        stored: bool,
        count: int,
    ) -> None:
        sums = tuple(affine(part, self.sums) for part in index)
        hidden: set[str] = set()
        terms: dict[str, int] = {}
        for part, total, stride in zip(index, sums, buffer.strides, strict=True):
            if total is None:
                hidden |= self.roots(part)
                self.gathered(part, count)
            else:
                for name, coefficient in total.terms.items():
                    terms[name] = terms.get(name, 0) + coefficient * stride
        if mask is not None:
            self.expression(mask, count)
        if buffer.dtype is not int64 or stored:
            self.body.wides.add(buffer.dtype)
        self.body.accesses.append(
            Access(buffer, index, sums, frozenset(hidden), stored, mask is not None, count, terms)
        )

    def gathered(self, index: Expression, count: int) -> None:
        """Notes the loads inside of an index that is no sum."""
        stack = [index]
        while stack:
            part = stack.pop()
            if type(part) is Load:
                self.access(part.buffer, part.index, part.mask, False, count)
            else:
                if type(part) is Read:
                    self.expression(part, count)
                stack.extend(children(part))

    def roots(self, expression: Expression) -> frozenset[str]:
        """Returns the loop variables that an expression depends on, through lets."""
        found: set[str] = set()
        for name in names_in(expression):
            found |= self.body.roots.get(name, frozenset((name,)))
        return frozenset(found)
