"""A step as the back ends see it: kernels in order, on slots of memory and one arena."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from smelt.dtypes import DType
from smelt.ir.loops import Kernel


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """The memory of one array of a step.

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

    Each buffer begins `offsets` bytes into its slot; no offsets means all are 0.
    """

    kernel: Kernel
    slots: tuple[Slot, ...]
    offsets: tuple[int, ...] = ()

    @property
    def places(self) -> list[tuple[Slot, int]]:
        """The slot of each buffer, and the buffer's offset in bytes."""
        return list(zip(self.slots, self.offsets or (0,) * len(self.slots), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """Ends the step with code `number + 1` when the status slot (one int64) is not zero."""

    slot: Slot
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """Where a slot of a region lies in `outer`: at byte `start + iteration * stride`, plus
    `chunk * chunk_stride` in a loop that runs in chunks.
    """

    inner: Slot
    outer: Slot
    start: int = 0
    stride: int = 0
    chunk_stride: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A program that runs within another one, in that one's memory.

    All its slots are bound, except those of its arena, which lies in `arena`. In a loop that runs
    in chunks each chunk has its own arena, one after the other.
    """

    program: Program
    bindings: tuple[Binding, ...]
    arena: Slot | None


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """A region that runs `trip_count` times, or, if that is None, while `flag` (a bool) holds.

    With several `chunks` the whole loop runs once per chunk, each on its own memory, in any order
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
    """A collective function of MPI on slots of memory: all ranks call it.

    `source` is sent, `target` received; `count` is the number of elements (of the smaller one where
    they differ). `op` is the name of a reduction, `root` the rank that broadcasts. A nonblocking
    operation has a `request`, its number in the program, by which it is waited for.
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
    """Lets MPI make progress on the nonblocking operation of a request."""

    request: int


@dataclass(frozen=True, slots=True, eq=False)
class Sections:
    """Calls that may run in any order, or at the same time: none writes what another one touches.

    The name is OpenMP's. `order` has the numbers of the calls, the one with the longest iterations
    first.
    """

    calls: tuple[Call, ...]
    order: tuple[int, ...]


Part = Call | Check | Repeat | Branch | Collective | Progress | Sections


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A whole step: its slots, the bytes of its arena, and what runs in order.

    It `is_dynamic` when arguments have symbolic extents, so that it serves more than one shape. It
    then takes their values as parameters, whether it uses them or not.
    """

    name: str
    slots: tuple[Slot, ...]
    arena_bytes: int
    body: tuple[Part, ...]
    is_dynamic: bool = False

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Each kernel once, in order of first use, including those of regions."""
        return tuple(dict.fromkeys(call.kernel for call in calls(self)))


def runs_in_parallel(program: Program) -> bool:
    """Returns whether a kernel or a loop of a program is split among threads."""
    kernels = any(kernel.parallel for kernel in program.kernels)
    return kernels or next(loops_in_chunks(program), None) is not None


def loops_in_chunks(program: Program) -> Iterator[Repeat]:
    """Yields the loops of a program and of its regions that run in chunks."""
    for part in program.body:
        if isinstance(part, Repeat) and part.chunks > 1:
            yield part
        for region in regions(part):
            yield from loops_in_chunks(region.program)


def all_sections(program: Program) -> Iterator[Sections]:
    """Yields the sections of a program and of its regions."""
    for part in program.body:
        if isinstance(part, Sections):
            yield part
        for region in regions(part):
            yield from all_sections(region.program)


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
        yield from own_calls(part)
        for region in regions(part):
            yield from calls(region.program)


def own_calls(part: Part) -> tuple[Call, ...]:
    """Returns the calls of a part that are in no region of it."""
    match part:
        case Call():
            return (part,)
        case Sections(calls=several):
            return several
    return ()


def regions(part: Part) -> tuple[Region, ...]:
    """Returns the regions of a part of a program; a call or a check has none."""
    match part:
        case Repeat(region=region):
            return (region,)
        case Branch(yes=yes, no=no):
            return (yes, no)
    return ()


def _only(several: tuple[Call, ...]) -> Call:
    (call,) = several  # sections are made when calls are no longer split
    return call


def with_kernels(program: Program, new: Mapping[Kernel, Kernel]) -> Program:
    """Returns the program with its kernels replaced, also in its regions."""

    return with_calls(program, lambda call: (replace(call, kernel=new[call.kernel]),))


def with_calls(program: Program, change: Callable[[Call], tuple[Call, ...]]) -> Program:
    """Returns the program with each call replaced by `change(call)`, also in its regions."""

    def region(one: Region) -> Region:
        return replace(one, program=with_calls(one.program, change))

    def changed(part: Part) -> tuple[Part, ...]:
        match part:
            case Call():
                return change(part)
            case Sections():
                return (replace(part, calls=tuple([_only(change(call)) for call in part.calls])),)
            case Repeat():
                return (replace(part, region=region(part.region)),)
            case Branch():
                return (replace(part, yes=region(part.yes), no=region(part.no)),)
        return (part,)

    return replace(program, body=tuple([one for part in program.body for one in changed(part)]))
