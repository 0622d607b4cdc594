"""The messages of an ONNX file: which fields Smelt reads, by their numbers in the format.

A field that is not listed is skipped: documentation, and what only tools need.

https://github.com/onnx/onnx/blob/v1.17.0/onnx/onnx.proto
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple


class Span(NamedTuple):
    """Bytes of the file that are read later."""

    start: int
    size: int


class Field(NamedTuple):
    """What stands under a number: its name, its kind, and whether there may be several.

    The kind is "int", "float" or "text"; "span" for bytes that are read later; or a class of
    messages. Numbers of which there may be several are packed into spans, or stand one by one.
    """

    name: str
    kind: Any
    many: bool = False


Fields = dict[int, Field]


@dataclass(slots=True, eq=False)
class Entry:
    """A pair of texts: StringStringEntryProto."""

    FIELDS: ClassVar[Fields] = {1: Field("key", "text"), 2: Field("value", "text")}
    key: str = ""
    value: str = ""


@dataclass(slots=True, eq=False)
class TensorMessage:
    """An array: TensorProto. Its numbers stand in one of several fields, or in another file."""

    FIELDS: ClassVar[Fields] = {
        1: Field("dims", "int", True),
        2: Field("data_type", "int"),
        3: Field("segment", "span"),
        4: Field("float_data", "span", True),
        5: Field("int32_data", "span", True),
        6: Field("string_data", "span", True),
        7: Field("int64_data", "span", True),
        8: Field("name", "text"),
        9: Field("raw_data", "span"),
        10: Field("double_data", "span", True),
        11: Field("uint64_data", "span", True),
        12: Field("doc_string", "text"),
        13: Field("external_data", Entry, True),
        14: Field("data_location", "int"),
    }
    name: str = ""
    data_type: int = 0
    dims: list[int] = field(default_factory=list)
    segment: Span | None = None
    float_data: list[Span] = field(default_factory=list)
    int32_data: list[Span] = field(default_factory=list)
    string_data: list[Span] = field(default_factory=list)
    int64_data: list[Span] = field(default_factory=list)
    raw_data: Span | None = None
    double_data: list[Span] = field(default_factory=list)
    uint64_data: list[Span] = field(default_factory=list)
    doc_string: str = ""
    external_data: list[Entry] = field(default_factory=list)
    data_location: int = 0


@dataclass(slots=True, eq=False)
class SparseMessage:
    """An array that is mostly zeros: SparseTensorProto."""

    FIELDS: ClassVar[Fields] = {1: Field("values", TensorMessage)}
    values: TensorMessage | None = None


@dataclass(slots=True, eq=False)
class DimensionMessage:
    """An extent: a number, or a name for one that may change."""

    FIELDS: ClassVar[Fields] = {1: Field("dim_value", "int"), 2: Field("dim_param", "text")}
    dim_value: int | None = None
    dim_param: str = ""


@dataclass(slots=True, eq=False)
class ShapeMessage:
    """TensorShapeProto."""

    FIELDS: ClassVar[Fields] = {1: Field("dim", DimensionMessage, True)}
    dim: list[DimensionMessage] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class TensorTypeMessage:
    """TypeProto.Tensor."""

    FIELDS: ClassVar[Fields] = {1: Field("elem_type", "int"), 2: Field("shape", ShapeMessage)}
    elem_type: int = 0
    shape: ShapeMessage | None = None


@dataclass(slots=True, eq=False)
class TypeMessage:
    """TypeProto: a tensor, or something of which Smelt only has to know that it is none."""

    FIELDS: ClassVar[Fields] = {
        1: Field("tensor_type", TensorTypeMessage),
        4: Field("sequence_type", "span"),
        5: Field("map_type", "span"),
        8: Field("sparse_tensor_type", "span"),
        9: Field("optional_type", "span"),
    }
    tensor_type: TensorTypeMessage | None = None
    sequence_type: Span | None = None
    map_type: Span | None = None
    sparse_tensor_type: Span | None = None
    optional_type: Span | None = None


@dataclass(slots=True, eq=False)
class ValueMessage:
    """An input or an output: ValueInfoProto."""

    FIELDS: ClassVar[Fields] = {1: Field("name", "text"), 2: Field("type", TypeMessage)}
    name: str = ""
    type: TypeMessage | None = None


@dataclass(slots=True, eq=False)
class AttributeMessage:
    """A setting of a node: AttributeProto. `type` says in which of the fields it stands."""

    FIELDS: ClassVar[Fields]
    name: str = ""
    type: int = 0
    f: float = 0.0
    i: int = 0
    s: str = ""
    t: TensorMessage | None = None
    g: GraphMessage | None = None
    floats: list[Any] = field(default_factory=list)
    ints: list[Any] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    sparse_tensor: SparseMessage | None = None
    ref_attr_name: str = ""


@dataclass(slots=True, eq=False)
class NodeMessage:
    """A node: NodeProto."""

    FIELDS: ClassVar[Fields] = {
        1: Field("input", "text", True),
        2: Field("output", "text", True),
        3: Field("name", "text"),
        4: Field("op_type", "text"),
        5: Field("attribute", AttributeMessage, True),
        7: Field("domain", "text"),
    }
    input: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    name: str = ""
    op_type: str = ""
    attribute: list[AttributeMessage] = field(default_factory=list)
    domain: str = ""


@dataclass(slots=True, eq=False)
class GraphMessage:
    """A graph: GraphProto."""

    FIELDS: ClassVar[Fields] = {
        1: Field("node", NodeMessage, True),
        2: Field("name", "text"),
        5: Field("initializer", TensorMessage, True),
        11: Field("input", ValueMessage, True),
        12: Field("output", ValueMessage, True),
        15: Field("sparse_initializer", SparseMessage, True),
    }
    node: list[NodeMessage] = field(default_factory=list)
    name: str = ""
    initializer: list[TensorMessage] = field(default_factory=list)
    input: list[ValueMessage] = field(default_factory=list)
    output: list[ValueMessage] = field(default_factory=list)
    sparse_initializer: list[SparseMessage] = field(default_factory=list)


AttributeMessage.FIELDS = {
    1: Field("name", "text"),
    2: Field("f", "float"),
    3: Field("i", "int"),
    4: Field("s", "text"),
    5: Field("t", TensorMessage),
    6: Field("g", GraphMessage),
    7: Field("floats", "float", True),
    8: Field("ints", "int", True),
    9: Field("strings", "text", True),
    20: Field("type", "int"),
    21: Field("ref_attr_name", "text"),
    22: Field("sparse_tensor", SparseMessage),
}


@dataclass(slots=True, eq=False)
class OpsetMessage:
    """Which version of which operators: OperatorSetIdProto."""

    FIELDS: ClassVar[Fields] = {1: Field("domain", "text"), 2: Field("version", "int")}
    domain: str = ""
    version: int = 0


@dataclass(slots=True, eq=False)
class FunctionMessage:
    """An operator of the file's own, made of others: FunctionProto."""

    FIELDS: ClassVar[Fields] = {
        1: Field("name", "text"),
        4: Field("input", "text", True),
        5: Field("output", "text", True),
        7: Field("node", NodeMessage, True),
        9: Field("opset_import", OpsetMessage, True),
        10: Field("domain", "text"),
        11: Field("attribute_proto", AttributeMessage, True),
    }
    name: str = ""
    input: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    node: list[NodeMessage] = field(default_factory=list)
    opset_import: list[OpsetMessage] = field(default_factory=list)
    domain: str = ""
    attribute_proto: list[AttributeMessage] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ModelMessage:
    """The file: ModelProto."""

    FIELDS: ClassVar[Fields] = {
        1: Field("ir_version", "int"),
        2: Field("producer_name", "text"),
        7: Field("graph", GraphMessage),
        8: Field("opset_import", OpsetMessage, True),
        25: Field("functions", FunctionMessage, True),
    }
    ir_version: int = 0
    producer_name: str = ""
    graph: GraphMessage | None = None
    opset_import: list[OpsetMessage] = field(default_factory=list)
    functions: list[FunctionMessage] = field(default_factory=list)
