"""Report: what `step.explain()` prints. Every stage of a step, and where its time goes."""

from __future__ import annotations

import ctypes
import itertools
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.compiler.codegen.machine import host_cpu
from smelt.compiler.graph.fusion import operations
from smelt.compiler.report.by_line import Part, lines_text, place_of
from smelt.compiler.report.cost import count
from smelt.compiler.report.decisions import groups_text, kernel_groups, plans_text
from smelt.compiler.report.roofline import Peak, measured_peak
from smelt.compiler.runtime import build
from smelt.compiler.runtime.native import Native
from smelt.errors import ArgumentError
from smelt.ir.graph import graph_text
from smelt.ir.program import Call, Program, Repeat, Slot, own_calls, regions
from smelt.ir.show import kernel_text, program_text
from smelt.ir.symbolic import formula
from smelt.memory import address, aligned_bytes

if TYPE_CHECKING:
    from smelt.compiler.artifacts import Parameters, Stages, Times
    from smelt.compiler.runtime.executable import Executable

LEGEND = "# def kernel(what it writes; what it reads); what is updated in place is on both sides"
STAGES = (
    "summary", "traced", "graph", "groups", "kernels", "plans", "scheduled", "llvm", "assembly",
    "all",
)  # fmt: skip
SHORT = 1e-7  # seconds below which a rate says nothing
SECONDS_PER_KERNEL = 0.003  # for which each kernel is timed
ROUNDS = 4  # of which the best counts
HEAD = (
    ("", "kernel", "shape", "thousand", "", "", "", "GFLOP/s", "of"),
    ("", "", "", "operations", "bytes", "us", "of time", "", "peak"),
)
WIDTHS = (3, 32, 15, 11, 10, 8, 9, 9, 7)  # of the table's columns, at least


def explain(name: str, version: Executable, versions: int, stage: str) -> str:
    """Returns the text of one stage, or of all, of a compiled version.

    Raises ArgumentError for a stage that does not exist.
    """
    stages = version.stages
    texts = {
        "summary": lambda: summary(name, version, versions),
        "traced": lambda: graph_text(stages.traced),
        "graph": lambda: graph_text(stages.packed),
        "groups": lambda: groups_text(stages),
        "kernels": lambda: "\n\n".join([LEGEND, *map(kernel_text, stages.split.kernels)]),
        "plans": lambda: plans_text(stages, host_cpu()),
        "scheduled": lambda: f"{LEGEND}\n\n{program_text(stages.program)}",
        "llvm": lambda: build.text(stages.program),
        "assembly": lambda: build.assembly(stages.program),
    }
    if stage == "all":
        return "\n\n".join(f"==== {title} ====\n{text()}" for title, text in texts.items())
    if stage not in texts:
        raise ArgumentError(
            f"explain: there is no stage {stage!r}; choose one of {', '.join(STAGES)}"
        )
    return texts[stage]()


def summary(name: str, version: Executable, versions: int) -> str:
    """Returns one page: what the step is made of, what it needs, and what each kernel costs."""
    which = f" (the version that ran most, of {versions})" if versions > 1 else ""
    stages, rows = version.stages, measure(version)
    parts = _parts(stages, rows)
    sections = [
        _opening(name, version, which),
        "What runs, in order (a kernel is one loop nest in machine code):",
        _table(rows),
        lines_text(parts, _Numbers(version.parameters).values),
        _kernel_origins(parts),
        'More: explain("graph") shows the operations, "groups" what is fused and why, "kernels" '
        'the loops,\n"plans" how they become vectors and why, "scheduled" the vector loops, "llvm" '
        'and "assembly"\nthe machine\'s side, "all" everything.',
    ]
    return "\n\n".join(sections)


def _opening(name: str, version: Executable, which: str) -> str:
    stages, memory, times = version.stages, version.memory(), version.times
    graph = stages.packed
    shapes = ", ".join(f"{x.dtype.name}{list(x.shape)}" for x in graph.arguments) or "none"
    updated = len(graph.updates)
    values = sum(slot.kind == "arena" for slot in stages.program.slots)
    return "\n".join(
        [
            f"{name}: {len(stages.traced.nodes())} operations traced, {len(graph.nodes())} after "
            f"simplification, {len(list(calls(stages.program)))} kernels{which}",
            f"  arguments     {shapes}",
            f"  captured      {len(graph.states)} tensors ({memory.states:,} bytes), "
            f"{updated} of them updated in place",
            f"  temporaries   {memory.arena:,} bytes in one block, shared by {values} values",
            f"  peak memory   {memory.peak:,} bytes, known before the first run",
            f"  made in       {1e3 * times.trace:.0f} ms tracing, {_making(times)}",
        ]
    )


