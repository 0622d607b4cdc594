"""Collectives: operations whose result depends on the operands of all ranks.

What is differentiated is the function of the whole program, from the operands of all ranks to the
results of all ranks. A gradient is the gradient of the sum of all ranks' losses; so the adjoint of
a sum over ranks is a sum over ranks, and the adjoint of all-gather is reduce-scatter.

All ranks must reach their collectives in the same order. Eagerly this is the order of the program;
in a trace the tracer passes each collective the previous one as an extra operand (`is_ordered`),
which no card reads. So no pass can swap two of them, merge them, or drop one before another.

The cards are not in the registry, since its tests run on one rank; `tests/distributed` tests them
on several ranks, in every engine and order of differentiation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from smelt.dtypes import BY_NAME, int64
from smelt.errors import DTypeError, ShapeError
from smelt.ir.operation import EXPENSIVE, Pattern
from smelt.mpi.group import DTYPES, current
from smelt.ops import elementwise, movement
from smelt.ops.op import Gradients, Needs, Op, Type, Typed

__all__ = [
    "Collective", "all_gather", "all_reduce", "all_reduce_start", "all_reduce_wait", "all_to_all",
    "barrier", "broadcast", "reduce_scatter",
]  # fmt: skip

MOST = (1 << 31) - 1  # elements of one message: MPI counts them in an int
ACCEPTED = tuple(BY_NAME[name] for name in DTYPES)


class Collective(Op):
    """The family. Operands after the first are only there to fix the order."""

    pattern = Pattern.COLLECTIVE
    cost = EXPENSIVE
    is_worth_saving = True
    is_ordered = True
    function: ClassVar[str]  # of MPI
    rows: ClassVar[bool] = False  # whether the operand's first axis has one row per rank

    def __init__(self, name: str) -> None:
        self.name = name  # not in the registry

    def known_type(self, operands: Sequence[Typed], attributes: dict[str, Any]) -> Type:
        return self.infer(*operands, **attributes)  # also depends on the number of ranks

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        x = types[0]
        if x.dtype not in ACCEPTED:
            known = ", ".join(dtype.name for dtype in ACCEPTED)
            raise DTypeError(
                f"{self.name}: the dtype must be one of {known}, got {x.dtype.name}; cast first"
            )
        count = int(np.prod([int(extent) for extent in x.shape], dtype=np.int64))
        if count > MOST:
            raise ShapeError(
                f"{self.name}: {count} elements are too many, a message has at most {MOST}; send "
                "the tensor in parts"
            )
        return Type(self.result(x.shape, current().size), x.dtype)

    def result(self, shape: tuple[int, ...], size: int) -> tuple[int, ...]:
        """Returns the shape of the result."""
        return shape

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return None if tangents[0] is None else self(tangents[0], **attributes)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return self.adjoint(g, output, inputs[0], **attributes), *[None] * (len(inputs) - 1)

    def adjoint(self, g: Any, output: Any, x: Any, **attributes: Any) -> Any:
        """Returns the gradient of the operand."""
        raise NotImplementedError(f"{self.name}: adjoint")

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0], **attributes)


class AllReduce(Collective):
    """The sum, product, maximum or minimum over all ranks, element by element: attribute `op`."""

    function = "MPI_Allreduce"

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return current().all_reduce(arrays[0], attributes["op"])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        if tangents[0] is None:
            return None
        factor = self.partial(output, inputs[0], attributes["op"])
        return all_reduce(tangents[0] if factor is None else tangents[0] * factor, op="sum")

    def adjoint(self, g: Any, output: Any, x: Any, **attributes: Any) -> Any:
        factor = self.partial(output, x, attributes["op"])
        total = all_reduce(g, op="sum")
        return total if factor is None else total * factor

    def partial(self, output: Any, x: Any, op: str) -> Any:
        """Returns the result's derivative with respect to this rank's operand; None if it is 1.

        Ranks that tie for a maximum share its derivative.
        """
        if op == "sum":
            return None
        if op == "prod":
            return output / x  # so an operand of 0 gives nan
        holds = elementwise.eq(x, output).to(x.dtype)
        return holds / all_reduce(holds, op="sum")


class AllReduceStart(AllReduce):
    """A nonblocking sum over all ranks; `all_reduce_wait` waits for its result."""

    function = "MPI_Iallreduce"


class AllReduceWait(Collective):
    """0, as soon as a nonblocking sum (the first operand) is complete; the second operand is what
    it sums, which must not change before.
    """

    function = "MPI_Wait"
    is_ordered = False
    linear_operands: ClassVar[int] = 0

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return Type((), int64)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return np.zeros((), np.int64)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return None

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (None,) * len(inputs)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return movement.broadcast_to(self(*inputs), shape=(inputs[0].shape[0],))


class AllGather(Collective):
    """The operands of all ranks along a new first axis."""

    function = "MPI_Allgather"

    def result(self, shape: tuple[int, ...], size: int) -> tuple[int, ...]:
        return (size, *shape)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return current().all_gather(arrays[0])

    def adjoint(self, g: Any, output: Any, x: Any, **attributes: Any) -> Any:
        return reduce_scatter(g, op="sum")

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return _exchanged(self(inputs[0]))


class ReduceScatter(Collective):
    """This rank's row of the sum of arrays (ranks, ...) over all ranks."""

    function = "MPI_Reduce_scatter_block"
    rows = True

    def result(self, shape: tuple[int, ...], size: int) -> tuple[int, ...]:
        return shape[1:]

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return current().reduce_scatter(arrays[0], attributes["op"])

    def adjoint(self, g: Any, output: Any, x: Any, **attributes: Any) -> Any:
        return all_gather(g)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(_exchanged(inputs[0]), **attributes)


class AllToAll(Collective):
    """Row `rank` of each rank's array (ranks, ...), along a first axis: a transpose."""

    function = "MPI_Alltoall"
    rows = True

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return current().all_to_all(arrays[0])

    def adjoint(self, g: Any, output: Any, x: Any, **attributes: Any) -> Any:
        return all_to_all(g)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return _exchanged(self(_exchanged(inputs[0])))


class Broadcast(Collective):
    """The operand of one rank, the attribute `root`."""

    function = "MPI_Bcast"

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return current().broadcast(arrays[0], attributes["root"])

    def adjoint(self, g: Any, output: Any, x: Any, **attributes: Any) -> Any:
        return all_reduce(g, op="sum") * (1 if current().rank == attributes["root"] else 0)


class Barrier(Collective):
    """0, once all ranks are here; the operand is any number."""

    function = "MPI_Barrier"
    linear_operands: ClassVar[int] = 0

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return Type((), int64)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        current().barrier()
        return np.zeros((), np.int64)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        raise ShapeError("barrier: it has no operand that vmap could batch; call it outside vmap")


def _exchanged(x: Any) -> Any:
    """Returns x with its first two axes swapped."""
    return movement.permute(x, axes=(1, 0, *range(2, x.ndim)))


all_reduce: Final = AllReduce("all_reduce")
all_reduce_start: Final = AllReduceStart("all_reduce_start")
all_reduce_wait: Final = AllReduceWait("all_reduce_wait")
all_gather: Final = AllGather("all_gather")
reduce_scatter: Final = ReduceScatter("reduce_scatter")
all_to_all: Final = AllToAll("all_to_all")
broadcast: Final = Broadcast("broadcast_from")
barrier: Final = Barrier("barrier")
