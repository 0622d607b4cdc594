"""Dynamic axes: which extents of the inputs may change, and for which lengths a graph holds.

A function is traced with symbolic numbers for these extents. What Python asked of them on the way
is written down, and the trace holds where it would be answered the same. So each question is looked
at again: a length for which the answer is another one is traced by itself, and if that gives the
same graph, the answer made no difference. What is left are the limits of the file.
"""

from __future__ import annotations

import hashlib
import itertools
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smelt.compiler.frontend.builder import Builder, Trace
from smelt.compiler.frontend.lengths import Axes, symbolic_shape
from smelt.compiler.frontend.signature import Call
from smelt.compiler.frontend.tracer import Tracer
from smelt.dtypes import DType
from smelt.errors import ArgumentError, SmeltError
from smelt.export.onnx.operators import with_operators
from smelt.export.onnx.prepare import prepared
from smelt.ir import symbolic
from smelt.ir.graph import Graph, Node, Origin, constant_node
from smelt.ir.symbolic import formula, is_symbolic
from smelt.ops.op import is_whole_number
from smelt.tensor import Tensor
from smelt.tracing.engine import composites_marked, no_grad
from smelt.tracing.origin import current_origin

Given = Mapping[str, Mapping[int, str] | Sequence[int]]
FAR = 2048  # lengths up to this one are asked all questions; beyond it those that name a number
MANY = 8  # lengths that are traced by themselves to see whether an answer makes a difference


def parsed_axes(given: Any) -> dict[str, dict[int, str]]:
    """Returns dynamic axes with a name for each; a list of axes gives names to them.

    Raises:
        ArgumentError: they are of another form.
    """
    form = 'save_onnx: dynamic_axes must have the form {"x": {0: "batch"}}, but '
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{form}it is a {type(given).__name__}")
    found: dict[str, dict[int, str]] = {}
    for name, axes in given.items():
        if isinstance(axes, (list, tuple)):
            axes = {axis: f"{name}_axis{axis}" for axis in axes}
        if not isinstance(axes, Mapping) or not all(map(is_whole_number, axes)):
            raise ArgumentError(f"{form}for {name!r} it has {axes!r}")
        for length in axes.values():
            if not _is_name(length):
                raise ArgumentError(f"{form}a length is named {length!r}; use letters and digits")
        found[name] = {int(axis): length for axis, length in axes.items()}
    return found


def _is_name(text: Any) -> bool:
    plain = isinstance(text, str) and text.isidentifier() and text.isascii()
    return plain and not keyword.iskeyword(text) and text != "math"


def axes_of_inputs(
    given: Mapping[str, Mapping[int, str]], names: Sequence[str], tensors: Sequence[Tensor]
) -> list[Axes]:
    """Returns the dynamic axes of each input, counted from the front.

    Raises:
        ArgumentError: an input has no such axis, or axes of one name have several extents.
    """
    extents: dict[str, int] = {}
    result: list[Axes] = []
    for name, x in zip(names, tensors, strict=True):
        axes = {}
        for axis, length in given.get(name, {}).items():
            if not -x.ndim <= axis < x.ndim:
                raise ArgumentError(f"save_onnx: {name} of shape {x.shape} has no axis {axis}")
            extent = x.shape[axis]
            if extents.setdefault(length, extent) != extent:
                raise ArgumentError(
                    f"save_onnx: {length!r} is both {extents[length]} and {extent} in the example "
                    "inputs; axes with the same name must have the same length"
                )
            axes[axis % x.ndim] = length
        result.append(axes)
    return result


class Questions(symbolic.Guards):
    """What a trace asked of its lengths, and where in the user's program each was asked first."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, Origin] = {}

    def note(self, condition: str, outcome: bool) -> bool:
        """Notes how a condition came out, and where it was asked."""
        if condition not in self.outcomes:
            self.places[condition] = current_origin()
        return super().note(condition, outcome)


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace for any length: its graph, as it is written for an opset, and what it asked."""

    trace: Trace
    graph: Graph
    questions: Questions
    opset: int


