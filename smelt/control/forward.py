"""Forward: the loop that pushes tangents through another loop."""

from __future__ import annotations

from typing import Any

from smelt.autodiff.record import zeros_like
from smelt.control.body import CARRY, BodyTracer, Carried, Sliced, sliced_by, written
from smelt.control.loop import loop
from smelt.control.parts import Parts, part_of
from smelt.control.turn import Pieces, Turn
from smelt.ir.graph import Node
from smelt.ops.op import Shape
from smelt.tensor import Tensor
from smelt.tracing.walk import forward_walk


def pushed_forward(pieces: Pieces, tangents: tuple[Any, ...], examples: Shape) -> Parts:
    """Returns the tangents of a loop's results, given those of its operands (None: zero).

    The loop carries the tangent of the carry; it starts each turn from what the other one kept.
    """
    return _Forward(pieces, tangents).tangents(examples)


class _Forward:
    """The loop while it is being written."""

    def __init__(self, pieces: Pieces, given: tuple[Any, ...]) -> None:
        self.pieces = pieces
        self.given = given
        self.count = len(pieces.before)
        self.before: list[Node] = []
        self.sliced: list[Sliced] = []
        self.reached: list[int] = []  # the numbers of the outputs that have a tangent

    def tangents(self, examples: Shape) -> Parts:
        """Makes the loop, and finds each tangent among its results."""
        writer, nodes = written(self.write)
        pieces, moving = self.pieces, self.pieces.moving
        first = [self.given[k] for k in moving]
        initial = [
            zeros_like(pieces.initial[k]) if one is None else one
            for k, one in zip(moving, first, strict=True)
        ]
        pairs = zip(initial, self.before, nodes, strict=False)
        carried, outputs = [Carried(*one) for one in pairs], nodes[len(moving) :]
        made = loop(writer, carried, self.sliced, outputs, pieces.along)
        values = {k: part_of(made, place, pieces.before[k]) for place, k in enumerate(moving)}
        for place, (k, node) in enumerate(zip(self.reached, outputs, strict=True), len(moving)):
            values[self.count + k] = part_of(made, place, node, pieces.along.turns)
        return Parts(examples, values)

    def write(self, writer: BodyTracer) -> list[Tensor]:
        """Writes one turn: from the tangents before it to those after it and of its outputs."""
        pieces, turn = self.pieces, Turn(self.pieces, writer)
        self.sliced = turn.sliced
        carries = [writer.placeholder(pieces.before[k], CARRY) for k in pieces.moving]
        self.before = [one.data for one in carries]
        nodes = [pieces.before[k] for k in pieces.moving]
        known = {id(turn.given[node]): one for node, one in zip(nodes, carries, strict=True)}
        for place, node in enumerate(pieces.graph.arguments):
            tangent = self.given[self.count + place]
            if tangent is not None and place < len(pieces.rows):
                self.sliced.append(sliced_by(writer, tangent))
                tangent = Tensor(self.sliced[-1].node, node.dtype)
            if tangent is not None:
                known[id(turn.given[node])] = tangent
        after = [turn.values[pieces.after[k]] for k in pieces.moving]
        outputs = [turn.values[node] for node in pieces.graph.outputs]
        moved = forward_walk((*after, *outputs), known)
        last = zip(after, moved, strict=False)
        carried = [zeros_like(y) if one is None else one for y, one in last]
        others = moved[len(after) :]
        self.reached = [k for k, one in enumerate(others) if one is not None]
        return carried + [one for one in others if one is not None]
