"""Capture: a module, or a function of tensors, as a graph that holds for any number of samples.

The first axis of every input counts samples. While tracing it has a symbolic number, so that what
follows from it, such as the extents of a reshape, is known as a formula. A function that asks
Python for the number, in a loop say, is traced for the number of the calibration data alone.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.lengths import symbolic_shape
from smelt.compiler.frontend.signature import flatten_call
from smelt.compiler.frontend.tracer import Tracer
from smelt.dtypes import float32
from smelt.errors import ArgumentError, CompileError, SmeltError
from smelt.export.evaluated import evaluated
from smelt.export.names import state_names
from smelt.ir.graph import CONSTANT, Graph, Node, topological
from smelt.ir.operation import Pattern
from smelt.ir.symbolic import Guards, formula, is_symbolic
from smelt.nn.module import Module
from smelt.ops import movement
from smelt.ops.elementwise import Elementwise
from smelt.ops.op import Op
from smelt.tensor import Tensor
from smelt.tracing.engine import no_grad, quietly

__all__ = ["REGIONS", "Attributes", "Captured", "SampleCounts", "captured", "located"]

SAMPLES = "samples"
REGIONS = (Pattern.REGION, Pattern.RESULT, Pattern.COLLECTIVE)


def located(message: str, node: Node) -> str:
    """Returns a message with the module and the user's line of a node behind it."""
    origin = node.origin
    where = f"\n  in module {origin.module}" if origin.module else ""
    return message + where + (f"\n  at {origin.line}" if origin.line else "")


class Attributes:
    """The attributes of an operation, for any number of samples."""

    def __init__(self, attributes: Mapping[str, Any], lengths: Guards | None) -> None:
        self._fixed = dict(attributes)
        self._formulas = {
            key: _formulas(value, lengths)
            for key, value in attributes.items()
            if lengths is not None and _depends(value)
        }

    @property
    def depend(self) -> bool:
        """Whether they are others for another number of samples."""
        return bool(self._formulas)

    def at(self, samples: int) -> dict[str, Any]:
        """Returns them for a number of samples."""
        computed = {key: _evaluated(value, samples) for key, value in self._formulas.items()}
        return self._fixed | computed


def _depends(value: Any) -> bool:
    return any(map(_depends, value)) if isinstance(value, tuple) else is_symbolic(value)


def _formulas(value: Any, lengths: Guards) -> Any:
    if isinstance(value, tuple):
        return tuple([_formulas(part, lengths) for part in value])
    return lengths.evaluation([formula(value)]) if is_symbolic(value) else value


def _evaluated(value: Any, samples: int) -> Any:
    if isinstance(value, tuple):
        return tuple([_evaluated(part, samples) for part in value])
    return value(samples)[0] if callable(value) else value


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """For which numbers of samples a trace holds.

    Attributes:
        lengths: the symbol for the number; None where it is `samples` and no other.
        samples: the number while tracing.
    """

    lengths: Guards | None
    samples: int

    def check(self, samples: int) -> None:
        """Raises ArgumentError for a number of samples for which the graph does not hold."""
        if self.lengths is None:
            if samples != self.samples:
                raise ArgumentError(
                    f"the model was quantized for {self.samples} samples at a time, since it asks "
                    f"Python for their number; got {samples}"
                )
            return
        for condition, outcome in self.lengths.outcomes.items():
            # one that is met by single numbers, such as one of as many samples as channels, is
            # what Python asks on its way to shapes
            if "==" in condition or "!=" in condition:
                continue
            if bool(self.lengths.evaluation([condition])(samples)[0]) is not outcome:
                holds = condition if outcome else f"not {condition}"
                raise ArgumentError(
                    f"the model was quantized for numbers of samples with {holds}, as it had for "
                    f"{self.samples}; got {samples}"
                )


@dataclass(frozen=True, slots=True)
class Captured:
    """A graph, what it was traced from, and what is known before it runs.

    Attributes:
        graph: as traced.
        traced: with the captured tensors, and how the result is built.
        counts: which numbers of samples it holds for.
        names: what the module calls each captured tensor.
        constants: the values of nodes that depend on no input.
    """

    graph: Graph
    traced: Traced
    counts: SampleCounts
    names: dict[Node, str]
    constants: dict[Node, np.ndarray]

    def attributes(self, node: Node) -> Attributes:
        """Returns the attributes of a node."""
        return Attributes(node.attributes, self.counts.lengths)

    def run(self, inputs: Sequence[np.ndarray]) -> Iterator[tuple[Node, np.ndarray]]:
        """Yields each node that depends on the inputs, with its value on them by NumPy."""
        nodes = self.graph.nodes()
        left = Counter(operand for node in nodes for operand in node.inputs)
        values = dict(zip(self.graph.arguments, inputs, strict=True))
        for node in nodes:
            if node in self.constants:
                continue
            if node not in values:
                values[node] = self._computed(node, values, len(inputs[0]))
            yield node, values[node]
            for operand in node.inputs:
                left[operand] -= 1
                if not left[operand]:
                    values.pop(operand, None)

    def _computed(self, node: Node, values: Mapping[Node, np.ndarray], samples: int) -> np.ndarray:
        operands = []
        for operand in node.inputs:
            value = self.constants[operand] if operand in self.constants else values[operand]
            if operand.op is movement.broadcast_to and not isinstance(node.op, Elementwise):
                value = np.broadcast_to(value, self.attributes(operand).at(samples)["shape"])
            operands.append(value)
        assert isinstance(node.op, Op)
        attributes = self.attributes(node).at(samples)
        return np.asarray(quietly(node.op.value, *operands, **attributes))


