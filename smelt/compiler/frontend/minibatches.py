"""Batches: which rows each step of `over` gets, and the results of many steps as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from smelt import tree
from smelt.errors import ArgumentTypeError, ShapeError
from smelt.random import Generator, randint
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.shaping import cat, stack

LIMIT = 1 << 20  # row numbers that are drawn ahead for one native call


def as_rows(data: Any) -> Tensor:
    """Returns a tensor of what `over` is given.

    Raises:
        ArgumentTypeError: it is a loader, a data set or something else that is no array.
    """
    is_array = isinstance(data, (Tensor, np.ndarray, list, tuple)) or hasattr(data, "__array__")
    if not (is_array or hasattr(data, "__dlpack__")):
        kind = type(data).__name__
        raise ArgumentTypeError(
            f"over: takes tensors and arrays, got a {kind}. Write step.over(x, y, batch_size=...) "
            "with all rows; a loader gives its batches to the step: for batch in loader: "
            "step(*batch)"
        )
    return as_tensor(data)


def common_rows(tensors: list[Tensor]) -> int:
    """Returns how many rows all tensors have; raises ShapeError when they differ or have none."""
    if not tensors or any(not x.ndim for x in tensors):
        raise ShapeError("over: needs at least one array, each with a first axis of rows")
    counts = {x.shape[0] for x in tensors}
    if len(counts) > 1 or 0 in counts:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"over: the arrays need the same number of rows, got shapes {shapes}")
    return counts.pop()


def runs(
    rows: int, size: int, epochs: int, generator: Generator | None, drop_last: bool
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields (row numbers, steps, rows a step): runs of equal batches, as long as they can be."""
    full, remainder = divmod(rows, size)
    ends = remainder > 0 and not drop_last
    for orders in _orders(rows, epochs, generator):
        groups = list(orders) if ends else [orders]
        for group in groups:
            order = np.ascontiguousarray(group.reshape(-1, rows)[:, : full * size]).ravel()
            if full:
                yield order, order.size // size, size
            if ends:
                yield np.ascontiguousarray(group[full * size :]), 1, remainder


def _orders(rows: int, epochs: int, generator: Generator | None) -> Iterator[np.ndarray]:
    """Yields arrays (epochs, rows) of row numbers, several epochs at a time."""
    at_once = max(1, LIMIT // rows)
    for first in range(0, epochs, at_once):
        count = min(at_once, epochs - first)
        if generator is None:
            yield np.tile(np.arange(rows), (count, 1))
        else:
            keys = randint(0, 1 << 62, (count, rows), generator=generator).numpy()
            yield np.argsort(keys, axis=1, kind="stable")


def stacked(results: list[Any]) -> Any:
    """Returns the results of single steps, stacked along a new first axis."""

    def stacked_leaf(*parts: Any) -> Any:
        if not isinstance(parts[0], Tensor):
            return parts[0]
        return stack(parts)

    return tree.map(stacked_leaf, *results) if results else None


def joined(results: list[Any], name: str) -> Any:
    """Returns the stacked results of several runs, one behind the other.

    Raises ShapeError when the smaller last batches gave results of another shape.
    """
    if not results:
        return None

    def join(*parts: Any) -> Any:
        if not isinstance(parts[0], Tensor):
            return parts[0]
        shapes = list(dict.fromkeys(part.shape[1:] for part in parts))
        if len(shapes) > 1:
            raise ShapeError(
                f"{name}.over: the last batch is smaller, so results of shapes {shapes[0]} and "
                f"{shapes[1]} cannot be stacked; use drop_last=True, or return something that "
                "has one shape for every batch"
            )
        return cat(parts) if len(parts) > 1 else parts[0]

    return tree.map(join, *results)
