"""Composed movements: slices of slices or concatenations become one slice or concatenation.

    before: concatenate(slice(c, 63, 64), slice(c, 0, 63))  with  c = concatenate(x[63:64], x[0:63])
    after:  concatenate(x[62:64], x[0:62])

An inlined movement becomes a part of its reader's expression. Without this pass each link of a
chain of rotations would read two elements of the link before.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from smelt.ir.graph import Node
from smelt.ops import movement
from smelt.ops.elementwise import Elementwise


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a node: along each axis the first index, the number of elements, the distance."""

    source: Node
    start: tuple[int, ...]
    shape: tuple[int, ...]
    step: tuple[int, ...]

    def part(self, start: tuple[int, ...], shape: tuple[int, ...], step: tuple[int, ...]) -> Cut:
        """Returns a part of the part."""
        axes = list(zip(self.start, self.step, start, strict=True))
        begin = tuple([first + distance * number for first, distance, number in axes])
        gaps = tuple([outer * inner for outer, inner in zip(self.step, step, strict=True)])
        return Cut(self.source, begin, shape, _normal(shape, gaps))

    def joined(self, other: Cut, axis: int) -> Cut | None:
        """Returns both parts as one, if `other` begins along an axis where this one ends."""
        extent = self.shape[axis]
        start = _with(self.start, axis, self.start[axis] + extent * self.step[axis])
        shape = _with(self.shape, axis, other.shape[axis])
        if other != Cut(self.source, start, shape, self.step):
            return None
        return replace(self, shape=_with(self.shape, axis, extent + other.shape[axis]))

    def node(self, like: Node) -> Node:
        """Returns the node of the part, with the origin of another one."""
        if self.shape == self.source.shape:
            return self.source
        axes = zip(self.start, self.shape, self.step, strict=True)
        stop = tuple([first + (count - 1) * gap + 1 for first, count, gap in axes])
        attributes = {"start": self.start, "stop": stop, "step": self.step}
        x = self.source
        return Node(movement.slice_, (x,), attributes, self.shape, x.dtype, like.origin)


def _with(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    """Returns the values of all axes with another one for one axis."""
    return (*values[:axis], value, *values[axis + 1 :])


def _normal(shape: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the steps; along an axis of one element there is none, so 1."""
    return tuple([1 if extent == 1 else gap for extent, gap in zip(shape, step, strict=True)])


def _cut_of(node: Node) -> Cut:
    """Returns a node as a part of what it is sliced from, or as the whole of itself."""
    if node.op is not movement.slice_:
        return Cut(node, (0,) * node.ndim, node.shape, (1,) * node.ndim)
    step = _normal(node.shape, node.attributes["step"])
    return Cut(node.inputs[0], node.attributes["start"], node.shape, step)


def joined_slices(node: Node) -> Node | None:
    """slice(slice(x)) -> slice(x)"""
    (x,) = node.inputs
    if x.op is not movement.slice_:
        return None
    own = _cut_of(node)
    return _cut_of(x).part(own.start, own.shape, own.step).node(node)


def joined_flips(node: Node) -> Node | None:
    """flip(flip(x)) -> flip(x) along the axes that are in one of them, or x"""
    (x,) = node.inputs
    if x.op is not movement.flip:
        return None
    axes = tuple(sorted({*node.attributes["axes"]} ^ {*x.attributes["axes"]}))
    return replace(node, inputs=x.inputs, attributes={"axes": axes}) if axes else x.inputs[0]


def sliced_concatenation(node: Node, single_use: Set[Node]) -> Node | None:
    """slice(concatenate(x, y)) -> slice(x), if nothing of y is read; or, for parts of one array,
    concatenate(slice(x), slice(y))

    If others read the concatenation, too, what must be computed stays there.
    """
    (joined,) = node.inputs if node.op is movement.slice_ else (node,)
    if joined.op is not movement.concatenate or joined is node:
        return None
    parts = _parts(joined, _cut_of(node))
    source = parts[0].source
    is_computed = len(parts) > 1 or isinstance(source.op, Elementwise)
    if is_computed and joined not in single_use and not _is_cut_from_one(joined):
        return None
    if len(parts) == 1:
        return parts[0].node(node)
    if source.op is movement.concatenate or any(part.source is not source for part in parts):
        return None
    inputs = tuple([part.node(node) for part in parts])
    return replace(joined, inputs=inputs, shape=node.shape)


def _is_cut_from_one(joined: Node) -> bool:
    """Whether a concatenation only moves elements of one array."""
    return len({_cut_of(operand).source for operand in joined.inputs}) == 1


def _parts(joined: Node, cut: Cut) -> list[Cut]:
    """Returns what a part of a concatenation takes of its operands."""
    axis, end, parts = joined.attributes["axis"], 0, []
    first, count, gap = cut.start[axis], cut.shape[axis], cut.step[axis]
    for operand in joined.inputs:
        begin, end = end, end + operand.shape[axis]
        low = max(0, -((first - begin) // gap))
        high = min(count, -((first - end) // gap))
        if low < high:
            start = _with(cut.start, axis, first + low * gap - begin)
            shape = _with(cut.shape, axis, high - low)
            parts.append(_cut_of(operand).part(start, shape, cut.step))
    return parts


def merged_neighbors(node: Node) -> Node | None:
    """concatenate(x[0:2], x[2:5], y) -> concatenate(x[0:5], y), also if some are in an operand
    that is a concatenation, which is dissolved unless the result has more operands
    """
    axis = node.attributes["axis"]
    flat = [part for operand in node.inputs for part in _operands_along(operand, axis)]
    merged = _merged(flat, axis)
    if len(merged) > len(node.inputs):
        flat = list(node.inputs)
        merged = _merged(flat, axis)
    if len(merged) == 1:
        return merged[0].node(node)
    known = {_cut_of(operand): operand for operand in flat}
    inputs = tuple([known.get(cut) or cut.node(node) for cut in merged])
    return None if inputs == node.inputs else replace(node, inputs=inputs)


def _operands_along(node: Node, axis: int) -> tuple[Node, ...]:
    """Returns what a node joins along an axis: itself, if it joins nothing."""
    is_joined = node.op is movement.concatenate and node.attributes["axis"] == axis
    return node.inputs if is_joined else (node,)


def _merged(operands: list[Node], axis: int) -> list[Cut]:
    """Returns operands as parts of arrays, without empty ones, and with neighbors merged."""
    merged: list[Cut] = []
    for operand in operands:
        if not operand.shape[axis]:
            continue
        cut = _cut_of(operand)
        both = merged[-1].joined(cut, axis) if merged else None
        if both is None:
            merged.append(cut)
        else:
            merged[-1] = both
    return merged
