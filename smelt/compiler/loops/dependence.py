"""Dependence analysis: what a loop body reads and writes, and so which loops may run in any order.

An access knows how far apart the elements are that neighboring iterations of a loop touch (its
`stride`). A loop carries no dependence when no two of its iterations touch a common element that
either writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from smelt.dtypes import DType, int64
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    COSTS,
    REDUCE,
    Assign,
    Binary,
    Buffer,
    Declare,
    Expression,
    Fma,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Statement,
    Store,
    children,
    trip_count,
)
from smelt.ir.visit import Body, Index, names_in

COSTLY_WORK = 8  # of any operation that costs more than an addition, with vectors


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store in a body."""

    buffer: Buffer
    index: Index
    affine_index: tuple[Affine | None, ...]  # the index, axis by axis; None: not affine
    non_affine: frozenset[str]  # variables in axes whose index is not affine
    is_store: bool
    is_masked: bool
    trips: int  # how often it runs for one run of the body
    strides: Mapping[str, int]  # elements to step over for one step of a variable

    def stride(self, name: str) -> int | None:
        """Returns how many elements one step of a variable moves; None if that varies."""
        return None if name in self.non_affine else self.strides.get(name, 0)


@dataclass(slots=True)
class RegisterUse:
    """How a body uses registers."""

    assigns: dict[Register, list[Assign]] = field(default_factory=dict)
    reads: Counter[Register] = field(default_factory=Counter)  # how many places read it
    declared: set[Register] = field(default_factory=set)

    @property
    def live_in(self) -> list[Register]:
        """Registers that the body changes but does not declare: a loop around it carries them."""
        return [register for register in self.assigns if register not in self.declared]

    @property
    def reductions(self) -> dict[Register, str | None]:
        """What each live-in register accumulates with; None when it does anything else."""
        return {register: self._reduction(register) for register in self.live_in}

    def _reduction(self, register: Register) -> str | None:
        assigns = self.assigns[register]
        if register.shape or len(assigns) != 1 or self.reads[register] != 1:
            return None
        match assigns[0].value:
            case Fma(c=Read(register=read)) if read is register:
                return "add"
            case Binary(op=op, a=Read(register=read)) if read is register and op in REDUCE:
                return op
        return None


