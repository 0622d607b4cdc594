"""Plans: what becomes of a loop nest. Candidates are listed, costed, and the cheapest is taken.

A plan is a value. It is made here with the cost model, and applied by `apply_plan.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from smelt.compiler.cpu import CPU
from smelt.compiler.loops import cost_model
from smelt.compiler.loops.cost_model import VectorLoops
from smelt.compiler.loops.dependence import Access, DependenceInfo
from smelt.compiler.loops.nest import Nest, find_nest
from smelt.compiler.loops.packing import (
    Packing,
    find_column_panel,
    find_packed_output,
    find_strided,
    may_pack,
)
from smelt.compiler.loops.tile_sizes import (
    UNROLLED_WORK,
    accumulators_of,
    lanes_for,
    narrowed,
    size_class,
    tail_height,
    tile_shape,
    unroll,
)
from smelt.ir.loops import Buffer, Load, Loop, Scratch, Store, trip_count
from smelt.ir.symbolic import decided, is_symbolic, sample
from smelt.ir.visit import Body, Index, Transformer, statements

SHORT_ROW = 32  # elements up to which each lane of a vector may have a row of its own
SHORT_VECTORS = 2  # vectors of such rows at once: more need more code and cache
FAR_BYTES = 1 << 18  # rows that span more than this, so that each column lies on many pages, are
FAR_DEPTH = 64  # copied together if there are so many of them,
FAR_ROWS = 32  # and so many rows of the result read them
STRIPS = 4  # of columns that are packed together, at most
MIN_PANELS = 4  # that there must be then


@dataclass(frozen=True, slots=True)
class SerialPlan:
    """The loops stay as they are; loops in the body get plans of their own, by their position."""

    nest: Nest
    cost: float
    inner: Mapping[int, Plan]

    @property
    def around(self) -> list[Loop]:
        """The loops that run outside of everything."""
        return list(self.nest.loops)


@dataclass(frozen=True, slots=True)
class TransposePlan:
    """The nest only copies and transposes arrays: tiles are transposed in registers."""

    nest: Nest
    cost: float
    copies: tuple[tuple[Packing, Packing], ...]  # what each copy reads and writes
    loops: tuple[Loop, Loop]  # that the copies run across

    @property
    def around(self) -> list[Loop]:
        """The loops that run outside of the tiles."""
        return [loop for loop in self.nest.loops if loop not in self.loops]


@dataclass(frozen=True, slots=True)
class VectorPlan(VectorLoops):
    """Iterations of the vector loop become lanes, `columns` vectors at once.

    With a row loop, `rows` of its iterations are interleaved, so that they share loads. If fewer
    than `columns` vectors are left at the end, `tail_rows` are interleaved there. `strips` strips
    of columns are packed together. Each sum has `accumulators` accumulators.
    """

    nest: Nest
    cost: float
    packings: tuple[Packing, ...]
    rows: int = 1
    columns: int = 1
    tail_rows: int = 1
    strips: int = 1
    accumulators: int = 1

    @property
    def within(self) -> list[Loop]:
        """The loops that run inside of a panel of columns, so that they share what is packed."""
        names = {name for packing in self.packings for name in packing.names}
        return [
            loop
            for loop in self.nest.loops
            if self.packings and loop.variable.name not in names
            if loop not in (self.vector, self.row)
        ]

    @property
    def around(self) -> list[Loop]:
        """The loops that run outside of everything."""
        inside = [self.vector, self.row, *self.within]
        return [loop for loop in self.nest.loops if loop not in inside]


Plan = SerialPlan | TransposePlan | VectorPlan


def make_plan(loop: Loop, cpu: CPU, true_trips: Mapping[str, int] | None = None) -> Plan:
    """Returns the cheapest plan for the nest that a loop begins; `true_trips` are how often its
    loops run, if not as often as they say (`OfSizeClass`).
    """
    best, _ = chosen_plan(loop, cpu, true_trips)
    return tiled(best, cpu) if isinstance(best, VectorPlan) else best


def chosen_plan(
    loop: Loop, cpu: CPU, true_trips: Mapping[str, int] | None = None
) -> tuple[Plan, list[Plan]]:
    """Returns the cheapest plan, before its tile is chosen, and all candidates."""
    nest = find_nest(loop, true_trips)
    plans = candidates(nest, cpu)
    if len(plans) == 1:
        return plans[0], plans
    if not nest.info.registers.assigns:
        # every plan gives the same bits: what suits the sample of unknown extents serves for all
        return min(plans, key=lambda plan: sample(plan.cost)), plans
    # the order of sums depends on the plan: it is chosen for the size class of each extent
    (of_class,) = OfSizeClass((loop,)).loop(loop)
    assert isinstance(of_class, Loop)
    judged = candidates(find_nest(of_class, nest.info.true_trips), cpu)
    name = _vector_name(min(judged, key=lambda plan: plan.cost))
    return next((plan for plan in plans if _vector_name(plan) == name), plans[0]), plans


def _vector_name(plan: Plan) -> str:
    return plan.vector.variable.name if isinstance(plan, VectorPlan) else ""


class OfSizeClass(Transformer):
    """Replaces extents by those of their size classes, except the extents of scratches."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._scratches = {part.buffer for part in statements(body) if isinstance(part, Scratch)}
        self._buffers: dict[Buffer, Buffer] = {}

    def loop(self, loop: Loop) -> Body:
        body, extent = self.block(loop.body), size_class(trip_count(loop))
        return (replace(loop, stop=extent, body=body),)

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        if buffer not in self._scratches and buffer not in self._buffers:
            shape = tuple([size_class(extent) for extent in buffer.shape])
            self._buffers[buffer] = replace(buffer, shape=shape)
        return self._buffers.get(buffer, buffer), index


