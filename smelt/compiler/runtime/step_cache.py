"""Compiled steps by their graphs: a graph that was compiled once is not compiled again.

    graph -> description -> key -> linked in this process, or kept on disk -> Compiled

The key is a hash of the traced graph and of everything else that its machine code depends on: the
passes' source, the CPU, the versions of Python, NumPy and LLVM. A file under it holds what
running the step needs, as a line of JSON and the bytes of constants, and the key under which
`object_cache` keeps the machine code. It is kept beside that, under the same rules.

A graph without an exact description, and `settings(verify=True)`, go through the passes each time.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from smelt import dtypes
from smelt.compiler.artifacts import Compiled, Stages
from smelt.compiler.codegen import machine
from smelt.compiler.runtime import object_cache, threads
from smelt.compiler.runtime.native import Native
from smelt.ir.description import Description, describe
from smelt.ir.graph import Graph
from smelt.ir.program import Slot
from smelt.ir.symbolic import formula, is_symbolic
from smelt.settings import current, settings

# what turns a graph into machine code, and that into what is kept here
ROOMS = (
    "compiler/artifacts.py", "compiler/codegen", "compiler/cpu.py", "compiler/graph",
    "compiler/loops", "compiler/lower", "compiler/pipeline.py", "compiler/runtime/build.py",
    "compiler/runtime/step_cache.py", "control", "dtypes.py", "ir", "memory.py", "mpi", "ops",
    "tensor", "tracing",
)  # fmt: skip

MOST = object_cache.LIMIT >> 4  # bytes of constants that are kept on disk for one step


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Step:
    """What steps with an equal graph have in common: plain facts, the constants that passes have
    computed, and the code, which is linked once.
    """

    facts: dict[str, Any]
    computed: list[np.ndarray]
    native: Native


_linked: WeakValueDictionary[str, _Step] = WeakValueDictionary()  # those that are in use, by key


def compiled(graph: Graph, stages: Callable[[], Stages]) -> tuple[Compiled, bool]:
    """Returns a compiled graph, and whether it was found: then no pass has run.

    Args:
        graph: as traced.
        stages: runs the passes on it.
    """
    # described before passes ask anything of symbolic numbers
    description = None if current.verify else describe(graph)
    if description is None:
        return _made(stages()), False
    key = _key(description)
    step = _linked.get(key) or _read(key)
    if step is not None:
        _linked[key] = step
        return _bound(step, description), True
    made = _made(stages())
    step = _linked[key] = _step(made, description)
    _write(key, step)
    return replace(made, shared=step), False


def _made(stages: Stages) -> Compiled:
    """Compiles what the passes made of a graph to machine code."""
    with settings(compile=False):  # as for every import of the first step
        from smelt.compiler.runtime.build import build

    program = stages.program
    sizes = program.arena_bytes, program.is_dynamic
    return Compiled(program.slots, *sizes, stages.planned.constants, build(program))


def _key(description: Description) -> str:
    """Returns the name under which a compiled graph is kept."""
    source = object_cache.smelt_fingerprint(rooms=ROOMS)
    folded_by = f"numpy {np.__version__}, {np.show_config(mode='dicts').get('SIMD Extensions')}"
    facts = (machine.fingerprint(), repr(machine.host_cpu()), f"threads {threads.available}")
    return object_cache.key("step", description.digest, source, sys.version, folded_by, *facts)


def _step(made: Compiled, description: Description) -> _Step:
    """Returns what steps with an equal graph have in common with one that was compiled."""
    numbers = {id(array): number for number, array in enumerate(description.constants)}
    computed = [array for array in made.constants if id(array) not in numbers]
    facts = {
        "slots": [_slot(slot) for slot in made.slots],
        "arena_bytes": int(made.arena_bytes),
        "is_dynamic": made.is_dynamic,
        "constants": [numbers.get(id(array)) for array in made.constants],  # those of the graph
        "computed": [[array.dtype.str, array.shape] for array in computed],
        "code": made.native.key,
        "is_parallel": made.native.is_parallel,
        "calls_mpi": made.native.calls_mpi,
        "parameters": made.native.parameters,
        "asked": description.guards.record() if description.guards else None,
    }
    return _Step(facts, computed, made.native)


def _slot(slot: Slot) -> list[Any]:
    """Returns a slot as plain values, without its name, which is for printing."""
    shape = [formula(extent) if is_symbolic(extent) else int(extent) for extent in slot.shape]
    return [shape, slot.dtype.name, slot.kind, int(slot.number), int(slot.offset)]


def _bound(step: _Step, description: Description) -> Compiled:
    """Returns a compiled step for one graph, with its constants and its symbolic numbers."""
    facts, guards = step.facts, description.guards

    def extent(part: int | str) -> Any:
        return guards.number(part) if guards and isinstance(part, str) else part

    slots = [
        Slot(f"{kind}{number}", tuple(map(extent, shape)), dtypes.BY_NAME[dtype], kind, number, at)
        for shape, dtype, kind, number, at in facts["slots"]
    ]
    if guards is not None:
        guards.restore(facts["asked"])
    computed, known = iter(step.computed), description.constants
    constants = [next(computed) if n is None else known[n] for n in facts["constants"]]
    sizes = facts["arena_bytes"], facts["is_dynamic"]
    return Compiled(tuple(slots), *sizes, constants, step.native, step)


# --- on disk --------------------------------------------------------------------------------------


def _write(key: str, step: _Step) -> None:
    """Keeps a step beside its code, unless its constants would displace too many others."""
    if sum(array.nbytes for array in step.computed) > MOST:
        return
    arrays = [np.ascontiguousarray(array).tobytes() for array in step.computed]
    object_cache.write(key, b"".join([json.dumps(step.facts).encode(), b"\n", *arrays]))


def _read(key: str) -> _Step | None:
    """Returns what is kept under a key with its code linked, or None if either is missing."""
    kept = object_cache.read(key)
    if kept is None:
        return None
    head, _, rest = kept.partition(b"\n")
    facts = json.loads(head)
    code = object_cache.read(facts["code"])
    if code is None:
        return None
    linked = facts["parameters"], facts["code"], facts["calls_mpi"]
    native = Native(code, facts["is_parallel"], *linked)
    return _Step(facts, list(_arrays(facts["computed"], rest)), native)


def _arrays(kinds: list[tuple[str, list[int]]], content: bytes) -> Iterator[np.ndarray]:
    """Yields the arrays of these dtypes and shapes whose bytes follow each other."""
    offset = 0
    for name, shape in kinds:
        array = np.frombuffer(content, name, math.prod(shape), offset).reshape(shape).copy()
        offset += array.nbytes
        yield array
