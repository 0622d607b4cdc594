"""What a step does around its kernels, in LLVM: the loop over steps, addresses, gathers, checks.

The exported function is

    int64 run(void** table, int64 steps, const int64* advance, int64* control,
              const int64* gathers, int64 gather_count, const int64* order, int64 batch)

`table` holds the address of each slot that is not in the arena, then the arena's, then, for a
program with symbolic lengths, that of its parameters. Before each step `control[0]` is read: if it
is not 0, the function stops. At the end `control[1]` is the number of finished steps. Before step s
each gather (four int64: source, bytes of a row, destination, bytes from a row of the source to the
next) copies the rows `order[s * batch], ...` of its source. After step s slot k moves by
`advance[k]` bytes; `advance` is read only if there are several steps. The result is 0,
or `number + 1` of the check that failed, or DISAGREE of `collectives.py` if the ranks were about to
run different steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from smelt.compiler.codegen.collectives import DISAGREE, Calls
from smelt.compiler.codegen.writer import Module, Writer, integer
from smelt.errors import CompileError
from smelt.ir.loops import Kernel, Loop, trip_count
from smelt.ir.program import (
    Branch,
    Call,
    Check,
    Collective,
    Part,
    Program,
    Progress,
    Region,
    Repeat,
    Sections,
    Slot,
    all_sections,
    collectives,
    loops_in_chunks,
    runs_in_parallel,
)
from smelt.ir.symbolic import is_symbolic

POOL = ("smelt_parallel", "smelt_enter", "smelt_leave")  # what a parallel step calls; see `pool.py`
_PARAMETERS = (
    "ptr %table, i64 %steps, ptr %advance, ptr %control, "
    "ptr %gathers, i64 %gather_count, ptr %order, i64 %batch"
)


def job_name(kernel_name: str) -> str:
    """Returns the name of the function by which the thread pool calls a parallel kernel."""
    return f'{kernel_name[:-1]}.job"'


def emit_job(module: Module, name: str, buffers: int) -> None:
    """Adds `void job(ptr* pointers, int64 begin, int64 end)`, which unpacks the pointers."""
    w = Writer(module)
    pointers = [w.load("ptr", _element(w, "%pointers", k)) for k in range(buffers)]
    operands = [f"ptr {pointer}" for pointer in pointers] + ["i64 %begin", "i64 %end"]
    w.do(f"call void {name}({', '.join(operands)})")
    w.do("ret void")
    parameters = "ptr %pointers, i64 %begin, i64 %end"
    w.finish(f"define internal void {job_name(name)}({parameters}) nounwind")


def emit_step(
    module: Module, program: Program, names: Mapping[Kernel, str], entry: str, threads: bool
) -> None:
    """Adds the exported function; without `threads`, it runs parallel kernels itself."""
    _Step(module, program, names, threads).emit(entry)


def emit_call(module: Module, name: str, entry: str) -> None:
    """Adds `int64 name(int64 arguments[8])`: the same step, with its arguments in one block."""
    w = Writer(module)
    operands = []
    for number, parameter in enumerate(_PARAMETERS.split(", ")):
        type_ = parameter.split()[0]
        place = _element(w, "%block", number)
        operands.append(f"{type_} {w.load(type_, place)}")
    result = w.let(f"call i64 @{entry}({', '.join(operands)})")
    w.do(f"ret i64 {result}")
    w.finish(f"define i64 @{name}(ptr %block) nounwind")


def _element(w: Writer, pointer: str, index: int | str) -> str:
    return w.let(f"getelementptr i64, ptr {pointer}, i64 {index}")


def _runs(part: Repeat) -> bool:
    """Whether a loop is known to run at least once."""
    return not is_symbolic(part.trip_count) and bool(part.trip_count)


def _most_pointers(program: Program) -> int:
    """Returns the largest number of addresses that a job takes."""
    kernels = [len(kernel.buffers) for kernel in program.kernels]
    loops = [len(part.region.bindings) + 1 for part in loops_in_chunks(program)]
    sections = [sum(len(call.slots) for call in part.calls) for part in all_sections(program)]
    return max([*kernels, *loops, *sections], default=0)


def _iterations(loop: Loop) -> int:
    if not (isinstance(loop.start, int) and isinstance(loop.stop, int)):
        raise CompileError(f"the bounds of the parallel loop {loop.variable.name} are unknown")
    return trip_count(loop)


class Parts:
    """The emission of kernels that run in order, on the addresses of their slots."""

    def __init__(
        self, module: Module, program: Program, names: Mapping[Kernel, str], shares: bool
    ) -> None:
        self.writer = Writer(module)
        self.program = program
        self.names = names
        self.shares = shares  # whether threads share parallel work
        self.places: dict[Slot, str] = {}  # addresses of the slots of the region that is written

    def part(self, part: Part, step: str) -> None:
        """Writes one part of the program."""
        assert isinstance(part, Call)
        self.call(part)

    def region(
        self, region: Region, bases: dict[Slot, str], iteration: str, chunk: str = ""
    ) -> None:
        """Writes one iteration of a region: of the whole loop, or of a chunk of it."""
        w, around = self.writer, self.places
        places = {}
        for binding in region.bindings:
            if binding.outer not in bases:  # nothing touches it
                continue
            stride, start = integer(binding.stride).text, integer(binding.start).text
            distance = w.let(f"mul i64 {iteration}, {stride}") if binding.stride else "0"
            begin = w.let(f"add i64 {distance}, {start}") if binding.start else distance
            base = bases[binding.outer]
            if chunk and binding.chunk_stride:
                base = self.moved(base, chunk, binding.chunk_stride)
            places[binding.inner] = w.let(f"getelementptr i8, ptr {base}, i64 {begin}")
        self.places = places | self.temporaries(region, bases, chunk)
        for part in region.program.body:
            self.part(part, "0")
        self.places = around

    def temporaries(self, region: Region, bases: dict[Slot, str], chunk: str) -> dict[Slot, str]:
        """Returns the addresses of the temporaries of a region: in its arena."""
        places = {}
        for slot in region.program.slots:
            if slot.kind == "arena":
                assert region.arena is not None
                arena = bases[region.arena]
                if chunk:
                    arena = self.moved(arena, chunk, region.program.arena_bytes)
                place = f"getelementptr i8, ptr {arena}, i64 {slot.offset}"
                places[slot] = self.writer.let(place)
        return places

    def branch(self, part: Branch) -> None:
        """Writes one of two regions, as a flag says."""
        yes = self.flag(part.flag)
        for condition, region in ((yes, part.yes), (f"xor i1 {yes}, true", part.no)):
            test = condition if condition is yes else self.writer.let(condition)
            with self.writer.when(test):
                self.region(region, self.bases(region), "0")

    def loop_times(self, part: Repeat) -> None:
        """Writes a loop that runs so many times."""
        bases, count = self.bases(part.region), integer(part.trip_count or 0).text
        with self.writer.loop("0", count, 1, runs=_runs(part)) as iteration:
            self.region(part.region, bases, iteration)

    def loop_while(self, part: Repeat) -> None:
        """Writes a loop that runs as long as its flag holds."""
        assert part.flag is not None
        w, bases = self.writer, self.bases(part.region)
        head = w.fresh("while")
        w.do(f"br label %{head}")
        w.block(head)
        with w.when(self.flag(part.flag), again=head):
            self.region(part.region, bases, "0")

    def flag(self, slot: Slot) -> str:
        """Returns the i1 that a slot of one bool holds."""
        w = self.writer
        return w.let(f"icmp ne i8 {w.load('i8', self.address(slot))}, 0")

    def bases(self, region: Region) -> dict[Slot, str]:
        """Returns the addresses of the outer slots that a region is bound to."""
        outer = [binding.outer for binding in region.bindings]
        outer += [region.arena] if region.arena else []
        return {slot: self.address(slot) for slot in dict.fromkeys(outer)}

    def moved(self, pointer: str, number: str, distance: int) -> str:
        """Returns an address `number * distance` bytes further on."""
        w = self.writer
        by = w.let(f"mul i64 {number}, {integer(distance).text}")
        return w.let(f"getelementptr i8, ptr {pointer}, i64 {by}")

    def address(self, slot: Slot, offset: int = 0) -> str:
        """Returns the address `offset` bytes after the beginning of a slot."""
        w = self.writer
        if offset:
            return w.let(f"getelementptr i8, ptr {self.address(slot)}, i64 {offset}")
        if slot in self.places:
            return self.places[slot]
        return self.own_address(slot)

    def own_address(self, slot: Slot) -> str:
        """Returns the address of a slot that belongs to no region."""
        raise NotImplementedError

    def pointers_of(self, call: Call) -> list[str]:
        """Returns the addresses that a call takes."""
        return [f"ptr {self.address(*place)}" for place in call.places]

    def call(self, call: Call) -> None:
        """Writes a call, whose iterations threads share if its kernel is parallel."""
        w, name = self.writer, self.names[call.kernel]
        pointers = self.pointers_of(call)
        pointers += ["ptr %parameters"] if self.program.is_dynamic else []
        shared = call.kernel.parallel
        if shared is None:
            w.do(f"call void {name}({', '.join(pointers)})")
            return
        iterations = _iterations(shared)
        is_free = is_symbolic(iterations)  # then there may be more than one
        if self.shares and (is_free or iterations > 1):
            self.share(job_name(name), pointers, integer(iterations).text)
        elif is_free or iterations:
            operands = [*pointers, "i64 0", f"i64 {integer(iterations).text}"]
            w.do(f"call void {name}({', '.join(operands)})")

    def share(self, job: str, pointers: list[str], count: str) -> None:
        """Lets threads share the iterations of a job."""
        raise NotImplementedError


class _Chunks(Parts):
    """The emission of the job that runs a loop for some of its chunks."""

    def emit(self, part: Repeat, outer: list[Slot], name: str) -> None:
        """Adds `void job(ptr* pointers, int64 begin, int64 end)`; `pointers` are the addresses of
        the outer slots that the loop is bound to, and of the program's parameters.
        """
        w = self.writer
        if self.program.is_dynamic:
            w.take_parameters(_element(w, "%pointers", len(outer)))
        bases = {
            slot: w.load("ptr", _element(w, "%pointers", number))
            for number, slot in enumerate(outer)
        }
        count = integer(part.trip_count or 0).text
        with (
            w.loop("%begin", "%end", 1, runs=True) as chunk,
            w.loop("0", count, 1, runs=_runs(part)) as iteration,
        ):
            self.region(part.region, bases, iteration, chunk)
        w.do("ret void")
        # hidden, not internal: `parts.py` keeps it with the step
        w.finish(f"define hidden void {name}(ptr %pointers, i64 %begin, i64 %end) nounwind")


def _emit_sections(
    module: Module, program: Program, part: Sections, names: Mapping[Kernel, str], job: str
) -> None:
    """Adds `void job(ptr* pointers, int64 begin, int64 end)`, which runs a range of the iterations
    of all calls; a kernel that is not parallel has one.

    `pointers` are the addresses that the calls take, one after another, then the parameters. The
    first half of each call's iterations comes in the order of the sections, then the other halves
    in the opposite order: threads claim from both ends, and meet at the shortest iterations. Of an
    odd number, the one in the middle goes to either end in turn.
    """
    w = Writer(module)
    starts = list(itertools.accumulate((len(call.slots) for call in part.calls), initial=0))
    if program.is_dynamic:
        w.take_parameters(_element(w, "%pointers", starts[-1]))
    counts = {call: _section(call) for call in part.calls}
    ordered = [part.calls[number] for number in part.order]
    halves = {}
    for number, call in enumerate(ordered):
        rounded = w.let(f"add i64 {counts[call]}, {number % 2}")
        halves[call] = w.let(f"sdiv i64 {rounded}, 2")
    ranges = [(call, halves[call], counts[call]) for call in reversed(ordered)]
    behind = "0"
    for call, start, stop in [*((call, "0", halves[call]) for call in ordered), *ranges]:
        before, behind = behind, w.let(f"add i64 {behind}, {w.let(f'sub i64 {stop}, {start}')}")
        first = w.call("i64", "llvm.smax.i64", "i64 %begin", f"i64 {before}")
        end = w.call("i64", "llvm.smin.i64", "i64 %end", f"i64 {behind}")
        with w.when(w.let(f"icmp slt i64 {first}, {end}")):
            place = starts[part.calls.index(call)]
            pointers = [_element(w, "%pointers", place + k) for k in range(len(call.slots))]
            operands = [f"ptr {w.load('ptr', pointer)}" for pointer in pointers]
            operands += ["ptr %parameters"] if program.is_dynamic else []
            if call.kernel.parallel is not None:
                moved = w.let(f"sub i64 {start}, {before}")
                operands += [f"i64 {w.let(f'add i64 {one}, {moved}')}" for one in (first, end)]
            w.do(f"call void {names[call.kernel]}({', '.join(operands)})")
    w.do("ret void")
    # hidden, not internal: `parts.py` keeps it with the step
    w.finish(f"define hidden void {job}(ptr %pointers, i64 %begin, i64 %end) nounwind")


def _section(call: Call) -> str:
    """Returns how many iterations a call adds to its sections, in LLVM."""
    shared = call.kernel.parallel
    return "1" if shared is None else integer(_iterations(shared)).text


class _Step(Parts):
    """The emission of one step function."""

    def __init__(
        self, module: Module, program: Program, names: Mapping[Kernel, str], threads: bool
    ) -> None:
        super().__init__(module, program, names, threads and runs_in_parallel(program))
        w = self.writer
        self.module = module
        self.jobs = 0  # of loops that run in chunks, and of sections, so far
        self.numbers = {slot: number for number, slot in enumerate(program.slots)}
        self.entries = len(program.slots) + (2 if program.is_dynamic else 1)
        self.table = w.alloca(f"[{self.entries} x ptr]")
        self.moving = w.alloca(f"[{len(program.slots) + 1} x i64]")
        self.moving_count = w.alloca("i64")
        self.pointers = w.alloca(f"[{_most_pointers(program) + program.is_dynamic} x ptr]")
        self.mpi = Calls(w, program) if collectives(program) else None

    def emit(self, entry: str) -> None:
        w = self.writer
        if self.shares:
            w.call("void", POOL[1])
        self.copy(self.table, "%table", str(8 * self.entries))
        if self.program.is_dynamic:
            w.take_parameters(_element(w, "%table", len(self.program.slots) + 1))
        self.find_moving()
        with w.loop("0", "%steps", 1, runs=False) as step:
            self.poll(step)
            if self.mpi is not None:
                self.leave_if(self.mpi.disagree(), step, str(DISAGREE))
            self.gather(step)
            for part in self.program.body:
                self.part(part, step)
            self.advance()
        self.leave("%steps", "0")
        w.finish(f"define i64 @{entry}({_PARAMETERS}) nounwind")

    def copy(self, target: str, source: str, count: str) -> None:
        operands = f"ptr {target}", f"ptr {source}", f"i64 {count}", "i1 false"
        self.writer.call("void", "llvm.memcpy.p0.p0.i64", *operands)

    def find_moving(self) -> None:
        """Lists the slots that move, so that a step can skip the others."""
        w = self.writer
        w.do(f"store i64 0, ptr {self.moving_count}")
        several = w.let("icmp sgt i64 %steps, 1")
        count = str(len(self.program.slots))
        with w.when(several), w.loop("0", count, 1, runs=count != "0") as slot:
            distance = w.load("i64", _element(w, "%advance", slot))
            with w.when(w.let(f"icmp ne i64 {distance}, 0")):
                position = w.load("i64", self.moving_count)
                w.do(f"store i64 {slot}, ptr {_element(w, self.moving, position)}")
                w.do(f"store i64 {w.let(f'add i64 {position}, 1')}, ptr {self.moving_count}")

    def advance(self) -> None:
        w = self.writer
        count = w.load("i64", self.moving_count)
        with w.loop("0", count, 1, runs=False) as number:
            slot = w.load("i64", _element(w, self.moving, number))
            distance = w.load("i64", _element(w, "%advance", slot))
            place = _element(w, self.table, slot)
            old = w.load("ptr", place)
            w.do(f"store ptr {w.let(f'getelementptr i8, ptr {old}, i64 {distance}')}, ptr {place}")

    def poll(self, step: str) -> None:
        w = self.writer
        flag = w.define("load volatile i64, ptr %control")
        self.leave_if(w.let(f"icmp ne i64 {flag}, 0"), step, "0")

    def leave_if(self, condition: str, steps: str, code: str) -> None:
        w = self.writer
        out, on = w.fresh("leave"), w.fresh("on")
        w.do(f"br i1 {condition}, label %{out}, label %{on}")
        w.block(out)
        known = dict(w.known)
        self.leave(steps, code)
        w.known = known
        w.block(on)

    def leave(self, steps: str, code: str) -> None:
        w = self.writer
        w.do(f"store i64 {steps}, ptr {_element(w, '%control', 1)}")
        if self.shares:
            w.call("void", POOL[2])
        w.do(f"ret i64 {code}")

    def gather(self, step: str) -> None:
        w = self.writer
        first = w.let(f"mul i64 {step}, %batch")
        with w.loop("0", "%gather_count", 1, runs=False) as number:
            gather = _element(w, "%gathers", w.let(f"mul i64 {number}, 4"))
            source = w.load("ptr", gather)
            size = w.load("i64", _element(w, gather, 1))
            target = w.load("ptr", _element(w, gather, 2))
            stride = w.load("i64", _element(w, gather, 3))
            with w.loop("0", "%batch", 1, runs=False) as row:
                place = w.let(f"add i64 {first}, {row}")
                chosen = w.load("i64", _element(w, "%order", place))
                given = w.let(f"mul i64 {chosen}, {stride}")
                taken = w.let(f"mul i64 {row}, {size}")
                origin = w.let(f"getelementptr i8, ptr {source}, i64 {given}")
                self.copy(w.let(f"getelementptr i8, ptr {target}, i64 {taken}"), origin, size)

    def part(self, part: Part, step: str) -> None:
        match part:
            case Call():
                self.call(part)
            case Check():
                self.check(part, step)
            case Collective():
                assert self.mpi is not None
                places = self.address(part.source), self.address(part.target)
                self.mpi.collective(part, *places)
            case Progress():
                assert self.mpi is not None
                self.mpi.progress(part)
            case Sections():
                self.sections(part)
            case Repeat(chunks=chunks) if chunks > 1:
                self.loop_in_chunks(part)
            case Repeat(trip_count=None):
                self.loop_while(part)
            case Repeat():
                self.loop_times(part)
            case Branch():
                self.branch(part)

    def loop_in_chunks(self, part: Repeat) -> None:
        bases, name = self.bases(part.region), self.new_job("loop")
        _Chunks(self.module, self.program, self.names, False).emit(part, list(bases), name)
        pointers = [f"ptr {base}" for base in bases.values()]
        pointers += ["ptr %parameters"] if self.program.is_dynamic else []
        self.share(name, pointers, str(part.chunks))

    def sections(self, part: Sections) -> None:
        w, name = self.writer, self.new_job("sections")
        _emit_sections(self.module, self.program, part, self.names, name)
        pointers = [one for call in part.calls for one in self.pointers_of(call)]
        pointers += ["ptr %parameters"] if self.program.is_dynamic else []
        count = "0"
        for call in part.calls:
            count = w.let(f"add i64 {count}, {_section(call)}")
        self.share(name, pointers, count)

    def new_job(self, kind: str) -> str:
        """Returns a name for a function that threads share the iterations of."""
        self.jobs += 1
        return f'@"{kind}.{self.jobs}"'

    def share(self, job: str, pointers: list[str], count: str) -> None:
        w = self.writer
        for number, pointer in enumerate(pointers):
            w.do(f"store {pointer}, ptr {_element(w, self.pointers, number)}")
        if self.shares:
            w.call("void", POOL[0], f"ptr {job}", f"ptr {self.pointers}", f"i64 {count}")
        else:
            w.do(f"call void {job}(ptr {self.pointers}, i64 0, i64 {count})")

    def own_address(self, slot: Slot) -> str:
        w = self.writer
        if slot.kind != "arena":
            return w.load("ptr", _element(w, self.table, self.numbers[slot]))
        arena = w.load("ptr", _element(w, self.table, len(self.program.slots)))
        return w.let(f"getelementptr i8, ptr {arena}, i64 {slot.offset}")

    def check(self, check: Check, step: str) -> None:
        w = self.writer
        status = w.load("i64", self.address(check.slot))
        self.leave_if(w.let(f"icmp ne i64 {status}, 0"), step, str(check.number + 1))
