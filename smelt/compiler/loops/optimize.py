"""Optimize: loop IR to loop IR, from naive nests to loops that a processor runs fast.

`REWRITES` come first, in that order; each file shows its rewrite before and after. They receive and
return serial loops that count from 0 by ones to a number, without branches: a rewrite that makes
steps or tails must come after the plans. Then a plan is made for each nest (`plan.py`, with the
costs of `cost_model.py`) and applied (`apply_plan.py`) by the other rewrites: tile, hoist_loads,
pack, transpose, privatize, multiple_accumulators and parallelize. At the end long sums are split
(`cascade_sums.py`).

Only the order in which a register accumulates a sum may change, and only depending on shapes:
results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smelt.compiler.cpu import CPU
from smelt.compiler.loops.apply_plan import apply_plan
from smelt.compiler.loops.plan import make_plan
from smelt.compiler.loops.rewrites.canonicalize import drop_unit_loops, inline_indices
from smelt.compiler.loops.rewrites.cascade_sums import cascade_sums
from smelt.compiler.loops.rewrites.collapse_loops import collapse_loops
from smelt.compiler.loops.rewrites.contract_fma import contract_fma
from smelt.compiler.loops.rewrites.delinearize import delinearize
from smelt.compiler.loops.rewrites.reshape_buffers import join_buffer_axes, split_buffer_axes
from smelt.compiler.loops.rewrites.split_ranges import split_ranges
from smelt.compiler.loops.substitute import Names
from smelt.ir.loops import If, Kernel, Loop, Statement, Transpose
from smelt.ir.symbolic import sample
from smelt.ir.visit import statements

REWRITES: tuple[Callable[[Kernel, Names], Kernel], ...] = (
    drop_unit_loops,
    contract_fma,
    inline_indices,
    join_buffer_axes,
    delinearize,
    split_buffer_axes,
    split_ranges,
    collapse_loops,
)


def optimize(kernel: Kernel, cpu: CPU) -> Kernel:
    """Returns a kernel that does the same, faster, on a CPU of that kind.

    Elementwise results are the same bit for bit, sums up to rounding. A kernel with branches, or
    with loops that do not count from 0 by ones to a number, stays as it is: `lower` writes none.
    """
    if not all(map(_is_plain, statements(kernel.body))):
        return kernel
    names = Names(kernel.body)
    kernel = rewritten(kernel, names, cpu)
    is_alone = len(kernel.body) == 1
    result: list[Statement] = []
    cycles = 0
    for statement in kernel.body:
        if isinstance(statement, Loop):
            plan = make_plan(statement, cpu)
            cycles += int(sample(plan.cost))
            result.extend(apply_plan(plan, names, parallel=is_alone))
        else:
            result.append(statement)
    return replace(kernel, body=cascade_sums(tuple(result), names), cycles=cycles)


def rewritten(kernel: Kernel, names: Names, cpu: CPU) -> Kernel:
    """Returns a kernel of plain loops after the rewrites: what plans are made for.

    If the CPU has no fused multiply-add, a sum of products is rounded twice, as in eager code:
    rounding once would take a function call.
    """
    for rewrite in REWRITES:
        if rewrite is not contract_fma or cpu.has_fma:
            kernel = rewrite(kernel, names)
    assert all(map(_is_plain, statements(kernel.body))), "a rewrite left a loop that plans misread"
    return kernel


def _is_plain(statement: Statement) -> bool:
    if not isinstance(statement, Loop):
        return not isinstance(statement, (If, Transpose))
    counts = statement.start == 0 and isinstance(statement.stop, int) and statement.step == 1
    return counts and statement.kind == "serial"
