"""Branch: the operation behind `cond`, and how one is made of what two writers wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt.autodiff.record import tracked, zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body import CARRY, CLOSURE, Along, BodyTracer, Carried, written
from smelt.control.loop import loop
from smelt.control.parts import Parts, part_of, token_type
from smelt.control.replay import replay
from smelt.ir.graph import Graph, Node
from smelt.ops.op import Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tensor.apply import filled
from smelt.tensor.elementary import where
from smelt.tracing.apply import apply
from smelt.tracing.engine import enable_grad
from smelt.tracing.walk import forward_walk, reverse_walk


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two functions wrote, and the nodes of its results."""

    writer: BodyTracer
    nodes: list[Node]


class Cond(Op):
    """One of two bodies. Its operands are the flag, then what either body uses."""

    family = "control"

    def __init__(self) -> None:
        self.name = "cond"  # not in the registry: eagerly a branch is Python's own

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return token_type(attributes["examples"])

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        """A branch of the bodies' pull-backs, each of which computes its body anew."""
        flag, *given = inputs
        wanted = [place for place, needed in enumerate(needs[1:]) if needed]

        def pulled(body: Graph) -> list[Tensor]:
            leaves, values = _anew(body, given)
            outputs = tuple([values[body.outputs[number]] for number in g.values])
            targets = [leaves[place] for place in wanted]
            found = reverse_walk(outputs, tuple(g.values.values()), {id(x) for x in targets})
            return [found[id(x)] if id(x) in found else zeros_like(x) for x in targets]

        sides = [_side(pulled, body) for body in attributes["bodies"]]
        token = branch(flag, sides[1], sides[0])
        result: list[Tensor | None] = [None] * len(needs)
        for number, place in enumerate(wanted):
            result[1 + place] = part_of(token, number, given[place])
        return tuple(result)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A branch of the bodies' tangents, each of which computes its body anew."""
        flag, *given = inputs
        numbers = [k for k, node in enumerate(attributes["bodies"][0].outputs) if _is_float(node)]

        def pushed(body: Graph) -> list[Tensor]:
            leaves, values = _anew(body, given)
            pairs = zip(leaves, tangents[1:], strict=True)
            known = {id(x): tangent for x, tangent in pairs if tangent is not None}
            outputs = tuple([values[body.outputs[k]] for k in numbers])
            moved = zip(outputs, forward_walk(outputs, known), strict=True)
            return [zeros_like(y) if tangent is None else tangent for y, tangent in moved]

        no, yes = [_side(pushed, body) for body in attributes["bodies"]]
        token = branch(flag, yes, no)
        return Parts(
            output.shape,
            {k: part_of(token, place, yes.nodes[place]) for place, k in enumerate(numbers)},
        )

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """A branch of the batched bodies; or both of them, where each example chooses."""
        flag, *given = inputs
        size = next(x.shape[0] for x, has in zip(inputs, batched, strict=True) if has)
        examples = (size, *attributes["examples"])
        axes = tuple(0 if has else None for has in batched)
        no, yes = attributes["bodies"]

        def run(body: Graph) -> list[Tensor]:
            return vmap(lambda *xs: _results(body, xs), in_axes=axes[1:])(*given)

        def choose() -> list[Tensor]:
            return vmap(_chosen(yes, no), in_axes=axes)(*inputs)

        if not batched[0]:
            return branch(flag, _side(run, yes), _side(run, no), examples)
        writer, nodes = written(lambda _: choose())
        carried = [
            Carried(filled(node.shape, 0, node.dtype), _carry(number, node), node)
            for number, node in enumerate(nodes)
        ]
        return loop(writer, carried, (), (), Along(1, reverse=False), examples)


cond_op = Cond()


def branch(flag: Tensor, yes: Side, no: Side, examples: Shape = ()) -> Tensor:
    """Returns the token of a branch; its results are what both sides deliver.

    `examples` are the extents of the `vmap`s around it: the shape of the token.
    """
    used = {id(x): x for side in (yes, no) for x, _ in side.writer.closures.values()}
    bodies = []
    for side in (no, yes):
        leaves = [_leaf(side.writer, x) for x in used.values()]
        bodies.append(Graph(tuple(leaves), (), tuple(side.nodes)))
    changes = [change for side in (yes, no) for change in side.writer.changes()]
    # what is changed after the branch goes in with the contents that it has before
    used |= {id(change.tensor): change.contents for change in changes}
    attributes = {"bodies": tuple(bodies), "examples": examples}
    return apply(cond_op, (flag, *used.values()), attributes)


def _leaf(writer: BodyTracer, tensor: Tensor) -> Node:
    found = writer.closures.get(id(tensor))
    return Node(CLOSURE, (), {}, tensor.shape, tensor.dtype) if found is None else found[1]


def _carry(number: int, like: Node) -> Node:
    return Node(CARRY, (), {"number": number}, like.shape, like.dtype)


def _side(function: Callable[[Graph], list[Tensor]], body: Graph) -> Side:
    return Side(*written(lambda _: function(body)))


def _anew(body: Graph, given: list[Tensor]) -> tuple[list[Tensor], dict[Node, Tensor]]:
    """Computes a body with its history; returns what stands for its leaves, and all its values."""
    with enable_grad():
        leaves = [tracked(x, "cond") if x.dtype.is_float else x for x in given]
        pairs = zip(body.arguments, leaves, strict=True)
        return leaves, replay(body.outputs, dict(pairs))


def _results(body: Graph, given: tuple[Tensor, ...]) -> list[Tensor]:
    values = replay(body.outputs, dict(zip(body.arguments, given, strict=True)))
    return [values[node] for node in body.outputs]


def _chosen(yes: Graph, no: Graph) -> Callable[..., list[Tensor]]:
    def choose(flag: Tensor, *given: Tensor) -> list[Tensor]:
        pairs = zip(_results(yes, given), _results(no, given), strict=True)
        return [where(flag, a, b) for a, b in pairs]

    return choose


def _is_float(node: Node) -> bool:
    return node.dtype.is_float
