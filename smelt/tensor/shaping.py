"""Functions that change the shape or order of elements, join or split. All are methods too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smelt import dtypes
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.location import called_function
from smelt.ops import movement
from smelt.ops.indexing import take
from smelt.ops.iota import iota
from smelt.tensor.apply import (
    as_tensor,
    axis_of,
    extents_of,
    matched,
    own_axis_of,
    places_of,
    whole_number,
)
from smelt.tensor.checked import described
from smelt.tensor.elementary import where
from smelt.tracing.apply import is_tensor
from smelt.tracing.engine import EAGER, context, current_engine

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "cat", "chunk", "concatenate", "diff", "expand", "expand_as", "flatten", "flip", "fliplr",
    "flipud", "hstack", "movedim", "narrow", "permute", "ravel", "repeat", "reshape", "roll",
    "select", "split", "squeeze", "stack", "t", "tile", "transpose", "unbind", "unflatten",
    "unsqueeze", "view_as", "vstack",
]  # fmt: skip


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """Returns the same elements with another shape; one size may be -1 and is computed."""
    extents = extents_of(shape)
    if extents.count(-1) > 1:
        raise ShapeError(f"reshape: only one extent of {extents} may be -1")
    if -1 in extents:
        known, size = -math.prod(extents), math.prod(x.shape)  # `x.size` is no symbolic number
        if known == 0 or size % known:
            raise ShapeError(f"reshape: shape {x.shape} cannot be reshaped to {extents}")
        extents = tuple(size // known if extent == -1 else extent for extent in extents)
    return x if extents == x.shape else movement.reshape(x, shape=extents)


def permute(x: Tensor, *dims: Any) -> Tensor:
    """Returns the tensor with its axes in the given order."""
    order = tuple(axis_of(x, dim, "permute") for dim in extents_of(dims))
    return x if order == tuple(range(x.ndim)) else movement.permute(x, axes=order)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Returns the tensor with two axes exchanged."""
    a, b = (axis_of(x, dim, "transpose") for dim in (dim0, dim1))
    if not x.ndim:
        return x
    order = list(range(x.ndim))
    order[a], order[b] = order[b], order[a]
    return permute(x, tuple(order))


def t(x: Tensor) -> Tensor:
    """Returns a matrix with its axes exchanged; a vector or number unchanged.

    Raises:
        ShapeError: more than two axes.
    """
    if x.ndim > 2:
        raise ShapeError(f"t: a matrix has two axes, got shape {x.shape}; use transpose or mT")
    return transpose(x, 0, 1) if x.ndim == 2 else x


