"""Artifacts: what the stages of the compiler hand to each other.

A stage reads one artifact and makes the next one; none is changed afterwards.

    call    Python arguments             ->  Signature     frontend/signature.py
    trace   a function on placeholders   ->  Traced        frontend/tracer.py
    passes  a graph                      ->  Stages        pipeline.py: graph, groups, memory, loops
    build   the program of the stages    ->  Native        runtime/build.py
    keep    Stages + Native              ->  Compiled      runtime/step_cache.py
    bind    Traced + Compiled            ->  Executable    runtime/executable.py

A graph that was compiled before goes directly from Traced to Compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import tree
from smelt.dtypes import DType
from smelt.errors import SmeltError
from smelt.ir.graph import Graph, Node
from smelt.ir.program import Program, Slot
from smelt.ir.symbolic import formula, is_symbolic
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from smelt.compiler.frontend.grad_binding import GradBinding
    from smelt.compiler.graph.fusion import Fused
    from smelt.compiler.graph.memory_plan import Planned
    from smelt.compiler.runtime.native import Native


@dataclass(slots=True)
class Traced:
    """What a trace found: the graph, the captured tensors in order, and how to rebuild the result.

    `result` turns the computed tensors into what the function returned. `modules` are the modules
    and optimizers whose settings the graph depends on. `values` are the concrete tensors that
    Python read, each with the bytes that it saw, and `arrays` likewise the NumPy arrays that became
    constants. `born` maps each node to the number of nodes recorded before it.
    """

    graph: Graph
    states: list[Tensor]
    result: Callable[[list[Tensor]], Any]
    errors: list[type[SmeltError]]
    modules: list[Any]
    gradients: list[GradBinding]
    values: list[tuple[Tensor, bytes]]
    arrays: list[tuple[np.ndarray, bytes]]
    born: dict[Node, int]
    numbers: list[tuple[Any, DType]]  # the symbolic ones, which are the last arguments

    def state_names(self) -> dict[Node, str]:
        """Returns the names that the traced modules give to the captured tensors."""
        known: dict[int, str] = {}
        for module in self.modules:  # the outermost first
            for kind in ("named_parameters", "named_buffers"):  # optimizers have neither
                for name, tensor in getattr(module, kind, tuple)():
                    known.setdefault(id(tensor), name)
        pairs = zip(self.graph.states, self.states, strict=True)
        return {node: known[id(tensor)] for node, tensor in pairs if id(tensor) in known}


@dataclass(frozen=True, slots=True)
class ResultTree:
    """Turns the tensors that a step computes into what it returns.

    `leaves` are the leaves of what the function returned in the trace. A tensor among them stands
    for a computed one; a symbolic number, such as a length, has another value for each length.
    """

    leaves: list[Any]
    structure: tree.Structure

    def __call__(self, results: list[Tensor]) -> Any:
        fresh = iter(results)
        leaves = [next(fresh) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        return tree.unflatten(self.structure, leaves)

    def at(self, evaluate: Callable[[Sequence[str]], tuple[Any, ...]]) -> ResultTree:
        """Returns the tree for one length, at which `evaluate` computes formulas."""
        symbolic = [leaf for leaf in self.leaves if is_symbolic(leaf)]
        values = iter(evaluate([formula(leaf) for leaf in symbolic]))
        leaves = [next(values) if is_symbolic(leaf) else leaf for leaf in self.leaves]
        return ResultTree(leaves, self.structure)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the program of a template needs for one length: its slots with their extents, the
    numbers that machine code reads, and the numbers among the arguments. `evaluate` computes
    formulas at that length.
    """

    slots: tuple[Slot, ...]
    numbers: np.ndarray
    arguments: list[np.ndarray]
    evaluate: Callable[[Sequence[str]], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Stages:
    """The result of each pass over a step, and the seconds that each took."""

    traced: Graph
    simplified: Graph
    packed: Graph
    fused: Fused
    planned: Planned
    lowered: Program
    chunked: Program
    split: Program
    shared: Program
    optimized: Program
    program: Program
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Compiled:
    """The machine code of a step, and what else is needed to run it.

    `slots` are the entries of its table of addresses, in order; those of kind "constant" hold
    `constants`. `shared` is what steps with equal graphs have in common.
    """

    slots: tuple[Slot, ...]
    arena_bytes: int
    is_dynamic: bool
    constants: list[np.ndarray]
    native: Native
    shared: object = None


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that each part of compiling a step took.

    If `is_from_cache`, no pass ran, and `native` is the time to find and link earlier machine code.
    """

    trace: float = 0.0
    passes: dict[str, float] = field(default_factory=dict)
    native: float = 0.0
    is_from_cache: bool = False

    @property
    def compile(self) -> float:
        """Seconds from the graph to machine code."""
        return sum(self.passes.values()) + self.native