def _making(times: Times) -> str:
    """Returns how long a version took to make after it was traced."""
    if times.is_from_cache:
        return f"{1e3 * times.native:.0f} ms to take its machine code from the cache"
    passes = sum(times.passes.values())
    return f"{1e3 * passes:.0f} ms in passes, {1e3 * times.native:.0f} ms for machine code"


@dataclass(frozen=True, slots=True)
class Row:
    """A kernel with its work and its time, all iterations of the loops around it together."""

    call: Call
    shape: tuple[int, ...]
    trip_count: int
    operations: int
    nbytes: int
    seconds: float


def calls(program: Program, trip_count: int = 1) -> Iterator[tuple[Program, Call, int]]:
    """Yields every call of a program and its regions, with its program and how often it runs.

    A loop of unknown length counts as one iteration; both sides of a branch count.
    """
    for part in program.body:
        for call in own_calls(part):
            yield program, call, trip_count
        inner = (part.trip_count or 1) * part.chunks if isinstance(part, Repeat) else 1
        for region in regions(part):
            yield from calls(region.program, trip_count * inner)


def measure(version: Executable) -> list[Row]:
    """Times every kernel by itself, on copies of the step's memory: warm caches, all threads."""
    stages, numbers = version.stages, _Numbers(version.parameters)
    constants = stages.planned.constants
    blocks: dict[Program, _Copies] = {}
    rows = []
    for plain, scheduled in zip(calls(stages.split), calls(stages.program), strict=True):
        program, call, trips = scheduled
        if program not in blocks:
            own = constants if program is stages.program else []
            blocks[program] = _Copies(program, own, numbers)
        work, seconds = count(plain[1].kernel), blocks[program].seconds(call)
        done = trips, trips * work.operations, trips * work.nbytes
        runs, operations, nbytes = numbers.values(done)
        shape = numbers.values(call.kernel.outputs[0].shape)
        rows.append(Row(call, shape, runs, operations, nbytes, runs * seconds))
    return rows


class _Numbers:
    """The numbers of a version; for one of a template, the values of its formulas."""

    def __init__(self, parameters: Parameters | None) -> None:
        self.parameters = parameters

    def values(self, numbers: Sequence[Any]) -> tuple[Any, ...]:
        """Returns numbers, with values in place of symbolic ones."""
        if self.parameters is None:
            return tuple(numbers)
        return self.parameters.evaluate([formula(number) for number in numbers])

    def read_by(self, code: Native) -> np.ndarray:
        """Returns the parameters that machine code reads."""
        formulas = code.parameters
        values = self.parameters.evaluate(formulas) if self.parameters else ()
        return np.array(values, np.int64)


class _Copies:
    """A program's table of addresses over memory of its own, so that timing changes nothing."""

    def __init__(self, program: Program, constants: list[np.ndarray], numbers: _Numbers) -> None:
        self.program = program
        self.numbers = numbers
        self.arena = aligned_bytes(self.program.arena_bytes)
        self.arena[:] = 0
        self.arrays = [self._array(constants, slot) for slot in self.program.slots]
        # the last is the address of parameters
        addresses = *map(address, self.arrays), address(self.arena), 0
        self.table = (ctypes.c_int64 * len(addresses))(*addresses)
        self.advance = (ctypes.c_int64 * len(self.table))()
        self.control = (ctypes.c_int64 * 2)()

    def _array(self, constants: list[np.ndarray], slot: Slot) -> np.ndarray:
        if slot.kind == "constant" and slot.number < len(constants):
            return np.ascontiguousarray(constants[slot.number])
        return np.zeros(self.numbers.values(slot.shape), slot.dtype.storage)

    def seconds(self, call: Call) -> float:
        alone = replace(self.program, body=(call,))
        compiled = build.build(alone)
        parameters = self.numbers.read_by(compiled)
        self.table[-1] = address(parameters)
        pointers = [ctypes.addressof(array) for array in (self.table, self.advance, self.control)]
        runs, best, rounds = 1, float("inf"), 0
        while rounds < ROUNDS:
            start = time.perf_counter()
            compiled.run(pointers[0], runs, *pointers[1:])
            elapsed = time.perf_counter() - start
            best = min(best, elapsed / runs)
            if elapsed > SECONDS_PER_KERNEL or runs > 1 << 20:
                rounds += 1
            else:
                runs *= 4
        return best


