"""Reading and changing by index: `x[...]`, `x.at[...]`, gather, scatter_add and others.

Indices count from 0. In `x[...]`, `x.at[...]` and `take` negative ones count from the end;
elsewhere, as in PyTorch, they are errors. Bounds are checked before anything is read, in compiled
steps too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import (
    ArgumentError,
    BoundsError,
    DimensionError,
    DTypeError,
    ShapeError,
    TraceError,
)
from smelt.ops import indexing as cards
from smelt.ops import movement
from smelt.ops.iota import iota
from smelt.ops.movement import broadcast_shapes
from smelt.ops.op import Shape
from smelt.tensor.apply import as_tensor, axis_of, full, own_axis_of, whole_number
from smelt.tensor.elementary import where
from smelt.tensor.subscript import Subscript, check_masks, parse
from smelt.tracing.apply import is_tensor
from smelt.tracing.engine import EAGER, Eager, context, current_engine

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "At", "check_bounds", "gather", "gather_known", "index_select", "iterate", "masked_fill",
    "read", "repeat_interleave", "scatter", "scatter_add", "take", "take_along_dim",
]  # fmt: skip


def check_bounds(what: str, index: Tensor, extent: int, low: int = 0, hint: str = "") -> None:
    """Raises BoundsError (in a compiled step: before it changes anything) for an index outside;
    `hint` stands at the end of the message.
    """
    if index.dtype.kind != "int":
        raise DTypeError(
            f"{what}: indices must be int32 or int64, got {index.dtype.name}; write .long()"
        )
    if is_known_inside(index, low, extent):
        return
    outside = (index < low) | (index >= extent)
    message = (
        f"{what}: an index lies outside {low}..{extent - 1}; the axis has extent {extent}{hint}"
    )
    current_engine().require(outside, message, BoundsError, index)


def is_known_inside(index: Tensor, low: int, stop: int) -> bool:
    """Returns whether every index is known to lie in low..stop - 1: two looks, where most do."""
    if context.engine is not EAGER or index.is_traced:
        return False
    places = index.stored
    return not index.size or bool(low <= places.min() and places.max() < stop)


def read(x: Tensor, index: Any) -> Tensor:
    """Returns `x[index]` by NumPy's rules: numbers, slices, None, `...`, and tensors of indices.

    Index tensors broadcast together; their axes replace those of the first of them if they are
    adjacent, and come first otherwise. A bool mask selects elements; their number is known only
    eagerly, so in a compiled step it raises TraceError.
    """
    if type(index) is int and x.shape and -x.shape[0] <= index < x.shape[0]:
        return _row(x, index % x.shape[0])
    subscript = parse(x.shape, index)
    sliced = _sliced(x, subscript)
    if not subscript.indices:
        return sliced
    indices = [_wrapped(index, sliced.shape[axis]) for axis, index in subscript.indices]
    axes = [axis for axis, _ in subscript.indices]
    if len(indices) > 1:
        sliced, indices, axes = _joined(sliced, indices, axes)
    taken = cards.take(sliced, indices[0], axis=axes[0])
    return _placed(taken, axes[0], indices[0].ndim, subscript.target)


def _row(x: Tensor, number: int) -> Tensor:
    rest = x.shape[1:]
    if x.shape[0] == 1:
        return movement.reshape(x, shape=rest)
    start, stop = (number, *(0,) * len(rest)), (number + 1, *rest)
    row = movement.slice_(x, start=start, stop=stop, step=(1,) * x.ndim)
    return movement.reshape(row, shape=rest)


def _sliced(x: Tensor, subscript: Subscript) -> Tensor:
    unsliced = subscript.stop == x.shape and not any(subscript.start) and set(subscript.step) <= {1}
    bounds = {"start": subscript.start, "stop": subscript.stop, "step": subscript.step}
    sliced = x if unsliced else movement.slice_(x, **bounds)
    if subscript.flipped:
        sliced = movement.flip(sliced, axes=subscript.flipped)
    return sliced.reshape(subscript.shape)


def _wrapped(index: Any, extent: int) -> Tensor:
    """Counts negative indices from the end; an array, which is known now, is checked now."""
    if not isinstance(index, np.ndarray) or index.dtype.kind != "i":
        index = as_tensor(index)
        check_bounds("index", index, extent, low=-extent)
        return where(index < 0, index + extent, index)
    outside = index[(index < -extent) | (index >= extent)]
    if outside.size:
        raise BoundsError(f"index {outside[0]} is outside an axis of extent {extent}")
    return as_tensor(np.where(index < 0, index + extent, index))


def _joined(
    x: Tensor, indices: list[Tensor], axes: list[int]
) -> tuple[Tensor, list[Tensor], list[int]]:
    """Brings the indexed axes together as one, and the indices to flat places on it."""
    first = axes[0]
    others = [axis for axis in range(x.ndim) if axis not in axes]
    x = x.permute(*others[:first], *axes, *others[first:])
    extents = x.shape[first : first + len(axes)]
    flat = indices[0]
    for index, extent in zip(indices[1:], extents[1:], strict=True):
        flat = flat * extent + index
    joined = math.prod(extents)
    return x.reshape((*x.shape[:first], joined, *x.shape[first + len(axes) :])), [flat], [first]


def _placed(x: Tensor, start: int, count: int, target: int) -> Tensor:
    """Moves `count` axes from place `start` to place `target`."""
    order = [axis for axis in range(x.ndim) if not start <= axis < start + count]
    order[target:target] = range(start, start + count)
    return x.permute(tuple(order))


class At:
    """`x.at[index]`: a changed copy of x, by `set` or `add`; x itself is not changed."""

    __slots__ = ("index", "tensor")

    def __init__(self, tensor: Tensor, index: Any = ...) -> None:
        self.tensor: Tensor = tensor
        self.index: Any = index

    def __getitem__(self, index: Any) -> At:
        return At(self.tensor, index)

    def set(self, value: Any) -> Tensor:
        """Returns x with `value` (which broadcasts) at the index.

        An index that names a position twice gives no well-defined value, and raises ArgumentError
        (in a compiled step: before it changes anything).
        """
        masked = self._masked(value, lambda x, given: given)
        if masked is not None:
            return masked
        x, subscript = self.tensor, parse(self.tensor.shape, self.index)
        inside = as_tensor(1, dtypes.int64)
        if not subscript.indices:
            marked = _broadcast_value(inside.expand(subscript.shape), x, subscript) > 0
            return where(
                marked, _broadcast_value(self._fitting(value, subscript.shape), x, subscript), x
            )
        positions = self._positions()
        hits = self._scattered(inside.expand(positions.shape), positions)
        current_engine().require(
            (hits > 1).sum(),
            "at[...].set: the index names an element twice, so its value is undefined; use add",
            ArgumentError,
        )
        given = self._fitting(value, positions.shape)
        values = self._scattered(given.to(_adding(x.dtype)), positions)
        return where(hits > 0, values.to(x.dtype), x)

    def add(self, value: Any) -> Tensor:
        """Returns x with `value` (which broadcasts) added at the index, once per time it is
        named.
        """
        x = self.tensor
        if x.dtype is dtypes.bool_:
            raise DTypeError("at[...].add: bool elements cannot be added; use set")
        masked = self._masked(value, lambda x, given: x + given)
        if masked is not None:
            return masked
        subscript = parse(x.shape, self.index)
        if not subscript.indices:
            return x + _broadcast_value(self._fitting(value, subscript.shape), x, subscript)
        positions = self._positions()
        given = self._fitting(value, positions.shape).to(x.dtype.compute)
        return x + self._scattered(given, positions).to(x.dtype)

    def _masked(self, value: Any, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor | None:
        """Returns the result where the index is a bool mask and all that it chooses get the same
        value, so that nobody needs to know how many these are; else None.
        """
        x, mask = self.tensor, self.index
        if not is_tensor(mask) or mask.dtype is not dtypes.bool_ or not mask.ndim:
            return None
        check_masks(x.shape, (mask,))
        rest = x.shape[mask.ndim :]
        given = _storable("at[...]", value, x.dtype)
        if given.ndim > len(rest):
            return None
        chosen = mask.reshape((*mask.shape, *(1,) * len(rest)))
        return where(chosen, change(x, self._fitting(given, rest)), x)

    def _fitting(self, value: Any, shape: Shape) -> Tensor:
        given = _storable("at[...]", value, self.tensor.dtype)
        try:
            return given.expand(shape)
        except ShapeError:
            raise ShapeError(
                f"at[...]: a value {given.shape} does not broadcast to the indexed shape {shape}"
            ) from None

    def _positions(self) -> Tensor:
        """The flat number of every element that the index names."""
        numbers = iota(shape=(self.tensor.size,), axis=0).reshape(self.tensor.shape)
        return read(numbers, self.index)

    def _scattered(self, value: Tensor, positions: Tensor) -> Tensor:
        size, shape = self.tensor.size, self.tensor.shape
        flat = cards.scatter_add(value.reshape(-1), positions.reshape(-1), axis=0, extent=size)
        return flat.reshape(shape)


def _broadcast_value(value: Tensor, x: Tensor, subscript: Subscript) -> Tensor:
    """Zeros like x with `value` where the slices point: the reverse of `_sliced`."""
    value = value.reshape(subscript.extents)
    if subscript.flipped:
        value = movement.flip(value, axes=subscript.flipped)
    high = tuple(
        extent - start - ((count - 1) * step + 1 if count else 0)
        for extent, start, count, step in zip(
            x.shape, subscript.start, subscript.extents, subscript.step, strict=True
        )
    )
    return movement.pad(value, low=subscript.start, high=high, step=subscript.step)


def iterate(x: Tensor) -> Iterator[Tensor]:
    """Yields the slices of x along its first axis."""
    if not x.ndim:
        raise DimensionError("a tensor of shape () cannot be iterated over; use x.item()")
    return iter(x.unbind(0))


def take(x: Tensor, index: Tensor) -> Tensor:
    """Returns the elements of the flattened x at `index`, in the index's shape."""
    return read(x.reshape(-1), as_tensor(index))


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Returns the slices of x along `dim` at the positions in the vector `index`."""
    axis = axis_of(x, dim, "index_select")
    if index.ndim > 1:
        raise ShapeError(f"index_select: the index must be a vector, got shape {index.shape}")
    if not x.ndim:
        return gather(x, dim, index.reshape(()))
    index = index.reshape(-1)
    check_bounds("index_select", index, x.shape[axis])
    return cards.take(x, index, axis=axis)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Returns `y[i, j, k] = x[i, index[i, j, k], k]` (for dim 1; likewise for others).

    Args:
        x: values.
        dim: the axis along which the index points.
        index: int tensor with as many axes as x, no longer than x along the others.
    """
    axis = axis_of(x, dim, "gather")
    check_bounds("gather", index, x.shape[axis] if x.ndim else 1)
    return gather_known(x, dim, index)


