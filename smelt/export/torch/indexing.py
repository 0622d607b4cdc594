"""Indexing: reading and changing elements at places that other tensors name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt.dtypes import bool_
from smelt.export.torch.program import Rule, unsupported
from smelt.functional.layers import embedding
from smelt.tensor import Tensor, indexing
from smelt.tensor.elementary import where

Indices = Sequence[Tensor | None]


def _subscript(indices: Indices) -> tuple[Any, ...]:
    """Returns the index of Python that ATen's list means."""
    return tuple([slice(None) if index is None else index for index in indices])


def _index(x: Tensor, indices: Indices) -> Tensor:
    return x[_subscript(indices)]


def _index_put(x: Tensor, indices: Indices, values: Tensor, accumulate: bool = False) -> Tensor:
    named = [(place, index) for place, index in enumerate(indices) if index is not None]
    if len(named) == 1 and named[0][1].dtype is bool_ and not values.ndim:
        axis, mask = named[0]  # all that a mask chooses get one value: nobody counts them
        behind = x.ndim - mask.ndim - axis
        chosen = mask.reshape((*(1,) * axis, *mask.shape, *(1,) * behind))
        return where(chosen, x + values if accumulate else values, x).to(x.dtype)
    place = x.at[_subscript(indices)]
    return place.add(values) if accumulate else place.set(values)


def _index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    return indexing.index_select(x, dim, index)


def _gather(x: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> Tensor:
    return indexing.gather(x, dim, index)


def _scatter(x: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
    return indexing.scatter(x, dim, index, source)


def _scatter_add(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    return indexing.scatter_add(x, dim, index, source)


def _scatter_reduce(
    x: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    include_self: bool = True,
) -> Tensor:
    if reduce != "sum" or not include_self:
        raise unsupported(
            f"Smelt has no scatter_reduce with reduce={reduce!r} and include_self={include_self}; "
            "it adds: reduce='sum' with include_self=True"
        )
    return indexing.scatter_add(x, dim, index, source)


def _embedding(
    weight: Tensor,
    ids: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    if scale_grad_by_freq:
        raise unsupported("Smelt has no embedding with scale_grad_by_freq=True")
    return embedding(ids, weight, padding_idx if padding_idx >= 0 else None)


def _take(x: Tensor, index: Tensor) -> Tensor:
    return indexing.take(x, index)


def _repeat_interleave(
    x: Tensor, repeats: Any = None, dim: int | None = None, output_size: int | None = None
) -> Tensor:
    return indexing.repeat_interleave(x, repeats, dim, output_size=output_size)


RULES: Final[dict[str, Rule]] = {
    "index": _index,
    "_unsafe_index": _index,
    "index_put": _index_put,
    "_unsafe_index_put": _index_put,
    "index_select": _index_select,
    "gather": _gather,
    "scatter.src": _scatter,
    "scatter.value": _scatter,
    "scatter_add": _scatter_add,
    "scatter_reduce": _scatter_reduce,
    "embedding": _embedding,
    "take": _take,
    "repeat_interleave": _repeat_interleave,
}
