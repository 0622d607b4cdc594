"""Scan: the operation behind `scan`, its derivatives, and how one is made of a traced body.

A body is a small step: what it carries from iteration to iteration are its states, its slices of
the inputs and what it captures from outside are its arguments. Besides its outputs a scan gives,
for each iteration, its residuals: the carry before it and what is expensive to compute again. The
derivatives, which are scans too, start from these. What nobody asks for is dropped by `simplify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from smelt.autodiff.record import zeros_like
from smelt.autodiff.vmap import vmap
from smelt.control.body_tracer import (
    CARRY,
    BodyTracer,
    Carry,
    Direction,
    ScannedInput,
    scanned_input,
    trace_body,
)
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.invariant import hoist_invariant
from smelt.control.iteration import Iteration, ScanOperands, scan_operands
from smelt.control.tuple import ResultCotangents, get_element, tuple_type
from smelt.control.weight_sums import DeferredSums
from smelt.ir.graph import Graph, Node, topological
from smelt.ir.operation import Pattern
from smelt.ops.op import Gradients, Needs, Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tracing.apply import apply
from smelt.tracing.walk import forward_walk, reverse_walk


class Scan(Op):
    """A loop with a known number of iterations.

    Its operands are first contents of what it carries, inputs to slice, and captured tensors; its
    results the last contents, and each output stacked.
    """

    pattern = Pattern.REGION

    def __init__(self) -> None:
        self.name = "scan"  # not in the registry: eagerly a loop is Python's own

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return tuple_type(attributes["examples"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        """The reversed loop, which carries the cotangent of the carry."""
        return scan_vjp(scan_operands(output, inputs, attributes), g, needs)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        """A loop of the body's tangents."""
        operands = scan_operands(output, inputs, attributes)
        return scan_jvp(operands, tangents, output.shape)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        """The loop of the batched body; all that is carried or given out has the batch."""
        operands = scan_operands(None, inputs, attributes)
        return scan_batch(operands, batched, attributes["examples"])


scan_op = Scan()


def make_scan(
    tracer: BodyTracer,
    carried: Sequence[Carry],
    sliced: Sequence[ScannedInput],
    outputs: Sequence[Node],
    direction: Direction,
    examples: Shape = (),
) -> Tensor:
    """Returns the result tuple of a loop around what `tracer` recorded.

    Its results: the last contents of each carried tensor, then each output stacked. `examples` are
    the extents of the `vmap`s around it: the shape of the result tuple.
    """
    before, roots = [one.before for one in carried], [*(one.after for one in carried), *outputs]
    read = set(topological(roots))
    sliced = [one for one in sliced if one.node in read]  # what no iteration reads nobody makes
    residuals = [*before, *_expensive(roots, {*before, *(one.node for one in sliced)})]
    graph, given = body_graph(tracer, carried, sliced, outputs, residuals)
    first = [one.initial for one in carried]
    operands = (*first, *(one.rows for one in sliced), *given)
    attributes = {
        "bodies": (graph,),
        "scanned": len(sliced),
        "length": direction.length,
        "reverse": direction.reverse,
        "residuals": len(residuals),
        "examples": examples,
    }
    return apply(scan_op, operands, attributes)


def body_graph(
    tracer: BodyTracer,
    carried: Sequence[Carry],
    sliced: Sequence[ScannedInput],
    outputs: Sequence[Node],
    residuals: Sequence[Node],
) -> tuple[Graph, tuple[Tensor, ...]]:
    """Returns a body as a graph, and the tensors from outside that it uses.

    `carried` are its states; its arguments are the slices and what it uses from outside.
    """
    before = [one.before for one in carried]
    moving = {*before, *(one.node for one in sliced)}
    roots = [*(one.after for one in carried), *outputs, *residuals]
    captured = {node: tensor for tensor, node in tracer.captured.values() if node not in moving}
    inside, given = hoist_invariant(roots, moving, captured)
    pairs = zip(before, inside, strict=False)  # `roots` begin with the carry after the iteration
    graph = Graph(
        arguments=(*(one.node for one in sliced), *given),
        states=tuple(before),
        outputs=tuple(inside[len(carried) :]),
        updates=tuple([(old, new) for old, new in pairs if old is not new]),
    )
    return graph, tuple(given.values())


