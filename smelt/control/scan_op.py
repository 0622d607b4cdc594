"""Scan: the operation behind `scan`, its derivatives, and how one is made of a traced body.

A body is a small step: what it carries from iteration to iteration are its states, its slices of
the inputs and what it captures from outside are its arguments. Besides its outputs a scan gives,
for each iteration, its residuals: the carry before it and what is expensive to compute again, but
nothing within `checkpoint`. The derivatives, which are scans too, start from these. What nobody
asks for is dropped by `simplify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from smelt.autodiff.record import zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body_tracer import Direction, LoopBody, trace_loop
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.invariant import hoist_invariant
from smelt.control.iteration import Iteration, ScanOperands, scan_operands
from smelt.control.tuple import Region, ResultCotangents, get_element
from smelt.control.weight_sums import DeferredSums
from smelt.ir.graph import Graph, Node, topological
from smelt.ops.movement import all_batched
from smelt.ops.op import Gradients, Needs, Shape, batch_size
from smelt.tensor import Tensor
from smelt.tracing.apply import apply
from smelt.tracing.walk import forward_walk, reverse_walk


class Scan(Region):
    """A loop with a known number of iterations.

    Its operands are first contents of what it carries, inputs to slice, and captured tensors; its
    results the last contents, and each output stacked.
    """

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return scan_vjp(scan_operands(output, inputs, attributes), g, needs)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        operands = scan_operands(output, inputs, attributes)
        return ResultCotangents(output.shape, scan_jvp(operands, tangents))

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        operands = scan_operands(None, inputs, attributes)
        body = batched_body(operands, batched, size := batch_size(inputs, batched))
        return make_scan(body, operands.direction, (size, *attributes["examples"]))


scan_op: Final = Scan("scan")


def make_scan(body: LoopBody, direction: Direction, examples: Shape = ()) -> Tensor:
    """Returns the result tuple of a loop.

    Its results: the last contents of each carried tensor, then each output stacked. `examples` are
    the extents of the `vmap`s around it: the shape of the result tuple.
    """
    before = [carry.before for carry in body.carried]
    roots = [*(carry.after for carry in body.carried), *body.outputs]
    read = set(topological(roots))
    scanned = [x for x in body.scanned if x.node in read]  # the others nobody makes
    moving = {*before, *(x.node for x in scanned)}
    kept = [x for x in _expensive(roots, moving) if x not in body.tracer.computed_again]
    residuals = [*before, *kept]
    graph, given = body_graph(replace(body, scanned=scanned), residuals)
    initial = [carry.initial for carry in body.carried]
    operands = (*initial, *(x.rows for x in scanned), *given)
    attributes = {
        "bodies": (graph,),
        "scanned": len(scanned),
        "length": direction.length,
        "reverse": direction.reverse,
        "residuals": len(residuals),
        "examples": examples,
    }
    return apply(scan_op, operands, attributes)


def body_graph(body: LoopBody, residuals: Sequence[Node]) -> tuple[Graph, tuple[Tensor, ...]]:
    """Returns a body as a graph, and the tensors from outside that it uses.

    What it carries are its states; its arguments are the slices and what it uses from outside.
    """
    before = [carry.before for carry in body.carried]
    slices = [x.node for x in body.scanned]
    moving = {*before, *slices}
    roots = [*(carry.after for carry in body.carried), *body.outputs, *residuals]
    captured = {node: x for x, node in body.tracer.captured.values() if node not in moving}
    inside, given = hoist_invariant(roots, moving, captured)
    pairs = zip(before, inside, strict=False)  # `roots` begin with the carry after the iteration
    graph = Graph(
        arguments=(*slices, *given),
        states=tuple(before),
        outputs=tuple(inside[len(before) :]),
        updates=tuple([(old, new) for old, new in pairs if old is not new]),
    )
    return graph, tuple(given.values())


def _expensive(roots: Iterable[Node], moving: set[Node]) -> list[Node]:
    """Returns the nodes that vary and are better stored than computed again."""
    found, varies = [], set(moving)
    for node in topological(roots):
        if any(operand in varies for operand in node.inputs):
            varies.add(node)
            if node.op.is_worth_saving:
                found.append(node)
    return found


def scan_vjp(operands: ScanOperands, g: ResultCotangents, needs: Needs) -> Gradients:
    """Returns the gradient of each operand of a loop, given those of some of its results.

    The loop goes the other way and carries the cotangent of the carry; gradients of inputs are its
    outputs; gradients of captured tensors are sums over its iterations.
    """
    count, moving = len(operands.before), operands.moving
    outputs = {k - count: cotangent for k, cotangent in g.values.items() if k >= count}
    reached: list[int] = []  # the operands besides the carry that have a gradient

    def iteration(carry: list[Tensor], slices: list[Tensor]) -> list[Tensor]:
        """From the cotangents after an iteration to those before it and of its leaves."""
        primal = Iteration(operands, slices[: len(operands.sliced)])
        results = [primal.values[operands.after[k]] for k in moving]
        results += [primal.values[operands.graph.outputs[k]] for k in outputs]
        cotangents = (*carry, *slices[len(operands.sliced) :])
        carries = [primal.given[operands.before[k]] for k in moving]
        leaves = enumerate((primal.given[node] for node in operands.graph.arguments), count)
        wanted = {k: x for k, x in leaves if needs[k] and x.requires_grad}
        ids = {id(x) for x in (*carries, *wanted.values())}
        gradients = reverse_walk(tuple(results), cotangents, ids)
        reached.extend(k for k, x in wanted.items() if id(x) in gradients)
        before = [gradients[id(x)] if id(x) in gradients else zeros_like(x) for x in carries]
        return before + [gradients[id(wanted[k])] for k in reached]

    initial = [g.values.get(k, zeros_like(operands.initial[k])) for k in moving]
    body = trace_loop(iteration, initial, (*operands.sliced, *outputs.values()))
    return _gradients_of(operands, body, reached, len(needs))


def _gradients_of(
    operands: ScanOperands, body: LoopBody, reached: list[int], count: int
) -> Gradients:
    """Makes the loop of a vjp, and finds the gradient of each operand among its results.

    `reached` are the operands that its outputs are gradients of.
    """
    direction = Direction(operands.direction.length, not operands.direction.reverse)
    end = len(operands.before) + len(operands.rows)
    nodes = dict(zip(reached, body.outputs, strict=True))
    rows = {k: node for k, node in nodes.items() if k < end}
    sums = DeferredSums(body.scanned, direction.length)
    totals = {k: sums.total(node) for k, node in nodes.items() if k >= end}
    carried, outputs = [*body.carried, *sums.carried], [*rows.values(), *sums.stacked]
    result_tuple = make_scan(replace(body, carried=carried, outputs=outputs), direction)
    sums.bind(result_tuple, len(body.carried), len(carried) + len(rows))
    gradients: list[Tensor | None] = [None] * count
    for number, k in enumerate(operands.moving):
        gradients[k] = get_element(result_tuple, number, operands.before[k])
    for number, (k, node) in enumerate(rows.items(), len(carried)):
        gradients[k] = get_element(result_tuple, number, node, direction.length)
    for k, total in totals.items():
        gradients[k] = total()
    return tuple(gradients)


def scan_jvp(operands: ScanOperands, tangents: tuple[Any, ...]) -> dict[int, Tensor]:
    """Returns the tangents of a loop's results by number, given those of its operands (None: zero).

    The loop carries the tangent of the carry; each iteration starts from the residuals of the
    primal one.
    """
    count, moving = len(operands.before), operands.moving
    arguments = dict(zip(operands.graph.arguments, tangents[count:], strict=True))
    given = {node: tangent for node, tangent in arguments.items() if tangent is not None}
    scanned = [node for node in operands.graph.arguments[: len(operands.rows)] if node in given]
    reached: list[int] = []  # the outputs that have a tangent

    def iteration(carry: list[Tensor], slices: list[Tensor]) -> list[Tensor]:
        """From the tangents before an iteration to those after it and of its outputs."""
        primal = Iteration(operands, slices[: len(operands.sliced)])
        known = {operands.before[k]: tangent for k, tangent in zip(moving, carry, strict=True)}
        known |= given | dict(zip(scanned, slices[len(operands.sliced) :], strict=True))
        after = [primal.values[operands.after[k]] for k in moving]
        outputs = [primal.values[node] for node in operands.graph.outputs]
        by_leaf = {id(primal.given[node]): tangent for node, tangent in known.items()}
        moved = forward_walk((*after, *outputs), by_leaf)
        following = [zeros_like(x) if t is None else t for x, t in zip(after, moved, strict=False)]
        made = {k: t for k, t in enumerate(moved[len(after) :]) if t is not None}
        reached.extend(made)
        return [*following, *made.values()]

    first = zip((operands.initial[k] for k in moving), (tangents[k] for k in moving), strict=True)
    initial = [zeros_like(x) if tangent is None else tangent for x, tangent in first]
    body = trace_loop(iteration, initial, (*operands.sliced, *(given[node] for node in scanned)))
    made = make_scan(body, operands.direction)
    values = {k: get_element(made, number, operands.before[k]) for number, k in enumerate(moving)}
    for number, (k, node) in enumerate(zip(reached, body.outputs, strict=True), len(moving)):
        values[count + k] = get_element(made, number, node, operands.direction.length)
    return values


def batched_body(operands: ScanOperands, batched: tuple[bool, ...], size: int) -> LoopBody:
    """Returns an iteration over so many examples; all that is carried or given out has the batch.

    `batched` says which operands have the batch as their first axis.
    """
    count = len(operands.before)
    initial = all_batched(operands.initial, batched[:count], size)
    pairs = zip(operands.rows, batched[count:], strict=False)
    rows = [x.movedim(1, 0) if has else x for x, has in pairs]
    roots = [*operands.after, *operands.graph.outputs]
    leaves = (*operands.before, *operands.graph.arguments)
    axes = (*(0 for _ in initial), *(0 if has else None for has in batched[count:]))

    def iteration(*given: Tensor) -> list[Tensor]:
        values = evaluate_graph(roots, dict(zip(leaves, given, strict=True)))
        return [values[node] for node in roots]

    def batch(carry: list[Tensor], slices: list[Tensor]) -> list[Tensor]:
        return vmap(iteration, in_axes=axes)(*carry, *slices, *operands.captured)

    return trace_loop(batch, initial, rows)
