"""Cards: what Smelt makes of an operator of ONNX; and a node that has one.

A card has a rule, which computes the results with the functions of Smelt, and says which settings
the operator has. Its rule is called with the node and its inputs: tensors, None for one that is not
given, and NumPy arrays for those that it takes as numbers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from smelt.dtypes import bfloat16, decode
from smelt.errors import ArgumentError, CompileError, TraceError
from smelt.export.onnx.load.casting import cast
from smelt.export.onnx.load.known import Known, Value, known, lifted
from smelt.tensor import Tensor
from smelt.tensor.known_value import known_value

if TYPE_CHECKING:
    from smelt.export.onnx.load.graph import Graph

Rule = Callable[..., Any]  # (call, *inputs) -> a value, or a tuple of them
NEWEST: Final = 1 << 30  # above every version of an operator


class Setting(NamedTuple):
    """A setting of an operator: its kind in ONNX, and what it is where a node does not say."""

    kind: str
    default: Any = None
    is_required: bool = False


INT: Final = Setting("int")
FLOAT: Final = Setting("float")
TEXT: Final = Setting("text")
TENSOR: Final = Setting("tensor")
GRAPH: Final = Setting("graph")
INTS: Final = Setting("ints")
FLOATS: Final = Setting("floats")
TEXTS: Final = Setting("texts")
KINDS: Final = {
    1: "float",
    2: "int",
    3: "text",
    4: "tensor",
    5: "graph",
    6: "floats",
    7: "ints",
    8: "texts",
}


def required(setting: Setting) -> Setting:
    """Returns a setting that every node has."""
    return Setting(setting.kind, None, True)


def _setting(given: Any) -> Setting:
    """Returns a setting that is given by its default."""
    if isinstance(given, Setting):
        return given
    return Setting({int: "int", float: "float", str: "text"}[type(given)], given)


@dataclass(frozen=True, eq=False)
class Card:
    """An operator.

    Attributes:
        rule: computes it.
        settings: those that it has, by name: a Setting, or the default of a number or text.
        numbers: the places of inputs that are taken as numbers, as shapes and axes are.
        fold: computes it with NumPy where all inputs are known; called like the rule.
        first: the first version of the operator that the card understands.
        before: the version from which on it does not.
        refused: says why a node cannot be expressed, "" where it can.
        statistics: the places of inputs that are state and not learned.
        reads_known: whether the rule takes inputs as they are, known or not.
    """

    rule: Rule
    settings: Mapping[str, Any] = field(default_factory=dict)
    numbers: tuple[int, ...] = ()
    fold: Rule | None = None
    first: int = 7
    before: int = NEWEST
    refused: Callable[[Node], str] = lambda node: ""
    statistics: tuple[int, ...] = ()
    reads_known: bool = False

    @functools.cached_property
    def setting(self) -> dict[str, Setting]:
        """The settings by name."""
        return {name: _setting(given) for name, given in self.settings.items()}

    @functools.cached_property
    def arity(self) -> tuple[int, int | None]:
        """How many inputs there are: at least, and at most if that is limited."""
        given = list(inspect.signature(self.rule).parameters.values())[1:]
        named = [one for one in given if one.kind is not one.VAR_POSITIONAL]
        least = sum(one.default is one.empty for one in named)
        return least, len(named) if len(named) == len(given) else None


Cards = Mapping[str, Card]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node of a graph.

    Attributes:
        op_type, domain: the operator.
        name: of the node, for messages.
        inputs, outputs: the names of values; "" where there is none.
        settings: by name, all that the card has.
        opset: the version of the operators of its domain.
        card: of the operator.
        types: of the inputs, by ONNX's numbers; 0 where it is not known.
        wraps_to: the narrow integers that arithmetic gives, or 0.
    """

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any]
    opset: int
    card: Card
    types: tuple[int, ...] = ()
    wraps_to: int = 0

    @property
    def label(self) -> str:
        """The operator, and the node's name if that says more."""
        return f"{self.op_type} {self.name!r}" if self.name else self.op_type


@dataclass(slots=True, eq=False)
class Scope:
    """What names stand for.

    Attributes:
        values: of the graph and of those around it, by name.
        bound: parameters and buffers by their places in the module.
    """

    values: dict[str, Value]
    bound: Mapping[str, Value]


@dataclass(slots=True, eq=False)
class Call:
    """A node that is computed now: what its rule may ask."""

    node: Node
    scope: Scope

    def __getitem__(self, name: str) -> Any:
        return self.node.settings[name]

    @property
    def opset(self) -> int:
        """The version of the operators."""
        return self.node.opset

    @property
    def count(self) -> int:
        """How many outputs the node has."""
        return len(self.node.outputs)

    def wants(self, output: int) -> bool:
        """Whether somebody may read an output."""
        return output < self.count and bool(self.node.outputs[output])

    def refuse(self, why: str) -> CompileError:
        """Returns the error for what the rule cannot express."""
        return CompileError(f"{self.node.label}: {why}")

    def wrong(self, why: str) -> ArgumentError:
        """Returns the error for inputs that the operator does not take."""
        return ArgumentError(f"{self.node.label}: {why}")

    def inner(self, graph: Graph, inputs: list[Value]) -> list[Value]:
        """Returns what the body of a loop or branch gives for some inputs."""
        from smelt.export.onnx.load.evaluate import evaluated

        return evaluated(graph, Scope(dict(self.scope.values), self.scope.bound), inputs)

    def results(self) -> Any:
        """Returns the value, or the tuple of values, that the node gives."""
        found = self._computed()
        return cast(lifted(found), self.node.wraps_to) if self.node.wraps_to else found

    def _computed(self) -> Any:
        card = self.node.card
        given = [self.scope.values[name] if name else None for name in self.node.inputs]
        present = [value for value in given if value is not None]
        are_known = all(isinstance(x, Known) and x.dtype is not bfloat16 for x in present)
        if card.fold is not None and present and are_known:
            return self._folded(card.fold, given)
        if card.reads_known:
            return card.rule(self, *given)
        operands = [
            self.numbers(place, value) if place in card.numbers else lifted(value)
            for place, value in enumerate(given)
        ]
        return card.rule(self, *operands)

    def numbers(self, place: int, value: Value) -> np.ndarray | None:
        """Returns an input as numbers.

        Raises:
            TraceError: they are known only when a compiled step runs.
        """
        if value is None or isinstance(value, Known):
            return None if value is None else value.array
        if not isinstance(value, Tensor):
            raise self.wrong(f"input {place} is a sequence")
        constant = known_value(value._data)
        if constant is not None:
            return np.asarray(decode(constant, value.dtype))
        try:
            return np.asarray(value.numpy())
        except TraceError:
            raise TraceError(
                f"{self.node.label} takes its input {place} ({self.node.inputs[place]!r}) as "
                "numbers, and a compiled step knows them only when it runs; they can be constants "
                "of the file or follow from shapes. Or run the model eagerly"
            ) from None

    def _folded(self, fold: Rule, given: list[Value]) -> Any:
        arrays = [None if value is None else value.array for value in given]
        counting = [
            value.dtype for value in given if value is not None and value.dtype.kind != "bool"
        ]
        dtype = counting[0] if counting else given[0].dtype
        with np.errstate(all="ignore"):
            result = fold(self, *arrays)
        if isinstance(result, (tuple, list)):
            return tuple([known(part, dtype) for part in result])
        return result if isinstance(result, (Known, Tensor)) else known(result, dtype)
