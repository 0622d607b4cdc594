"""The cost model: about how many cycles a nest takes under a plan. Nothing here decides anything.

Costs follow from shapes, dtypes and the width of a vector register alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smelt.compiler.loops.dependence import Access
from smelt.compiler.loops.nest import Nest
from smelt.compiler.loops.packing import Packing
from smelt.ir.loops import Loop, trip_count

REDUCE_COST = 12  # of one sum over the lanes of a vector
SCATTER_COST = 4  # of storing one element on its own
PACK_COST = 10  # of transposing one vector of a panel
COPY_COST = 0.6  # of one element of a copy that transposes in registers
LANE_PER_ROW_FACTOR = 1.2  # packing short rows, which is much code, must gain as much
SHARED_ROWS = 8  # rows of a tile that share an access, at most


@dataclass(frozen=True, slots=True)
class VectorLoops:
    """Which loop of a nest becomes vectors, and how.

    With a `row` loop, some of its iterations are interleaved in a tile. With `lane_per_row`, each
    iteration of the vector loop works on short rows of its own, which become lanes.
    """

    vector: Loop
    lanes: int
    row: Loop | None
    lane_per_row: bool

    def rows_sharing(self, access: Access) -> int:
        """Returns how many iterations of the row loop touch the same elements."""
        if self.row is None or access.stride(self.row.variable.name) != 0:
            return 1
        return trip_count(self.row)

    def access_cost(self, access: Access) -> float:
        """Returns the cycles of an access to one vector of elements, not packed, and not shared."""
        stride = access.stride(self.vector.variable.name)
        if stride == 1:
            return 1
        return 2 if stride == -1 else self.lanes

    def is_strided(self, access: Access) -> bool:
        """Whether an access takes its elements one by one."""
        stride = access.stride(self.vector.variable.name)
        return stride != 0 and self.access_cost(access) > 2


def serial_cost(nest: Nest, inner: Sequence[float]) -> float:
    """Returns the cost of loops that stay as they are, given those of the nests inside."""
    if not inner:
        return float(nest.info.work + len(nest.info.accesses)) * nest.iterations
    own = sum(access.trips == 1 for access in nest.info.accesses) + len(nest.body)
    return sum(inner, start=float(own)) * nest.iterations


def vector_cost(nest: Nest, loops: VectorLoops, packings: Mapping[int, Packing]) -> float:
    """Returns the cost of a nest with vectors; `packings` holds packings by access number."""
    costs: list[float] = []
    seen: set[int] = set()
    for number, access in enumerate(nest.info.accesses):
        packing = packings.get(number)
        is_repeated = id(packing) in seen
        costs.append(_access_cost(access, loops, packing, is_repeated) * access.trips)
        seen |= set() if packing is None else {id(packing)}
    once = nest.info.work + sum(costs)
    vectors = -(-trip_count(loops.vector) // loops.lanes)
    cost = once * vectors * nest.iterations / trip_count(loops.vector)
    cost += REDUCE_COST * len(nest.info.registers.live_in)
    return cost * LANE_PER_ROW_FACTOR if loops.lane_per_row and packings else cost


def _access_cost(
    access: Access, loops: VectorLoops, packing: Packing | None, is_repeated: bool
) -> float:
    """Returns the cycles of one access; the rows of a tile share what they can."""
    if access.stride(loops.vector.variable.name) == 0:
        return 0.5
    rows = loops.rows_sharing(access)
    if packing is not None:
        if is_repeated and loops.lane_per_row:
            return 1
        return 1 / min(rows, SHARED_ROWS) + PACK_COST / rows
    cost = loops.access_cost(access)
    scattered = SCATTER_COST if access.is_store and cost > 2 else 1
    return cost * scattered / min(rows, SHARED_ROWS)


def copy_cost(nest: Nest) -> float:
    """Returns the cost of copies that transpose in registers."""
    return COPY_COST * nest.iterations * len(nest.body)
