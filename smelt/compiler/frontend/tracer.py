"""Tracer: a Python function, run once on placeholders, becomes a graph.

A `Tracer` is an engine like the eager one. Arguments are placeholders from the start. A concrete
tensor that the function touches (a parameter, a buffer, an optimizer's moment, the random
generator) is captured as a state by identity; `copy_` into it becomes an update of that state.
Nothing has to be listed by hand.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import chain, permutations
from typing import Any

import numpy as np

from smelt import errors
from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.grad_binding import GradBinding
from smelt.compiler.runtime.buffers import base_buffer
from smelt.dtypes import DType
from smelt.errors import TraceError
from smelt.ir.graph import ARGUMENT, STATE, Assertion, Graph, Node
from smelt.ir.symbolic import formula
from smelt.location import warn, with_location
from smelt.tensor import Tensor
from smelt.tracing.engine import using
from smelt.tracing.graph_builder import GraphBuilder

MANY_NODES = 20_000  # operations at which a trace warns that it is long


class Accumulates(Exception):
    """Gradients outlive the step: `tensors` need a `.grad` before it can be traced."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__("gradients accumulate from step to step")
        self.tensors = tensors


class Tracer(GraphBuilder):
    """The engine that records the graph of a step."""

    def __init__(self) -> None:
        super().__init__()
        self.arguments: list[Node] = []
        self.numbers: dict[tuple[str, DType], tuple[Any, Tensor]] = {}
        self.placeholders: list[Tensor] = []
        self._differentiated: set[int] = set()  # ids of arguments that require a gradient
        self.outputs: list[Tensor] = []
        self.versions: dict[int, int] = {}  # of the states when the trace ended, by id
        self.states: dict[int, tuple[Tensor, Node]] = {}
        self.current: dict[int, Node] = {}
        self.assertions: list[Assertion] = []
        self.errors: list[type[errors.SmeltError]] = []
        self.modules: dict[int, Any] = {}
        self._gradients: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._looked: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._cleared: set[int] = set()
        self._arrays: dict[int, tuple[weakref.ref[np.ndarray], bytes]] = {}
        self._values: dict[int, tuple[Tensor, bytes]] = {}
        self._refusal: TraceError | None = None

    # --- the engine's verbs ----------------------------------------------------------------------

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Records new contents: of a captured state, or of a tensor made within the trace."""
        node = self.node_of(value)
        if isinstance(target._data, Node) and target._data.op is ARGUMENT:
            raise TraceError(_ARGUMENT_CHANGED.format(target.shape))
        if target.is_traced:
            self.node_of(target)  # raises for one of another trace
            target._data = node
        elif id(target) in self._values:
            raise TraceError(_VALUE_CHANGED.format("looking at it", target.shape))
        else:
            self.node_of(target)
            self.current[id(target)] = node
        self.note_overwritten(target, node)

    def require(
        self,
        violations: Tensor,
        message: str,
        error: type[errors.SmeltError],
        values: Tensor | None = None,
    ) -> None:
        """Records a condition that the step checks before it changes anything."""
        judged = None
        if values is not None:
            judged = self.node_of(violations), self.node_of(values)
            violations = violations.sum()
        self.assertions.append(Assertion(self.node_of(violations), with_location(message), judged))
        self.errors.append(error)

    def node_of(self, tensor: Tensor) -> Node:
        """Returns the node of a tensor, capturing a concrete one as a state."""
        data = tensor.stored
        if isinstance(data, Node):
            if data not in self.born:
                raise TraceError(data.leak)
            self.check_current(tensor)
            return data
        node = self.current.get(id(tensor))
        return node if node is not None else self._capture(tensor)

    def leaf(self, tensor: Tensor) -> Node:
        """Returns the node that stands for what a placeholder or captured state holds at first."""
        state = self.states.get(id(tensor))
        return self.node_of(tensor) if state is None else state[1]

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Remembers the `.grad` a tensor had when the trace began, and whether it was cleared."""
        if tensor.is_traced:
            return  # a placeholder ends with the trace, and its gradient too
        self._gradients.setdefault(id(tensor), (tensor, tensor._grad))
        if value is None:
            self._cleared.add(id(tensor))

    def note_gradient_read(self, tensor: Tensor) -> None:
        """Remembers that the step looked at a `.grad` before it set one."""
        if not tensor.is_traced and id(tensor) not in self._gradients:
            self._looked.setdefault(id(tensor), (tensor, tensor._grad))

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Remembers that Python looked at the value of a concrete tensor: the trace holds only for
        that value.
        """
        state = self.states.get(id(tensor))
        if state is not None and self.current[id(tensor)] is not state[1]:
            raise TraceError(_VALUE_CHANGED.format(what, tensor.shape))
        self._values[id(tensor)] = (tensor, tensor.stored.tobytes())

    def note_refusal(self, error: TraceError) -> None:
        """Remembers that Python was refused a value: a function that catches the error may go on
        differently than with the value.
        """
        self._refusal = self._refusal or error

    def note_array(self, array: np.ndarray) -> None:
        """Remembers an array that became a constant, unless nobody else can change it."""
        self._arrays[id(array)] = (weakref.ref(array), array.tobytes())

    def arrays_in_use(self) -> list[tuple[np.ndarray, bytes]]:
        """Returns the arrays that became constants and still exist, with their contents."""
        pairs = [(reference(), content) for reference, content in self._arrays.values()]
        return [(array, content) for array, content in pairs if array is not None]

    def note_module(self, module: Any) -> None:
        """Remembers a module or optimizer whose settings this trace depends on."""
        self.modules[id(module)] = module

    # --- beginning and end -----------------------------------------------------------------------

    def placeholder(self, shape: tuple[int, ...], dtype: DType, requires_grad: bool) -> Tensor:
        """Returns a tensor that stands for the next argument."""
        attributes = {"number": len(self.arguments)}
        node = self.record(ARGUMENT, (), attributes, shape, dtype)
        self.arguments.append(node)
        self.placeholders.append(Tensor(node, dtype, requires_grad))
        if requires_grad:
            self._differentiated.add(id(self.placeholders[-1]))
        return self.placeholders[-1]

    def number(self, number: Any, dtype: DType) -> Tensor:
        """Returns a tensor of shape () that stands for a symbolic number: one more argument."""
        key = formula(number), dtype
        if key not in self.numbers:
            node = self.record(ARGUMENT, (), {"number": len(self.arguments)}, (), dtype)
            self.arguments.append(node)
            self.numbers[key] = number, Tensor(node, dtype)
        return self.numbers[key][1]

    def finish(self, outputs: list[Tensor]) -> Graph:
        """Returns the graph that computes `outputs` and the updates; settles the gradients."""
        if self._refusal is not None:  # and the function caught it
            raise self._refusal
        self.outputs = outputs
        returned = tuple([self.node_of(output) for output in outputs])
        self._settle_gradients()
        self._check_no_shared_memory()
        updates = tuple(
            (node, self.current[key])
            for key, (_, node) in self.states.items()
            if self.current[key] is not node
        )
        self.versions = {key: state.version for key, (state, _) in self.states.items()}
        states = tuple([node for _, node in self.states.values()])
        graph = Graph(tuple(self.arguments), states, returned, updates, tuple(self.assertions))
        self._warn_of_lost_gradients(graph)
        return graph

    def _warn_of_lost_gradients(self, graph: Graph) -> None:
        """Warns if backward() found a gradient for an argument, and nothing reads it."""
        found = [(n, x, x._grad) for n, x in enumerate(self.placeholders, 1) if x._grad is not None]
        computed = set(graph.nodes()) if found else set()
        for number, x, gradient in found:
            if id(x) in self._differentiated and self.node_of(gradient) not in computed:
                warn(_GRADIENT_LOST.format(number, x.shape))

    def grad_bindings(self) -> list[GradBinding]:
        """Returns what the step found in each `.grad`, and what it leaves there."""
        touched = {key: tensor for key, (tensor, _) in (self._looked | self._gradients).items()}
        return [self._grad_binding(key, tensor) for key, tensor in touched.items()]

    def _grad_binding(self, key: int, tensor: Tensor) -> GradBinding:
        looks, sets = key in self._looked, key in self._gradients
        entry = self._looked[key][1] if looks else None
        kept = entry if key not in self._cleared else None
        sums = kept is not None and sets
        return GradBinding(tensor, looks, entry, sums, sets, kept)

    def restore_gradients(self) -> None:
        """Puts back every `.grad` that the traced function replaced."""
        for tensor, before in self._gradients.values():
            tensor._grad = before

    def _settle_gradients(self) -> None:
        missing = []
        for key, (tensor, before) in self._gradients.items():
            after = tensor._grad
            if after is None or key in self._cleared:
                continue
            if before is None:
                missing.append(tensor)
            else:
                self.node_of(before)
                self.current[id(before)] = self.node_of(after)
        if missing:
            raise Accumulates(missing)

    def _capture(self, tensor: Tensor) -> Node:
        if tensor.is_traced:
            raise TraceError(tensor.stored.leak)
        attributes = {"number": len(self.states)}
        node = self.record(STATE, (), attributes, tensor.shape, tensor.dtype)
        self.states[id(tensor)] = (tensor, node)
        self.current[id(tensor)] = node
        return node

    def _check_no_shared_memory(self) -> None:
        """Raises when a state that changes shares memory with another captured tensor."""
        owners: dict[int, list[Tensor]] = {}
        for tensor, _ in self.states.values():
            owners.setdefault(id(base_buffer(tensor.stored)), []).append(tensor)
        pairs = chain.from_iterable(permutations(alike, 2) for alike in owners.values())
        for tensor, neighbor in pairs:
            changes = self.current[id(tensor)] is not self.states[id(tensor)][1]
            if changes and np.may_share_memory(tensor.stored, neighbor.stored):
                raise TraceError(_MEMORY_SHARED.format(f"{tensor.shape} and {neighbor.shape}"))

    def record(self, *fields: Any, **named: Any) -> Node:
        """Returns a new node; warns when the trace has grown long."""
        node = super().record(*fields, **named)
        if len(self.born) == MANY_NODES:
            warn(_LONG_TRACE)
        return node


def trace(
    function: Callable[[Tracer], tuple[list[Tensor], Callable[[list[Tensor]], Any]]],
    tracer: Tracer | None = None,
) -> Traced:
    """Runs `function` under a new trace.

    `function` returns the tensors to compute, and what rebuilds its result from them. To use the
    trace afterwards, pass a tracer.
    """
    tracer = tracer or Tracer()
    try:
        with using(tracer):
            outputs, result = function(tracer)
            graph = tracer.finish(outputs)
    finally:
        tracer.restore_gradients()
    states = [tensor for tensor, _ in tracer.states.values()]
    modules = list(tracer.modules.values())
    values = list(tracer._values.values())
    bindings, arrays = tracer.grad_bindings(), tracer.arrays_in_use()
    numbers = [(number, x.dtype) for number, x in tracer.numbers.values()]
    return Traced(
        *(graph, states, result, tracer.errors, modules, bindings, values, arrays),
        born=tracer.born,
        numbers=numbers,
    )


_ARGUMENT_CHANGED = (
    "copy_ into a tensor of shape {} that is an argument of the compiled step: the caller's tensor "
    "would not change. Return the new contents, or let the step use the tensor without passing it, "
    "which captures it"
)
_VALUE_CHANGED = (
    "{} needs the value of a tensor of shape {} that the step changes: it is known only when the "
    "compiled step runs. Use smelt.where or smelt.cond to choose by value, or return the tensor "
    "from the step and look at it there"
)
_MEMORY_SHARED = (
    "the step changes a tensor in place whose memory another captured tensor shares (shapes {}): "
    "use one tensor in both places, or clone() one of them"
)
_GRADIENT_LOST = (
    "backward() inside the compiled step reaches tensor {} of its arguments, of shape {}, which "
    "requires a gradient: its gradient is lost when the step ends, and so is that of whatever the "
    "argument was computed from. Do all in one step, return x.grad, or pass x.detach() to the step"
)
_LONG_TRACE = (
    f"the step has more than {MANY_NODES} operations and will take long to compile: is there a "
    "Python loop over time steps or samples in it? smelt.scan is traced once whatever its length"
)