class DependenceInfo:
    """All that loop optimization asks about a list of statements; it is not changed once made.

    `around` are the trip counts of the loops around. `true_trips` replace them in the question
    whether iterations meet, if a nest is judged by other extents than it has.
    """

    def __init__(
        self,
        body: Body,
        around: Mapping[str, int],
        true_trips: Mapping[str, int] | None = None,
    ) -> None:
        self.accesses: list[Access] = []
        self.scratches: set[Buffer] = set()
        self.registers = RegisterUse()
        self.trip_counts = dict(around)  # of the loops around and inside
        self.true_trips = true_trips or self.trip_counts
        self.inner_loops: set[str] = set()
        self.origins: dict[str, frozenset[str]] = {}  # the loop variables that a let depends on
        self.vector_dtypes: set[DType] = set()  # that are loaded, stored or accumulated
        self.work = 0  # arithmetic operations of one run
        self.innermost_work = 1  # operations of one iteration of the innermost loops
        self._lets: dict[str, Affine | None] = {}  # what lets of indices stand for
        self._block(body, 1)
        stored = {access.buffer: list[Access]() for access in self.accesses if access.is_store}
        for access in self.accesses:
            if access.buffer in stored:
                stored[access.buffer].append(access)
        self.written = stored  # accesses to the buffers that are stored to

    @property
    def has_loops(self) -> bool:
        """Whether there are loops inside."""
        return bool(self.inner_loops)

    def carries_no_dependence(self, name: str) -> bool:
        """Tells whether iterations of a loop around this body share no element that one writes."""
        return self._iterations_are_apart(name) and not self.registers.live_in

    def is_reduction(self, name: str) -> bool:
        """Tells the same, except that registers from outside may accumulate sums and the like."""
        is_reduction = None not in self.registers.reductions.values()
        return self._iterations_are_apart(name) and is_reduction

    def _iterations_are_apart(self, name: str) -> bool:
        return all(self._no_conflict(accesses, name) for accesses in self.written.values())

    def _no_conflict(self, accesses: list[Access], name: str) -> bool:
        """Whether no two accesses to a buffer, in different iterations of the loop, meet."""
        first = accesses[0]
        if first.buffer in self.scratches:
            return True
        return any(
            index is not None
            and self._is_injective(index, name)
            and all(access.affine_index[axis] == index for access in accesses)
            for axis, index in enumerate(first.affine_index)
        )

    def _is_injective(self, index: Affine, name: str) -> bool:
        """Whether an index alone determines the iteration of the loop.

        It does if it counts like a clock: each variable's step is larger than what all variables
        with smaller steps reach together.
        """
        if not index.coefficient(name):
            return False
        reach = 0
        for step, variable in sorted((abs(step), other) for other, step in index.terms.items()):
            if variable in self.trip_counts:
                if step <= reach:
                    return False
                reach += step * max(self.true_trips[variable] - 1, 0)
        return True

    # --- statements; `trips` is how often they run for one run of the body ------------------------

    def _block(self, body: Body, trips: int) -> None:
        for statement in body:
            self._statement(statement, trips)

    def _statement(self, statement: Statement, trips: int) -> None:
        match statement:
            case Let(variable=variable, value=value):
                self._expression(value, trips)
                self.origins[variable.name] = self._loop_variables(value)
                if value.dtype is int64:
                    self._lets[variable.name] = affine(value, self._lets)
            case Store(buffer=buffer, index=index, value=value, mask=mask):
                self._access(buffer, index, mask, True, trips)
                self._expression(value, trips)
            case Assign(register=register, value=value):
                self.registers.assigns.setdefault(register, []).append(statement)
                self._expression(value, trips)
            case Declare(register=register, start=start):
                self.registers.declared.add(register)
                self.vector_dtypes.add(register.dtype)
                self._expression(start, trips)
            case Scratch(buffer=buffer):
                self.scratches.add(buffer)
            case Loop():
                self._loop(statement, trips)

    def _loop(self, loop: Loop, trips: int) -> None:
        self.trip_counts[loop.variable.name] = trip_count(loop)
        self.inner_loops.add(loop.variable.name)
        inside = trips * trip_count(loop)
        before = self.work
        self._block(loop.body, inside)
        if not any(isinstance(part, Loop) for part in loop.body):
            once = (self.work - before) // max(inside, 1)
            self.innermost_work = max(self.innermost_work, once)

    # --- expressions ------------------------------------------------------------------------------

    def _expression(self, expression: Expression, trips: int) -> None:
        if isinstance(expression, Load):
            self._access(expression.buffer, expression.index, expression.mask, False, trips)
        elif isinstance(expression, Read):
            self.registers.reads[expression.register] += 1
        else:
            parts = children(expression)
            if parts:
                is_costly = getattr(expression, "op", "") in COSTS and expression.dtype.is_float
                self.work += trips * (COSTLY_WORK if is_costly else 1)
                for part in parts:
                    self._expression(part, trips)

    def _access(
        self, buffer: Buffer, index: Index, mask: Expression | None, is_store: bool, trips: int
    ) -> None:
        affine_index = tuple([affine(part, self._lets) for part in index])
        non_affine: set[str] = set()
        strides: dict[str, int] = {}
        for part, known, stride in zip(index, affine_index, buffer.strides, strict=True):
            if known is None:
                non_affine |= self._loop_variables(part)
                self._indirect_loads(part, trips)
            else:
                for name, coefficient in known.terms.items():
                    strides[name] = strides.get(name, 0) + coefficient * stride
        is_masked = mask is not None
        if mask is not None:
            self._expression(mask, trips)
        if buffer.dtype is not int64 or is_store:
            self.vector_dtypes.add(buffer.dtype)
        variables = frozenset(non_affine)
        self.accesses.append(
            Access(buffer, index, affine_index, variables, is_store, is_masked, trips, strides)
        )

    def _indirect_loads(self, index: Expression, trips: int) -> None:
        """Notes the loads inside of an index that is not affine."""
        stack = [index]
        while stack:
            part = stack.pop()
            if type(part) is Load:
                self._access(part.buffer, part.index, part.mask, False, trips)
            else:
                if type(part) is Read:
                    self._expression(part, trips)
                stack.extend(children(part))

    def _loop_variables(self, expression: Expression) -> frozenset[str]:
        """Returns the loop variables that an expression depends on, through lets."""
        return frozenset(self._through_lets(expression))

    def _through_lets(self, expression: Expression) -> Iterator[str]:
        for name in names_in(expression):
            yield from self.origins.get(name, (name,))
