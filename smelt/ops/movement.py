"""Movement operations: the same elements at other positions.

A card's index map says where each element of the result is read; the compiler substitutes indices
and emits no code for a movement. Every movement is linear: its tangent is the movement of the
tangent.
"""

from __future__ import annotations

import heapq
import math
import operator
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

import numpy as np

from smelt.dtypes import bool_
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.ir.loops import Constant, Expression, Select, constant
from smelt.ir.operation import Pattern
from smelt.ir.visit import Index
from smelt.location import called_function
from smelt.ops.op import Gradients, Mask, Needs, Op, Readers, Shape, Type, Typed, batch_size
from smelt.ops.regroup import regroup
from smelt.tracing.engine import EAGER, context


def broadcast_shapes(what: str, *shapes: Shape) -> Shape:
    """Returns the shape that operands of these shapes broadcast to, as in NumPy.

    Raises ShapeError, which names the operation, the shapes and the axis where they differ.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    ndim = max(map(len, shapes))
    result = []
    for axis in range(-ndim, 0):
        extents = dict.fromkeys(shape[axis] for shape in shapes if len(shape) >= -axis)
        extents.pop(1, None)
        if len(extents) > 1:
            both = " and ".join(str(shape) for shape in shapes)
            raise ShapeError(
                f"{what}: shapes {both} do not broadcast: axis {axis} has extents "
                f"{' and '.join(map(str, extents))}"
            )
        result.append(next(iter(extents), 1))
    return tuple(result)


def conjunction(a: Expression | None, b: Expression | None) -> Expression | None:
    """Returns the conjunction of two masks, either of which may be absent."""
    if a is None or b is None:
        return b if a is None else a
    return a & b


class Movement(Op):
    """The family: one operand, linear, lowered by an index map."""

    pattern = Pattern.POINTWISE
    is_movement = True
    cost = 0
    views = True
    linear_operands: ClassVar[int] = 1

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        """Returns the index in the operand (of `shape`) of the result's element at `index`."""
        raise NotImplementedError(f"{self.name}: source")

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns the operand's element, read at the mapped index."""
        return readers[0](self.source(index, node.inputs[0].shape, node), mask)


