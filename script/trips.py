"""Two training steps on their way from Python to machine code, printed stage by stage.

    python script/trips.py            # prints every piece of docs/trips.md
    python script/trips.py --write    # puts the pieces into the page, each behind its mark

The pieces are the same on every machine: the passes run for vectors of 512 bits, whatever this
processor has. `tests/docs/test_trips.py` fails when the page and the pieces differ.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.compiler.artifacts import Stages
from smelt.compiler.codegen import machine
from smelt.compiler.codegen.kernel import emit
from smelt.compiler.cpu import AVX512
from smelt.compiler.frontend.signature import flatten_call
from smelt.compiler.frontend.step import CompiledStep
from smelt.compiler.graph.fusion import Fused
from smelt.compiler.pipeline import PIPELINE, Options
from smelt.compiler.runtime.executable import Executable
from smelt.ir.graph import Graph, graph_text
from smelt.ir.program import Program, all_sections
from smelt.ir.show import program_text

PAGE = Path(__file__).parent.parent / "docs" / "trips.md"
PIECE = re.compile(
    r"(<!-- printed by script/trips.py: (\w+) (\w+) -->\n```\w+\n).*?(```\n)", re.DOTALL
)
AVX_512 = machine.Target("x86_64-unknown-linux-gnu", "x86-64-v4", "")
WIDTH = 100  # of a line, at most


# --- the two steps --------------------------------------------------------------------------------


def product() -> CompiledStep:
    """Returns a step with one product."""
    layer = nn.Linear(64, 32)
    optimizer = optim.SGD(layer.parameters(), lr=0.5)

    @smelt.compile
    def step(x, target):
        loss = F.mse_loss(F.relu(layer(x)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def lstm() -> CompiledStep:
    """Returns a step with a recurrence."""
    layer = nn.LSTM(16, 32)
    optimizer = optim.SGD(layer.parameters(), lr=0.5)

    @smelt.compile
    def step(x, target):
        outputs, _ = layer(x)
        loss = F.mse_loss(outputs[-1], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


# --- the trip -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trip:
    """A step that has run, and what every stage made of it for vectors of 512 bits."""

    arguments: tuple[smelt.Tensor, ...]
    losses: list[float]
    executable: Executable
    stages: Stages
    llvm: str


def travel(build: Callable[[], CompiledStep], *shapes: tuple[int, ...]) -> Trip:
    """Calls a step three times, then takes its graph through the passes once more, by hand."""
    smelt.manual_seed(0)
    step = build()
    arguments = tuple(smelt.randn(*shape) for shape in shapes)
    losses = [step(*arguments).item() for _ in range(3)]
    executable = step.executables.newest
    artifact: Any = executable.traced.graph
    made: dict[str, Any] = {"traced": artifact}
    for stage in PIPELINE:
        artifact = stage.run(artifact, Options(step.name, {}, AVX512))
        made[stage.makes] = artifact
    stages = Stages(**made, seconds={})
    return Trip(arguments, losses, executable, stages, emit(stages.program, threads=True))


# --- what is printed of it ------------------------------------------------------------------------


def source(build: Callable[[], CompiledStep], *shapes: str) -> str:
    """Returns the lines of a function that builds a step, and the call."""
    body = inspect.getsource(build).split('"""\n')[1].removesuffix("    return step\n")
    return f"{textwrap.dedent(body).strip()}\n\nstep({', '.join(shapes)})"


def call(trip: Trip) -> str:
    """Returns what the frontend makes of a call's arguments, and what a trace found."""
    signature = flatten_call(trip.arguments, {}).signature
    leaves = [f"{dtype.name}{list(shape)}" for shape, dtype, _ in signature[1:]]
    traced = trip.executable.traced
    states = [f"{state.dtype.name}{list(state.shape)}" for state in traced.states]
    modules = [type(module).__name__ for module in traced.modules]
    return (
        f"signature   {', '.join(leaves)}\nguards      the settings of {', '.join(modules)}\n"
        f"captured    {', '.join(states)}"
    )


def graph(traced: Graph) -> str:
    """Returns a graph without the lines of this file, and with few attributes."""
    text = re.sub(r"  #.*", "", graph_text(traced))
    return re.sub(r", (shape|dtype|source|stacked|residuals|examples)=(\(.*?\)|[\w.]+)", "", text)


