"""Chunk loops: a loop over time runs separately for chunks of the batch, which threads share.

Before:                                     after, with two chunks of 32 rows:

    for t in range(0, 32):                      for chunk in range(0, 2):  # in parallel
        for i in range(0, 64): <a[i, ...]>          for t in range(0, 32):
        for i in range(0, 64): <b[i, ...]>              for i in range(0, 32): <a[i, ...]>
                                                        for i in range(0, 32): <b[i, ...]>

Before, threads need a barrier after each kernel of each iteration, which takes longer than the
kernels of a small recurrence; after, they need one. It is done if rows do not depend on each other:
every kernel of the loop walks the rows of what it writes, or all their elements, in order, and only
reads what it does not walk in this way. Then a chunk is a range of bytes of every array, the same
part of each.

The number of chunks depends on the shapes, never on the number of threads. Sums do not change: a
row is computed as before.
"""

from __future__ import annotations

import math
from dataclasses import replace

from smelt.compiler.loops.nest import find_nest
from smelt.ir.loops import (
    Buffer,
    Expression,
    Kernel,
    Loop,
    Statement,
    Variable,
    constant,
)
from smelt.ir.program import Binding, Branch, Call, Part, Program, Region, Repeat, Slot
from smelt.ir.symbolic import is_symbolic, sample
from smelt.ir.visit import Body, Index, Transformer, used_names

LONG = 1 << 20  # operations of a loop that is worth sharing
MOST = 8  # chunks
ROWS = 32  # of a chunk; half as many if there would be one chunk only
ALIGNMENT = 64  # bytes to which the arrays of a chunk are aligned


def chunk_loops(program: Program) -> Program:
    """Returns the program in which loops run for chunks of rows where they can."""
    return replace(program, body=tuple([_part(part) for part in program.body]))


def _part(part: Part) -> Part:
    match part:
        case Repeat():
            return _chunked(part) or replace(part, region=_region(part.region))
        case Branch():
            return replace(part, yes=_region(part.yes), no=_region(part.no))
    return part


def _region(region: Region) -> Region:
    return replace(region, program=chunk_loops(region.program))


def _chunked(part: Repeat) -> Repeat | None:
    """Returns the loop for chunks of its rows, or None if it has none, or is too short."""
    body, arena = part.region.program.body, part.region.program.arena_bytes
    calls = [call for call in body if isinstance(call, Call)]
    if part.flag is not None or len(calls) < len(body) or not calls:
        return None
    statements = [one for call in calls for one in call.kernel.body]
    nests = [find_nest(one) for one in statements if isinstance(one, Loop)]
    if len(nests) < len(statements):
        return None
    work = sum(nest.iterations * nest.info.work for nest in nests)
    if sample(work * (part.trip_count or 0)) < LONG:
        return None
    walked: dict[Slot, bool] = {}  # whether the rows of a slot are walked
    for call in calls:
        found = _walked(call)
        if found is None or any(walked.setdefault(slot, is_so) != is_so for slot, is_so in found):
            return None
    counts = set(map(_rows, statements))
    slots = [slot for slot, is_so in walked.items() if is_so]
    chunks = _count(counts, [slot.offset for slot in slots if slot.kind == "arena"] + [arena])
    if chunks is None or any(slot.kind == "arena" and not is_so for slot, is_so in walked.items()):
        return None
    return _in_chunks(part, calls, set(slots), chunks)


def _rows(statement: Statement) -> int:
    """Returns how many rows a loop walks; 0 if that is not known, or it does not begin at 0."""
    if not isinstance(statement, Loop) or statement.start != 0 or statement.step != 1:
        return 0
    stop = statement.stop
    return stop if isinstance(stop, int) and not is_symbolic(stop) else 0


