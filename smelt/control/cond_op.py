"""Cond: the operation behind `cond`, and how one is made of two traced bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from smelt.autodiff.record import tracked, zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body_tracer import (
    CAPTURED,
    CARRY,
    BodyTracer,
    Carry,
    Direction,
    LoopBody,
    TracedBody,
    trace_body,
)
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.scan_op import make_scan
from smelt.control.tuple import Region, ResultCotangents, get_element
from smelt.ir.graph import Graph, Node
from smelt.ops.op import Gradients, Needs, Shape, batch_size
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tensor.elementary import where
from smelt.tracing.apply import apply
from smelt.tracing.engine import enable_grad
from smelt.tracing.walk import forward_walk, reverse_walk


class Cond(Region):
    """One of two bodies. Its operands are the flag, then what either body uses."""

    runs_one_body = True

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        """A branch of the bodies' vjps, each of which computes its body again."""
        flag, *given = inputs
        wanted = [place for place, needed in enumerate(needs[1:]) if needed]

        def pulled(body: Graph) -> list[Tensor]:
            leaves, values = _recomputed(body, given)
            outputs = tuple([values[body.outputs[number]] for number in g.values])
            targets = [leaves[place] for place in wanted]
            gradients = reverse_walk(outputs, tuple(g.values.values()), {id(x) for x in targets})
            return [gradients[id(x)] if id(x) in gradients else zeros_like(x) for x in targets]

        branches = [_traced_branch(pulled, body) for body in attributes["bodies"]]
        result_tuple = make_cond(flag, branches[1], branches[0])
        result: list[Tensor | None] = [None] * len(needs)
        for number, place in enumerate(wanted):
            result[1 + place] = get_element(result_tuple, number, given[place])
        return tuple(result)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A branch of the bodies' tangents, each of which computes its body again."""
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
        examples = (batch_size(inputs, batched), *attributes["examples"])
        axes = tuple(0 if has else None for has in batched)
        no, yes = attributes["bodies"]

        def run(body: Graph) -> list[Tensor]:
            return vmap(lambda *xs: _results(body, xs), in_axes=axes[1:])(*given)

        def choose() -> list[Tensor]:
            return vmap(_chosen(yes, no), in_axes=axes)(*inputs)

        if not batched[0]:
            return make_cond(flag, _traced_branch(run, yes), _traced_branch(run, no), examples)
        body = trace_body(choose)
        carried = [
            Carry(full(node.shape, 0, node.dtype), _carry(number, node), node)
            for number, node in enumerate(body.nodes)
        ]
        loop = LoopBody(body.tracer, carried, [], [])
        return make_scan(loop, Direction(1, reverse=False), examples)


cond_op: Final = Cond("cond")


def make_cond(flag: Tensor, yes: TracedBody, no: TracedBody, examples: Shape = ()) -> Tensor:
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
    entry = tracer.captured.get(id(tensor))
    return Node(CAPTURED, (), {}, tensor.shape, tensor.dtype) if entry is None else entry[1]


def _carry(number: int, like: Node) -> Node:
    return Node(CARRY, (), {"number": number}, like.shape, like.dtype)


def _traced_branch(function: Callable[[Graph], list[Tensor]], body: Graph) -> TracedBody:
    return trace_body(lambda: function(body))


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
