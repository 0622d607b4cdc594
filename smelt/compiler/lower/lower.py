"""Lower: placed groups -> a program of kernels of plain scalar loops.

The nests written here are naive on purpose; `loops/` makes them fast.
"""

from __future__ import annotations

from smelt.compiler.graph.fusion import Group
from smelt.compiler.graph.gemm_blocking import cut
from smelt.compiler.graph.memory_plan import Planned
from smelt.compiler.lower.gemm import lower_cut
from smelt.compiler.lower.kernel_builder import KernelBuilder
from smelt.compiler.lower.nests import lower_nest
from smelt.compiler.lower.regions import lower_control
from smelt.compiler.lower.standalone import lower_standalone
from smelt.ir.graph import Node
from smelt.ir.loops import Kernel
from smelt.ir.program import Call, Check, Part, Program, Slot


def lower(planned: Planned, name: str = "step") -> Program:
    """Returns the program of a planned step: its slots and one kernel per group, in order."""
    body: list[Part] = []
    extra: list[Slot] = []
    checks = {one.node: number for number, one in enumerate(planned.graph.assertions)}
    for group in planned.fused.groups:
        if group.kind == "control":
            part, constants = lower_control(planned, group.members, lower)
            body.append(part)
            extra += constants
            continue
        kernel, nodes = lower_group(planned, group)
        body.append(Call(kernel, tuple([planned.slots[node] for node in nodes])))
        body += [Check(planned.slots[n], checks[n]) for n in group.members if n in checks]
    slots = tuple(dict.fromkeys([*planned.slots.values(), *extra]))
    return Program(name, slots, planned.arena_bytes, tuple(body))


def lower_group(planned: Planned, group: Group) -> tuple[Kernel, list[Node]]:
    """Returns a group's kernel, and the node behind each of `kernel.buffers`."""
    builder = KernelBuilder(planned, group)
    first = group.members[0]
    blocking = cut(first)
    if group.kind == "alone":
        body = lower_standalone(builder, first)
    elif blocking is not None:
        body = lower_cut(builder, first, blocking)
    else:
        body = lower_nest(builder)
    return builder.kernel(body)