def _expensive(roots: Iterable[Node], moving: set[Node]) -> list[Node]:
    """Returns the nodes that vary and are better stored than computed again."""
    found, varies = [], set(moving)
    for node in topological(roots):
        if any(one in varies for one in node.inputs):
            varies.add(node)
            if node.op.is_worth_saving:
                found.append(node)
    return found


def scan_vjp(
    operands: ScanOperands, g: ResultCotangents, needs: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """Returns the gradient of each operand of a loop, given those of some of its results.

    The loop carries the cotangent of the carry; gradients of inputs are its outputs; gradients of
    captured tensors are sums over its iterations.
    """
    return _Reverse(operands, g, needs).gradients()


class _Reverse:
    """The loop while it is being traced."""

    def __init__(
        self, operands: ScanOperands, g: ResultCotangents, needs: tuple[bool, ...]
    ) -> None:
        self.operands = operands
        self.needs = needs
        self.count = len(operands.before)
        self.last = {k: v for k, v in g.values.items() if k < self.count}
        self.outputs = {k - self.count: v for k, v in g.values.items() if k >= self.count}
        self.before: list[Node] = []
        self.sliced: list[ScannedInput] = []
        self.places: list[int] = []  # of the operands besides the carry that have a gradient

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Makes the loop, and finds each gradient among its results."""
        tracer, nodes = trace_body(self.write)
        operands, moving = self.operands, self.operands.moving
        carried = [
            Carry(self.last.get(k, zeros_like(operands.initial[k])), before, after)
            for k, before, after in zip(moving, self.before, nodes, strict=False)
        ]
        end = self.count + len(operands.rows)
        direction = Direction(operands.direction.length, not operands.direction.reverse)
        reached = dict(zip(self.places, nodes[len(moving) :], strict=True))
        rows = {place: node for place, node in reached.items() if place < end}
        sums = DeferredSums(self.sliced, direction.length)
        totals = {place: sums.total(node) for place, node in reached.items() if place >= end}
        carried += sums.carried
        result_tuple = make_scan(
            tracer, carried, self.sliced, [*rows.values(), *sums.stacked], direction
        )
        sums.bind(result_tuple, len(moving), len(carried) + len(rows))
        found: list[Tensor | None] = [None] * len(self.needs)
        for number, k in enumerate(moving):
            found[k] = get_element(result_tuple, number, operands.before[k])
        for number, (place, node) in enumerate(rows.items(), len(carried)):
            found[place] = get_element(result_tuple, number, node, direction.length)
        for place, total in totals.items():
            found[place] = total()
        return tuple(found)

    def write(self, tracer: BodyTracer) -> list[Tensor]:
        """Traces one iteration: from the cotangents after it to those before and of its leaves."""
        operands, iteration = self.operands, Iteration(self.operands, tracer)
        cotangents = [tracer.placeholder(operands.before[k], CARRY) for k in operands.moving]
        self.before = [one.data for one in cotangents]
        given = [scanned_input(tracer, g) for g in self.outputs.values()]
        self.sliced = [*iteration.sliced, *given]
        cotangents += [Tensor(one.node, one.node.dtype) for one in given]
        after = [iteration.values[operands.after[k]] for k in operands.moving]
        outputs = [iteration.values[operands.graph.outputs[k]] for k in self.outputs]
        carries = [iteration.given[operands.before[k]] for k in operands.moving]
        leaves = [iteration.given[node] for node in operands.graph.arguments]
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


def scan_jvp(
    operands: ScanOperands, tangents: tuple[Any, ...], examples: Shape
) -> ResultCotangents:
    """Returns the tangents of a loop's results, given those of its operands (None: zero).

    The loop carries the tangent of the carry; each iteration starts from the residuals of the
    primal one.
    """
    return _Forward(operands, tangents).tangents(examples)


class _Forward:
    """The loop while it is being traced."""

    def __init__(self, operands: ScanOperands, given: tuple[Any, ...]) -> None:
        self.operands = operands
        self.given = given
        self.count = len(operands.before)
        self.before: list[Node] = []
        self.sliced: list[ScannedInput] = []
        self.reached: list[int] = []  # the numbers of the outputs that have a tangent

    def tangents(self, examples: Shape) -> ResultCotangents:
        """Makes the loop, and finds each tangent among its results."""
        tracer, nodes = trace_body(self.write)
        operands, moving = self.operands, self.operands.moving
        first = [self.given[k] for k in moving]
        initial = [
            zeros_like(operands.initial[k]) if one is None else one
            for k, one in zip(moving, first, strict=True)
        ]
        pairs = zip(initial, self.before, nodes, strict=False)
        carried, outputs = [Carry(*one) for one in pairs], nodes[len(moving) :]
        made = make_scan(tracer, carried, self.sliced, outputs, operands.direction)
        values = {k: get_element(made, place, operands.before[k]) for place, k in enumerate(moving)}
        for place, (k, node) in enumerate(zip(self.reached, outputs, strict=True), len(moving)):
            values[self.count + k] = get_element(made, place, node, operands.direction.length)
        return ResultCotangents(examples, values)

    def write(self, tracer: BodyTracer) -> list[Tensor]:
        """Traces one iteration: from the tangents before it to those after and of its outputs."""
        operands, iteration = self.operands, Iteration(self.operands, tracer)
        self.sliced = iteration.sliced
        carries = [tracer.placeholder(operands.before[k], CARRY) for k in operands.moving]
        self.before = [one.data for one in carries]
        nodes = [operands.before[k] for k in operands.moving]
        known = {id(iteration.given[node]): one for node, one in zip(nodes, carries, strict=True)}
        for place, node in enumerate(operands.graph.arguments):
            tangent = self.given[self.count + place]
            if tangent is not None and place < len(operands.rows):
                self.sliced.append(scanned_input(tracer, tangent))
                tangent = Tensor(self.sliced[-1].node, node.dtype)
            if tangent is not None:
                known[id(iteration.given[node])] = tangent
        after = [iteration.values[operands.after[k]] for k in operands.moving]
        outputs = [iteration.values[node] for node in operands.graph.outputs]
        moved = forward_walk((*after, *outputs), known)
        last = zip(after, moved, strict=False)
        carried = [zeros_like(y) if one is None else one for y, one in last]
        others = moved[len(after) :]
        self.reached = [k for k, one in enumerate(others) if one is not None]
        return carried + [one for one in others if one is not None]


def scan_batch(operands: ScanOperands, batched: tuple[bool, ...], examples: Shape) -> Tensor:
    """Returns the result tuple of the loop over a batch of examples.

    `batched` says which operands have the batch as their first axis. All carries and outputs get
    it. `examples` are the extents of the `vmap`s around this one.
    """
    count = len(operands.before)
    given = (*operands.initial, *operands.rows, *operands.captured)
    size = next(x.shape[0] for x, has in zip(given, batched, strict=True) if has)
    initial = [
        x if has else x.broadcast_to((size, *x.shape))
        for x, has in zip(operands.initial, batched, strict=False)
    ]
    pairs = zip(operands.rows, batched[count:], strict=False)
    rows = [x.movedim(1, 0) if has else x for x, has in pairs]
    roots = [*operands.after, *operands.graph.outputs]
    leaves = (*operands.before, *operands.graph.arguments)
    axes = (*(0 for _ in initial), *(0 if has else None for has in batched[count:]))
    before: list[Node] = []
    sliced: list[ScannedInput] = []

    def iteration(*given: Tensor) -> list[Tensor]:
        values = evaluate_graph(roots, dict(zip(leaves, given, strict=True)))
        return [values[node] for node in roots]

    def write(tracer: BodyTracer) -> list[Tensor]:
        carries = [tracer.placeholder(x, CARRY) for x in initial]
        before.extend(one.data for one in carries)
        sliced.extend(scanned_input(tracer, x) for x in rows)
        slices = [Tensor(one.node, one.node.dtype) for one in sliced]
        return vmap(iteration, in_axes=axes)(*carries, *slices, *operands.captured)

    tracer, nodes = trace_body(write)
    carried = [Carry(*one) for one in zip(initial, before, nodes, strict=False)]
    return make_scan(tracer, carried, sliced, nodes[count:], operands.direction, (size, *examples))
