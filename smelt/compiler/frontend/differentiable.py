"""Differentiable: a compiled function as one operation of the tape, with a compiled derivative.

A call with gradients enabled returns tensors whose history is a single operation, `CompiledCall`.
Its inputs are the arguments and the captured states. To differentiate it, the tape of the trace
that the function was compiled from is walked, backward or forward, and what the walk records is
compiled like any other function.

The walk is recorded with a tape of its own, so its results are differentiable in the same way, to
any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from smelt.autodiff.record import without_history
from smelt.autodiff.vmap import Batched, Batching, vmap
from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.tracer import Tracer
from smelt.control.evaluate_graph import evaluate_graph
from smelt.control.tuple import GET_ELEMENT, TUPLE, ResultCotangents
from smelt.errors import GradientError
from smelt.ir.graph import Node, topological
from smelt.locks import reentrant_lock
from smelt.ops.op import Op
from smelt.settings import settings
from smelt.tensor import Tensor
from smelt.tracing.apply import TapeEntry
from smelt.tracing.engine import (
    Eager,
    Engine,
    NestedEngine,
    context,
    current_engine,
    enable_grad,
    no_grad,
    using,
)
from smelt.tracing.graph_builder import GraphBuilder
from smelt.tracing.walk import forward_walk, reverse_walk

Function = Callable[..., list[Tensor]]
Compile = Callable[[Function], Function]
Numbers = Mapping[Node, Any]  # symbolic numbers, by the leaves that stand for them


def is_differentiable(traced: Traced, outputs: Sequence[Tensor]) -> bool:
    """Whether results can be differentiated from outside: not those of a training step.

    A training step leaves gradients behind, or changes tensors that require one.
    """
    updated = {old for old, _ in traced.graph.updates}
    pairs = zip(traced.states, traced.graph.states, strict=True)
    changes = any(state.requires_grad and node in updated for state, node in pairs)
    trains = changes or any(binding.sets for binding in traced.gradients)
    return not trains and any(output.requires_grad for output in outputs)


class Differentiable:
    """A function of tensors, given by a trace of it.

    `inputs` are the traced tensors that it depends on, `outputs` what it computes from them, with
    their history.
    """

    def __init__(
        self, tracer: Tracer, inputs: Sequence[Tensor], outputs: Sequence[Tensor], compile: Compile
    ) -> None:
        self.tracer = tracer
        self.inputs: list[Tensor] = list(inputs)
        self.outputs: list[Tensor] = list(outputs)
        self.compile = compile
        self.leaves: list[Node] = [tracer.leaf(x) for x in inputs]
        self.nodes: list[Node] = [tracer.node_of(x) for x in outputs]
        self._lock = reentrant_lock()
        self._walks: dict[Any, tuple[Differentiable, list[int]]] = {}
        self._evaluate = Evaluation(self.leaves, self.nodes, compile)

    def __call__(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Returns the outputs for inputs, with a history that can be differentiated again."""
        results = self._evaluate(given)
        self.attach(results, given)
        return results

    def attach(
        self, results: Sequence[Tensor], given: Sequence[Tensor], call: CompiledCall | None = None
    ) -> None:
        """Makes results differentiable, if an input requires a gradient: one call is their history.

        Inside `vmap` the batches behind them get a history as well, for derivatives taken outside.
        """
        if not context.grad_enabled:
            return
        call = call or CompiledCall(self)
        self._give_history(results, given, call)
        engine = _batching_of(current_engine(), given)
        if engine is not None:
            outside = BatchedCall(call, engine.axes_of(given), engine.size)
            with using(engine.outer):
                self.attach(engine.physical(results), engine.physical(given), outside)

    def _give_history(
        self, results: Sequence[Tensor], given: Sequence[Tensor], call: CompiledCall
    ) -> None:
        if not any(x.requires_grad for x in given):
            return
        made = Tensor(_NOTHING, TUPLE, requires_grad=True)
        made.tape_entry = TapeEntry(call, tuple(given), {})
        for number, (result, output) in enumerate(zip(results, self.outputs, strict=True)):
            if output.requires_grad:
                result.requires_grad = True
                result.tape_entry = TapeEntry(GET_ELEMENT, (made,), {"number": number})

    def gradient(
        self, numbers: tuple[int, ...], needs: tuple[bool, ...]
    ) -> tuple[Differentiable, list[int]]:
        """Returns the gradients of the inputs that need one and that outputs `numbers` depend on,
        as a function of the inputs and the outputs' cotangents; and which inputs these are.
        """
        return self._walk(("reverse", numbers, needs), self._reverse, numbers, needs)

    def tangent(self, moving: tuple[int, ...]) -> tuple[Differentiable, list[int]]:
        """Returns the tangents of the outputs that depend on inputs `moving`, as a function of the
        inputs and of the tangents of these; and which outputs these are.
        """
        return self._walk(("forward", moving), self._forward, moving)

    def _walk(self, key: Any, walk: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            if key not in self._walks:
                with using(self.tracer), enable_grad():
                    given, results, numbers = walk(*arguments)
                inputs = [*self.inputs, *given]
                made = Differentiable(self.tracer, inputs, results, self.compile)
                self._walks[key] = made, numbers
            return self._walks[key]

    def _reverse(self, numbers: tuple[int, ...], needs: tuple[bool, ...]) -> Any:
        outputs = [self.outputs[number] for number in numbers]
        cotangents = [self._placeholder(output) for output in outputs]
        wanted = {id(x) for x, needed in zip(self.inputs, needs, strict=True) if needed}
        found = reverse_walk(tuple(outputs), tuple(cotangents), wanted, self.tracer.versions)
        reached = [number for number, x in enumerate(self.inputs) if id(x) in found]
        return cotangents, [found[id(self.inputs[number])] for number in reached], reached

    def _forward(self, moving: tuple[int, ...]) -> Any:
        tangents = [self._placeholder(self.inputs[number]) for number in moving]
        known = {id(self.inputs[number]): t for number, t in zip(moving, tangents, strict=True)}
        found = forward_walk(tuple(self.outputs), known, self.tracer.versions)
        reached = [number for number, tangent in enumerate(found) if tangent is not None]
        return tangents, [found[number] for number in reached], reached

    def _placeholder(self, like: Tensor) -> Tensor:
        return self.tracer.placeholder(like.shape, like.dtype, requires_grad=True)


class Evaluation:
    """Some nodes of a trace as a function of others, compiled; under any engine."""

    def __init__(self, leaves: Sequence[Node], nodes: Sequence[Node], compile: Compile) -> None:
        self.nodes: tuple[Node, ...] = tuple(nodes)
        computed = topological(nodes, leaves)
        read = {operand for node in computed for operand in node.inputs} | set(nodes)
        self.used: list[int] = [number for number, leaf in enumerate(leaves) if leaf in read]
        self._leaves = [leaves[number] for number in self.used]
        self._compile = compile
        self._compiled: dict[Any, Function] = {}

    def __call__(self, given: Sequence[Tensor]) -> list[Tensor]:
        """Returns the values of the nodes, without history."""
        used = [given[number] for number in self.used]
        with no_grad():
            return self._under(current_engine(), self._values, (), used)

    def trace(self, numbers: Numbers, tracer: Tracer) -> tuple[list[Tensor], Any]:
        """Records the nodes in another trace, whose arguments are the leaves that are used.

        `numbers` are symbolic ones, by the leaves that stand for them.
        """
        leaves = [tracer.placeholder(leaf.shape, leaf.dtype, False) for leaf in self._leaves]
        given = dict(zip(self._leaves, leaves, strict=True))
        given |= {leaf: tracer.number(x, leaf.dtype) for leaf, x in numbers.items()}
        with no_grad():
            return self._found(given), list

    def _values(self, *given: Tensor) -> list[Tensor]:
        return self._found(dict(zip(self._leaves, given, strict=True)))

    def _found(self, given: dict[Node, Tensor]) -> list[Tensor]:
        values = evaluate_graph(self.nodes, given)
        return [values[node] for node in self.nodes]

    def _under(self, engine: Any, function: Function, key: Any, given: Sequence[Tensor]) -> Any:
        if isinstance(engine, Batching):
            return self._batched(engine, function, key, given)
        if not isinstance(engine, Eager):
            return function(*given)
        if key not in self._compiled:
            self._compiled[key] = self._compile(function)
        with settings(compile=True):
            return self._compiled[key](*map(without_history, given))

    def _batched(
        self, engine: Batching, function: Function, key: Any, given: Sequence[Tensor]
    ) -> Any:
        axes = engine.axes_of(given)
        physical = engine.physical(given)
        with using(engine.outer):
            if 0 not in axes:
                return self._under(engine.outer, function, key, physical)
            mapped = vmap(function, in_axes=axes)
            results = self._under(engine.outer, mapped, (axes, *key), physical)
        return [Tensor(Batched(result, engine), result.dtype) for result in results]


class CompiledCall(Op):
    """One call of a differentiable function, as an operation of the tape."""

    def __init__(self, function: Differentiable) -> None:
        self.name = "compiled"  # not in the registry: it lives as long as its results
        self.function = function

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        numbers = tuple(sorted(g.values))
        cotangents = [g.values[number] for number in numbers]
        reached, gradients = self.gradients(numbers, needs, inputs, cotangents)
        found = dict(zip(reached, gradients, strict=True))
        return tuple([found.get(number) for number in range(len(inputs))])

    def gradients(
        self,
        numbers: tuple[int, ...],
        needs: tuple[bool, ...],
        inputs: Sequence[Tensor],
        cotangents: Sequence[Tensor],
    ) -> tuple[list[int], list[Tensor]]:
        """Returns the numbers of the inputs that have a gradient, and these gradients."""
        backward, reached = self.function.gradient(numbers, needs)
        return reached, backward([*inputs, *cotangents])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        moving = tuple([number for number, tangent in enumerate(tangents) if tangent is not None])
        reached, results = self.tangents(moving, inputs, [tangents[number] for number in moving])
        return ResultCotangents((), dict(zip(reached, results, strict=True)))

    def tangents(
        self, moving: tuple[int, ...], inputs: Sequence[Tensor], given: Sequence[Tensor]
    ) -> tuple[list[int], list[Tensor]]:
        """Returns the numbers of the outputs that depend on inputs `moving`, and their tangents."""
        forward, reached = self.function.tangent(moving)
        return reached, forward([*inputs, *given])


class BatchedCall(CompiledCall):
    """A call inside `vmap`, seen from outside: one call for each example of a batch.

    `axes` are 0 or None for each input, as `in_axes` of `vmap`. Its derivatives are those of the
    call, under `vmap`; an input that all examples share gets the sum of their gradients.
    """

    def __init__(self, call: CompiledCall, axes: tuple[int | None, ...], size: int) -> None:
        super().__init__(call.function)
        self.call = call
        self.axes = axes
        self.size = size

    def gradients(
        self,
        numbers: tuple[int, ...],
        needs: tuple[bool, ...],
        inputs: Sequence[Tensor],
        cotangents: Sequence[Tensor],
    ) -> tuple[list[int], list[Tensor]]:
        """Like the call's `gradients`, for batches."""
        engine, examples = self._inside(inputs)
        given = [engine.enter(x, 0) for x in cotangents]
        with using(engine):
            reached, gradients = self.call.gradients(numbers, needs, examples, given)
        batches = [engine.leave(gradient, 0) for gradient in gradients]
        pairs = zip(reached, batches, strict=True)
        return reached, [x if self.axes[number] == 0 else x.sum(0) for number, x in pairs]

    def tangents(
        self, moving: tuple[int, ...], inputs: Sequence[Tensor], given: Sequence[Tensor]
    ) -> tuple[list[int], list[Tensor]]:
        """Like the call's `tangents`, for batches."""
        engine, examples = self._inside(inputs)
        numbered = zip(moving, given, strict=True)
        directions = [engine.enter(x, self.axes[number]) for number, x in numbered]
        with using(engine):
            reached, results = self.call.tangents(moving, examples, directions)
        return reached, [engine.leave(result, 0) for result in results]

    def _inside(self, inputs: Sequence[Tensor]) -> tuple[Batching, list[Tensor]]:
        """Returns a `vmap` over the batch, and the inputs as one example sees them."""
        engine = Batching(current_engine(), self.size)
        return engine, [engine.enter(x, axis) for x, axis in zip(inputs, self.axes, strict=True)]


def _batching_of(engine: Engine, given: Sequence[Tensor]) -> Batching | None:
    """Returns the innermost `vmap`, within this trace, that maps over a given tensor."""
    while isinstance(engine, NestedEngine) and not isinstance(engine, GraphBuilder):
        if isinstance(engine, Batching) and 0 in engine.axes_of(given):
            return engine
        engine = engine.outer
    return None


class WithoutDerivative(Op):
    """A call of a training step: differentiating its results raises an error that says why."""

    def __init__(self, name: str) -> None:
        self.name = name

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        raise GradientError(_WITHOUT_DERIVATIVE.format(self.name))

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        raise GradientError(_WITHOUT_DERIVATIVE.format(self.name))


def forbid_derivatives(results: Sequence[Any], given: Sequence[Tensor], name: str) -> None:
    """Gives results without derivative a history that raises when it is differentiated."""
    call = WithoutDerivative(name)
    for result in results:
        if isinstance(result, Tensor) and result.dtype.is_float:
            result.requires_grad = True
            result.tape_entry = TapeEntry(call, tuple(given), {})


_WITHOUT_DERIVATIVE = (
    "{}: the result of a compiled step that trains (it changes parameters, or leaves gradients in "
    "them) has no derivative. Differentiate a function that only computes, or take the derivative "
    "inside the step; detach() a result that is only reported"
)
_NOTHING = np.zeros((), np.float32)  # a result tuple has no value