def outermost(text: str) -> str:
    """Returns a graph's own lines, without those of its bodies."""
    return "\n".join(line for line in text.splitlines() if line[0] != " ")


def body(text: str, number: int) -> str:
    """Returns the lines of one of a graph's bodies."""
    return re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)[number].rstrip()


def counts(stages: Stages) -> str:
    """Returns how many nodes each graph has before and after simplification."""
    pairs = list(zip(_graphs(stages.traced), _graphs(stages.simplified), strict=True))
    lines = [
        f"{len(before.nodes())} nodes -> {len(after.nodes())} nodes" for before, after in pairs
    ]
    names = ["the step", "forward body", "backward body"]
    return "\n".join(f"{name:<16}{line}" for name, line in zip(names, lines, strict=False))


def _graphs(outer: Graph) -> Iterator[Graph]:
    """Yields a graph and the bodies of its loops."""
    yield outer
    for node in outer.nodes():
        yield from node.attributes.get("bodies", ())


def groups(fused: Fused, indent: str = "") -> Iterator[str]:
    """Yields a line a group: its strategy, its iteration space, its members."""
    for group in fused.groups:
        members = ", ".join(node.op.name for node in group.members)
        yield f"{indent}{group.strategy.value} {list(group.iteration_space)}: {members}"
        for inner in group.bodies:
            yield from groups(inner, indent + "    ")


def memory(program: Program) -> str:
    """Returns the slots of a program and the calls and loops over them."""
    return program_text(program).partition("\n\n")[0]


def kernel(program: Program, name: str) -> str:
    """Returns a kernel, by the name that the text of the program gives it."""
    texts = program_text(program).split("\n\n")
    return next(text for text in texts if text.startswith(f"def {name}("))


def signatures(trip: Trip, *names: str) -> str:
    """Returns the first lines of LLVM functions."""
    lines = [
        line.partition(") nounwind")[0] + ")"
        for line in trip.llvm.splitlines()
        if line.startswith("define") and any(name in line for name in names)
    ]
    return "\n".join(lines)


def innermost_loop(trip: Trip, name: str) -> str:
    """Returns the first loop of a kernel that multiplies and adds: one line of each kind."""
    function = trip.llvm.partition(f'@"{name}')[2]
    block = next(part for part in re.split(r"\n(?=\w+:\n)", function) if "@llvm.fma" in part)
    lines = re.sub(r", align \d+|<16 x i32> (?=zero)", "", block).splitlines()
    kinds = [re.sub(r"%\w+|\b\d+\b", "", line) for line in lines]
    first = {kind: lines[kinds.index(kind)].strip() for kind in kinds}
    return "\n".join(f"{count:>3} x {first[kind]}" for kind, count in Counter(kinds).items())


def run(trip: Trip) -> str:
    """Returns the calls and loops of one step, without their addresses."""
    step = between(trip.llvm, r"ptr @\"sections\.1", r"ptr @\"sections\.2")
    lines = kept(step, r"call void @(\"|smelt_parallel)|^loop|br i1.*loop")
    lines = re.sub(r"\(ptr %.*| i1 %\w+,|, label %after\w+", "", lines)
    lines = re.sub(r", ptr %slot.*", ")", lines)
    for number, part in enumerate(all_sections(trip.stages.program), 1):
        names = ", ".join(call.kernel.name for call in part.calls)
        lines = lines.replace(f'sections.{number}")', f'sections.{number}")  ; {names}')
    return lines


def machine_code(trip: Trip, *names: str) -> str:
    """Returns how many fused multiply-adds kernels have in machine code."""
    text = machine.assembly(trip.llvm, AVX_512)
    lines = []
    for name in names:
        function = text.partition(f"{name}:")[2].partition(".Lfunc_end")[0]
        products = [line for line in function.splitlines() if "vfmadd" in line]
        vectors = sum("zmm" in line for line in products)
        stack = sum("rsp" in line for line in products)
        lines.append(f"{name}: {vectors} fused multiply-adds of 16 lanes, {stack} touch the stack")
    return "\n".join(lines)


def table(trip: Trip) -> str:
    """Returns the table of addresses that a call passes, and what three calls returned."""
    program = trip.stages.program
    owners = {
        "argument": "the caller's array, at every call",
        "state": "the tensor's own memory, once",
        "result": "a fresh array, at every call",
    }
    lines = []
    for kind, owner in owners.items():
        names = [slot.name for slot in program.slots if slot.kind == kind]
        lines.append(f"{', '.join(names):<48}{owner}")
    lines.append(f"{'the arena':<48}{program.arena_bytes} bytes, once")
    losses = ", ".join(f"{loss:.3f}" for loss in trip.losses)
    return "\n".join([*lines, f"three calls returned {losses}"])


