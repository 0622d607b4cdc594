"""The pipeline: the passes that a traced graph goes through on its way to a program, in order.

`PIPELINE` is the list, and the only one. A loop runs it, times each pass and, under
`smelt.settings(verify=True)`, verifies the kernels that it made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import settings
from smelt.compiler.artifacts import Stages
from smelt.compiler.codegen.machine import host_cpu
from smelt.compiler.cpu import CPU
from smelt.compiler.graph.fold_states import fold_states
from smelt.compiler.graph.fusion import fuse
from smelt.compiler.graph.memory_plan import Planned, plan
from smelt.compiler.graph.pack_panels import pack_panels
from smelt.compiler.graph.simplify import simplify
from smelt.compiler.loops.optimize import optimize
from smelt.compiler.lower.chunk_loops import chunk_loops
from smelt.compiler.lower.lower import lower
from smelt.compiler.lower.overlap_kernels import overlap_kernels
from smelt.compiler.lower.share_kernels import share_kernels
from smelt.compiler.lower.split_kernels import split_kernels
from smelt.ir.graph import Graph, Node
from smelt.ir.program import Program, with_kernels
from smelt.ir.verify import verify_program


@dataclass(frozen=True, slots=True)
class Options:
    """What passes know besides their input: the step's name, its states', and the CPU."""

    name: str
    state_names: Mapping[Node, str]
    cpu: CPU


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: `run` takes what the pass before returned; `makes` is its field of `Stages`."""

    name: str
    makes: str
    run: Callable[[Any, Options], Any]


def _simplify(graph: Graph, options: Options) -> Graph:
    """A graph -> one that computes the same with fewer nodes."""
    return simplify(graph)


def _pack(graph: Graph, options: Options) -> Graph:
    """A graph -> one whose loops multiply by panels that are packed before them."""
    return pack_panels(graph)


def _fuse(graph: Graph, options: Options) -> Any:
    """A graph -> groups of nodes that share a loop, in the order in which they run."""
    return fuse(graph, options.cpu)


def _plan(fused: Any, options: Options) -> Planned:
    """Groups -> a place in memory for each value that leaves its group."""
    return plan(fused, options.state_names)


def _lower(planned: Planned, options: Options) -> Program:
    """Placed groups -> kernels of plain loops."""
    return lower(planned, options.name)


def _chunk(program: Program, options: Options) -> Program:
    """A loop over time -> the same loop for parts of the batch, which threads share."""
    return chunk_loops(program)


def _split(program: Program, options: Options) -> Program:
    """A kernel of several long nests -> kernels of one."""
    return split_kernels(program)


def _share(program: Program, options: Options) -> Program:
    """A kernel for each group -> one for all groups that can share it."""
    return share_kernels(program)


def _optimize(program: Program, options: Options) -> Program:
    """Kernels of plain loops -> kernels with vectors, tiles and parallel loops."""
    return with_kernels(program, {one: optimize(one, options.cpu) for one in program.kernels})


def _overlap(program: Program, options: Options) -> Program:
    """Kernels in order -> kernels that do not depend on each other side by side."""
    return overlap_kernels(program)


PIPELINE = (
    Pass("simplify", "simplified", _simplify),
    Pass("pack", "packed", _pack),
    Pass("fuse", "fused", _fuse),
    Pass("plan", "planned", _plan),
    Pass("lower", "lowered", _lower),
    Pass("chunk", "chunked", _chunk),
    Pass("split", "split", _split),
    Pass("share", "shared", _share),
    Pass("optimize", "optimized", _optimize),
    Pass("overlap", "program", _overlap),
)
THREADS = (_chunk, _overlap)  # what is only for several threads


def run_portable(
    graph: Graph, name: str, state_names: Mapping[Node, str], contents: Mapping[Node, np.ndarray]
) -> tuple[Planned, Program]:
    """Returns the groups of a step and its program of plain loops, for no CPU in particular: what
    is exported as C. Arguments as for `run_pipeline`; `contents` is what the states hold.
    """
    folded = fold_states(simplify(graph), contents)
    planned = plan(fuse(folded, cpu=None), state_names)
    return planned, share_kernels(lower(planned, name))


def run_for_one_thread(
    graph: Graph, name: str, state_names: Mapping[Node, str], cpu: CPU
) -> tuple[Planned, Program, Program]:
    """Returns the groups of a step, its program of plain loops, and that with the vectors of a CPU,
    for one thread: what code is made of that leaves this process. Arguments as of `run_pipeline`.
    """
    options = Options(name, state_names, cpu)
    made: dict[str, Any] = {}
    latest: Any = graph
    for one in PIPELINE:
        if one.run not in THREADS:
            latest = made[one.makes] = one.run(latest, options)
    return made["planned"], made["lowered"], made["optimized"]


def run_pipeline(graph: Graph, name: str, state_names: Mapping[Node, str]) -> Stages:
    """Returns every stage of a step, from its traced graph to the program that is emitted.

    Args:
        graph: as traced.
        name: of the step, for printing.
        state_names: what the modules call the captured tensors.
    """
    options = Options(name, state_names, host_cpu())
    latest: Any = graph
    stages: dict[str, Any] = {"traced": graph}
    seconds: dict[str, float] = {}
    for one in PIPELINE:
        start = time.perf_counter()
        latest = stages[one.makes] = one.run(latest, options)
        seconds[one.name] = time.perf_counter() - start
        if settings.current.verify and isinstance(latest, Program):
            verify_program(latest)
    return Stages(**stages, seconds=seconds)
