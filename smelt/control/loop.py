"""Loop: the operation behind `scan`, and how one is made of what a body's writer wrote.

A body is a small step: what it carries from turn to turn are its states, its slices of the inputs
and what it uses from outside are its arguments. Besides its outputs a loop keeps, for each turn,
the carry before it and what is dear to compute again: derivatives start from these. What nobody
asks for is dropped by `simplify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt.control.body import Along, BodyTracer, Carried, Sliced
from smelt.control.invariant import outside_of
from smelt.control.parts import token_type
from smelt.control.turn import Pieces, pieces_of
from smelt.ir.graph import Graph, Node, topological
from smelt.ops.op import DEAR, Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tracing.apply import apply

DEAR_FAMILIES = frozenset(
    {"contraction", "reduction", "cumulative", "indexing", "scatter", "sort", "random", "part"}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a loop is differentiated and batched: each gives another loop."""

    reverse_walk: Callable[[Pieces, Any, tuple[bool, ...]], tuple[Tensor | None, ...]]
    forward_walk: Callable[[Pieces, tuple[Any, ...], Shape], Any]
    batch: Callable[[Pieces, tuple[bool, ...], Shape], Tensor]


class Scan(Op):
    """A loop with a known number of turns.

    Its operands are first contents of what it carries, inputs to slice, and closures; its results
    the last contents, and each output stacked.
    """

    family = "control"
    rules: Rules  # installed by the package, since what they give are loops again

    def __init__(self) -> None:
        self.name = "scan"  # not in the registry: eagerly a loop is Python's own

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return token_type(attributes["examples"])

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        """The reversed loop, which carries the cotangent of the carry."""
        return self.rules.reverse_walk(pieces_of(output, inputs, attributes), g, needs)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A loop of the body's tangents."""
        pieces = pieces_of(output, inputs, attributes)
        return self.rules.forward_walk(pieces, tangents, output.shape)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """The loop of the batched body; all that is carried or given out has the batch."""
        pieces = pieces_of(None, inputs, attributes)
        return self.rules.batch(pieces, batched, attributes["examples"])


scan_op = Scan()


def loop(
    writer: BodyTracer,
    carried: Sequence[Carried],
    sliced: Sequence[Sliced],
    outputs: Sequence[Node],
    along: Along,
    examples: Shape = (),
) -> Tensor:
    """Returns the token of a loop around what `writer` wrote.

    Its results: the last contents of each carried tensor, then each output stacked. `examples` are
    the extents of the `vmap`s around it: the shape of the token.
    """
    before, roots = [one.before for one in carried], [*(one.after for one in carried), *outputs]
    read = set(topological(roots))
    sliced = [one for one in sliced if one.node in read]  # so that nobody makes what no turn reads
    kept = [*before, *_dear(roots, {*before, *(one.node for one in sliced)})]
    graph, given = body_graph(writer, carried, sliced, outputs, kept)
    first = [one.initial for one in carried]
    operands = (*first, *(one.rows for one in sliced), *given)
    attributes = {
        "bodies": (graph,),
        "sliced": len(sliced),
        "turns": along.turns,
        "reverse": along.reverse,
        "kept": len(kept),
        "examples": examples,
    }
    return apply(scan_op, operands, attributes)


def body_graph(
    writer: BodyTracer,
    carried: Sequence[Carried],
    sliced: Sequence[Sliced],
    outputs: Sequence[Node],
    kept: Sequence[Node],
) -> tuple[Graph, tuple[Tensor, ...]]:
    """Returns a body as a graph, and the tensors from outside that it uses.

    `carried` are its states; its arguments are the slices and what it uses from outside.
    """
    before = [one.before for one in carried]
    moving = {*before, *(one.node for one in sliced)}
    roots = [*(one.after for one in carried), *outputs, *kept]
    closures = {node: tensor for tensor, node in writer.closures.values() if node not in moving}
    inside, given = outside_of(roots, moving, closures)
    pairs = zip(before, inside, strict=False)  # `roots` begin with the carry after the turn
    graph = Graph(
        arguments=(*(one.node for one in sliced), *given),
        states=tuple(before),
        outputs=tuple(inside[len(carried) :]),
        updates=tuple([(old, new) for old, new in pairs if old is not new]),
    )
    return graph, tuple(given.values())


def _dear(roots: Iterable[Node], moving: set[Node]) -> list[Node]:
    """Returns the nodes that differ from turn to turn and are better kept than computed again."""
    found, varies = [], set(moving)
    for node in topological(roots):
        if any(one in varies for one in node.inputs):
            varies.add(node)
            if node.op.cost >= DEAR or node.op.family in DEAR_FAMILIES:
                found.append(node)
    return found
