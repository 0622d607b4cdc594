"""Packing candidates: accesses across the vector axis, or with rows far apart, to copy beforehand.

If a loop over `i` becomes vectors, `x[i, k]` reads elements that are a row apart (the access is
strided). A local copy of some rows, transposed so that `i` comes last, is read by whole vectors; it
may be written, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from smelt.compiler.loops.dependence import Access, DependenceInfo
from smelt.compiler.loops.substitute import Substitution
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import Buffer, Expression, Loop, Store, trip_count
from smelt.ir.visit import Body, Index, names_in


@dataclass(frozen=True, slots=True)
class Packing:
    """An array with one axis along the vector loop, and another, the depth, to be copied whole.

    With `depth_variable`, the depth axis is indexed by that variable, otherwise by anything. The
    copy is packed before the loop if `is_read`, and written back after the loop if `is_written`.
    """

    buffer: Buffer
    index: Index
    vector_axis: int
    vector_variable: str
    depth_variable: str | None = None
    depth_axis: int = -1  # the last, unless rows lie along the vectors, only far apart
    is_written: bool = False
    is_read: bool = True

    def covers(self, buffer: Buffer, index: Index) -> bool:
        """Whether an access reaches the same part of the same array, anywhere along the depth."""
        return buffer is self.buffer and self.outside_depth(index) == self.outside_depth(self.index)

    def outside_depth(self, index: Index) -> Index:
        """Returns an index without that of the depth axis."""
        parts = list(index)
        del parts[self.depth_axis]
        return tuple(parts)

    @property
    def names(self) -> set[str]:
        """The variables that say which part of the array is copied: all but the depth axis's."""
        return {name for part in self.outside_depth(self.index) for name in names_in(part)}

    @property
    def depth(self) -> int:
        """The length of its depth axis."""
        return self.buffer.shape[self.depth_axis]

    @property
    def is_transposed(self) -> bool:
        """Whether the copy is transposed, and not only denser than the array."""
        return self.depth_axis == -1

    def at(self, vector: Expression, depth: Expression) -> Index:
        """Returns the index of an element in the array."""
        index = list(self.index)
        along = Substitution({self.vector_variable: vector})
        index[self.vector_axis] = along(index[self.vector_axis])
        if self.depth_variable:
            depth = Substitution({self.depth_variable: depth})(index[self.depth_axis])
        index[self.depth_axis] = depth
        return tuple(index)


def find_strided(access: Access, vector: str, depth: str | None = None) -> Packing | None:
    """Returns the packing for an access that is strided along the vector axis, if it has one."""
    if depth is not None and not _runs_along(access, depth):
        return None
    axis, last = _axis_along(access, vector), len(access.index) - 1
    if axis is None or axis == last or access.affine_index[last] is None:
        return None
    index = access.affine_index[axis]
    written = affine(access.index[axis])  # as it is written: lets are not looked up
    if index is None or index.coefficient(vector) != 1 or written != index:
        return None
    return Packing(access.buffer, access.index, axis, vector, depth)


def find_column_panel(access: Access, vector: str) -> Packing | None:
    """Returns the packing for an access along the vector axis, its depth the axis before."""
    last = len(access.index) - 1
    if last < 1 or _axis_along(access, vector) != last:
        return None
    if access.affine_index[last] != Affine(0, {vector: 1}):
        return None
    return Packing(access.buffer, access.index, last, vector, depth_axis=last - 1)


def _axis_along(access: Access, name: str) -> int | None:
    """Returns the axis whose index moves with a variable, if it is the only one."""
    if access.is_masked or name in access.non_affine:
        return None
    affine_index = enumerate(access.affine_index)
    axes = [axis for axis, index in affine_index if index and index.coefficient(name)]
    return axes[0] if len(axes) == 1 else None


def _runs_along(access: Access, name: str) -> bool:
    """Whether only the last axis moves with a variable, step by step."""
    steps = [index.coefficient(name) for index in access.affine_index if index is not None]
    return steps[-1:] == [1] and not any(steps[:-1]) and name not in access.non_affine


def may_pack(
    packing: Packing, access: Access, vector: Loop, width: int, info: DependenceInfo, limit: int
) -> bool:
    """Tells whether a copy of `width` columns at least may replace the array of an access.

    It must take no more than `limit` bytes. Inner loops, and nothing else, must index the depth
    axis, and no other axis; and nearly all of the depth must be needed.
    """
    if access.non_affine:
        return False
    if packing.names & info.origins.keys():
        return False
    outside = list(access.affine_index)
    depth = outside.pop(packing.depth_axis)
    fixed = {name for index in outside if index for name in index.terms}
    if fixed & info.inner_loops or depth is None or not set(depth.terms) <= info.inner_loops:
        return False
    size = packing.depth * width * access.buffer.dtype.itemsize
    return access.trips >= packing.depth and size <= limit


def find_packed_output(
    access: Access, vector: Loop, width: int, info: DependenceInfo, body: Body, limit: int
) -> Packing | None:
    """Returns the packing for all accesses to an array that is stored to, if they agree on one and
    copies take no more than `limit` bytes.

    If the first loop that reaches the array writes all of the copied part, nothing need be read.
    """
    first: Packing | None = None
    for other in info.written[access.buffer]:
        packing = find_strided(other, vector.variable.name)
        if packing is None or not may_pack(packing, other, vector, width, info, limit):
            return None
        first = packing if first is None else first
        if not first.covers(other.buffer, other.index):
            return None
    return first and replace(first, is_written=True, is_read=not _is_written_first(first, body))


def _is_written_first(packing: Packing, body: Body) -> bool:
    for statement in body:
        accesses = DependenceInfo((statement,), {}).accesses
        reached = [access for access in accesses if access.buffer is packing.buffer]
        if reached:
            only_stores = all(access.is_store for access in reached)
            return only_stores and isinstance(statement, Loop) and _writes_all(packing, statement)
    return False


def _writes_all(packing: Packing, loop: Loop) -> bool:
    """Whether a loop is known to store to all of the depth axis."""
    if trip_count(loop) != packing.depth:
        return False
    stores = [part for part in loop.body if isinstance(part, Store) and part.mask is None]
    return any(
        packing.covers(store.buffer, store.index)
        and store.index[packing.depth_axis] == loop.variable
        for store in stores
    )