def captured(model: Callable[..., Any], inputs: Sequence[np.ndarray]) -> Captured:
    """Returns what a model computes as a graph.

    Args:
        model: a module, which is traced in evaluation mode, or a function.
        inputs: an example of each input, float32 (N, ...).

    Raises:
        ArgumentError: inputs of other dtypes or of different numbers of samples, or a model that is
            neither a module nor a function.
        CompileError: the model changes a tensor.
    """
    if not callable(model):
        raise ArgumentError(f"quantize needs a module or a function, got {type(model).__name__}")
    counts = {len(x) for x in inputs}
    if len(counts) != 1:
        raise ArgumentError(
            f"quantize: the first axis of every input counts samples; there are {sorted(counts)}"
        )
    function = getattr(model, "function", model) if hasattr(model, "executables") else model
    with evaluated(function):
        made = _for_any_number(function, inputs)
        if made is None:
            made = _traced(function, inputs, None)
    traced, lengths = made
    _check_inference(traced, function)
    named = state_names(traced, function)
    names = {node: name for node, (name, _) in zip(traced.graph.states, named, strict=True)}
    (count,) = counts
    samples = lengths.symbols[SAMPLES] if lengths is not None else count
    constants = _constants(traced)
    return Captured(traced.graph, traced, SampleCounts(lengths, samples), names, constants)


def _for_any_number(
    function: Callable[..., Any], inputs: Sequence[np.ndarray]
) -> tuple[Traced, Guards] | None:
    """Returns a trace for any number of samples; None where the function does not take one."""
    extents = {extent for x in inputs for extent in x.shape}
    if isinstance(function, Module):
        extents |= {extent for x in function.parameters() for extent in x.shape}
    lengths = Guards()
    # a number that nothing else around has, so that it equals nothing by chance
    lengths.symbol(SAMPLES, next(n for n in itertools.count(5) if n not in extents and n % 2))
    try:
        traced, lengths = _traced(function, inputs, lengths)
    except SmeltError:
        return None  # the trace for the calibration data says what is wrong, if it is wrong there
    fixed = any("==" in text and outcome for text, outcome in lengths.outcomes.items())
    return None if fixed or lengths.is_settled or traced.numbers else (traced, lengths)


def _traced(
    function: Callable[..., Any], inputs: Sequence[np.ndarray], lengths: Any
) -> tuple[Traced, Any]:
    symbols = {} if lengths is None else {SAMPLES: lengths.number(SAMPLES)}

    def stand_ins(tracer: Tracer) -> Callable[[Tensor], Tensor]:
        def stand_in(x: Tensor) -> Tensor:
            shape = x.shape
            if lengths is not None:
                shape = symbolic_shape(x, {0: SAMPLES}, lengths, symbols)
            return tracer.placeholder(shape, x.dtype, False)

        return stand_in

    name = getattr(function, "__name__", type(function).__name__)
    with no_grad():
        trace = Builder(function, name).trace(flatten_call(tuple(inputs), {}), stand_ins)
    return trace.traced, lengths


def _check_inference(traced: Traced, function: Callable[..., Any]) -> None:
    graph = traced.graph
    for old, new in graph.updates:
        name, _ = state_names(traced, function)[graph.states.index(old)]
        raise CompileError(
            located(
                f"quantize: {new.op.name} gives {name} new contents, and a quantized model keeps "
                "nothing from call to call; call eval() on the modules",
                new,
            )
        )
    for node in (*graph.arguments, *graph.outputs):
        if node.dtype is not float32:
            raise ArgumentError(
                f"quantize: takes models of float32; an input or output is {node.dtype.name}"
            )


def _constants(traced: Traced) -> dict[Node, np.ndarray]:
    """Returns the values of all nodes that depend on no argument."""
    known = dict(zip(traced.graph.states, (x.stored for x in traced.states), strict=True))
    for node in topological(traced.graph.outputs):
        if node.op is CONSTANT:
            known[node] = node.attributes["array"]
        elif isinstance(node.op, Op) and all(operand in known for operand in node.inputs):
            value = _constant(node, [known[operand] for operand in node.inputs])
            if value is not None:
                known[node] = value
    return known


def _constant(node: Node, operands: list[np.ndarray]) -> np.ndarray | None:
    if node.op is movement.broadcast_to and operands[0].size == 1:
        return operands[0].reshape(())  # a number, repeated: perhaps for each sample
    if node.op.pattern in REGIONS or _depends(tuple(node.attributes.values())):
        return None
    assert isinstance(node.op, Op)
    return np.asarray(quietly(node.op.value, *operands, **node.attributes))
