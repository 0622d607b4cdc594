"""A step as the back ends see it: kernels in order, over slots of memory and one arena."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from smelt.dtypes import DType
from smelt.ir.loops import Kernel


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A place for one array of a step, and how long it lives.

    `kind` says who owns the memory: "argument" (the caller, read only), "state" (kept between
    calls, updated in place), "result" (a fresh array per call), "constant" (baked in), "arena" (at
    `offset` bytes in the step's one block of temporaries), "status" (one int64 per check).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    kind: str
    number: int  # which argument, state, result, constant or check
    offset: int = 0  # bytes into the arena

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes."""
        return self.dtype.itemsize * math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One kernel applied to slots, in the order of `kernel.buffers`.

    A buffer lies `offsets` bytes behind the beginning of its slot; without offsets they all are 0.
    """

    kernel: Kernel
    slots: tuple[Slot, ...]
    offsets: tuple[int, ...] = ()

    @property
    def places(self) -> list[tuple[Slot, int]]:
        """The slot of each buffer, and the bytes before it."""
        return list(zip(self.slots, self.offsets or (0,) * len(self.slots), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """Ends the step with code `number + 1` when the status slot (one int64) is not zero."""

    slot: Slot
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """Where a slot of a region lies: in `outer`, `start + iteration * stride` bytes on; in a loop
    that runs in chunks, `chunk * chunk_stride` besides.
    """

    inner: Slot
    outer: Slot
    start: int = 0
    stride: int = 0
    chunk_stride: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A program that runs within another one, in memory of that one.

    All its slots are bound but those of its arena, which lies in `arena`; in a loop that runs in
    chunks, each has an arena, one behind the other.
    """

    program: Program
    bindings: tuple[Binding, ...]
    arena: Slot | None


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A region run `trip_count` times; if that is None, as long as `flag` (a bool) holds before.

    With several `chunks` the whole loop runs for each of them, on memory of its own: in any order,
    or at the same time.
    """

    region: Region
    trip_count: int | None
    flag: Slot | None = None
    chunks: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One of two regions: `yes` if `flag` (a bool) holds."""

    flag: Slot
    yes: Region
    no: Region


@dataclass(frozen=True, slots=True, eq=False)
class Collective:
    """A function of MPI on slots of memory, which all ranks call.

    `function` names it; `source` is sent and `target` received, `count` elements of one of them (of
    the smaller, where their sizes differ). `op` is the name of a reduction, `root` the rank that a
    broadcast comes from. What is begun and waited for has a `request`, its number in the program.
    """

    function: str
    source: Slot
    target: Slot
    count: int
    op: str = "sum"
    root: int = 0
    request: int = 0

    @property
    def text(self) -> str:
        """What all ranks must agree on."""
        what = f"{self.op}, {self.root}" if self.root else self.op
        return f"{self.function}({self.count} of {self.source.dtype.name}, {what})"


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """Lets MPI go on with what was begun under a request, if it wants to."""

    request: int


Part = Call | Check | Repeat | Branch | Collective | Progress


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A whole step: its slots, the bytes of its arena, and what runs in order.

    It `is_dynamic` when arguments have symbolic extents, so that it serves more than one shape: it
    gets their numbers as parameters then, whether it uses them or not.
    """

    name: str
    slots: tuple[Slot, ...]
    arena_bytes: int
    body: tuple[Part, ...]
    is_dynamic: bool = False

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Each different kernel once, in order of first use, also those of regions."""
        return tuple(dict.fromkeys(call.kernel for call in calls(self)))


def runs_in_parallel(program: Program) -> bool:
    """Returns whether threads share a kernel or a loop of a program."""
    kernels = any(kernel.parallel for kernel in program.kernels)
    return kernels or next(loops_in_chunks(program), None) is not None


def loops_in_chunks(program: Program) -> Iterator[Repeat]:
    """Yields the loops of a program and of its regions that run in chunks."""
    for part in program.body:
        if isinstance(part, Repeat) and part.chunks > 1:
            yield part
        for region in regions(part):
            yield from loops_in_chunks(region.program)


def collectives(program: Program) -> list[Collective]:
    """Returns the collectives of a program and of its regions, in order."""
    found = []
    for part in program.body:
        found += [part] if isinstance(part, Collective) else []
        found += [one for region in regions(part) for one in collectives(region.program)]
    return found


def agreed_text(program: Program) -> str:
    """Returns what must be the same on all ranks that run a program together: its collectives, and
    how often loops run those within. When a rank waits for what all have begun is its own affair.
    """
    lines = []
    for part in program.body:
        if isinstance(part, Collective) and part.function != "MPI_Wait":
            lines.append(part.text)
        inner = [agreed_text(region.program) for region in regions(part)]
        if any(inner):
            count = part.trip_count if isinstance(part, Repeat) else None
            lines.append(
                "as long as all agree, or of a branch:" if count is None else f"{int(count)} times:"
            )
            lines += [f"  {line}" for text in inner for line in (*text.splitlines(), "end")]
    return "\n".join(lines)


def calls(program: Program) -> Iterator[Call]:
    """Yields the calls of a program and of its regions, in order."""
    for part in program.body:
        if isinstance(part, Call):
            yield part
        for region in regions(part):
            yield from calls(region.program)


def regions(part: Part) -> tuple[Region, ...]:
    """Returns the regions of a part of a program: none of a call or a check."""
    match part:
        case Repeat(region=region):
            return (region,)
        case Branch(yes=yes, no=no):
            return (yes, no)
    return ()


def with_kernels(program: Program, new: Mapping[Kernel, Kernel]) -> Program:
    """Returns the program with other kernels, also in its regions."""

    return with_calls(program, lambda call: (replace(call, kernel=new[call.kernel]),))


def with_calls(program: Program, change: Callable[[Call], tuple[Call, ...]]) -> Program:
    """Returns the program with other calls in the place of each one, also in its regions."""

    def region(one: Region) -> Region:
        return replace(one, program=with_calls(one.program, change))

    def changed(part: Part) -> tuple[Part, ...]:
        match part:
            case Call():
                return change(part)
            case Repeat():
                return (replace(part, region=region(part.region)),)
            case Branch():
                return (replace(part, yes=region(part.yes), no=region(part.no)),)
        return (part,)

    return replace(program, body=tuple([one for part in program.body for one in changed(part)]))