class Reshape(Movement):
    """The same elements in row-major order under another shape."""

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,), shape = types, attributes["shape"]
        if math.prod(shape) != math.prod(x.shape):
            raise ShapeError(
                f"reshape: {x.shape} has {math.prod(x.shape)} elements, {shape} would have "
                f"{math.prod(shape)}"
            )
        return Type(shape, x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return arrays[0].reshape(attributes["shape"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (reshape(g, shape=inputs[0].shape),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (x,) = inputs
        return self(x, shape=(x.shape[0], *attributes["shape"]))

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        return regroup(index, node.shape, shape)


class Permute(Movement):
    """Axes in another order: axis i of the result is axis `axes[i]` of the operand."""

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,), axes = types, attributes["axes"]
        if sorted(axes) != list(range(len(x.shape))):
            raise ArgumentError(
                f"permute: {axes} is not a permutation of the {len(x.shape)} axes of shape "
                f"{x.shape}; name each axis once"
            )
        return Type(tuple(x.shape[axis] for axis in axes), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return arrays[0].transpose(attributes["axes"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (permute(g, axes=inverse(attributes["axes"])),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0], axes=(0, *(axis + 1 for axis in attributes["axes"])))

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        return tuple(index[place] for place in inverse(node.attributes["axes"]))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the permutation that undoes `axes`."""
    places = [0] * len(axes)
    for place, axis in enumerate(axes):
        places[axis] = place
    return tuple(places)


class BroadcastTo(Movement):
    """Axes of extent 1 and missing leading axes repeated to reach a shape."""

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,), shape = types, attributes["shape"]
        if broadcast_shapes("broadcast_to", x.shape, shape) != shape:
            raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}")
        return Type(shape, x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return np.broadcast_to(arrays[0], attributes["shape"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (g,)  # the reverse walk sums it back to the operand's shape

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (x,) = inputs
        x = _prefix_axes(x, len(attributes["shape"]) - (x.ndim - 1))
        return self(x, shape=(x.shape[0], *attributes["shape"]))

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        own = index[len(index) - len(shape) :]
        return tuple(
            constant(0) if extent == 1 else part for part, extent in zip(own, shape, strict=True)
        )


def _prefix_axes(x: Any, count: int) -> Any:
    """Returns a batched Tensor with `count` axes of extent 1 inserted after its first axis."""
    return reshape(x, shape=(x.shape[0], *(1,) * count, *x.shape[1:])) if count else x


def broadcast_batched(inputs: tuple[Any, ...], batched: tuple[bool, ...]) -> Iterator[Any]:
    """Returns operands that broadcast: batched ones get leading axes of 1 after the batch axis."""
    pairs = list(zip(inputs, batched, strict=True))
    ndim = max(x.ndim - has for x, has in pairs)
    return (_prefix_axes(x, ndim - (x.ndim - 1)) if has else x for x, has in pairs)


def all_batched(
    inputs: tuple[Any, ...], batched: tuple[bool, ...], size: int | None = None
) -> list[Any]:
    """Returns the operands, each with the batch as first axis; `size` is the batch size."""
    size = batch_size(inputs, batched) if size is None else size
    pairs = zip(inputs, batched, strict=True)
    return [x if has else broadcast_to(x, shape=(size, *x.shape)) for x, has in pairs]


def dilated(extent: int, step: int) -> int:
    """Returns how many positions `extent` elements span when they lie `step` apart."""
    return (extent - 1) * step + 1 if extent else 0


class Slice(Movement):
    """`x[start : stop : step]` along every axis; steps are positive."""

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,) = types
        starts, stops, steps = attributes["start"], attributes["stop"], attributes["step"]
        shape = []
        for extent, start, stop, step in zip(x.shape, starts, stops, steps, strict=True):
            if not (0 <= start <= extent and 0 <= stop <= extent and step > 0):
                raise ArgumentError(f"slice: {start}:{stop}:{step} does not fit shape {x.shape}")
            shape.append(max(0, -(-(stop - start) // step)))
        return Type(tuple(shape), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        bounds = map(slice, attributes["start"], attributes["stop"], attributes["step"])
        return arrays[0][tuple(bounds)]

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (Placed(g, inputs[0].shape, attributes["start"], attributes["step"]),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (x,) = inputs
        return self(
            x,
            start=(0, *attributes["start"]),
            stop=(x.shape[0], *attributes["stop"]),
            step=(1, *attributes["step"]),
        )

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        axes = zip(index, node.attributes["start"], node.attributes["step"], strict=True)
        return tuple(i * step + start for i, start, step in axes)


FEW_PARTS = 16  # up to so many, compiled code sums parts faster than it concatenates them


class Placed:
    """The gradient of a sliced tensor: `g` at the elements of the slice, zero elsewhere."""

    def __init__(self, g: Any, shape: Shape, start: Shape, step: Shape) -> None:
        self.g = g
        self.shape = shape
        self.start = start
        self.step = step

    def alone(self) -> Any:
        """Returns the gradient of the whole tensor."""
        taken = map(dilated, self.g.shape, self.step)
        axes = zip(self.shape, self.start, taken, strict=True)
        high = tuple([extent - start - count for extent, start, count in axes])
        return pad(self.g, low=self.start, high=high, step=self.step)

    def axis(self) -> int | None:
        """Returns the only axis that was sliced, if there is just one and its step is 1."""
        axes = [axis for axis, extent in enumerate(self.shape) if self.g.shape[axis] != extent]
        return axes[0] if len(axes) == 1 and self.step[axes[0]] == 1 else None

    def total(self, parts: list[Placed], tensor: Any) -> Any:
        """Returns the sum of parts of one gradient; parts that do not overlap are concatenated."""
        lines = _lines(parts)
        if len(parts) <= FEW_PARTS and context.engine is not EAGER:
            lines = [[part] for part in parts]
        total = None
        for line in lines:
            joined = line[0].alone() if len(line) == 1 else _joined(line)
            total = joined if total is None else total + joined
        return total


def _lines(parts: list[Placed]) -> list[list[Placed]]:
    """Groups parts into lines: those of one line follow each other along an axis."""
    lines: list[list[Placed]] = []
    ends: dict[int, list[tuple[int, int, list[Placed]]]] = {}  # of the lines along each axis
    for number, part in enumerate(sorted(parts, key=lambda part: part.start)):
        axis = part.axis()
        if axis is None:
            lines.append([part])
            continue
        start, stop = part.start[axis], part.start[axis] + part.g.shape[axis]
        open_ = ends.setdefault(axis, [])
        if open_ and open_[0][0] <= start:
            line = heapq.heappop(open_)[2]
        else:
            lines.append(line := [])
        line.append(part)
        heapq.heappush(open_, (stop, number, line))  # if two end together, the older one is next
    return lines


def _joined(line: list[Placed]) -> Any:
    """Returns the parts of a line as one tensor, with zeros between and around them."""
    first, axis, end = line[0], line[0].axis(), 0
    assert axis is not None
    pieces: list[Any] = []
    for part in line:
        pieces += _gap(first, axis, part.start[axis] - end)
        pieces.append(part.g)
        end = part.start[axis] + part.g.shape[axis]
    pieces += _gap(first, axis, first.shape[axis] - end)
    return concatenate(*pieces, axis=axis)


def _gap(part: Placed, axis: int, extent: int) -> list[Any]:
    """Returns the zeros that fill a gap along an axis; an empty list if there is no gap."""
    if not extent:
        return []
    shape = (*part.shape[:axis], extent, *part.shape[axis + 1 :])
    return [broadcast_to(part.g.literal(0, part.g.dtype), shape=shape)]


def cropped(x: Any, extents: Iterable[int]) -> Any:
    """Returns the first `extents` elements of a Tensor along each axis."""
    return slice_(x, start=(0,) * x.ndim, stop=tuple(extents), step=(1,) * x.ndim)


class Pad(Movement):
    """Zeros before (`low`), after (`high`) and between elements (`step` > 1): Slice's adjoint."""

    views = False

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,) = types
        low, high, step = attributes["low"], attributes["high"], attributes["step"]
        if min((*low, *high, 0)) < 0:
            raise ArgumentError(
                f"pad: widths must not be negative, got {low} before and {high} after; slice "
                "instead"
            )
        axes = zip(low, map(dilated, x.shape, step), high, strict=True)
        return Type(tuple(map(sum, axes)), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (x,) = arrays
        low, high, step = attributes["low"], attributes["high"], attributes["step"]
        widths = tuple(map(dilated, x.shape, step))
        result = np.zeros([sum(axis) for axis in zip(low, widths, high, strict=True)], x.dtype)
        axes = zip(low, widths, step, strict=True)
        result[tuple([slice(start, start + width, gap) for start, width, gap in axes])] = x
        return result

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        low, step = attributes["low"], attributes["step"]
        stop = tuple(map(operator.add, low, map(dilated, inputs[0].shape, step)))
        return (slice_(g, start=low, stop=stop, step=step),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(
            inputs[0],
            low=(0, *attributes["low"]),
            high=(0, *attributes["high"]),
            step=(1, *attributes["step"]),
        )

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        attributes, shape = node.attributes, node.inputs[0].shape
        zero = Constant(False if node.dtype is bool_ else 0, node.dtype)
        inside: Expression | None = None
        source: list[Expression] = []
        for part, low, high, step, extent in zip(
            index, attributes["low"], attributes["high"], attributes["step"], shape, strict=True
        ):
            at = part - low
            if isinstance(part, Constant):
                place, gap = divmod(part.value - low, step)
                if gap or not 0 <= place < extent:
                    return zero
                source.append(constant(place))
                continue
            if step > 1:
                inside = conjunction(inside, (at % step).equals(0))
                at = at // step
            if low:
                inside = conjunction(inside, part >= low)
            if high:
                inside = conjunction(inside, at < extent)
            source.append(at)
        if inside is None:
            return readers[0](tuple(source), mask)
        element = readers[0](tuple(source), conjunction(mask, inside))
        return Select(inside, element, zero)


class Flip(Movement):
    """The elements along `axes` in reverse order."""

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return np.flip(arrays[0], attributes["axes"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (self(g, **attributes),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0], axes=tuple(axis + 1 for axis in attributes["axes"]))

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        return tuple(
            shape[axis] - 1 - part if axis in node.attributes["axes"] else part
            for axis, part in enumerate(index)
        )


class Concatenate(Movement):
    """Operands one after the other along `axis`."""

    views = False

    def element_cost(self, node: Any) -> int:
        """Returns the number of selects between operands that one vector of elements needs."""
        return len(node.inputs) - 1

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        axis, first = attributes["axis"], types[0]
        rest = first.shape[:axis] + first.shape[axis + 1 :]
        for operand in types[1:]:
            if operand.dtype is not first.dtype:
                raise DTypeError(
                    f"concatenate: operands must have the same dtype, got {first.dtype.name} and "
                    f"{operand.dtype.name}"
                )
            shape = operand.shape
            if len(first.shape) != len(shape) or shape[:axis] + shape[axis + 1 :] != rest:
                raise ShapeError(
                    f"{called_function('concatenate')}: shapes {first.shape} and {shape} differ "
                    f"outside axis {axis}"
                )
        total = sum(x.shape[axis] for x in types)
        return Type((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return np.concatenate(arrays, attributes["axis"])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        filled = (
            broadcast_to(x.literal(0, x.dtype), shape=x.shape) if tangent is None else tangent
            for x, tangent in zip(inputs, tangents, strict=True)
        )
        return self(*filled, **attributes)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        axis, offset, parts = attributes["axis"], 0, []
        start, stop, step = [0] * g.ndim, list(g.shape), (1,) * g.ndim
        for x, needed in zip(inputs, needs, strict=True):
            start[axis], stop[axis] = offset, offset + x.shape[axis]
            offset = stop[axis]
            part = slice_(g, start=tuple(start), stop=tuple(stop), step=step) if needed else None
            parts.append(part)
        return tuple(parts)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(*all_batched(inputs, batched), axis=attributes["axis"] + 1)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        axis, end = node.attributes["axis"], 0
        parts: list[tuple[int, Expression]] = []  # where each ends, and its element
        for read, operand in zip(readers, node.inputs, strict=True):
            offset, end = end, end + operand.shape[axis]
            if offset == end:
                continue
            inside: Expression | None = None
            if offset:
                inside = index[axis] >= offset
            if end < node.shape[axis]:
                inside = conjunction(inside, index[axis] < end)
            source = (*index[:axis], index[axis] - offset, *index[axis + 1 :])
            if isinstance(index[axis], Constant) and offset <= index[axis].value < end:
                return read(source, mask)
            parts.append((end, read(source, conjunction(mask, inside))))
        assert parts, "an empty concatenation is never read"
        return _bisected(parts, index[axis])


def _bisected(parts: list[tuple[int, Expression]], index: Expression) -> Expression:
    """Returns the element of the first part that ends after `index`, by binary search."""
    if len(parts) == 1:
        return parts[0][1]
    middle = len(parts) // 2
    low, high = _bisected(parts[:middle], index), _bisected(parts[middle:], index)
    return Select(index < parts[middle - 1][0], low, high)


reshape: Final = Reshape("reshape")
permute: Final = Permute("permute")
broadcast_to: Final = BroadcastTo("broadcast_to")
slice_: Final = Slice("slice")
pad: Final = Pad("pad")
flip: Final = Flip("flip")
concatenate: Final = Concatenate("concatenate")
