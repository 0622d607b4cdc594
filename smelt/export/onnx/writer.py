"""Writer: what the rules write with. It makes nodes, names and constants of one ONNX graph.

A value is the name of an ONNX tensor. Constants and captured tensors are initializers of the main
graph; so is arithmetic on lengths, which depends on the inputs alone and stands at its beginning.
The body of a loop or a branch is a graph of its own, which sees all names of those around it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from smelt.dtypes import DType, encode
from smelt.errors import CompileError
from smelt.export.onnx.lengths import Arithmetic
from smelt.export.onnx.types import TYPES
from smelt.ir.graph import CONSTANT, Leaf, Node, Origin, topological
from smelt.ir.operation import Operation
from smelt.ir.symbolic import Guards, formula, is_symbolic
from smelt.ops.op import Shape

Value = Any  # the name of a tensor; of a loop or a branch, the names of its results
Rule = Callable[..., Value]  # (writer, node, *operands) -> what the node is called
Rules = Mapping[Operation, Rule]


class File:
    """What all graphs of a file share.

    `length_names` are what dimensions of a formula are called, where that is not the formula.
    """

    def __init__(
        self,
        opset: int,
        rule_of: Callable[[Operation], Rule | None],
        refuse: Callable[[Operation], str],
        length_names: Mapping[str | int, str],
        questions: Guards,
    ) -> None:
        self.opset = opset
        self.rule_of = rule_of
        self.refuse = refuse
        self.length_names = length_names
        self.questions = questions  # of the lengths; a rule asks none
        self.initializers: dict[str, Any] = {}
        self.prelude: list[Any] = []  # nodes that compute lengths
        self.taken: set[str] = set()
        self._known: dict[Any, str] = {}  # constants by their contents
        self.lengths: Arithmetic = Arithmetic(self)

    def name(self, stem: str) -> str:
        """Returns a name that nothing else has."""
        name, number = stem, 0
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def initializer(self, name: str, array: np.ndarray, dtype: DType, note: str) -> str:
        """Returns the name of a stored tensor; `note` says what it is: "parameter", "buffer" or
        "constant".
        """
        contents = np.ascontiguousarray(array).tobytes()
        proto = helper.make_tensor(name, TYPES[dtype.name], array.shape, contents, raw=True)
        proto.doc_string = note
        self.initializers[name] = proto
        return name

    def constant(self, array: np.ndarray, dtype: DType) -> str:
        """Returns a stored tensor of this contents, the same for equal ones."""
        key = dtype.name, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = self.initializer(self.name("constant"), array, dtype, "constant")
        return self._known[key]

    def prepend(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Writes a node at the beginning of the main graph; returns its output."""
        output = self.name("length")
        self.prelude.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        return output

    def type_of(self, name: str, dtype: DType, shape: Shape) -> Any:
        """Returns what a file says of an input or an output."""
        texts = [formula(extent) if is_symbolic(extent) else extent for extent in shape]
        dimensions = [self.length_names.get(text, text) for text in texts]
        return helper.make_tensor_value_info(name, TYPES[dtype.name], dimensions)