def trace_any_length(
    builder: Builder,
    call: Call,
    axes: Sequence[Axes],
    extents: set[int],
    opset: int,
    check: Callable[[Traced], None],
) -> tuple[Traced, tuple[str, ...]]:
    """Returns a trace for all lengths of some axes, and its limits.

    The length that stands for all of them is none of the `extents` around, so that it equals
    nothing by chance; where the function does not take that one, it is the example's. It is
    a larger one where the limits would not let the example through, as for a length of 5 that gives
    a single window, which is looked at otherwise than several.

    Raises:
        ArgumentError: a length must be the one that it was traced with.
        SmeltError: of the function, or of `check`, which is called with a trace.
    """
    examples: dict[str, int] = {}
    for x, named in zip(call.tensors, axes, strict=True):
        examples |= {length: x.shape[axis] for axis, length in named.items()}
    samples = _samples(examples, extents)
    try:
        traced = _traced(builder, call, axes, samples, opset)
    except SmeltError:
        if samples == examples or min(examples.values(), default=0) < symbolic.LEAST:
            raise
        traced = _traced(builder, call, axes, examples, opset)
    check(traced)
    _check_any_length(traced)
    found = _limits(traced, builder, call, axes)
    if _holds(traced, found, examples):
        return traced, found
    try:
        larger = _samples({name: 2 * extent for name, extent in examples.items()}, extents, False)
        other = _traced(builder, call, axes, larger, opset)
        _check_any_length(other)
        others = _limits(other, builder, call, axes)
    except SmeltError:  # the function does not take such lengths
        return traced, found
    return (other, others) if _holds(other, others, examples) else (traced, found)


def _holds(traced: Traced, conditions: Sequence[str], lengths: Mapping[str, int]) -> bool:
    """Whether lengths meet all conditions."""
    try:
        return all(traced.questions.evaluation(conditions)(*lengths.values()))
    except ZeroDivisionError:
        return False


def _samples(
    examples: Mapping[str, int], extents: set[int], are_below: bool = True
) -> dict[str, int]:
    """Returns a prime for each length: below the example's, which the function takes, or else
    above it.
    """
    taken, samples = set(extents), {}
    for name, extent in examples.items():
        below = range(extent, 4, -1) if are_below else range(0)
        primes = filter(_is_prime, itertools.chain(below, itertools.count(max(extent, 10))))
        samples[name] = next(one for one in primes if one not in taken)
        taken.add(samples[name])
    return samples


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _traced(
    builder: Builder, call: Call, axes: Sequence[Axes], samples: Mapping[str, int], opset: int
) -> Traced:
    questions = Questions()
    symbols = {name: questions.symbol(name, sample) for name, sample in samples.items()}

    def stand_ins(tracer: Tracer) -> Callable[[Tensor], Tensor]:
        pending = iter(axes)

        def stand_in(x: Tensor) -> Tensor:
            shape = symbolic_shape(x, next(pending), questions, symbols)
            return tracer.placeholder(shape, x.dtype, False)

        return stand_in

    with no_grad(), composites_marked():
        trace = builder.trace(call, stand_ins)
    return Traced(trace, _written(trace.traced.graph, opset), questions, opset)


def _written(graph: Graph, opset: int) -> Graph:
    """Returns a traced graph as it is written."""
    return prepared(with_operators(graph, opset))


# --- for which lengths it holds -------------------------------------------------------------------


def _check_any_length(traced: Traced) -> None:
    """Raises ArgumentError where a length must be the one that it was traced with."""
    questions = traced.questions
    samples = questions.symbols
    for condition, outcome in questions.outcomes.items():
        if not outcome:
            continue
        holds = questions.evaluation([condition])
        for name, sample in samples.items():
            near = [{**samples, name: sample + step} for step in (-1, 1, 2)]
            if "==" in condition and not any(holds(*point.values())[0] for point in near):
                origin = questions.places[condition]
                where = f"\n  in module {origin.module}" if origin.module else ""
                where += f"\n  at {origin.line}" if origin.line else ""
                raise ArgumentError(
                    f"save_onnx: the length {name!r} cannot change: the function uses its value, "
                    f"as a Python loop does, or compares it ({condition}); leave it out of "
                    f"dynamic_axes, or pass example inputs with another length{where}"
                )


def _limits(traced: Traced, builder: Builder, call: Call, axes: Sequence[Axes]) -> tuple[str, ...]:
    """Returns the conditions under which the file computes what the function does."""
    found: list[str] = []
    samples, questions = traced.questions.symbols, traced.questions
    candidates: dict[tuple[int, ...], None] = {}
    for name in samples:
        candidates[tuple({**samples, name: 1}.values())] = None
    for condition, outcome in questions.outcomes.items():
        points = list(itertools.islice(_exceptions(questions, condition, outcome), MANY + 1))
        if len(points) > MANY:
            found.append(condition if outcome else f"not {condition}")
        else:
            candidates |= dict.fromkeys(points)
    for point in candidates:
        lengths = dict(zip(samples, point, strict=True))
        if not _is_same_at(traced, builder, call, axes, lengths):
            changed = {name: n for name, n in lengths.items() if n != samples[name]}
            found.append(" or ".join(f"{name} != {number}" for name, number in changed.items()))
    return tuple(dict.fromkeys(found))


