"""Batches: which rows each step of `over` gets, and the results of many steps as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from smelt import tree
from smelt.errors import ArgumentError, ArgumentTypeError, BoundsError, ShapeError
from smelt.random import Generator, randint
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.shaping import cat, stack

LIMIT = 1 << 20  # row numbers that are drawn ahead for one native call


def as_rows(data: Any) -> Tensor:
    """Returns an argument of `over` as a tensor.

    Raises:
        ArgumentTypeError: it is a loader, a data set or something else that is not an array.
    """
    is_array = isinstance(data, (Tensor, np.ndarray, list, tuple)) or hasattr(data, "__array__")
    if not (is_array or hasattr(data, "__dlpack__")):
        kind = type(data).__name__
        raise ArgumentTypeError(
            f"over: takes tensors and arrays, got a {kind}. Write step.over(x, y, batch_size=...) "
            "with all rows; with a loader, call the step for each batch: for batch in loader: "
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
    """Yields (row numbers, steps, rows per step): the longest runs of equal batches."""
    full, remainder = divmod(rows, size)
    ends = remainder > 0 and not drop_last
    for orders in _orders(rows, epochs, generator):
        if ends:
            for order in orders:
                yield from ordered_runs(order, size)
        else:
            order = np.ascontiguousarray(orders[:, : full * size]).ravel()
            yield order, order.size // size, size


def ordered_runs(order: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields the runs of row numbers in an order: the whole batches, and what is left."""
    full, remainder = divmod(len(order), size)
    if full:
        yield np.ascontiguousarray(order[: full * size]), full, size
    if remainder:
        yield np.ascontiguousarray(order[full * size :]), 1, remainder


def _orders(rows: int, epochs: int, generator: Generator | None) -> Iterator[np.ndarray]:
    """Yields arrays (epochs, rows) of row numbers, several epochs at a time."""
    at_once = max(1, LIMIT // rows)
    for first in range(0, epochs, at_once):
        count = min(at_once, epochs - first)
        if generator is None:
            yield np.tile(np.arange(rows), (count, 1))
        else:
            yield shuffled_rows(rows, generator, count)


def shuffled_rows(rows: int, generator: Generator, epochs: int = 1) -> np.ndarray:
    """Returns random orders of row numbers, (epochs, rows)."""
    keys = randint(0, 1 << 62, (epochs, rows), generator=generator).numpy()
    return np.argsort(keys, axis=1, kind="stable")


def checked_order(order: Any, rows: int) -> np.ndarray:
    """Returns the row numbers that a user gave; raises when they are not rows of the data."""
    given = np.asarray(order)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ArgumentError(
            f"over: order must be row numbers of shape (n,), got {given.dtype} of {given.shape}"
        )
    if given.size and not 0 <= given.min() <= given.max() < rows:
        raise BoundsError(f"over: order names rows {given.min()} to {given.max()} of {rows}")
    return given.astype(np.int64)


def stacked(results: list[Any]) -> Any:
    """Returns the results of single steps, stacked along a new first axis."""

    def stacked_leaf(*parts: Any) -> Any:
        if not isinstance(parts[0], Tensor):
            return parts[0]
        return stack(parts)

    return tree.map(stacked_leaf, *results) if results else None


def joined(results: list[Any], name: str) -> Any:
    """Returns the stacked results of several runs, one after the other.

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