class Writer:
    """Writes the nodes of one graph: of the main one, or of a body."""

    def __init__(self, file: File, around: Writer | None = None) -> None:
        self.file = file
        self.nodes: list[Any] = []
        self.values: dict[Node, Value] = {} if around is None else dict(around.values)
        self._origin = Origin()

    # --- what rules call --------------------------------------------------------------------------

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Writes a node; returns its output."""
        return self.add_all(op_type, inputs, 1, **attributes)[0]

    def add_all(
        self, op_type: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """Writes a node of several outputs; returns them."""
        self._check_known(op_type)
        outputs = [self.file.name(op_type.lower()) for _ in range(count)]
        module = self._origin.module.replace(".", "/")
        name = self.file.name("/".join(part for part in (module, op_type) if part))
        doc = place(self._origin)
        self.nodes.append(
            helper.make_node(op_type, list(inputs), outputs, name, doc or None, **attributes)
        )
        return outputs

    def scalar(self, value: Any, dtype: DType) -> str:
        """Returns a number, which may depend on lengths, as a tensor of shape ()."""
        if is_symbolic(value):
            return self.file.lengths.scalar(value, dtype)
        return self.file.constant(np.asarray(encode(np.asarray(value), dtype)), dtype)

    def ints(self, numbers: Iterable[Any]) -> str:
        """Returns numbers, which may depend on lengths, as an int64 tensor (n)."""
        return self.file.lengths.vector(list(numbers))

    def cast(self, x: str, dtype: DType) -> str:
        """Returns a tensor in another dtype."""
        return self.add("Cast", x, to=TYPES[dtype.name])

    def filled(self, shape: Shape, value: Any, dtype: DType) -> str:
        """Returns a tensor of equal numbers."""
        number = self.scalar(value, dtype)
        return self.add("Expand", number, self.ints(shape)) if shape else number

    def reshape(self, x: str, shape: Shape, before: Shape = ()) -> str:
        """Returns a tensor under another shape; `before` is the one that it has."""
        known = [-1 if is_symbolic(extent) else extent for extent in shape]
        for axis, extent in enumerate(shape):  # 0 stands for the extent that x has there
            if known.count(-1) > 1 and axis < len(before) and is_symbolic(extent):
                known[axis] = 0 if same(extent, before[axis]) else -1
        return self.add("Reshape", x, self.ints(known if known.count(-1) < 2 else shape))

    def squeezed(self, x: str, axes: Sequence[int]) -> str:
        """Returns a tensor without axes of extent 1."""
        return self.add("Squeeze", x, self.ints(axes)) if axes else x

    def sliced(self, x: str, axes: Sequence[int], bounds: Sequence[Sequence[Any]]) -> str:
        """Returns `x[start:stop:step]` along some axes; `bounds` are starts, stops, steps."""
        starts, stops, steps = map(self.ints, bounds)
        return self.add("Slice", x, starts, stops, self.ints(axes), steps)

    def flipped(self, x: str, axes: Sequence[int]) -> str:
        """Returns a tensor whose elements along some axes stand in opposite order."""
        count = len(axes)
        ends = [np.iinfo(np.int64).min] * count
        return self.sliced(x, axes, ([-1] * count, ends, [-1] * count)) if count else x

    def transposed(self, x: str, axes: Sequence[int]) -> str:
        """Returns a tensor with its axes in another order."""
        moves = list(axes) != sorted(axes)
        return self.add("Transpose", x, perm=list(axes)) if moves else x

    def refuse(self, node: Node, why: str) -> CompileError:
        """Returns the error for what ONNX cannot express."""
        return refusal(node, why)

    def needs_opset(self, node: Node, opset: int) -> None:
        """Raises where an operation came later than the file's opset."""
        if self.file.opset < opset:
            raise refusal(node, f"it needs opset_version={opset} or later")

    # --- graphs -----------------------------------------------------------------------------------

    def compute(self, roots: Iterable[Node]) -> None:
        """Writes what gives each root its value."""
        for node in topological(roots, set(self.values)):
            if node not in self.values:
                self.values[node] = self._value(node)

    def _value(self, node: Node) -> Value:
        self._origin = node.origin
        if node.op is CONSTANT:
            return self.file.constant(node.attributes["array"], node.dtype)
        if not any(is_symbolic(extent) for extent in node.shape) and not math.prod(node.shape):
            empty = np.empty(node.shape, node.dtype.storage)
            return self.file.constant(empty, node.dtype)
        rule = None if isinstance(node.op, Leaf) else self.file.rule_of(node.op)
        if rule is None:
            raise refusal(node, self.file.refuse(node.op))
        operands = [self.values[operand] for operand in node.inputs]
        asked = len(self.file.questions.outcomes)
        value = rule(self, node, *operands)
        if len(self.file.questions.outcomes) > asked:
            raise refusal(node, "it needs fixed lengths; leave them out of dynamic_axes")
        return value

    def inner(self, leaves: Mapping[Node, str], roots: Sequence[Node]) -> tuple[Writer, list[str]]:
        """Returns the writer of a body, and what its roots are called there.

        A name that comes from outside, or twice, cannot be an output and is copied.
        """
        inner = Writer(self.file, self)
        inner.values |= leaves
        inner.compute(roots)
        return inner, inner.outputs(roots)

    def outputs(self, roots: Sequence[Node]) -> list[str]:
        """Returns a name of its own, made in this graph, for each root."""
        made = {output for node in self.nodes for output in node.output}
        names: list[str] = []
        for root in roots:
            name = self.values[root]
            fresh = name in made and name not in names
            names.append(name if fresh else self.add("Identity", name))
        return names

    def body(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Returns the graph of a body; inputs and outputs with their types."""
        needed = needed_nodes(self.nodes, {one.name for one in outputs})
        return helper.make_graph(needed, self.file.name(name), list(inputs), list(outputs))

    def _check_known(self, op_type: str) -> None:
        schema = onnx.defs.get_schema(op_type, self.file.opset)
        assert not schema.deprecated, op_type


# --- names and places -----------------------------------------------------------------------------


def place(origin: Origin) -> str:
    """Returns a node's module and line, without the folder of the file."""
    file, _, line = origin.line.rpartition(":")
    short = f"{os.path.basename(file)}:{line}" if file else ""
    return " ".join(part for part in (origin.module, short) if part)


def refusal(node: Node, why: str) -> CompileError:
    """Returns the error for an operation that is not written."""
    lines = [f"save_onnx: cannot write {node.op.name} to this ONNX file: {why}"]
    lines += [f"in module {node.origin.module}"] if node.origin.module else []
    lines += [f"at {node.origin.line}"] if node.origin.line else []
    return CompileError("\n  ".join(lines))


def same(a: Any, b: Any) -> bool:
    """Whether two extents are equal for all lengths; asks nothing of a symbolic one."""
    return formula(a) == formula(b)


def same_shape(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal for all lengths."""
    return len(a) == len(b) and all(map(same, a, b))


# --- what is needed -------------------------------------------------------------------------------


def _graphs(node: Any) -> list[Any]:
    """Returns the bodies of a loop or a branch."""
    return [attribute.g for attribute in node.attribute if attribute.type == attribute.GRAPH]


def names_read(node: Any) -> set[str]:
    """Returns the names that a node reads, its bodies included."""
    names = {name for name in node.input if name}
    for graph in _graphs(node):
        names |= {output.name for output in graph.output}
        for inner in graph.node:
            names |= names_read(inner)
    return names


def needed_nodes(nodes: Sequence[Any], wanted: set[str]) -> list[Any]:
    """Returns the nodes, in order, that the wanted names are computed from."""
    needed, wanted = [], set(wanted)
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            needed.append(node)
            wanted |= names_read(node)
    return needed[::-1]


def rename(nodes: Iterable[Any], names: Mapping[str, str]) -> None:
    """Gives values other names, wherever they are made and read."""
    for node in nodes:
        for field in (node.input, node.output):
            for number, name in enumerate(field):
                field[number] = names.get(name, name)
        for graph in _graphs(node):
            rename(graph.node, names)
            for output in graph.output:
                output.name = names.get(output.name, output.name)
