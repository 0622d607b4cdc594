"""Decisions: what passes chose and why, as `explain("groups")` and `explain("plans")` print it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from smelt.compiler.cpu import CPU
from smelt.compiler.graph.fusion import Fused, Group, Strategy
from smelt.compiler.graph.gemm_blocking import Blocking
from smelt.compiler.graph.product_blocking import ProductBlocking
from smelt.compiler.graph.tiles import Tiles
from smelt.compiler.loops.optimize import rewritten
from smelt.compiler.loops.plan import (
    Plan,
    SerialPlan,
    TransposePlan,
    VectorPlan,
    chosen_plan,
    tile_limits,
    tiled,
)
from smelt.compiler.loops.substitute import Names
from smelt.compiler.loops.tile_sizes import tile_candidates
from smelt.ir.graph import Leaf, Node, scalar_value
from smelt.ir.loops import Kernel, Loop, trip_count

if TYPE_CHECKING:
    from smelt.compiler.pipeline import Stages

SHOWN = 5  # candidates of a tile that are printed, the best first


# --- groups ---------------------------------------------------------------------------------------


def groups_text(stages: Stages) -> str:
    """Returns, for each kernel, how it is computed, what it stores and why, and what it inlines."""
    head = "# kernel: strategy, loops; what is stored and why; what is computed where it is read"
    blocks = [
        "\n".join(_group_lines(number, fused, group))
        for number, (fused, group) in enumerate(kernel_groups(stages.fused), 1)
    ]
    return "\n\n".join([head, *blocks])


def kernel_groups(fused: Fused) -> Iterator[tuple[Fused, Group]]:
    """Yields every group that became a kernel, also those of loops and branches."""
    for group in fused.groups:
        if group.strategy not in (Strategy.REGION, Strategy.COLLECTIVE):
            yield fused, group
        for body in reversed(group.bodies):  # of a branch, the side for true first
            yield from kernel_groups(body)


def _group_lines(number: int, fused: Fused, group: Group) -> Iterator[str]:
    space = "x".join(map(str, group.iteration_space)) or "none"
    yield f"{number}: {group.strategy.value}, loops {space}"
    if group.blocking is not None:
        yield from _blocking_lines(group.blocking)
    rows = [(_described(node), _why(fused, node)) for node in group.members]
    width = max(len(text) for text, _ in rows)
    yield from (f"    {text:<{width}}  {why}" for text, why in rows)
    inlined = [_described(node) for node in inlined_nodes(fused, group)]
    if inlined:
        counts = dict.fromkeys(inlined, 0)
        for text in inlined:
            counts[text] += 1
        texts = [text if count == 1 else f"{count} x {text}" for text, count in counts.items()]
        yield f"    inlined: {', '.join(texts)}"


def _blocking_lines(blocking: Blocking | ProductBlocking) -> Iterator[str]:
    """Yields how the tiles of a blocked product cut each axis, and what is packed."""
    if isinstance(blocking, ProductBlocking):
        axes = {"rows": blocking.rows, "columns": blocking.columns, "depth": blocking.depth}
        packed = "panels of the right operand" if blocking.packs_right else "nothing"
        yield f"    packed: {packed}; tiles of {_tiles_text(axes)}"
        return
    operand = ("the left one, or the patches", "the right one, or the kernels")[blocking.packed]
    axes = {
        "samples": (blocking.samples,),
        "outputs": (blocking.outputs,),
        **{f"position {axis}": tiles for axis, tiles in enumerate(blocking.positions)},
        "channels": blocking.channels,
        "taps": blocking.taps,
    }
    yield f"    packed: {operand}; blocks of {_tiles_text(axes)}"


def _tiles_text(axes: Mapping[str, tuple[Tiles, ...]]) -> str:
    return ", ".join(
        f"{name} {' + '.join(f'{tiles.count} x {tiles.size}' for tiles in parts)}"
        for name, parts in axes.items()
    )


def _described(node: Node) -> str:
    return f"{node.op.name} {node.dtype.name}{list(node.shape)}"


def _why(fused: Fused, node: Node) -> str:
    return f"because {fused.ordered.materialized.reasons[node]}"


def inlined_nodes(fused: Fused, group: Group) -> list[Node]:
    """Returns the nodes without memory that a group computes inside its loops."""
    seen: dict[Node, None] = {}
    stack = [operand for node in reversed(group.members) for operand in reversed(node.inputs)]
    while stack:
        node = stack.pop()
        in_memory = node in fused.ordered.materialized or scalar_value(node) is not None
        if not in_memory and node not in seen and not isinstance(node.op, Leaf):
            seen[node] = None
            stack += reversed(node.inputs)
    return list(seen)


# --- plans ----------------------------------------------------------------------------------------


def plans_text(stages: Stages, cpu: CPU) -> str:
    """Returns, for each kernel, the plan of each nest of loops, and the plans that cost more."""
    head = f"# plans for {cpu}; costs are cycles, by the cost model"
    blocks = [
        "\n".join([f"{kernel.name}:", *_kernel_lines(kernel, cpu)])
        for kernel in stages.split.kernels
    ]
    return "\n\n".join([head, *blocks])


def _kernel_lines(kernel: Kernel, cpu: CPU) -> Iterator[str]:
    loops = [
        statement
        for statement in rewritten(kernel, Names(kernel.body), cpu).body
        if isinstance(statement, Loop)
    ]
    for loop in loops:
        yield from _nest_lines(loop, cpu, "    ")
    if not loops:
        yield "    no loops"


def _nest_lines(loop: Loop, cpu: CPU, indent: str) -> Iterator[str]:
    best, plans = chosen_plan(loop, cpu)
    extents = ", ".join(f"{one.variable.name} {trip_count(one)}" for one in best.nest.loops)
    yield f"{indent}loops {extents}"
    for plan in plans:
        mark = "->" if plan is best else "  "
        yield f"{indent} {mark} {plan.cost:>14,.0f}  {_plan_text(plan)}"
    if isinstance(best, VectorPlan):
        yield from _tile_lines(best, cpu, indent)
    if isinstance(best, SerialPlan):
        for position in best.inner:
            inner = best.nest.body[position]
            assert isinstance(inner, Loop)
            yield from _nest_lines(inner, cpu, indent + "    ")


def _plan_text(plan: Plan) -> str:
    match plan:
        case SerialPlan(inner=inner):
            return f"these loops as they are{', and a plan for each one inside' if inner else ''}"
        case TransposePlan(loops=(one, other)):
            return f"tiles of {one.variable.name} x {other.variable.name} transposed in registers"
    parts = [f"vectors of {plan.lanes} along {plan.vector.variable.name}"]
    if plan.row is not None:
        parts.append(f"rows along {plan.row.variable.name}")
    if plan.lane_per_row:
        parts.append("a row for each lane")
    parts += [f"{one.buffer.name} packed {one.depth} deep" for one in plan.packings]
    return ", ".join(parts)


def _tile_lines(plan: VectorPlan, cpu: CPU, indent: str) -> Iterator[str]:
    """Yields the tile of a plan, what limits it, and the next best ones."""
    chosen = tiled(plan, cpu)
    tile = f"{chosen.rows} x {chosen.columns} vectors of {plan.lanes}"
    if not plan.nest.info.has_loops:
        yield f"{indent}    {tile} at once"
        return
    rows, vectors, registers, sums, most = limits = tile_limits(plan, cpu)
    yield (
        f"{indent}    tile {tile}, {chosen.accumulators} to a sum: of {rows} rows x {vectors} "
        f"vectors, in {registers} registers, {sums} for each sum, at most {most} sums"
    )
    best = sorted(tile_candidates(*limits))[:SHOWN]
    texts = [f"{r} x {c} takes {time:,.1f}" for time, r, c in best]
    yield f"{indent}    by the model of time: {', '.join(texts)}"