def _table(rows: Sequence[Row]) -> str:
    peak = measured_peak()
    total = sum(row.seconds for row in rows)
    done = sum(row.operations for row in rows)
    moved = sum(row.nbytes for row in rows)
    cells = [(str(number), *_cells(row, total, peak)) for number, row in enumerate(rows, 1)]
    rate = done / total / 1e9
    share = f"{rate / peak.gflops:.0%}"
    totals = (f"{done / 1e3:,.1f}", f"{moved:,}", f"{1e6 * total:.2f}", "", f"{rate:.1f}", share)
    cells.append(("", "all kernels", "", *totals))
    lines = aligned([*HEAD, *cells])
    lines.append(
        f"     peak measured here: {peak.gflops:.0f} GFLOP/s on {peak.threads} "
        f"thread{'s' if peak.threads > 1 else ''}, {peak.gbytes:.0f} GB/s from main memory"
    )
    return "\n".join(lines)


def _cells(row: Row, total: float, peak: Peak) -> tuple[str, ...]:
    """Returns the cells of a kernel's line in the table."""
    rate = row.operations / row.seconds / 1e9
    measured = (f"{rate:.1f}", f"{rate / peak.gflops:.0%}") if row.seconds > SHORT else ("", "")
    shape = "x".join(map(str, row.shape)) or "scalar"
    name = row.call.kernel.name[:31]
    if row.trip_count > 1:
        name = f"{name[:24]} x {row.trip_count:,}"
    operations, nbytes = f"{row.operations / 1e3:,.1f}", f"{row.nbytes:,}"
    time = f"{1e6 * row.seconds:.2f}", f"{row.seconds / total:.0%}"
    return (name, shape, operations, nbytes, *time, *measured)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns rows as lines: names and shapes to the left of their columns, numbers to the right.

    A column is as wide as WIDTHS says, or as what it holds and the space before it need.
    """
    widths = [
        max(width, *(len(row[place]) + 1 for row in rows)) for place, width in enumerate(WIDTHS)
    ]
    lines = []
    for number, name, shape, *numbers in rows:
        head = f"{number:>{widths[0]}}  {name:<{widths[1]}}{shape:<{widths[2]}}"
        cells = [f"{cell:>{width}}" for cell, width in zip(numbers, widths[3:], strict=True)]
        lines.append((head + "".join(cells)).rstrip())
    return lines


def _kernel_origins(parts: Sequence[Part]) -> str:
    """Lists the user's lines that each group of operations came from, the slowest first."""
    lines = ["Where each kernel comes from, the slowest first (us):"]
    for part in sorted(parts, key=lambda part: -part.seconds):
        members = part.group.members
        names = _counted(operations(part.group, part.fused))
        checks = [check.message for check in part.fused.graph.assertions if check.node in members]
        if checks:
            names = f"check: {textwrap.shorten(checks[0].splitlines()[0], 60, placeholder=' ...')}"
        origins = dict.fromkeys(str(place_of(node) or "") for node in members)
        places = ", ".join(place for place in origins if place)
        label = ", ".join(f"{number + 1:>3}" for number in part.kernels)
        row = f"{label} {1e6 * part.seconds:>9.2f}  {names}"
        lines.append(row + (f"   <- {places}" if places else ""))
    return "\n".join(lines)


def _parts(stages: Stages, rows: Sequence[Row]) -> list[Part]:
    """Returns every group of operations with the kernels that compute it, and their time."""
    groups = zip(_kernels(stages), kernel_groups(stages.fused), strict=True)
    return [
        Part(numbers, fused, group, sum(rows[number].seconds for number in numbers))
        for numbers, (fused, group) in groups
    ]


def _kernels(stages: Stages) -> Iterator[range]:
    """Yields for each group of operations which calls of the program compute it, by number."""
    parts, end = (call.kernel for _, call, _ in calls(stages.split)), 0
    for _, whole, _ in calls(stages.lowered):
        first, nests = end, len(whole.kernel.body)
        while nests > 0:
            nests -= len(next(parts).body)
            end += 1
        yield range(first, end)


def _counted(names: list[str]) -> str:
    """Returns names joined by plus signs, repetitions in a row as `6 x cast`."""
    runs = [(name, len(list(same))) for name, same in itertools.groupby(names)]
    return " + ".join(name if count == 1 else f"{count} x {name}" for name, count in runs)
