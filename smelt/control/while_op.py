"""While: the operation behind `while_loop`, and how one is made of a traced body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt.autodiff.record import tracked, zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body_tracer import LoopBody, trace_loop
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.scan_op import body_graph
from smelt.control.tuple import Region, ResultCotangents, get_element
from smelt.errors import GradientError
from smelt.ir.graph import Graph
from smelt.ops.movement import all_batched
from smelt.ops.op import Gradients, Needs, Shape, batch_size
from smelt.tensor import Tensor
from smelt.tensor.elementary import where
from smelt.tracing.apply import apply
from smelt.tracing.engine import enable_grad
from smelt.tracing.walk import forward_walk


class WhileLoop(Region):
    """A loop that continues while the first tensor it carries, a bool, is true.

    Its operands are first contents of what it carries, then captured tensors; its results
    the last contents.
    """

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        raise GradientError(_NO_LIMIT)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A loop that carries the values and their tangents."""
        (graph,) = attributes["bodies"]
        count = len(graph.states)
        moving = [k for k, node in enumerate(graph.states) if node.dtype.is_float]
        first = [zeros_like(inputs[k]) if tangents[k] is None else tangents[k] for k in moving]

        def iteration(carry: list[Tensor], _: list[Tensor]) -> list[Tensor]:
            given = (*carry[:count], *inputs[count:])
            with enable_grad():
                leaves = [tracked(x, "while_loop") if x.dtype.is_float else x for x in given]
                after = _carry_after(graph, leaves)
            known = {id(leaves[k]): x for k, x in zip(moving, carry[count:], strict=True)}
            captured = zip(leaves[count:], tangents[count:], strict=True)
            known |= {id(x): tangent for x, tangent in captured if tangent is not None}
            outputs = tuple([after[k] for k in moving])
            moved = zip(outputs, forward_walk(outputs, known), strict=True)
            return after + [zeros_like(y) if x is None else x for y, x in moved]

        result_tuple = make_while(trace_loop(iteration, [*inputs[:count], *first]))
        numbers = enumerate(moving, count)
        results = {k: get_element(result_tuple, n, graph.states[k]) for n, k in numbers}
        return ResultCotangents(output.shape, results)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """A loop that continues while any example does; examples that have ended keep their values.

        It carries, last, the flag of every example.
        """
        (graph,) = attributes["bodies"]
        count, size = len(graph.states), batch_size(inputs, batched)
        flags, *initial = all_batched(inputs[:count], batched[:count], size)
        axes = (*(0 for _ in range(count)), *(0 if has else None for has in batched[count:]))

        def example(flag: Tensor, *given: Tensor) -> list[Tensor]:
            after = _carry_after(graph, [flag, *given])
            pairs = zip(after[1:], given, strict=False)
            return [*(where(flag, new, old) for new, old in pairs), flag & after[0]]

        def iteration(carry: list[Tensor], _: list[Tensor]) -> list[Tensor]:
            _any, *values, flags = carry
            results = vmap(example, in_axes=axes)(flags, *values, *inputs[count:])
            return [results[-1].any(), *results]

        body = trace_loop(iteration, [flags.any(), *initial, flags])
        return make_while(body, (size, *attributes["examples"]))


while_op: Final = WhileLoop("while_loop")


def make_while(body: LoopBody, examples: Shape = ()) -> Tensor:
    """Returns the result tuple of a loop around a traced body; its flag is carried first."""
    graph, given = body_graph(body, ())
    operands = (*(carry.initial for carry in body.carried), *given)
    return apply(while_op, operands, {"bodies": (graph,), "examples": examples})


def _carry_after(graph: Graph, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Returns the carry after an iteration, given what stands for its leaves."""
    roots = graph.next_states
    given = dict(zip((*graph.states, *graph.arguments), leaves, strict=True))
    values = evaluate_graph(roots, given)
    return [values[node] for node in roots]


_NO_LIMIT = (
    "a compiled while_loop has no gradient in reverse mode: how many iterations must be saved is "
    "not known before the step runs. Give max_steps, or use scan or forward mode (smelt.jvp)"
)