def movedim(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Returns the tensor with axis `source` moved to `destination`, the others in order.

    Both may be several axes: the first is moved to the first destination, and so on.

    Raises:
        ArgumentError: an axis does not exist or is named twice, or the numbers of sources and
            destinations differ.
    """
    starts, ends = (places_of(x, dims, "movedim") for dims in (source, destination))
    if len(starts) != len(ends):
        raise ArgumentError(
            "movedim: source and destination must name the same number of axes, got "
            f"{len(starts)} and {len(ends)}"
        )
    if not x.ndim:
        return x
    order = [axis for axis in range(x.ndim) if axis not in starts]
    for end, start in sorted(zip(ends, starts, strict=True)):
        order.insert(end, start)
    return permute(x, tuple(order))


def expand(x: Tensor, *shape: Any) -> Tensor:
    """Returns the tensor broadcast to a shape; -1 keeps a size."""
    extents = list(extents_of(shape))
    for offset in range(1, x.ndim + 1):
        if offset <= len(extents) and extents[-offset] == -1:
            extents[-offset] = x.shape[-offset]
    return movement.broadcast_to(x, shape=tuple(extents))


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """Returns the tensor broadcast to the shape of `other`."""
    return expand(x, other.shape)


def view_as(x: Tensor, other: Tensor) -> Tensor:
    """Returns the same elements with the shape of `other`."""
    return reshape(x, other.shape)


def tile(x: Tensor, *dims: Any) -> Tensor:
    """Returns the tensor repeated as a whole; fewer counts than axes count from the last axis."""
    counts = extents_of(dims)
    return repeat(x, (1,) * (x.ndim - len(counts)) + counts)


def repeat(x: Tensor, *repeats: Any) -> Tensor:
    """Returns the tensor repeated as a whole, `repeats[i]` times along axis i, as
    `torch.repeat`.
    """
    counts = extents_of(repeats)
    if len(counts) < x.ndim:
        raise ShapeError(
            f"repeat: needs a count for each axis of shape {x.shape}, got {len(counts)}"
        )
    shape = (1,) * (len(counts) - x.ndim) + x.shape
    paired = [extent for pair in zip(counts, shape, strict=True) for extent in pair]
    spread = reshape(x, [n for extent in shape for n in (1, extent)]).expand(paired)
    return reshape(spread, [count * extent for count, extent in zip(counts, shape, strict=True)])


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Returns the tensor without its axes of size 1, or without those of them given by `dim`.

    Raises:
        ArgumentError: an axis does not exist, or is named twice.
    """
    chosen = range(x.ndim) if dim is None else places_of(x, dim, "squeeze")
    kept = (extent for axis, extent in enumerate(x.shape) if extent != 1 or axis not in chosen)
    return reshape(x, tuple(kept))


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """Returns the tensor with a new axis of size 1 at position `dim`."""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise ArgumentError(
            f"{called_function('unsqueeze')}: there is no position {dim} for a new axis in shape "
            f"{x.shape}"
        )
    axis = dim % (x.ndim + 1)
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Returns the tensor with the axes `start_dim` to `end_dim` joined into one."""
    if not x.shape:
        return reshape(x, 1)
    first, last = axis_of(x, start_dim, "flatten"), axis_of(x, end_dim, "flatten")
    if first > last:
        raise ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    joined = math.prod(x.shape[first : last + 1])
    return reshape(x, (*x.shape[:first], joined, *x.shape[last + 1 :]))


def flip(x: Tensor, *dims: Any) -> Tensor:
    """Returns the elements along the given axes in opposite order."""
    axes = tuple(axis_of(x, dim, "flip") for dim in extents_of(dims))
    return movement.flip(x, axes=axes) if x.ndim else x


def fliplr(x: Tensor) -> Tensor:
    """Returns the elements along axis 1 in opposite order.

    Raises:
        ShapeError: fewer than two axes.
    """
    if x.ndim < 2:
        raise ShapeError(f"fliplr: needs at least two axes, got shape {x.shape}")
    return flip(x, 1)


def flipud(x: Tensor) -> Tensor:
    """Returns the elements along axis 0 in opposite order.

    Raises:
        ShapeError: x has shape ().
    """
    if not x.ndim:
        raise ShapeError("flipud: a tensor of shape () has no rows")
    return flip(x, 0)


def ravel(x: Tensor) -> Tensor:
    """Returns all elements along one axis."""
    return reshape(x, -1)


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """Returns the slice at position `index` along `dim`, without that axis."""
    axis = own_axis_of(x, dim, "select")
    extent = x.shape[axis]
    if not -extent <= index < extent:
        raise ArgumentError(
            f"select: index {index} is out of range for axis {axis} of shape {x.shape}"
        )
    return reshape(narrow(x, axis, index % extent, 1), (*x.shape[:axis], *x.shape[axis + 1 :]))


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Returns the tensor with axis `dim` split into `sizes`; one of them may be -1."""
    axis = own_axis_of(x, dim, "unflatten")
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    extents = list(extents_of((sizes,)))
    known = -math.prod(extents)
    if extents.count(-1) == 1 and known > 0 and x.shape[axis] % known == 0:
        extents[extents.index(-1)] = x.shape[axis] // known
    if math.prod(extents) != x.shape[axis] or min(extents, default=0) < 0:
        raise ShapeError(
            f"unflatten: the product of sizes {tuple(sizes)} is not the extent of axis {axis} of "
            f"shape {x.shape}"
        )
    return reshape(x, (*before, *extents, *after))


def narrow(x: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """Returns the `length` elements along axis `dim` from `start` on; below 0 it counts from the
    end.

    Args:
        x: any shape but ().
        dim: the axis.
        start: a number, or an int tensor of shape (), which a compiled step may compute.
        length: how many elements.

    Raises:
        ArgumentError: x has no such elements (in a compiled step: before it changes anything).
    """
    axis = own_axis_of(x, dim, "narrow")
    if is_tensor(start):
        return _narrowed(x, axis, start, length)
    first = whole_number("narrow: start", start)
    first = first + x.shape[axis] if -x.shape[axis] <= first < 0 else first
    if first < 0 or length < 0 or first + length > x.shape[axis]:
        raise ArgumentError(
            f"narrow: {first}:{first + length} is out of range for axis {axis} of shape {x.shape}"
        )
    low, high = [0] * x.ndim, list(x.shape)
    low[axis], high[axis] = first, first + length
    return movement.slice_(x, start=tuple(low), stop=tuple(high), step=(1,) * x.ndim)


def _narrowed(x: Tensor, axis: int, start: Tensor, length: int) -> Tensor:
    """Returns `narrow` from a start that may be known only when the step runs."""
    if start.ndim or start.dtype.kind != "int":
        raise ArgumentTypeError(
            f"narrow: start must be a number or an int tensor of shape (), got {start.dtype.name} "
            f"{start.shape}"
        )
    extent, length = x.shape[axis], whole_number("narrow: length", length)
    start = start.to(dtypes.int64)
    start = where(start < 0, start + extent, start)
    message = (
        f"narrow: start is out of range for {length} elements along axis {axis} of shape {x.shape}"
    )
    outside = (start < 0) | (start + length > extent) | (length < 0)
    current_engine().require(outside.to(dtypes.int64), message, ArgumentError)
    return take(x, start + iota(shape=(max(length, 0),), axis=0), axis=axis)


def roll(x: Tensor, shifts: int | Sequence[int], dim: int | Sequence[int] | None = None) -> Tensor:
    """Returns the elements shifted by `shifts` positions along `dim`, cyclically.

    Args:
        x: of any shape.
        shifts: how far, for each axis of `dim`.
        dim: one axis or several; by default the flattened tensor is rolled and reshaped to x's
            shape.

    Raises:
        ArgumentError: the numbers of shifts and axes differ, or an axis does not exist.
        ShapeError: x has no axis, but one is named.
    """
    given = shifts if isinstance(shifts, (list, tuple)) else (shifts,)
    if not given:
        raise ArgumentError("roll: shifts is empty; give at least one")
    distances = [whole_number("roll: a shift", shift) for shift in given]
    several = tuple(dim) if isinstance(dim, (list, tuple)) else () if dim is None else (dim,)
    if not several and len(distances) == 1:
        return _rolled(x.reshape(-1), distances[0], 0).reshape(x.shape)
    if len(distances) != len(several):
        raise ArgumentError(
            f"roll: shifts and dims must have the same length, got {len(distances)} and "
            f"{len(several)}"
        )
    for distance, axis in zip(distances, several, strict=True):
        x = _rolled(x, distance, own_axis_of(x, axis, "roll"))
    return x


def _rolled(x: Tensor, shifts: int, axis: int) -> Tensor:
    extent = x.shape[axis]
    behind = shifts % extent if extent else 0
    if not behind:
        return x
    pieces = narrow(x, axis, extent - behind, behind), narrow(x, axis, 0, extent - behind)
    return cat(pieces, axis)


def diff(x: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Returns the difference of each element from the previous one along an axis, n times.

    For bools it is whether they differ.

    Args:
        x: any shape but ().
        n: how often the differences of differences are taken; the axis gets shorter by n.
        dim: the axis.
        prepend: elements to insert before x along the axis.
        append: elements to insert after x.

    Raises:
        ArgumentError: n is negative.
        ShapeError: x has shape ().
    """
    axis, n = own_axis_of(x, dim, "diff"), whole_number("diff: n", n)
    if n < 0:
        raise ArgumentError(f"diff: n must not be negative, got {n}")
    if n:
        ends = (prepend, x, append)
        x = cat([part for part in ends if part is not None], axis)
    for _ in range(min(n, x.shape[axis])):
        length = max(x.shape[axis] - 1, 0)
        behind = narrow(x, axis, x.shape[axis] - length, length)
        before = narrow(x, axis, 0, length)
        x = behind != before if x.dtype is dtypes.bool_ else behind - before
    return x


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Returns the tensors concatenated along axis `dim`, in their common dtype.

    A tensor of shape (0,) fits any other, so a growing result may begin with it.

    Raises:
        ShapeError: their shapes differ in another axis.
    """
    if not isinstance(tensors, (list, tuple)):
        raise ArgumentTypeError(f"cat: needs a list of tensors, got {described(tensors)}")
    if not tensors:
        raise ArgumentError("cat: nothing to concatenate; give at least one tensor")
    tensors = _without_empty(list(matched(*tensors)))
    axis = axis_of(tensors[0], dim, "cat")
    if not tensors[0].ndim:
        raise ShapeError("cat: a tensor of shape () has no axis to concatenate along; use stack")
    return tensors[0] if len(tensors) == 1 else movement.concatenate(*tensors, axis=axis)


def _without_empty(tensors: list[Tensor]) -> list[Tensor]:
    """Leaves out the tensors of shape (0,), unless all have one axis."""
    if all(x.ndim == 1 for x in tensors):
        return tensors
    return [x for x in tensors if x.shape != (0,)]


concatenate = cat


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Returns tensors of equal shape stacked along a new axis at position `dim`."""
    if not isinstance(tensors, (list, tuple)):
        raise ArgumentTypeError(f"stack: needs a list of tensors, got {described(tensors)}")
    if not tensors:
        raise ArgumentError("stack: nothing to stack; give at least one tensor")
    items = matched(*tensors)
    shape = items[0].shape if items else ()
    for item in items[1:]:
        if item.shape != shape:
            raise ShapeError(
                f"stack: all tensors must have the same shape, got {shape} and {item.shape}"
            )
    if context.engine is EAGER and type(dim) is int and 0 <= dim < len(shape):
        joined = cat(items, dim)  # the new axis is the outer part of the joined one
        return reshape(joined, (*shape[:dim], len(items), *shape[dim:]))
    return cat([unsqueeze(item, dim) for item in items], dim)


def hstack(tensors: Sequence[Any]) -> Tensor:
    """Returns the tensors concatenated along axis 1, vectors and numbers along axis 0."""
    items = [item.reshape(1) if not item.ndim else item for item in map(as_tensor, tensors)]
    return cat(items, 0 if items and items[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """Returns the tensors concatenated along axis 0, vectors as rows."""
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in map(as_tensor, tensors)], 0)


def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Returns consecutive parts along `dim`: all of the same size (the last may be smaller), or as
    listed.
    """
    axis = own_axis_of(x, dim, "split")
    extent = x.shape[axis]
    if isinstance(split_size, int):
        if split_size <= 0:
            raise ArgumentError(f"split: the extent of a part must be positive, got {split_size}")
        sizes = [min(split_size, extent - start) for start in range(0, extent, split_size)] or [0]
    else:
        sizes = list(split_size)
    if sum(sizes) != extent:
        raise ArgumentError(
            f"split: sizes {sizes} do not add up to the extent of axis {axis} of shape {x.shape}"
        )
    low, high, step, parts = [0] * x.ndim, list(x.shape), (1,) * x.ndim, []
    for size in sizes:
        if size < 0:
            raise ArgumentError(f"split: sizes must not be negative, got {sizes}")
        high[axis] = low[axis] + size
        parts.append(movement.slice_(x, start=tuple(low), stop=tuple(high), step=step))
        low[axis] = high[axis]
    return tuple(parts)


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Returns at most `chunks` consecutive parts along `dim`, equal except for the last, as torch
    does.
    """
    if chunks <= 0:
        raise ArgumentError(f"chunk: the number of parts must be positive, got {chunks}")
    extent = x.shape[own_axis_of(x, dim, "chunk")]
    if not extent:
        return (x,) * chunks
    return split(x, -(-extent // chunks), dim)


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Returns the slices along `dim`, without that axis."""
    axis = own_axis_of(x, dim, "unbind")
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return tuple(reshape(narrow(x, axis, index, 1), shape) for index in range(x.shape[axis]))