def candidates(nest: Nest, cpu: CPU) -> list[Plan]:
    """Returns the plans that a nest may have, before tiles are chosen: of equally cheap ones the
    first is taken.
    """
    copies = _transposing_copies(nest)
    if copies is not None:
        return [copies]
    vectorized = (_vectorized(nest, axis, cpu) for axis in reversed(nest.loops))
    return [_serial(nest, cpu), *[plan for plan in vectorized if plan is not None]]


def _serial(nest: Nest, cpu: CPU) -> SerialPlan:
    inner = {
        position: make_plan(statement, cpu, nest.info.true_trips)
        for position, statement in enumerate(nest.body)
        if isinstance(statement, Loop)
    }
    cost = cost_model.serial_cost(nest, [plan.cost for plan in inner.values()])
    return SerialPlan(nest, cost, inner)


# --- vectors --------------------------------------------------------------------------------------


def _vectorized(nest: Nest, vector: Loop, cpu: CPU) -> VectorPlan | None:
    """The plan that makes vectors of one loop, or None if that is not allowed."""
    info = nest.info
    if not _may_vectorize(info, vector):
        return None
    lanes = narrowed(lanes_for(info.vector_dtypes, cpu.vector_bits), trip_count(vector))
    if lanes == 1:
        return None
    is_tiled = info.has_loops and not _has_rows(info, vector.variable.name)
    row = _row_loop(nest, vector) if is_tiled else None
    chosen = vector, lanes, row, info.has_loops and row is None
    packings, by_access = _choose_packings(nest, VectorLoops(*chosen), cpu.panel_bytes)
    cost = cost_model.vector_cost(nest, VectorLoops(*chosen), by_access)
    return VectorPlan(*chosen, nest, cost, tuple(packings))


def _may_vectorize(info: DependenceInfo, vector: Loop) -> bool:
    name = vector.variable.name
    is_sum = bool(info.registers.live_in)
    allowed = info.is_reduction(name) if is_sum else info.carries_no_dependence(name)
    if not allowed or (is_sum and info.has_loops):
        return False
    return all(scratch.size <= SHORT_ROW for scratch in info.scratches)


def _has_rows(info: DependenceInfo, name: str) -> bool:
    """Whether a body keeps rows of its own, or writes some across the loop around it."""
    across = (access for access in info.accesses if access.is_store and access.trips > 1)
    return bool(info.scratches) or any(access.stride(name) not in (0, 1) for access in across)


def _row_loop(nest: Nest, vector: Loop) -> Loop | None:
    """The loop whose iterations share the most vectors, and so are best done together."""
    most_shared, choice = 0, None
    for loop in nest.loops:
        name = loop.variable.name
        if loop is vector or not nest.info.carries_no_dependence(name):
            continue
        shared = 1
        for access in nest.info.accesses:
            if access.stride(name) == 0 and access.stride(vector.variable.name) != 0:
                shared += access.trips
        if shared >= most_shared:
            most_shared, choice = shared, loop
    return choice