def between(text: str, first: str, last: str) -> str:
    """Returns the lines from the one with a pattern to the next one with another."""
    found = re.search(rf"^[^\n]*{first}.*?{last}[^\n]*$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def kept(text: str, pattern: str) -> str:
    """Returns the lines in which a pattern occurs."""
    return "\n".join(line for line in text.splitlines() if re.search(pattern, line))


def wrapped(text: str) -> str:
    """Returns a text with long lines broken, their rest further to the right."""
    lines: list[str] = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 8)
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=indent) or [""]
    return "\n".join(lines)


# --- the pieces -----------------------------------------------------------------------------------

PRODUCT: dict[str, Callable[[Trip], str]] = {
    "step": lambda trip: source(product, "smelt.randn(64, 64)", "smelt.randn(64, 32)"),
    "call": call,
    "traced": lambda trip: kept(
        graph(trip.stages.traced), r"%(\d|1[0-2]) =|matmul|permute|broad|gt|mul|add|sub|<-|return"
    ),
    "counts": lambda trip: counts(trip.stages),
    "simplified": lambda trip: between(graph(trip.stages.simplified), "array=<", r"sub\(%1,"),
    "groups": lambda trip: "\n".join(groups(trip.stages.fused)),
    "memory": lambda trip: memory(trip.stages.lowered),
    "lowered": lambda trip: kernel(trip.stages.lowered, "matmul_relu_mul"),
    "optimized": lambda trip: kernel(trip.stages.program, "matmul_relu_mul"),
    "signatures": lambda trip: signatures(trip, "matmul_relu_mul", "@run("),
    "loop": lambda trip: innermost_loop(trip, "matmul_relu_mul"),
    "machine": lambda trip: machine_code(trip, "matmul_relu_mul.2", "matmul_sub.5"),
    "table": table,
}
LSTM: dict[str, Callable[[Trip], str]] = {
    "step": lambda trip: source(lstm, "smelt.randn(20, 8, 16)", "smelt.randn(8, 32)"),
    "traced": lambda trip: kept(
        outermost(graph(trip.stages.traced)), r"scan|matmul|argument|number=2\) f.*20|sub|<-"
    ),
    "forward": lambda trip: body(graph(trip.stages.traced), 0),
    "counts": lambda trip: counts(trip.stages),
    "backward": lambda trip: kept(
        body(graph(trip.stages.simplified), 1), "carry|captured|pad|matmul|<-|return"
    ),
    "groups": lambda trip: "\n".join(groups(trip.stages.fused)),
    "memory": lambda trip: kept(
        between(memory(trip.stages.lowered), "copy_2", "sum_div"),
        r"^ {4}\w+\(|for iteration|(argument|state|result)[01] lies|^ {8}\w+\(",
    ),
    "lowered": lambda trip: kept(
        kernel(trip.stages.lowered, "sigmoid_tanh_copy_add"),
        "for |t3|t4|t6|sigmoid_5|tanh|add_13|mul_15",
    ),
    "weights": lambda trip: kept(
        kernel(trip.stages.program, "matmul_sub_2"), r"def|parallel|i1|k3|fma|c\[c\] =|state3"
    ),
    "run": run,
}


def pieces() -> dict[tuple[str, str], str]:
    """Returns the text of every piece of the page, by trip and stage."""
    trips = {
        "product": (travel(product, (64, 64), (64, 32)), PRODUCT),
        "lstm": (travel(lstm, (20, 8, 16), (8, 32)), LSTM),
    }
    return {
        (name, stage): wrapped(text(trip))
        for name, (trip, stages) in trips.items()
        for stage, text in stages.items()
    }


def written(page: str) -> str:
    """Returns the page with every piece as it is printed now."""
    texts = pieces()
    return PIECE.sub(lambda match: f"{match[1]}{texts[match[2], match[3]]}\n{match[4]}", page)


def main() -> None:
    """Prints the pieces, or puts them into the page."""
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
        return
    for (name, stage), text in pieces().items():
        print(f"==== {name} {stage} ====\n{text}\n")


if __name__ == "__main__":
    main()