def _count(rows: set[int], sizes: list[int]) -> int | None:
    """Returns the number of chunks, at least 2, with the same number of rows in each; or None.

    Args:
        rows: what the kernels walk: the rows of a batch, or all their elements.
        sizes: bytes that must be whole cache lines in every chunk.
    """
    least, common = min(rows), math.gcd(*rows)
    fitting = [
        count
        for count in range(2, MOST + 1)
        if common and common % count == 0 and all(n % (count * ALIGNMENT) == 0 for n in sizes)
    ]
    full = [count for count in fitting if least // count >= ROWS]
    return max(full) if full else 2 if 2 in fitting and least >= ROWS else None


# --- who walks rows -------------------------------------------------------------------------------


def _walked(call: Call) -> list[tuple[Slot, bool]] | None:
    """Returns for each slot of a call whether its rows are walked; the others are read, at indices
    that do not depend on the row. None if a slot is neither.
    """
    kernel = call.kernel
    kinds: dict[Buffer, set[bool]] = {buffer: set() for buffer in kernel.buffers}
    for nest in kernel.body:
        assert isinstance(nest, Loop)
        rest = _WithoutRows(nest, kinds).block(nest.body)
        if any(nest.variable.name in used_names(statement) for statement in rest):
            return None  # the row number is used for more than finding the row
    found = []
    for buffer, (slot, offset) in zip(kernel.buffers, call.places, strict=True):
        if kinds[buffer] == {True}:
            is_whole = buffer.size * buffer.dtype.itemsize == slot.nbytes and not buffer.missing
            if not is_whole or offset:
                return None
        elif kinds[buffer] != {False} or buffer in kernel.outputs:
            return None
        found.append((slot, kinds[buffer] == {True}))
    return found


class _WithoutRows(Transformer):
    """Removes the row from the accesses that walk all rows of a buffer, and notes for each buffer
    whether its accesses do.
    """

    def __init__(self, nest: Loop, kinds: dict[Buffer, set[bool]]) -> None:
        super().__init__()
        self.nest = nest
        self.kinds = kinds

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        """Replaces any row by the first."""
        if buffer not in self.kinds:
            return buffer, index
        is_row = bool(index) and self._is_row(index[0]) and buffer.shape[0] == _rows(self.nest)
        self.kinds[buffer].add(is_row)
        return buffer, (constant(0), *index[1:]) if is_row else index

    def _is_row(self, expression: Expression) -> bool:
        return isinstance(expression, Variable) and expression.name == self.nest.variable.name


# --- what a chunk is made of ----------------------------------------------------------------------


def _in_chunks(part: Repeat, calls: list[Call], walked: set[Slot], chunks: int) -> Repeat:
    """Returns the loop with kernels, slots and bindings of one chunk."""
    region = part.region
    slots = {
        slot: _piece(slot, chunks) if slot in walked else slot for slot in region.program.slots
    }
    kernels: dict[Kernel, Kernel] = {}
    body: list[Part] = []
    for call in calls:
        if call.kernel not in kernels:
            buffers = zip(call.kernel.buffers, call.slots, strict=True)
            rows = {buffer for buffer, slot in buffers if slot in walked}
            kernels[call.kernel] = _Shrink(rows, chunks).kernel(call.kernel)
        own = tuple([slots[slot] for slot in call.slots])
        body.append(replace(call, kernel=kernels[call.kernel], slots=own))
    program = replace(
        region.program,
        slots=tuple(slots.values()),
        arena_bytes=region.program.arena_bytes // chunks,
        body=tuple(body),
    )
    bindings = tuple([_bound(binding, slots[binding.inner]) for binding in region.bindings])
    return replace(part, region=replace(region, program=program, bindings=bindings), chunks=chunks)


def _piece(slot: Slot, chunks: int) -> Slot:
    """Returns the slot of one chunk."""
    offset = slot.offset // chunks if slot.kind == "arena" else slot.offset
    return replace(slot, shape=_cut(slot.shape, chunks), offset=offset)


def _cut(shape: tuple[int, ...], chunks: int) -> tuple[int, ...]:
    if shape[0] % chunks:
        return (math.prod(shape) // chunks,)
    return (shape[0] // chunks, *shape[1:])


def _bound(binding: Binding, inner: Slot) -> Binding:
    """Returns the binding of a chunk's slot: each chunk's follows that of the one before."""
    distance = 0 if inner is binding.inner else inner.nbytes
    return replace(binding, inner=inner, chunk_stride=distance)


class _Shrink(Transformer):
    """Makes a kernel that walks a chunk of the rows."""

    def __init__(self, walked: set[Buffer], chunks: int) -> None:
        super().__init__()
        self.chunks = chunks
        self.buffers = {
            buffer: Buffer(buffer.name, _cut(buffer.shape, chunks), buffer.dtype)
            for buffer in walked
        }

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        """Replaces a buffer by that of a chunk."""
        return self.buffers.get(buffer, buffer), index

    def kernel(self, kernel: Kernel) -> Kernel:
        """Returns the kernel of a chunk."""
        body: Body = ()
        for nest in kernel.body:
            assert isinstance(nest, Loop)
            stop = _rows(nest) // self.chunks
            body += (replace(nest, stop=stop, body=self.block(nest.body)),)
        return replace(
            kernel,
            inputs=tuple([self.buffers.get(buffer, buffer) for buffer in kernel.inputs]),
            outputs=tuple([self.buffers.get(buffer, buffer) for buffer in kernel.outputs]),
            body=body,
        )
