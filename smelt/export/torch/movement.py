"""Movements: the same elements at other places, under other shapes, or joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt.dtypes import DType
from smelt.export.torch.program import Rule, unsupported
from smelt.functional.padding import pad
from smelt.functional.rearranging import pixel_shuffle, pixel_unshuffle
from smelt.ops.iota import iota
from smelt.tensor import Tensor, products, shaping
from smelt.tensor.apply import axis_of

NO_END = 1 << 62  # PyTorch writes the largest int64 for the end of an axis


def _reshape(x: Tensor, size: Any) -> Tensor:
    if isinstance(size, DType):
        raise unsupported("Smelt has no view of the same bytes as another dtype; convert them")
    return x.reshape(tuple(size))


def _expand(x: Tensor, size: Sequence[int], implicit: bool = False) -> Tensor:
    return x.expand(tuple(size))


def _permute(x: Tensor, dims: Sequence[int]) -> Tensor:
    return x.permute(tuple(dims))


def _squeeze(x: Tensor, dim: Any = None) -> Tensor:
    return shaping.squeeze(x, tuple(dim) if isinstance(dim, Sequence) else dim)


def _repeat(x: Tensor, repeats: Sequence[int]) -> Tensor:
    return x.repeat(tuple(repeats))


def _flip(x: Tensor, dims: Sequence[int]) -> Tensor:
    return shaping.flip(x, tuple(dims))


def _roll(x: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
    counts = tuple(shifts) if isinstance(shifts, Sequence) else (shifts,)
    axes = tuple(dims) if isinstance(dims, Sequence) else (dims,)
    return shaping.roll(x, counts if axes else counts[0], axes or None)


def subscript(x: Tensor, dim: int, start: Any, end: Any, step: int = 1) -> tuple[slice, ...]:
    """Returns the index that takes a slice along one axis."""
    axis = axis_of(x, dim, "slice")
    last = None if end is None or (isinstance(end, int) and end >= NO_END) else end
    return (*(slice(None),) * axis, slice(start, last, step))


def _slice(x: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    return x[subscript(x, dim, start, end, step)]


def _select(x: Tensor, dim: int, index: int) -> Tensor:
    return x.select(dim, index)


def _split(x: Tensor, size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    return shaping.split(x, tuple(size) if isinstance(size, Sequence) else size, dim)


def _concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    return shaping.cat(tensors, dim)


def _windows(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All slices of a size along an axis, which come to stand along a new last axis."""
    axis = axis_of(x, dimension, "unfold")
    count = (x.shape[axis] - size) // step + 1
    places = iota(shape=(count, size), axis=0) * step + iota(shape=(count, size), axis=1)
    return x[(*(slice(None),) * axis, places)].movedim(axis + 1, -1)


def _select_scatter(x: Tensor, source: Tensor, dim: int, index: int) -> Tensor:
    axis = axis_of(x, dim, "select_scatter")
    return x.at[(*(slice(None),) * axis, index)].set(source)


def _slice_scatter(
    x: Tensor, source: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    return x.at[subscript(x, dim, start, end, step)].set(source)


def _constant_pad(x: Tensor, pads: Sequence[int], value: Any = 0) -> Tensor:
    return pad(x, pads, "constant", value)


def _pad(x: Tensor, pads: Sequence[int], mode: str = "constant", value: Any = None) -> Tensor:
    return pad(x, pads, mode, value)


def _reflected(x: Tensor, pads: Sequence[int]) -> Tensor:
    return pad(x, pads, "reflect")


def _replicated(x: Tensor, pads: Sequence[int]) -> Tensor:
    return pad(x, pads, "replicate")


def _unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    return shaping.unbind(x, dim)


def _flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    return shaping.flatten(x, start_dim, end_dim)


RULES: Final[dict[str, Rule]] = {
    "view": _reshape,
    "reshape": _reshape,
    "_unsafe_view": _reshape,
    "flatten": _flatten,
    "expand": _expand,
    "expand_as": shaping.expand_as,
    "permute": _permute,
    "transpose": shaping.transpose,
    "t": shaping.t,
    "squeeze": _squeeze,
    "unsqueeze": shaping.unsqueeze,
    "repeat": _repeat,
    "flip": _flip,
    "roll": _roll,
    "slice": _slice,
    "select": _select,
    "split": _split,
    "split_with_sizes": _split,
    "unbind": _unbind,
    "cat": _concatenate,
    "stack": lambda tensors, dim=0: shaping.stack(tensors, dim),
    "unfold": _windows,
    "select_scatter": _select_scatter,
    "slice_scatter": _slice_scatter,
    "diagonal": products.diagonal,
    "tril": products.tril,
    "triu": products.triu,
    "constant_pad_nd": _constant_pad,
    "pad": _pad,
    "reflection_pad1d": _reflected,
    "reflection_pad2d": _reflected,
    "reflection_pad3d": _reflected,
    "replication_pad1d": _replicated,
    "replication_pad2d": _replicated,
    "replication_pad3d": _replicated,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
}