def _exceptions(questions: Questions, condition: str, outcome: bool) -> Iterator[tuple[int, ...]]:
    """Yields lengths for which a condition comes out otherwise, one of them varied at a time."""
    answer, samples = questions.evaluation([condition]), questions.symbols
    named = sorted({int(number) for number in re.findall(r"\d+", condition)} - {0})
    for name in samples:
        for number in dict.fromkeys([*range(2, FAR), *named]):
            point = tuple({**samples, name: number}.values())
            try:
                same = bool(answer(*point)[0]) is outcome
            except ZeroDivisionError:
                same = False
            if not same:
                yield point


def _is_same_at(
    traced: Traced, builder: Builder, call: Call, axes: Sequence[Axes], lengths: dict[str, int]
) -> bool:
    """Whether a trace of exactly some lengths writes the graph that the one for all has there."""

    def stand_ins(tracer: Tracer) -> Callable[[Tensor], Tensor]:
        pending = iter(axes)

        def stand_in(x: Tensor) -> Tensor:
            named = next(pending)
            shape = [lengths[named[k]] if k in named else n for k, n in enumerate(x.shape)]
            return tracer.placeholder(tuple(shape), x.dtype, False)

        return stand_in

    try:
        with no_grad(), composites_marked():
            exact = builder.trace(call, stand_ins)
    except SmeltError:  # the function does not take such a length
        return False
    values = traced.questions.evaluation
    numbers = traced.trace.traced.numbers

    def plain(number: Any) -> Any:
        return values([formula(number)])(*lengths.values())[0] if is_symbolic(number) else number

    general = _concrete(traced.trace.traced.graph, plain, numbers)
    opset = traced.opset
    return _summary(_written(general, opset)) == _summary(_written(exact.traced.graph, opset))


def _concrete(
    graph: Graph, plain: Callable[[Any], Any], numbers: Sequence[tuple[Any, DType]] = ()
) -> Graph:
    """Returns a graph with plain numbers in the place of symbolic ones; the last arguments, which
    stand for `numbers`, become constants.
    """

    def all_plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple([all_plain(part) for part in value])
        return _concrete(value, plain) if isinstance(value, Graph) else plain(value)

    new: dict[Node, Node] = {}
    count = len(graph.arguments) - len(numbers)
    for node, (number, dtype) in zip(graph.arguments[count:], numbers, strict=True):
        new[node] = constant_node(np.asarray(plain(number), dtype.storage), dtype)
    for node in (*graph.arguments, *graph.states, *graph.nodes()):
        if node not in new:
            inputs = tuple([new[operand] for operand in node.inputs])
            attributes = {key: all_plain(value) for key, value in node.attributes.items()}
            known = {"inputs": inputs, "attributes": attributes, "shape": all_plain(node.shape)}
            new[node] = replace(node, **known)
    return Graph(
        tuple([new[node] for node in graph.arguments[:count]]),
        tuple([new[node] for node in graph.states]),
        tuple([new[node] for node in graph.outputs]),
        tuple([(new[old], new[value]) for old, value in graph.updates]),
    )


def _summary(graph: Graph) -> list[bytes]:
    """Returns a hash of what each result of a graph is computed by."""
    leaves = enumerate((*graph.arguments, *graph.states))
    known = {leaf: _digest(("leaf", number)) for number, leaf in leaves}
    for node in graph.nodes():
        if node not in known:
            known[node] = _digest(_described(node, known))
    return [known[node] for node in (*graph.outputs, *graph.next_states)]


def _described(node: Node, known: Mapping[Node, bytes]) -> Any:
    attributes = sorted(node.attributes.items())
    settings = [
        (key, [_summary(body) for body in value] if key == "bodies" else value)
        for key, value in attributes
        if key != "array"
    ]
    contents = node.attributes["array"].tobytes() if "array" in node.attributes else b""
    operands = [known[operand] for operand in node.inputs]
    return node.op.name, operands, settings, contents, node.shape, node.dtype.name


def _digest(value: Any) -> bytes:
    return hashlib.sha256(repr(value).encode()).digest()
