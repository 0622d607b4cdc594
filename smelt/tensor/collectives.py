"""Functions of the tensors of all ranks; `smelt.distributed` shows them to users."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from smelt.errors import ArgumentError, ShapeError
from smelt.mpi.group import OPERATIONS, current
from smelt.ops import collective
from smelt.ops.barrier import optimization_barrier
from smelt.ops.op import is_whole_number
from smelt.tensor.apply import as_tensor
from smelt.tensor.tensor import Tensor
from smelt.tracing.engine import current_engine

__all__ = [
    "all_gather", "all_reduce", "all_to_all", "barrier", "begin_all_reduce", "broadcast",
    "get_rank", "get_world_size", "reduce_scatter",
]  # fmt: skip


class _Membership:
    """The group as a setting that compiled steps depend on: rank and size are numbers in them."""

    def fingerprint(self) -> Hashable:
        """Returns what a step was compiled for."""
        group = current()
        return group.rank, group.size, group.is_joined


MEMBERSHIP = _Membership()


def _noted() -> Any:
    current_engine().note_module(MEMBERSHIP)
    return current()


def get_rank() -> int:
    """Returns the rank of this process, from 0 on; 0 if it is alone."""
    return _noted().rank


def get_world_size() -> int:
    """Returns the number of ranks; 1 if this process is alone."""
    return _noted().size


def _operation(what: str, op: Any) -> str:
    if op not in (*OPERATIONS, "mean"):
        known = ", ".join(map(repr, (*OPERATIONS, "mean")))
        raise ArgumentError(f"{what}: op must be one of {known}, got {op!r}")
    return "sum" if op == "mean" else op


def _check_rows(what: str, x: Tensor, size: int) -> None:
    if not x.ndim or x.shape[0] != size:
        raise ShapeError(
            f"{what}: the first axis must have one row for each of the {size} ranks, got shape "
            f"{x.shape}"
        )


def _scaled(x: Tensor, op: str, size: int) -> Tensor:
    return x / size if op == "mean" else x


def all_reduce(tensor: Any, op: str = "sum") -> Tensor:
    """Returns the sum of a tensor over all ranks, element by element.

    The gradient is that of the sum of all ranks' losses: for a sum, the sum of their cotangents.

    Args:
        tensor: of the same shape and dtype on all ranks: float32, float64, int32 or int64.
        op: "sum", "mean", "prod", "max" or "min". Ranks that share a maximum share its gradient;
            the gradient of a product needs nonzero operands.

    Returns:
        The same on every rank; `tensor` is not changed.

    Raises:
        ArgumentError: an unknown `op`.
        DTypeError: an unsupported dtype.
        StateError: on all ranks, if they are about to do different things.
    """
    x, known = as_tensor(tensor), _operation("all_reduce", op)
    size = _noted().size
    return x if size == 1 else _scaled(collective.all_reduce(x, op=known), op, size)


def begin_all_reduce(tensor: Tensor) -> Any:
    """Starts the sum of a tensor over all ranks; returns a function that returns the sum.

    In a compiled step the sum overlaps with the code between the two calls, and with everything
    that does not depend on the sum; in eager code it is computed at once.
    """
    if _noted().size == 1:
        return lambda: tensor
    begun = collective.all_reduce_start(tensor, op="sum")

    def finished() -> Tensor:
        return optimization_barrier(begun, collective.all_reduce_wait(begun, tensor))

    return finished


def all_gather(tensor: Any) -> Tensor:
    """Returns the tensors of all ranks along a new first axis, (ranks, ...).

    Raises:
        DTypeError: a dtype that is not float32, float64, int32 or int64.
        StateError: on all ranks, if they are about to do different things.
    """
    x = as_tensor(tensor)
    return x.unsqueeze(0) if _noted().size == 1 else collective.all_gather(x)


def reduce_scatter(tensor: Any, op: str = "sum") -> Tensor:
    """Returns this rank's row of the sum of tensors (ranks, ...) over all ranks.

    Args:
        tensor: a row for each rank.
        op: "sum" or "mean".

    Raises:
        ArgumentError: an unknown `op`.
        DTypeError: a dtype that is not float32, float64, int32 or int64.
        ShapeError: the number of rows is not the number of ranks.
        StateError: on all ranks, if they are about to do different things.
    """
    x, size = as_tensor(tensor), _noted().size
    if op not in ("sum", "mean"):
        raise ArgumentError(f"reduce_scatter: op must be 'sum' or 'mean', got {op!r}")
    _check_rows("reduce_scatter", x, size)
    return x[0] if size == 1 else _scaled(collective.reduce_scatter(x, op="sum"), op, size)


def all_to_all(tensor: Any) -> Tensor:
    """Returns what each rank sends to this one: row `rank` of the tensors (ranks, ...) of all
    ranks, along a first axis.

    Raises:
        DTypeError: a dtype that is not float32, float64, int32 or int64.
        ShapeError: the number of rows is not the number of ranks.
        StateError: on all ranks, if they are about to do different things.
    """
    x, size = as_tensor(tensor), _noted().size
    _check_rows("all_to_all", x, size)
    return x if size == 1 else collective.all_to_all(x)


def broadcast(tensor: Any, src: int = 0) -> Tensor:
    """Returns the tensor of rank `src`.

    Args:
        tensor: of the same shape and dtype on all ranks; only the values on `src` matter.
        src: the rank.

    Raises:
        ArgumentError: the rank does not exist.
        DTypeError: a dtype that is not float32, float64, int32 or int64.
        StateError: on all ranks, if they are about to do different things.
    """
    x, size = as_tensor(tensor), _noted().size
    if not is_whole_number(src) or not 0 <= src < size:
        raise ArgumentError(f"broadcast: src must be a rank, from 0 to {size - 1}, got {src!r}")
    return x if size == 1 else collective.broadcast(x, root=int(src))


def barrier() -> None:
    """Waits until all ranks have reached this call; in a compiled step, at every run."""
    if _noted().size > 1:
        here = collective.barrier(as_tensor(0))
        current_engine().require(here, "barrier", ArgumentError)
