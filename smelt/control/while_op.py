"""While: the operation behind `while_loop`, and how one is made of a traced body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smelt.autodiff.record import tracked, zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body_tracer import CARRY, BodyTracer, Carry, trace_body
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.scan_op import body_graph
from smelt.control.tuple import ResultCotangents, get_element, tuple_type
from smelt.errors import GradientError
from smelt.ir.graph import Graph, Node
from smelt.ir.operation import Pattern
from smelt.ops.op import Gradients, Needs, Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tensor.elementary import where
from smelt.tracing.apply import apply
from smelt.tracing.engine import enable_grad
from smelt.tracing.walk import forward_walk


class WhileLoop(Op):
    """A loop that goes on as long as the first tensor it carries, a bool, holds.

    Its operands are first contents of what it carries, then captured tensors; its results
    the last contents.
    """

    pattern = Pattern.REGION

    def __init__(self) -> None:
        self.name = "while_loop"  # not in the registry: eagerly a loop is Python's own

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return tuple_type(attributes["examples"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        raise GradientError(_NO_LIMIT)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A loop that carries the values and their tangents."""
        (graph,) = attributes["bodies"]
        count = len(graph.states)
        moving = [k for k, node in enumerate(graph.states) if node.dtype.is_float]
        first = [zeros_like(inputs[k]) if tangents[k] is None else tangents[k] for k in moving]
        initial = [*inputs[:count], *first]
        before: list[Node] = []

        def write(tracer: BodyTracer) -> list[Tensor]:
            carry = [tracer.placeholder(x, CARRY) for x in initial]
            before.extend(x.data for x in carry)
            given = (*carry[:count], *inputs[count:])
            with enable_grad():
                leaves = [tracked(x, "while_loop") if x.dtype.is_float else x for x in given]
                after = _carry_after(graph, leaves)
            known = {id(leaves[k]): x for k, x in zip(moving, carry[count:], strict=True)}
            closed = zip(leaves[count:], tangents[count:], strict=True)
            known |= {id(x): tangent for x, tangent in closed if tangent is not None}
            outputs = tuple([after[k] for k in moving])
            moved = zip(outputs, forward_walk(outputs, known), strict=True)
            return after + [zeros_like(y) if x is None else x for y, x in moved]

        tracer, nodes = trace_body(write)
        triples = zip(initial, before, nodes, strict=True)
        result_tuple = make_while(tracer, [Carry(*one) for one in triples])
        parts = {
            k: get_element(result_tuple, count + n, graph.states[k]) for n, k in enumerate(moving)
        }
        return ResultCotangents(output.shape, parts)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """A loop that goes on while any example does; those that have ended keep what they have.

        It carries, last, the flag of every example.
        """
        (graph,) = attributes["bodies"]
        count = len(graph.states)
        size = next(x.shape[0] for x, has in zip(inputs, batched, strict=True) if has)
        whole = [
            x if has else x.broadcast_to((size, *x.shape))
            for x, has in zip(inputs[:count], batched, strict=False)
        ]
        initial = [whole[0].any(), *whole[1:], whole[0]]
        closed = tuple(0 if has else None for has in batched[count:])
        before: list[Node] = []

        def one(flag: Tensor, *given: Tensor) -> list[Tensor]:
            after = _carry_after(graph, [flag, *given])
            pairs = zip(after[1:], given, strict=False)
            kept = [where(flag, new, old) for new, old in pairs]
            return [*kept, flag & after[0]]

        def write(tracer: BodyTracer) -> list[Tensor]:
            any_goes_on, *carry = [tracer.placeholder(x, CARRY) for x in initial]
            before.extend(x.data for x in (any_goes_on, *carry))
            axes = (*(0 for _ in carry), *closed)
            results = vmap(one, in_axes=axes)(carry[-1], *carry[:-1], *inputs[count:])
            return [results[-1].any(), *results]

        tracer, nodes = trace_body(write)
        triples = zip(initial, before, nodes, strict=True)
        examples = (size, *attributes["examples"])
        return make_while(tracer, [Carry(*one) for one in triples], examples)


while_op = WhileLoop()


def make_while(tracer: BodyTracer, carried: Sequence[Carry], examples: Shape = ()) -> Tensor:
    """Returns the result tuple of a loop around a traced body; its flag is carried first."""
    graph, given = body_graph(tracer, carried, (), (), ())
    operands = (*(one.initial for one in carried), *given)
    return apply(while_op, operands, {"bodies": (graph,), "examples": examples})


def _carry_after(graph: Graph, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Returns the carry after an iteration, given what stands for its leaves."""
    changed = dict(graph.updates)
    roots = [changed.get(node, node) for node in graph.states]
    given = dict(zip((*graph.states, *graph.arguments), leaves, strict=True))
    values = evaluate_graph(roots, given)
    return [values[node] for node in roots]


_NO_LIMIT = (
    "a compiled while_loop has no gradient in reverse mode: how many turns must be remembered is "
    "not known before the step runs. Give max_steps, use scan, or forward mode (smelt.jvp)"
)
