"""Order along an axis: sort, argsort, topk. nan counts as larger than everything. Methods too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from smelt.errors import ArgumentError
from smelt.ops import sorting as cards
from smelt.tensor.apply import axis_of
from smelt.tensor.indexing import gather_known

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["Sorted", "argsort", "sort", "topk"]


class Sorted(NamedTuple):
    """Elements in order, and where they stood before."""

    values: Tensor
    indices: Tensor


def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Returns the places (int64) of the elements of x in order along `dim`; equal ones keep theirs.

    The order is always stable; `stable` is accepted because PyTorch has it.
    """
    if not x.ndim:
        return argsort(x.reshape(1)).reshape(())
    axis = axis_of(x, dim, "argsort")
    rows = x.detach().to(x.dtype.compute).movedim(axis, -1)
    if not descending:
        return cards.argsort(rows).movedim(-1, axis)
    backward = cards.argsort(rows.flip(-1)).flip(-1)  # so that equal elements keep their order
    return (rows.shape[-1] - 1 - backward).movedim(-1, axis)


def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Sorted:
    """Returns the elements in order along `dim`, and their places before; see `argsort`."""
    order = argsort(x, dim, descending, stable)
    return Sorted(gather_known(x, dim, order), order)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """Returns the k largest (or smallest) elements along `dim`, in order, and their places.

    The first of equal elements comes first. They are always sorted; `sorted` is accepted because
    PyTorch has it.
    """
    axis = axis_of(x, dim, "topk")
    if not x.ndim:  # PyTorch's answer, whatever k is
        return Sorted(x, argsort(x))
    if not 0 <= k <= x.shape[axis]:
        raise ArgumentError(f"topk: there are no {k} elements along axis {dim} of {x.shape}")
    order = argsort(x, dim, descending=largest).narrow(dim, 0, k)
    return Sorted(gather_known(x, dim, order), order)
