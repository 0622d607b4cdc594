"""Backward: the loop that pulls cotangents back through another loop, from its last turn to its
first.
"""

from __future__ import annotations

from smelt.autodiff.record import zeros_like
from smelt.control.body import CARRY, Along, BodyTracer, Carried, Sliced, sliced_by, written
from smelt.control.loop import loop
from smelt.control.parts import Parts, part_of
from smelt.control.sums import Sums
from smelt.control.turn import Pieces, Turn
from smelt.ir.graph import Node
from smelt.tensor import Tensor
from smelt.tracing.walk import reverse_walk


def pulled_back(pieces: Pieces, g: Parts, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
    """Returns the gradient of each operand of a loop, given those of some of its results.

    The loop carries the cotangent of the carry; gradients of inputs are its outputs; gradients of
    closures are sums over its turns.
    """
    return _Backward(pieces, g, needs).gradients()


class _Backward:
    """The loop while it is being written."""

    def __init__(self, pieces: Pieces, g: Parts, needs: tuple[bool, ...]) -> None:
        self.pieces = pieces
        self.needs = needs
        self.count = len(pieces.before)
        self.last = {k: v for k, v in g.values.items() if k < self.count}
        self.outputs = {k - self.count: v for k, v in g.values.items() if k >= self.count}
        self.before: list[Node] = []
        self.sliced: list[Sliced] = []
        self.places: list[int] = []  # of the operands besides the carry that have a gradient

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Makes the loop, and finds each gradient among its results."""
        writer, nodes = written(self.write)
        pieces, moving = self.pieces, self.pieces.moving
        carried = [
            Carried(self.last.get(k, zeros_like(pieces.initial[k])), before, after)
            for k, before, after in zip(moving, self.before, nodes, strict=False)
        ]
        end = self.count + len(pieces.rows)
        along = Along(pieces.along.turns, not pieces.along.reverse)
        reached = dict(zip(self.places, nodes[len(moving) :], strict=True))
        rows = {place: node for place, node in reached.items() if place < end}
        sums = Sums(self.sliced, along.turns)
        totals = {place: sums.total(node) for place, node in reached.items() if place >= end}
        carried += sums.carried
        token = loop(writer, carried, self.sliced, [*rows.values(), *sums.stacked], along)
        sums.settle(token, len(moving), len(carried) + len(rows))
        found: list[Tensor | None] = [None] * len(self.needs)
        for number, k in enumerate(moving):
            found[k] = part_of(token, number, pieces.before[k])
        for number, (place, node) in enumerate(rows.items(), len(carried)):
            found[place] = part_of(token, number, node, along.turns)
        for place, total in totals.items():
            found[place] = total()
        return tuple(found)

    def write(self, writer: BodyTracer) -> list[Tensor]:
        """Writes one turn: from the cotangents after it to those before it and of its leaves."""
        pieces, turn = self.pieces, Turn(self.pieces, writer)
        cotangents = [writer.placeholder(pieces.before[k], CARRY) for k in pieces.moving]
        self.before = [one.data for one in cotangents]
        given = [sliced_by(writer, g) for g in self.outputs.values()]
        self.sliced = [*turn.sliced, *given]
        cotangents += [Tensor(one.node, one.node.dtype) for one in given]
        after = [turn.values[pieces.after[k]] for k in pieces.moving]
        outputs = [turn.values[pieces.graph.outputs[k]] for k in self.outputs]
        carries = [turn.given[pieces.before[k]] for k in pieces.moving]
        leaves = [turn.given[node] for node in pieces.graph.arguments]
        wanted = {
            place: x
            for place, x in enumerate(leaves, self.count)
            if self.needs[place] and x.requires_grad
        }
        ids = {id(x) for x in (*carries, *wanted.values())}
        found = reverse_walk((*after, *outputs), tuple(cotangents), ids)
        self.places = [place for place, x in wanted.items() if id(x) in found]
        results = [found[id(x)] if id(x) in found else zeros_like(x) for x in carries]
        return results + [found[id(wanted[place])] for place in self.places]
