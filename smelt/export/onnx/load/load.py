"""`load_onnx`: an ONNX file as a module."""

from __future__ import annotations

import os

from smelt.export.bounded_file import bounded
from smelt.export.onnx.load.graph import GraphBuilder, plain, versions
from smelt.export.onnx.load.messages import ModelMessage
from smelt.export.onnx.load.module import OnnxModule, module_of
from smelt.export.onnx.load.tensors import Tensors
from smelt.export.onnx.load.wire import OnnxFile, Reader

__all__ = ["load_onnx"]

Location = str | os.PathLike[str]
LEAST_VERSION = 3  # of the format: 2017


def load_onnx(path: Location) -> OnnxModule:
    """Reads an ONNX file as a module that computes what its graph does, trains and compiles.

    Float initializers become parameters, called as in the file; scalars, running statistics and
    other initializers buffers. What the graph computes from constants and shapes alone is computed
    while Python runs, so that axes, sizes and lengths are numbers there. Integers that Smelt has
    not are widened: uint8, int8, int16 and uint16 to int32, uint32 to int64.

    Args:
        path: of the file. Tensors may stand in other files of its folder.

    Returns:
        The module, whose `forward` takes the graph's inputs, in order or by name.

    Raises:
        FileError: the file is missing, truncated, damaged or no ONNX model; or its tensors stand
            outside of its folder.
        CompileError: it has operators that Smelt cannot express; the message names all of them,
            with the nodes.
    """
    from smelt.export.onnx.load.table import card_of  # loaded when it is needed

    with bounded(path, OnnxFile) as file:
        reader = Reader(file)
        model = reader.message(ModelMessage, 0, file.size)
        if model.graph is None or model.ir_version < LEAST_VERSION or not model.opset_import:
            raise file.damaged("it has no graph, no version or no operators")
        opsets = versions(model.opset_import)
        functions = {(plain(one.domain), one.name): one for one in model.functions}
        builder = GraphBuilder(file, Tensors(file, reader), opsets, card_of, functions)
        graph = builder.build(model.graph)
    return module_of(graph, builder.initializers)
