"""Lower: planned groups -> a program of kernels of plain scalar loops.

The nests written here are naive on purpose; `loops/` makes them fast.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

from smelt.compiler.graph.fusion import Group, Strategy
from smelt.compiler.graph.memory_plan import Planned
from smelt.compiler.lower.blocked_gemm import lower_blocked_gemm
from smelt.compiler.lower.blocked_product import lower_blocked_product
from smelt.compiler.lower.collectives import Collectives
from smelt.compiler.lower.equal_groups import EqualGroups, Lowered
from smelt.compiler.lower.kernel_builder import KernelBuilder
from smelt.compiler.lower.nests import lower_nest
from smelt.compiler.lower.regions import lower_region
from smelt.compiler.lower.standalone import lower_standalone
from smelt.ir.program import Call, Check, Part, Program, Slot
from smelt.ir.symbolic import is_symbolic

LOWERINGS = {
    Strategy.POINTWISE: lower_nest,
    Strategy.ROWWISE: lower_nest,
    Strategy.GEMM: lower_nest,
    Strategy.BLOCKED_GEMM: lower_blocked_gemm,
    Strategy.BLOCKED_PRODUCT: lower_blocked_product,
    Strategy.STANDALONE: lower_standalone,
}  # regions and collectives are not kernels but parts of the program


def lower(planned: Planned, name: str = "step", requests: Iterator[int] | None = None) -> Program:
    """Returns the program of a planned step: its slots and one kernel per group, in order.

    `requests` numbers what collectives begin, in the step and in its bodies.
    """
    requests = itertools.count() if requests is None else requests
    body: list[Part] = []
    constants: list[Slot] = []
    equal = EqualGroups()
    collectives = Collectives(planned, requests)
    lower_body = functools.partial(lower, requests=requests)
    checks = {check.node: number for number, check in enumerate(planned.graph.assertions)}
    for group in planned.fused.groups:
        if group.strategy is Strategy.REGION:
            part, own_constants = lower_region(planned, group.members, lower_body)
            body.append(part)
            constants += own_constants
            continue
        if group.strategy is Strategy.COLLECTIVE:
            body += [collectives.lowered(node) for node in group.members]
            body += [Check(planned.slots[n], checks[n]) for n in group.members if n in checks]
            continue
        kernel, places = equal.lowered(planned, group, lower_group)
        slots = tuple([planned.slots[node] for node, _ in places])
        offsets = tuple([offset for _, offset in places])
        body += collectives.with_progress(Call(kernel, slots, offsets if any(offsets) else ()))
        body += [Check(planned.slots[n], checks[n]) for n in group.members if n in checks]
    all_slots = tuple(dict.fromkeys([*planned.slots.values(), *constants]))
    extents = [extent for node in planned.graph.arguments for extent in node.shape]
    is_dynamic = any(map(is_symbolic, extents))
    return Program(name, all_slots, planned.arena_bytes, tuple(body), is_dynamic)


def lower_group(planned: Planned, group: Group) -> Lowered:
    """Returns a group's kernel, and for each of `kernel.buffers`, its node and byte offset."""
    builder = KernelBuilder(planned, group)
    return builder.kernel(LOWERINGS[group.strategy](builder))
