"""Cond: the operation behind `cond`, and how one is made of two traced bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt.autodiff.record import tracked, zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body_tracer import CAPTURED, CARRY, BodyTracer, Carry, Direction, trace_body
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.scan_op import make_scan
from smelt.control.tuple import ResultCotangents, get_element, tuple_type
from smelt.ir.graph import Graph, Node
from smelt.ir.operation import Pattern
from smelt.ops.op import Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tensor.elementary import where
from smelt.tracing.apply import apply
from smelt.tracing.engine import enable_grad
from smelt.tracing.walk import forward_walk, reverse_walk


@dataclass(frozen=True, slots=True)
class Branch:
    """One of the two traced functions, and the nodes of its results."""

    tracer: BodyTracer
    nodes: list[Node]


class Cond(Op):
    """One of two bodies. Its operands are the flag, then what either body uses."""

    pattern = Pattern.REGION

    def __init__(self) -> None:
        self.name = "cond"  # not in the registry: eagerly a branch is Python's own

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return tuple_type(attributes["examples"])

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        """A branch of the bodies' vjps, each of which computes its body anew."""
        flag, *given = inputs
        wanted = [place for place, needed in enumerate(needs[1:]) if needed]

        def pulled(body: Graph) -> list[Tensor]:
            leaves, values = _recomputed(body, given)
            outputs = tuple([values[body.outputs[number]] for number in g.values])
            targets = [leaves[place] for place in wanted]
            found = reverse_walk(outputs, tuple(g.values.values()), {id(x) for x in targets})
            return [found[id(x)] if id(x) in found else zeros_like(x) for x in targets]

        branches = [_traced_branch(pulled, body) for body in attributes["bodies"]]
        result_tuple = make_cond(flag, branches[1], branches[0])
        result: list[Tensor | None] = [None] * len(needs)
        for number, place in enumerate(wanted):
            result[1 + place] = get_element(result_tuple, number, given[place])
        return tuple(result)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A branch of the bodies' tangents, each of which computes its body anew."""
        flag, *given = inputs
        numbers = [k for k, node in enumerate(attributes["bodies"][0].outputs) if _is_float(node)]

        def pushed(body: Graph) -> list[Tensor]:
            leaves, values = _recomputed(body, given)
            pairs = zip(leaves, tangents[1:], strict=True)
            known = {id(x): tangent for x, tangent in pairs if tangent is not None}
            outputs = tuple([values[body.outputs[k]] for k in numbers])
            moved = zip(outputs, forward_walk(outputs, known), strict=True)
            return [zeros_like(y) if tangent is None else tangent for y, tangent in moved]

        no, yes = [_traced_branch(pushed, body) for body in attributes["bodies"]]
        result_tuple = make_cond(flag, yes, no)
        return ResultCotangents(
            output.shape,
            {
                k: get_element(result_tuple, place, yes.nodes[place])
                for place, k in enumerate(numbers)
            },
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
            return make_cond(flag, _traced_branch(run, yes), _traced_branch(run, no), examples)
        tracer, nodes = trace_body(lambda _: choose())
        carried = [
            Carry(full(node.shape, 0, node.dtype), _carry(number, node), node)
            for number, node in enumerate(nodes)
        ]
        return make_scan(tracer, carried, (), (), Direction(1, reverse=False), examples)


cond_op = Cond()


def make_cond(flag: Tensor, yes: Branch, no: Branch, examples: Shape = ()) -> Tensor:
    """Returns the result tuple of a branch; its results are what both branches deliver.

    `examples` are the extents of the `vmap`s around it: the shape of the result tuple.
    """
    used = {id(x): x for branch in (yes, no) for x, _ in branch.tracer.captured.values()}
    bodies = []
    for branch in (no, yes):
        leaves = [_leaf(branch.tracer, x) for x in used.values()]
        bodies.append(Graph(tuple(leaves), (), tuple(branch.nodes)))
    changes = [change for branch in (yes, no) for change in branch.tracer.changes()]
    # what is changed after the branch goes in with the contents that it has before
    used |= {id(change.tensor): change.contents for change in changes}
    attributes = {"bodies": tuple(bodies), "examples": examples}
    return apply(cond_op, (flag, *used.values()), attributes)


def _leaf(tracer: BodyTracer, tensor: Tensor) -> Node:
    found = tracer.captured.get(id(tensor))
    return Node(CAPTURED, (), {}, tensor.shape, tensor.dtype) if found is None else found[1]


def _carry(number: int, like: Node) -> Node:
    return Node(CARRY, (), {"number": number}, like.shape, like.dtype)


def _traced_branch(function: Callable[[Graph], list[Tensor]], body: Graph) -> Branch:
    return Branch(*trace_body(lambda _: function(body)))


def _recomputed(body: Graph, given: list[Tensor]) -> tuple[list[Tensor], dict[Node, Tensor]]:
    """Computes a body with its history; returns what stands for its leaves, and all its values."""
    with enable_grad():
        leaves = [tracked(x, "cond") if x.dtype.is_float else x for x in given]
        pairs = zip(body.arguments, leaves, strict=True)
        return leaves, evaluate_graph(body.outputs, dict(pairs))


def _results(body: Graph, given: tuple[Tensor, ...]) -> list[Tensor]:
    values = evaluate_graph(body.outputs, dict(zip(body.arguments, given, strict=True)))
    return [values[node] for node in body.outputs]


def _chosen(yes: Graph, no: Graph) -> Callable[..., list[Tensor]]:
    def choose(flag: Tensor, *given: Tensor) -> list[Tensor]:
        pairs = zip(_results(yes, given), _results(no, given), strict=True)
        return [where(flag, a, b) for a, b in pairs]

    return choose


def _is_float(node: Node) -> bool:
    return node.dtype.is_float
