"""`save_onnx`: a module, or a function of tensors, as an ONNX file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from smelt.atomic import write_bytes
from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.signature import Call, flatten_call
from smelt.dtypes import DType
from smelt.errors import ArgumentError, CompileError, GradientError, MissingExtra
from smelt.export.collectives import check_no_collectives
from smelt.export.evaluated import evaluated
from smelt.export.names import input_names, state_names
from smelt.ir.graph import Node
from smelt.ir.symbolic import formula, is_symbolic
from smelt.nn.module import Module
from smelt.version import __version__

if TYPE_CHECKING:
    from smelt.export.onnx.axes import Axes, Given, Traced

__all__ = ["OnnxExport", "OnnxTensor", "save_onnx"]

Location = str | os.PathLike[str]
FIRST_OPSET, OPSET = 17, 18
MOST_BYTES = (1 << 31) - (1 << 20)  # of a file's tensors: protobuf counts bytes in an int


class OnnxTensor(NamedTuple):
    """An input or an output of a file; extents that may change are names or formulas of them."""

    name: str
    dtype: DType
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """What `save_onnx` wrote.

    Attributes:
        path: of the file.
        opset_version: which operations of ONNX it uses.
        inputs, outputs: in order.
        limits: what must hold of the lengths of dynamic axes, for the file to compute what the
            function does, as conditions of Python; empty where any length from 1 on will do.
    """

    path: str
    opset_version: int
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    limits: tuple[str, ...]


def save_onnx(
    model: Callable[..., Any],
    path: Location,
    *inputs: Any,
    dynamic_axes: Given | None = None,
    opset_version: int = OPSET,
    metadata: Mapping[str, str] | None = None,
) -> OnnxExport:
    """Writes a module, or a function of tensors, as an ONNX file, for inference.

    A module is traced in evaluation mode and has its modes back afterwards. Captured tensors become
    initializers called as in `named_parameters()`, inputs are called as the parameters of `forward`
    or of the function, outputs `output`, `output1`, and so on. Checks on data, such as that indices
    lie within bounds, are not part of a file.

    Args:
        model: a module or a function, compiled or not.
        path: of the file; another one in its place is replaced when all is written.
        inputs: what the model is called with: examples of shapes and dtypes.
        dynamic_axes: the axes whose extents may change, and names for them, as in
            `torch.onnx.export`: {"x": {0: "batch"}}; or a list of axes. Axes of one name have one
            length. Those of outputs follow; naming them says what they are called.
        opset_version: 17, or a later one that the installed library `onnx` knows.
        metadata: texts by name that the file holds as its `metadata_props`, such as the names of
            classes; a runtime ignores them, and a program can read them.

    Returns:
        What the file takes and gives, and for which lengths.

    Raises:
        ArgumentError: an argument is none of these; a dynamic axis that the model asks for as a
            number; tensors of more than 2 GiB.
        CompileError: an operation has no form in ONNX, or the model changes a tensor; the message
            names the operation, the module and the line. No file is written.
        FileError: the file cannot be written.
        MissingExtra: the library `onnx` is not installed.
    """
    _check_opset(opset_version)
    notes = _checked_metadata(metadata)
    if not callable(model):
        raise ArgumentError(f"save_onnx needs a module or a function, got {type(model).__name__}")
    # loaded when it is needed: all of this room that needs the library
    from smelt.export.onnx.axes import axes_of_inputs, parsed_axes, trace_any_length

    function = getattr(model, "function", model) if hasattr(model, "executables") else model
    call = flatten_call(inputs, {})
    names = input_names(call, function)
    given = parsed_axes(dynamic_axes)
    axes = axes_of_inputs(given, names, call.tensors)
    builder = Builder(function, getattr(function, "__name__", type(function).__name__))
    try:
        with evaluated(function):
            extents, check = _extents(call, function), functools.partial(_check_inference, function)
            traced, found = trace_any_length(builder, call, axes, extents, opset_version, check)
    except GradientError as error:
        raise CompileError(
            f"save_onnx: {builder.name} computes gradients, and an ONNX file has no training step; "
            "export the module, or write the step by to_c, to_library or to_wasm"
        ) from error
    outputs = _output_names(traced)
    lengths = _lengths_of_outputs(given, names, outputs, traced)
    written = _Written(names, outputs, axes, lengths, found, notes)
    content = _model(traced, function, written, opset_version, builder.name)
    write_bytes(path, content)
    given_nodes = traced.graph.arguments[: len(names)]
    return OnnxExport(
        os.fsdecode(path),
        opset_version,
        tuple(map(_described, names, given_nodes)),
        tuple(map(_described, outputs, traced.graph.outputs)),
        found,
    )


def _check_opset(opset: Any) -> None:
    try:
        from onnx import defs
    except ImportError:
        raise MissingExtra("save_onnx", "onnx") from None
    newest = defs.onnx_opset_version()
    if type(opset) is not int or not FIRST_OPSET <= opset <= newest:
        raise ArgumentError(
            f"save_onnx: opset_version must be an int from {FIRST_OPSET} to {newest} with the "
            f"installed version of onnx, got {opset!r}"
        )


def _checked_metadata(metadata: Any) -> Mapping[str, str]:
    given = {} if metadata is None else metadata
    if not isinstance(given, Mapping) or not all(
        isinstance(text, str) for pair in given.items() for text in pair
    ):
        raise ArgumentError(
            f"save_onnx: metadata must be a dict of texts by name, got {given!r:.200}"
        )
    return given


def _extents(call: Call, function: Any) -> set[int]:
    """Returns the extents of all that is known to be there."""
    parameters = function.parameters() if isinstance(function, Module) else ()
    return {extent for x in (*call.tensors, *parameters) for extent in x.shape}


def _check_inference(function: Any, traced: Traced) -> None:
    """Raises CompileError where a tensor is changed."""
    graph = traced.trace.traced.graph
    check_no_collectives("save_onnx", graph)
    for old, new in graph.updates:
        name, _ = state_names(traced.trace.traced, function)[graph.states.index(old)]
        lines = [
            f"save_onnx: {new.op.name} changes the state {name}, but an ONNX file has no state; "
            "call eval() on the modules, or return the new contents"
        ]
        lines += [f"in module {new.origin.module}"] if new.origin.module else []
        lines += [f"at {new.origin.line}"] if new.origin.line else []
        raise CompileError("\n  ".join(lines))


# --- names ----------------------------------------------------------------------------------------


class _Written(NamedTuple):
    """What is called how: inputs and outputs, axes of inputs, lengths of outputs by formula."""

    inputs: list[str]
    outputs: list[str]
    axes: list[Axes]
    lengths: dict[str | int, str]
    limits: tuple[str, ...]
    metadata: Mapping[str, str]


def _output_names(traced: Traced) -> list[str]:
    count = len(traced.graph.outputs)
    if not count:
        raise ArgumentError("save_onnx: the function returns no tensor")
    return [f"output{number or ''}" for number in range(count)]


def _lengths_of_outputs(
    given: Mapping[str, Mapping[int, str]],
    inputs: Sequence[str],
    outputs: Sequence[str],
    traced: Traced,
) -> dict[str | int, str]:
    """Returns what the user calls lengths of outputs, by their formulas."""
    nodes = dict(zip(outputs, traced.graph.outputs, strict=True))
    known: dict[str | int, str] = {}
    for name, axes in given.items():
        if name in inputs:
            continue
        if name not in nodes:
            has = ", ".join((*inputs, *outputs))
            raise ArgumentError(f"save_onnx: dynamic_axes names {name!r}; the file has {has}")
        shape = nodes[name].shape
        for axis, length in axes.items():
            if not -len(shape) <= axis < len(shape) or not is_symbolic(shape[axis]):
                raise ArgumentError(
                    f"save_onnx: axis {axis} of {name} does not change with the inputs; its shape "
                    f"is {_dimensions(shape)}"
                )
            if length not in traced.questions.symbols:
                known[formula(shape[axis])] = length
    return known


def _described(name: str, node: Node) -> OnnxTensor:
    return OnnxTensor(name, node.dtype, _dimensions(node.shape))


def _dimensions(shape: Sequence[Any]) -> tuple[int | str, ...]:
    return tuple([formula(extent) if is_symbolic(extent) else extent for extent in shape])


# --- the file -------------------------------------------------------------------------------------


def _model(
    traced: Traced, function: Callable[..., Any], written: _Written, opset: int, name: str
) -> bytes:
    """Returns the contents of the file, which the library has checked."""
    from onnx import checker, helper

    from smelt.export.onnx.table import reason, rule_of
    from smelt.export.onnx.writer import File, Writer, names_read, needed_nodes, rename

    graph, source = traced.graph, traced.trace.traced
    file = File(opset, rule_of, reason, written.lengths, traced.questions)
    writer = Writer(file)
    for text in (*written.inputs, *written.outputs):
        _check_free(file.name(text), text)
    count = len(written.inputs)
    for text, node, named in zip(
        written.inputs, graph.arguments[:count], written.axes, strict=True
    ):
        writer.values[node] = text
        for axis, length in named.items():
            file.lengths.sources.setdefault(length, (text, axis))
    for node, (number, dtype) in zip(graph.arguments[count:], source.numbers, strict=True):
        writer.values[node] = file.lengths.scalar(number, dtype)
    pairs = zip(graph.states, source.states, state_names(source, function), strict=True)
    for node, tensor, (text, kind) in pairs:
        note = "parameter" if kind == "parameters" else "buffer"
        writer.values[node] = file.initializer(file.name(text), tensor.stored, node.dtype, note)
    writer.compute(graph.outputs)
    made = writer.outputs(graph.outputs)
    rename(writer.nodes, dict(zip(made, written.outputs, strict=True)))

    nodes = needed_nodes([*file.prelude, *writer.nodes], set(written.outputs))
    read = {text for node in nodes for text in names_read(node)}
    initializers = [proto for text, proto in file.initializers.items() if text in read]
    _check_size(sum(len(proto.raw_data) for proto in initializers))
    proto = helper.make_graph(
        nodes,
        name,
        [
            file.type_of(text, node.dtype, node.shape)
            for text, node in zip(written.inputs, graph.arguments, strict=False)
        ],
        [
            file.type_of(text, node.dtype, node.shape)
            for text, node in zip(written.outputs, graph.outputs, strict=True)
        ],
        initializers,
        doc_string="\n".join(written.limits),
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        proto,
        producer_name="smelt",
        producer_version=__version__,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    if written.metadata:
        helper.set_model_props(model, dict(written.metadata))
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _check_free(name: str, wanted: str) -> None:
    if name != wanted:
        raise ArgumentError(
            f"save_onnx: two inputs or outputs are named {wanted!r}; rename the parameter"
        )


def _check_size(nbytes: int) -> None:
    if nbytes > MOST_BYTES:
        raise ArgumentError(
            f"save_onnx: the tensors take {nbytes:,} bytes, but an ONNX file holds at most "
            f"{MOST_BYTES:,}"
        )
