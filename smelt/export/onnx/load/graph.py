"""Graphs: the messages of a file, checked, as nodes that have cards.

All that can be wrong with a graph is found here, before anything is computed: names that nothing
gives, settings of a wrong kind, operators that Smelt cannot express. Of the latter all are named at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from smelt.dtypes import DType
from smelt.errors import CompileError
from smelt.export.onnx.load.card import KINDS, Call, Card, Node, Setting
from smelt.export.onnx.load.casting import NARROW
from smelt.export.onnx.load.differentiated import GRADIENT, names_read, with_body
from smelt.export.onnx.load.known import Known, Value
from smelt.export.onnx.load.messages import (
    AttributeMessage,
    FunctionMessage,
    GraphMessage,
    NodeMessage,
    OpsetMessage,
    SparseMessage,
    TensorMessage,
    ValueMessage,
)
from smelt.export.onnx.load.tensors import KINDS as TENSOR_KINDS
from smelt.export.onnx.load.tensors import Tensors, type_name
from smelt.export.onnx.load.types import WRAPS, output_type
from smelt.export.onnx.load.wire import OnnxFile

SHOWN = 20  # operators that an error names
DEEPEST = 16  # bodies within bodies
NODE = 1000  # bytes of memory that a node takes, about
LOOKED_AT = 8  # bytes that are counted for each node that is looked at again
FindCard = Callable[[str, str, int], Card | None]


class Name(NamedTuple):
    """What a name stands for: the key of an initializer, or ""; and a type of ONNX, or 0."""

    key: str
    data_type: int


class Input(NamedTuple):
    """An input or output of a graph, as the file declares it.

    `kind` is "tensor", "sequence", "optional" or "map"; `shape` has a name, or None, for an extent
    that may change, and is None where nothing is said.
    """

    name: str
    kind: str
    data_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph that can be computed.

    Attributes:
        nodes: in an order in which each comes after what it reads.
        inputs: without those that have an initializer.
        outputs: names of values.
        initializers: the places in the module of tensors, by name.
        ends: the values that nobody reads after a node.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    initializers: Mapping[str, str]
    ends: Mapping[Node, tuple[str, ...]]


@dataclass(slots=True, eq=False)
class Initializer:
    """A tensor of the file that becomes a parameter or a buffer.

    Attributes:
        name: in the file.
        array, dtype: its contents.
        note: what the file says of it.
        is_learned: whether something reads it as what can be learned.
        is_read: whether something reads it at all.
    """

    name: str
    array: np.ndarray
    dtype: DType
    note: str
    is_learned: bool = False
    is_read: bool = False


@dataclass(slots=True, eq=False)
class GraphBuilder:
    """Makes graphs of messages.

    Attributes:
        file: in which they stand.
        tensors: reads arrays.
        opsets: the version of the operators of each domain.
        find_card: returns the card of (domain, operator, version).
        functions: the file's own operators, by domain and name.
        initializers: of all graphs so far, by keys, which are in the place of their places.
    """

    file: OnnxFile
    tensors: Tensors
    opsets: Mapping[str, int]
    find_card: FindCard
    functions: Mapping[tuple[str, str], FunctionMessage] = field(default_factory=dict)
    initializers: dict[str, Initializer] = field(default_factory=dict)
    _bound: Mapping[str, AttributeMessage] | None = None  # the settings of a call, in a function
    _refused: dict[str, list[str]] = field(default_factory=dict)
    _gradients: dict[int, NodeMessage] = field(default_factory=dict)  # with their bodies, by id

    def build(self, message: GraphMessage) -> Graph:
        """Returns the main graph.

        Raises:
            FileError: it is no valid graph.
            CompileError: it has operators that Smelt cannot express.
        """
        graph = self._graph(message, {}, 0)
        if self._refused:
            lines = [
                f"\n  {reason}: {_listed(nodes)}"
                for reason, nodes in list(self._refused.items())[:SHOWN]
            ]
            more = len(self._refused) - SHOWN
            lines += [f"\n  and {more} more"] if more > 0 else []
            raise CompileError(
                f"load_onnx: {self.file.path}: what Smelt cannot express, and the nodes that have "
                f"it:{''.join(lines)}"
            )
        return graph

    # --- graphs -----------------------------------------------------------------------------------

    def _graph(self, message: GraphMessage, around: Mapping[str, Name], depth: int) -> Graph:
        """Returns a graph; `around` has the names that it sees, with the keys of initializers."""
        if depth > DEEPEST:
            raise self.file.damaged(f"graphs within graphs, more than {DEEPEST} deep")
        if message.sparse_initializer:
            self._refuse("a sparse initializer", self._sparse_name(message.sparse_initializer[0]))
        names, own = dict(around), {}
        self.file.take(100 * len(around))
        for tensor in message.initializer:
            if not tensor.name or tensor.name in own:
                raise self.file.damaged(f"initializer {tensor.name[:60]!r} stands there twice")
            own[tensor.name] = self._initializer(tensor)
            names[tensor.name] = Name(own[tensor.name], tensor.data_type)
        declared = [self._declared(value, depth) for value in message.input]
        inputs = tuple([value for value in declared if value.name not in own])
        taken = set(own)
        for value in inputs:
            if not value.name or value.name in taken:
                raise self.file.damaged(f"input {value.name[:60]!r} stands there twice")
            taken.add(value.name)
            names[value.name] = Name("", value.data_type)
        nodes: list[Node] = []
        last: dict[str, Node] = {}
        before: list[NodeMessage] = []
        for number, written in enumerate(message.node):
            node = self._with_body(written, before)
            before.append(node)
            made = self._node(node, names, taken, number, depth)
            reads = names_read(node)
            if made is not None:
                nodes.append(made)
                last |= dict.fromkeys((*reads, *made.outputs), made)
        outputs = tuple([value.name for value in message.output])
        for name in outputs:
            if name not in names:
                raise self.file.damaged(f"output {name[:60]!r}, which nothing gives")
            self._note(names[name].key, None, 0)
        ends: dict[Node, tuple[str, ...]] = {}
        for name, end in last.items():
            if name in taken and name not in outputs:
                ends[end] = (*ends.get(end, ()), name)
        return Graph(tuple(nodes), inputs, outputs, own, ends)

    def _with_body(self, message: NodeMessage, before: list[NodeMessage]) -> NodeMessage:
        """Returns a node; one of Gradient with the graph that it differentiates."""
        if (plain(message.domain), message.op_type) != GRADIENT or id(message) in self._gradients:
            return message
        self.file.take(LOOKED_AT * len(before))  # so that many of them take little time
        made = with_body(message, before)
        self._gradients[id(made)] = made
        return made

    def _declared(self, message: ValueMessage, depth: int) -> Input:
        kind = message.type
        tensor = kind.tensor_type if kind is not None else None
        if tensor is not None:
            if not depth and tensor.elem_type not in TENSOR_KINDS:
                self._refuse(f"an input of {type_name(tensor.elem_type)}", repr(message.name[:60]))
            shape = tensor.shape
            extents = (
                None
                if shape is None
                else tuple([one.dim_param or one.dim_value for one in shape.dim])
            )
            return Input(message.name, "tensor", tensor.elem_type, extents)
        others = ("sequence", "map", "sparse_tensor", "optional")
        for name in others:
            if kind is not None and getattr(kind, f"{name}_type") is not None:
                if name in ("map", "sparse_tensor"):
                    self._refuse(f"an input that is a {name}", message.name)
                return Input(message.name, name, 0, None)
        return Input(message.name, "any", 0, None)  # bodies need not say

    def _initializer(self, message: TensorMessage) -> str:
        array, dtype = self.tensors.array(message, f"initializer {message.name[:60]!r}")
        key = f"{len(self.initializers)}"
        self.initializers[key] = Initializer(message.name, array, dtype, message.doc_string)
        return key

    def _sparse_name(self, message: SparseMessage) -> str:
        return message.values.name if message.values is not None else ""

    # --- nodes ------------------------------------------------------------------------------------

    def _node(
        self,
        message: NodeMessage,
        names: dict[str, Name],
        taken: set[str],
        number: int,
        depth: int,
    ) -> Node | None:
        """Returns a node, and adds its outputs to the names; None where it is refused."""
        self.file.take(NODE)
        domain = plain(message.domain)
        label = f"{message.op_type[:60]} {message.name[:120]!r}" if message.name else (
            f"{message.op_type[:60]} (node {number})"
        )  # fmt: skip
        opset = self.opsets.get(domain)
        card = None if opset is None else self.find_card(domain, message.op_type, opset)
        for name in message.input:
            if name and name not in names:
                raise self.file.damaged(f"{label} reads {name[:60]!r}, which nothing before gives")
        node, given = None, 0
        function = self.functions.get((domain, message.op_type))
        if function is not None:
            node = self._call(message, function, names, label, depth)
        elif opset is None or card is None:
            version = (
                "of a domain that the file does not import" if opset is None else f"opset {opset}"
            )
            whole = f"{domain}.{message.op_type}" if domain else message.op_type
            self._refuse(f"{whole[:120]} ({version})", label)
        else:
            settings = self._settings(message, card, names, label, depth)
            self._check_arity(message, card, label)
            for place, name in enumerate(message.input):
                if name:
                    self._note(names[name].key, card, place)
            if settings is not None:
                types = tuple([names[name].data_type if name else 0 for name in message.input])
                given = output_type(message, settings, types)
                wraps = given if given in NARROW and message.op_type in WRAPS else 0
                node = Node(
                    message.op_type, domain, message.name, tuple(message.input),
                    tuple(message.output), settings, opset, card, types, wraps,
                )  # fmt: skip
                reason = card.refused(node)
                if reason:
                    self._refuse(f"{message.op_type}: {reason}", label)
                    node = None
        for name in message.output:
            if name and name in taken:
                raise self.file.damaged(f"{label} gives {name[:60]!r}, which is there already")
            if name:
                taken.add(name)
                first = name == message.output[0] or message.op_type == "Split"
                names[name] = Name("", given if first else 0)
        return node

    def _call(
        self,
        message: NodeMessage,
        function: FunctionMessage,
        names: Mapping[str, Name],
        label: str,
        depth: int,
    ) -> Node:
        """Returns a node that is a call of one of the file's own operators."""
        if len(message.input) > len(function.input):
            raise self.file.damaged(f"{label} has more inputs than the function takes")
        for name in message.input:
            if name:
                self._note(names[name].key, None, 0)
        body = GraphMessage(
            node=function.node,
            input=[ValueMessage(name) for name in function.input],
            output=[ValueMessage(name) for name in function.output],
        )
        given = {one.name: one for one in (*function.attribute_proto, *message.attribute)}
        around = self.opsets, self._bound
        self.opsets, self._bound = versions(function.opset_import) or self.opsets, given
        try:
            graph = self._graph(body, {}, depth + 1)
        finally:
            self.opsets, self._bound = around
        inputs = (*message.input, *[""] * (len(function.input) - len(message.input)))
        settings = {"body": graph}
        return Node(
            message.op_type, message.domain, message.name, inputs, tuple(message.output), settings,
            0, CALL,
        )  # fmt: skip

    def _check_arity(self, message: NodeMessage, card: Card, label: str) -> None:
        least, most = card.arity
        count = len(message.input)
        if most is not None and count > most and any(message.input[most:]):
            raise self.file.damaged(f"{label} has {count} inputs, and takes {most}")
        if count < least or not all(message.input[:least]):
            raise self.file.damaged(f"{label} has fewer than {least} inputs")
        if most is not None:
            del message.input[most:]

    def _note(self, key: str, card: Card | None, place: int) -> None:
        """Notes that something reads what may be an initializer."""
        if not key:
            return
        initializer = self.initializers[key]
        initializer.is_read = True
        if card is None or place not in (*card.numbers, *card.statistics):
            initializer.is_learned = True

    def _settings(
        self, message: NodeMessage, card: Card, names: Mapping[str, Name], label: str, depth: int
    ) -> dict[str, Any] | None:
        """Returns all settings of a node; None where one is refused."""
        found: dict[str, Any] = {}
        for attribute in message.attribute:
            setting = card.setting.get(attribute.name)
            if setting is None:
                self._refuse(f"{message.op_type[:60]} with {attribute.name[:60]!r}", label)
                return None
            name = attribute.name
            if name in found:
                raise self.file.damaged(f"{label} has {name!r} twice")
            if attribute.ref_attr_name:
                if self._bound is None:
                    raise self.file.damaged(f"{label} refers to a setting outside of a function")
                if attribute.ref_attr_name not in self._bound:
                    continue  # a call that leaves it out
                attribute = self._bound[attribute.ref_attr_name]
            found[name] = self._setting(attribute, setting, names, label, depth)
        for name, setting in card.setting.items():
            if name not in found and setting.is_required:
                raise self.file.damaged(f"{label} lacks {name!r}")
            found.setdefault(name, setting.default)
        return found

    def _setting(
        self,
        attribute: AttributeMessage,
        setting: Setting,
        names: Mapping[str, Name],
        label: str,
        depth: int,
    ) -> Any:
        kind = KINDS.get(attribute.type)
        if kind != setting.kind:
            raise self.file.damaged(f"{label}: {attribute.name!r} is not of kind {setting.kind}")
        if kind == "tensor" and attribute.t is not None:
            array, dtype = self.tensors.array(attribute.t, f"{label}: {attribute.name!r}")
            return Known(array, dtype)
        if kind == "graph" and attribute.g is not None:
            return self._graph(attribute.g, names, depth + 1)
        if kind in ("tensor", "graph"):
            raise self.file.damaged(f"{label}: {attribute.name!r} is empty")
        if kind in ("floats", "ints", "texts"):
            return tuple(
                {"floats": attribute.floats, "ints": attribute.ints}.get(kind, attribute.strings)
            )
        return {"float": attribute.f, "int": attribute.i, "text": attribute.s}[str(kind)]

    def _refuse(self, reason: str, label: str) -> None:
        nodes = self._refused.setdefault(reason, [])
        nodes.append(label)
        self.file.take(200)


def plain(domain: str) -> str:
    """Returns a domain of operators, of which ONNX's own has two names."""
    return "" if domain == "ai.onnx" else domain


def versions(messages: Sequence[OpsetMessage]) -> dict[str, int]:
    """Returns the version of the operators of each domain."""
    return {plain(one.domain): one.version for one in messages}


def _called(call: Call, *given: Value) -> tuple[Value, ...]:
    return tuple(call.inner(call["body"], list(given)))


CALL: Final = Card(_called, reads_known=True)  # of an operator that the file defines


def _listed(nodes: list[str]) -> str:
    shown = ", ".join(nodes[:SHOWN])
    return f"{shown} and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else shown


__all__ = ["Graph", "GraphBuilder", "Initializer", "Input"]
