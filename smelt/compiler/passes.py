"""The passes, in order: what a traced graph goes through on its way to a program.

simplify   graph -> graph that computes the same with fewer nodes
fuse       graph -> groups of nodes that share a loop
plan       groups -> a place in memory for each value
lower      groups -> kernels of plain loops
schedule   kernels -> kernels with vectors, tiles and parallel loops
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeVar

from smelt import settings
from smelt.compiler.cpu import vector_bits
from smelt.compiler.fuse import Fused, fuse
from smelt.compiler.lower import lower
from smelt.compiler.plan import Planned, plan
from smelt.compiler.schedule import schedule
from smelt.compiler.simplify import simplify
from smelt.ir.graph import Graph, Node
from smelt.ir.loops import Kernel
from smelt.ir.program import Program, with_kernels
from smelt.ir.show import kernel_text
from smelt.ir.verify import verify

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stages:
    """What each pass made of a step, and the seconds that it took."""

    traced: Graph
    simplified: Graph
    fused: Fused
    planned: Planned
    lowered: Program
    program: Program
    seconds: dict[str, float]


def run_passes(graph: Graph, name: str, names: dict[Node, str]) -> Stages:
    """Returns every stage of a step, from its traced graph to the program that is emitted."""
    clock = _Clock()
    simplified = clock.time("simplify", simplify(graph))
    fused = clock.time("fuse", fuse(simplified))
    planned = clock.time("plan", plan(fused, names))
    lowered = clock.time("lower", lower(planned, name))
    program = clock.time("schedule", scheduled(lowered))
    if settings.current.verify:
        for kernel in (*lowered.kernels, *program.kernels):
            verify(kernel)
    return Stages(graph, simplified, fused, planned, lowered, program, clock.seconds)


def scheduled(program: Program) -> Program:
    """Returns the program with its kernels scheduled for this CPU; equal kernels become one."""
    bits = vector_bits()
    known: dict[str, Kernel] = {}
    new: dict[Kernel, Kernel] = {}
    for kernel in program.kernels:
        text = kernel_text(kernel, canonical=True)
        if text not in known:
            known[text] = schedule(kernel, vector_bits=bits)
        new[kernel] = known[text]
    return with_kernels(program, new)


class _Clock:
    """Notes how long each pass took: the time since the last note, as results are passed ready."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def time(self, name: str, result: T) -> T:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now
        return result
