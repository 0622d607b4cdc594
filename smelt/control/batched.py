"""Batched: one loop for all examples of a `vmap`."""

from __future__ import annotations

from smelt.autodiff.vmap import vmap
from smelt.control.body import CARRY, BodyTracer, Carried, Sliced, sliced_by, written
from smelt.control.loop import loop
from smelt.control.replay import replay
from smelt.control.turn import Pieces
from smelt.ir.graph import Node
from smelt.ops.op import Shape
from smelt.tensor import Tensor


def batched_loop(pieces: Pieces, batched: tuple[bool, ...], examples: Shape) -> Tensor:
    """Returns the token of the loop over a batch of examples.

    `batched` says which operands have the batch as their first axis. All carries and outputs get
    it. `examples` are the extents of the `vmap`s around this one.
    """
    count = len(pieces.before)
    operands = (*pieces.initial, *pieces.rows, *pieces.closures)
    size = next(x.shape[0] for x, has in zip(operands, batched, strict=True) if has)
    initial = [
        x if has else x.broadcast_to((size, *x.shape))
        for x, has in zip(pieces.initial, batched, strict=False)
    ]
    rows = [
        x.movedim(1, 0) if has else x for x, has in zip(pieces.rows, batched[count:], strict=False)
    ]
    roots = [*pieces.after, *pieces.graph.outputs]
    leaves = (*pieces.before, *pieces.graph.arguments)
    axes = (*(0 for _ in initial), *(0 if has else None for has in batched[count:]))
    before: list[Node] = []
    sliced: list[Sliced] = []

    def turn(*given: Tensor) -> list[Tensor]:
        values = replay(roots, dict(zip(leaves, given, strict=True)))
        return [values[node] for node in roots]

    def write(writer: BodyTracer) -> list[Tensor]:
        carries = [writer.placeholder(x, CARRY) for x in initial]
        before.extend(one.data for one in carries)
        sliced.extend(sliced_by(writer, x) for x in rows)
        slices = [Tensor(one.node, one.node.dtype) for one in sliced]
        return vmap(turn, in_axes=axes)(*carries, *slices, *pieces.closures)

    writer, nodes = written(write)
    carried = [Carried(*one) for one in zip(initial, before, nodes, strict=False)]
    return loop(writer, carried, sliced, nodes[count:], pieces.along, (size, *examples))