def gather_known(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Returns what `gather` does for an index that is known to lie inside."""
    axis, shape = axis_of(x, dim, "gather"), index.shape
    x, index = _as_vector(x), _as_vector(index)
    positions = _flat_positions("gather", x.shape, axis, index)
    return cards.take(x.reshape(-1), positions, axis=0).reshape(shape)


def _as_vector(x: Tensor) -> Tensor:
    """Returns a tensor of shape () as a vector of one; others as they are."""
    return x if x.ndim else x.reshape(1)


def _flat_positions(what: str, shape: Shape, axis: int, index: Tensor) -> Tensor:
    """The flat number, in a tensor of `shape`, of each element that an index along `axis` names."""
    fits = len(shape) == index.ndim and all(
        own <= extent or dim == axis
        for dim, (own, extent) in enumerate(zip(index.shape, shape, strict=False))
    )
    if not fits:
        raise ShapeError(f"{what}: an index {index.shape} does not fit {shape} along dim {axis}")
    flat = index.to(dtypes.int64) * math.prod(shape[axis + 1 :])
    for dim, extent in enumerate(index.shape):
        if dim != axis and extent > 1:
            coordinates = iota(shape=index.shape, axis=dim)
            flat = flat + coordinates * math.prod(shape[dim + 1 :])
    return flat


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Returns `gather` after broadcasting the other axes; without `dim` from the flattened x.

    An index below 0 counts from the end.
    """
    if dim is None:
        return take_along_dim(x.reshape(-1), indices.reshape(-1), 0)
    axis = own_axis_of(x, dim, "take_along_dim")
    x_shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    index_shape = (*indices.shape[:axis], 1, *indices.shape[axis + 1 :])
    shape = list(broadcast_shapes("take_along_dim", x_shape, index_shape))
    shape[axis] = x.shape[axis]
    wide = x.expand(shape)
    shape[axis] = indices.shape[axis]
    counted = where(indices < 0, indices + x.shape[axis], indices)
    return gather(wide, axis, counted.expand(shape))


def scatter(x: Tensor, dim: int, index: Tensor, src: Any, *, reduce: str | None = None) -> Tensor:
    """Returns x with `src[i, j, k]` at `[i, index[i, j, k], k]` (for dim 1; likewise for others).

    Args:
        x: values.
        dim: the axis along which the index points.
        index: int tensor with as many axes as x, no longer than x along the others.
        src: a tensor at least as large as the index, or one number for all positions.
        reduce: None, or "add" for what `scatter_add` does.

    Raises:
        ArgumentError: the index names a position twice and src is not a number, so that the value
            is not defined (in a compiled step: before it changes anything), or `reduce` is unknown.
        BoundsError: an index is outside the axis.
        ShapeError: src is smaller than the index, or the index larger than x off `dim`.
    """
    if reduce not in (None, "add"):
        raise ArgumentError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    given = _storable("scatter", src, x.dtype)
    spread = given if given.ndim else given.expand(index.shape)
    if reduce:
        return scatter_add(x, dim, index, spread)
    once = full(index.shape, 1, dtypes.int64)
    hits = scatter_add(full(x.shape, 0, dtypes.int64), dim, index, once)
    if not given.ndim:
        return where(hits > 0, given, x)
    twice = "scatter: the index names an element twice, so its value is undefined; use scatter_add"
    current_engine().require((hits > 1).sum(), twice, ArgumentError)
    return where(hits > 0, scatter_add(full(x.shape, 0, x.dtype), dim, index, spread), x)


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Returns x with `src[i, j, k]` added at `[i, index[i, j, k], k]` (for dim 1; likewise for
    others), for all positions in the index.

    Raises:
        ShapeError: src is smaller than the index, or the index larger than x off `dim`.
    """
    axis = axis_of(x, dim, "scatter_add")
    src = _first_of("scatter_add", src, index.shape)
    line = _as_vector(x)
    check_bounds("scatter_add", index, line.shape[axis])
    positions = _flat_positions("scatter_add", line.shape, axis, _as_vector(index)).reshape(-1)
    values = _storable("scatter_add", src, x.dtype).to(_adding(x.dtype)).reshape(-1)
    added = cards.scatter_add(values, positions, axis=0, extent=x.size)
    return x + added.reshape(x.shape).to(x.dtype)


def repeat_interleave(
    x: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Returns x with each of its slices along an axis repeated in place: a, a, b, b, ...

    Args:
        x: values. If it is the only argument, it is the counts, and the result is the index of each
            slice, as int64.
        repeats: how often: an integer, or an int vector with a count for each slice (or one for
            all).
        dim: the axis; None for the flattened tensor.
        output_size: the size of the result along the axis. A compiled step needs it if `repeats` is
            a tensor.

    Raises:
        ArgumentError: a count is negative.
        ShapeError: the numbers of counts and slices differ, or `output_size` is not the sum of the
            counts.
        TraceError: the number of resulting slices is not known.
    """
    x = as_tensor(x)
    if repeats is None:
        return _repeated_places(x, output_size)
    if dim is None:
        x, dim = x.reshape(-1), 0
    x = _as_vector(x)
    axis = axis_of(x, dim, "repeat_interleave")
    if not is_tensor(repeats) and not isinstance(repeats, (list, tuple, np.ndarray)):
        return _repeated_equally(x, whole_number("repeat_interleave: repeats", repeats), axis)
    counts, extent = as_tensor(repeats), x.shape[axis]
    if counts.ndim > 1 or counts.size not in (1, extent):
        raise ShapeError(
            f"repeat_interleave: repeats has shape {counts.shape}, but shape {x.shape} has "
            f"{extent} slices along dim {axis}; give one count for each, or one for all"
        )
    return cards.take(x, _repeated_places(counts.expand(extent), output_size), axis=axis)


def _repeated_equally(x: Tensor, count: int, axis: int) -> Tensor:
    if count < 0:
        raise ArgumentError(f"repeat_interleave: repeats must not be negative, got {count}")
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = x.reshape((*before, 1, *after)).expand((*before, count, *after))
    return wide.reshape((*x.shape[:axis], x.shape[axis] * count, *after))


def _repeated_places(counts: Tensor, size: int | None) -> Tensor:
    """Returns 0..n-1, each as often as its count says; `size` is how many come out."""
    if counts.dtype.kind != "int" or counts.ndim != 1:
        raise DTypeError(
            "repeat_interleave: repeats must be a vector of int32 or int64, got "
            f"{counts.dtype.name} {counts.shape}"
        )
    eager = isinstance(current_engine(), Eager)
    if size is None and not eager:
        raise TraceError(
            "repeat_interleave: the extent of the result depends on the counts, which are known "
            "only when the step runs; give output_size="
        )
    negative = "repeat_interleave: a count is negative"
    current_engine().require(counts < 0, negative, ArgumentError, counts)
    ends = counts.to(dtypes.int64).cumsum(0)
    if size is None:
        size = int(ends[-1].item()) if ends.size else 0
    size = whole_number("repeat_interleave: output_size", size)
    wrong = (ends[-1:] != size).sum() if ends.size else as_tensor(int(size != 0))
    message = f"repeat_interleave: output_size is {size}, which is not the sum of the counts"
    current_engine().require(wrong, message, ShapeError)
    begun = full((size + 1,), 0, dtypes.int64).scatter_add(0, ends, ends * 0 + 1)
    return begun[:size].cumsum(0)


def _storable(what: str, value: Any, dtype: DType) -> Tensor:
    """Returns values in the dtype of the elements whose places they take; raises DTypeError for
    numbers and for a tensor of a higher kind, of which that would keep a part only.
    """
    given = as_tensor(value, dtype)
    if not is_tensor(value) and not dtype.is_float and _is_cut(value):
        raise DTypeError(
            f"{what}: {dtype.name} elements cannot hold {value!r}; cast the tensor to a float "
            "dtype first"
        )
    if is_tensor(value) and dtypes.promote(value.dtype, dtype).kind != dtype.kind:
        raise DTypeError(
            f"{what}: {given.dtype.name} values do not fit {dtype.name} elements; cast one of "
            f"them to the other's dtype, as with .to(smelt.{dtype.name})"
        )
    return given.to(dtype)


def _is_cut(value: Any) -> bool:
    """Whether a number, or one of an array, would lose its fraction as an integer."""
    numbers = np.asarray(value)
    return numbers.dtype.kind == "f" and bool((numbers != np.trunc(numbers)).any())


def _first_of(what: str, src: Tensor, shape: Shape) -> Tensor:
    """Returns the part of src that an index of this shape reads."""
    if src.shape == shape:
        return src
    if src.ndim != len(shape) or any(map(operator.lt, src.shape, shape)):
        raise ShapeError(f"{what}: an index {shape} needs more elements than src {src.shape} has")
    return read(src, tuple(map(slice, shape)))


def _adding(dtype: DType) -> DType:
    """Returns the dtype in which elements are added up; bools as numbers, so that any stays."""
    return dtypes.int32 if dtype is dtypes.bool_ else dtype.compute


def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Returns x with `value` wherever the mask (bool, broadcasts) is true.

    Raises:
        DTypeError: x has an integer dtype, and the value is not an integer.
    """
    return where(mask, _storable("masked_fill", value, x.dtype), x)