def tiled(plan: VectorPlan, cpu: CPU) -> VectorPlan:
    """Returns the plan with the rows and columns of vectors that are done at once."""
    info = plan.nest.info
    if not info.has_loops:
        vectors = -(-trip_count(plan.vector) // plan.lanes)
        if info.registers.live_in:
            vectors = -(-size_class(trip_count(plan.vector)) // plan.lanes)
        elif is_symbolic(vectors):
            vectors = 1  # no code for each number of vectors that may be left over
        return replace(plan, columns=unroll(vectors, info.work + len(info.accesses)))
    limits = tile_limits(plan, cpu)
    rows, columns = tile_shape(*limits)
    extent, vectors, *registers = limits
    rest = 0 if is_symbolic(vectors) else vectors % columns
    return replace(
        plan,
        rows=rows,
        columns=columns,
        tail_rows=tail_height(extent, rest, *registers) if rest else rows,
        strips=1 if is_symbolic(vectors) else _strips(plan, columns, vectors, cpu),
        row=plan.row if rows > 1 or plan.packings else None,
        accumulators=decided(accumulators_of, *limits),
    )


def _strips(plan: VectorPlan, columns: int, vectors: int, cpu: CPU) -> int:
    """Returns how many strips of columns are packed together: several if rows are far apart, so
    that each page is visited less often, but few enough that threads have several panels.
    """
    if plan.lane_per_row or not plan.packings or any(one.is_transposed for one in plan.packings):
        return 1
    strip = sum(one.depth * one.buffer.dtype.itemsize for one in plan.packings)
    fitting = cpu.panel_bytes // (strip * columns * plan.lanes)
    return max(1, min(STRIPS, fitting, vectors // columns // MIN_PANELS))


def tile_limits(plan: VectorPlan, cpu: CPU) -> tuple[int, int, int, int, int]:
    """Returns what decides a tile: the rows and vectors there are, the vector registers, how many
    of them a sum takes, and the most sums that a tile may have.
    """
    info = plan.nest.info
    vectors = -(-trip_count(plan.vector) // plan.lanes)
    sums = max(1, len(info.registers.declared))
    most = max(1, UNROLLED_WORK // max(2, info.innermost_work) // 2)
    rows = trip_count(plan.row) if plan.row is not None else 1
    for packing in plan.packings:
        line = packing.depth * plan.lanes * packing.buffer.dtype.itemsize
        vectors = min(vectors, cpu.panel_bytes // line)
    if plan.lane_per_row:
        vectors = min(vectors, SHORT_VECTORS)
    return rows, vectors, cpu.vector_registers, sums, most


# --- packing --------------------------------------------------------------------------------------


def _choose_packings(
    nest: Nest, loops: VectorLoops, limit: int
) -> tuple[list[Packing], dict[int, Packing]]:
    """Returns what is packed, each in at most `limit` bytes, and by the numbers of accesses, which
    of it they read or write.
    """
    packings: list[Packing] = []
    by_access: dict[int, Packing] = {}
    for number, access in enumerate(nest.info.accesses):
        rows = loops.rows_sharing(access)
        found: Packing | None = None
        if loops.is_strided(access) and (rows > 1 or loops.lane_per_row):
            found = _strided_packing(access, nest, loops, limit)
        if found is not None:
            known = [one for one in packings if one.covers(found.buffer, found.index)]
            packings += [] if known else [found]
            by_access[number] = known[0] if known else found
        elif access.stride(loops.vector.variable.name) == 1 and rows >= FAR_ROWS and not packings:
            panel = _column_panel(access, nest, loops, limit)
            packings += [] if panel is None else [panel]
    return packings, by_access


def _strided_packing(access: Access, nest: Nest, loops: VectorLoops, limit: int) -> Packing | None:
    """Returns the packing for a strided access, if its array may be packed."""
    info, vector = nest.info, loops.vector
    if access.buffer in info.written:
        output = find_packed_output(access, vector, loops.lanes, info, nest.body, limit)
        return output if output and loops.lane_per_row and output.depth <= SHORT_ROW else None
    packing = find_strided(access, vector.variable.name)
    if packing is None or (loops.lane_per_row and packing.depth > SHORT_ROW):
        return None
    return packing if may_pack(packing, access, vector, loops.lanes, info, limit) else None


def _column_panel(access: Access, nest: Nest, loops: VectorLoops, limit: int) -> Packing | None:
    """Returns the packing for an access whose rows are many, and so far apart that it pays."""
    packing = find_column_panel(access, loops.vector.variable.name)
    if packing is None or packing.depth < FAR_DEPTH or access.buffer in nest.info.written:
        return None
    depth = access.affine_index[packing.depth_axis]
    is_far = packing.depth * access.buffer.shape[-1] * access.buffer.dtype.itemsize > FAR_BYTES
    if not is_far or depth is None or not depth.terms:
        return None
    fits = may_pack(packing, access, loops.vector, 2 * loops.lanes, nest.info, limit)
    return packing if fits else None


# --- copies that transpose ------------------------------------------------------------------------


def _transposing_copies(nest: Nest) -> TransposePlan | None:
    """The plan for statements like `y[i, j] = x[j, i]`, with any loops around; None for others."""
    info = nest.info
    for statement in nest.body:
        if not isinstance(statement, Store) or not isinstance(statement.value, Load):
            return None
    if len(info.accesses) != 2 * len(nest.body):
        return None
    free = [loop for loop in nest.loops if info.carries_no_dependence(loop.variable.name)]
    loops = [loop for loop in free if trip_count(loop) > 1]
    for target in loops:
        for source in loops:
            copies = () if target is source else _copies(nest, target, source)
            if len(copies) == len(nest.body):
                return TransposePlan(nest, cost_model.copy_cost(nest), copies, (target, source))
    return None


def _copies(nest: Nest, target: Loop, source: Loop) -> tuple[tuple[Packing, Packing], ...]:
    """Returns the loads and stores of copies that are transposed in two loops."""
    result: list[tuple[Packing, Packing]] = []
    accesses = nest.info.accesses
    a, b = target.variable.name, source.variable.name
    for store, load in zip(accesses[::2], accesses[1::2], strict=True):
        read, write = find_strided(load, a, b), find_strided(store, b, a)
        if read is not None and write is not None and store.is_store:
            result.append((read, write))
    return tuple(result)
