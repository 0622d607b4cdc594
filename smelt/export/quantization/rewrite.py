"""Rewrite: a float32 graph with calibrated ranges -> the layers of a quantized model.

The graph is walked, rather than the tree of modules: it shows what any `forward` does, with its
residual additions, functional calls and reshapes, while a walk over modules sees layers and has to
guess what stands between them. A batch normalization is then a subtraction, a multiplication and an
addition of constants, and is folded like any other ones into the product before it.

Going through the nodes, each gets a value (`values.py`): an int8 in a register; a sum of products
that waits for what is done to it, so that bias, normalization and ReLU become part of its
requantization; or a function of one number that waits for whoever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from smelt.errors import CompileError
from smelt.export.quantization import functions, layers
from smelt.export.quantization.analysis import Analysis
from smelt.export.quantization.capture import located
from smelt.export.quantization.module import Instruction, Program, Returned
from smelt.export.quantization.ranges import Range
from smelt.export.quantization.report import LayerReport
from smelt.export.quantization.rules import rule_of
from smelt.export.quantization.sources import clip_bounds
from smelt.export.quantization.values import Float, Function, Pending, Quantized, Value
from smelt.ir.graph import Node
from smelt.ops import contraction, pooling
from smelt.ops.convolution import convolution
from smelt.ops.op import Op

__all__ = ["Rewriting"]


class Rewriting:
    """The layers of a quantized model while they are written.

    Args:
        analysis: of the graph.
        ranges: of each node that computes numbers, what calibration has seen.
        is_module: whether the graph is that of a module: its own name is left out of paths.
    """

    def __init__(self, analysis: Analysis, ranges: Mapping[Node, Range], is_module: bool) -> None:
        self.analysis: Analysis = analysis
        self.ranges: Mapping[Node, Range] = ranges
        self.constants: dict[Node, np.ndarray] = analysis.captured.constants
        self._is_module = is_module
        self._values: dict[Node, Value] = {}
        self._floats: dict[Node, int] = {}  # registers of what is in float32 besides
        self.layers: dict[str, layers.Layer] = {}
        self.instructions: list[Instruction] = []
        self._registers: int = 0
        self.rows: list[LayerReport] = []
        self.float_operations: dict[str, None] = {}

    def program(self) -> Program:
        """Writes everything; returns the calls in order."""
        graph = self.analysis.captured.graph
        scales = []
        for node in graph.arguments:
            scales.append(self.range_of(node).scale)
            self._values[node] = Quantized(self._registers, scales[-1])
            self._registers += 1
        for node in self.analysis.nodes:
            if node not in self._values and not self._is_read_of_windows(node):
                self._values[node] = self._value(node)
        outputs = tuple(map(self._returned, graph.outputs))
        return Program(tuple(self.instructions), tuple(scales), outputs)

    def _is_read_of_windows(self, node: Node) -> bool:
        """Whether a node is a part of max pooling, which the node behind it stands for."""
        is_float = node in self.analysis.floats or self.is_float(node.inputs[0])
        return node.op is pooling.window_argmax and not is_float

    def _returned(self, node: Node) -> Returned:
        if node in self.constants:
            raise CompileError(located("quantize: an output depends on no input", node))
        if isinstance(self._resolved(node), (Float, Function)):
            return Returned(self._as_float(node), None)
        quantized = self.quantized(node)
        return Returned(quantized.register, quantized.scale)

    # --- writing ----------------------------------------------------------------------------------

    def emit(self, layer: layers.Layer, reads: Sequence[int], node: Node) -> int:
        """Adds a layer and its call; returns the register that it writes."""
        name = self._name(layer, node)
        self.layers[name] = layer
        register = self._registers
        self._registers += 1
        self.instructions.append(Instruction(name, tuple(reads), register, node.origin.line))
        return register

    def emit_movement(self, register: int, node: Node) -> int:
        """Adds what brings elements to other places."""
        attributes = self.analysis.captured.attributes(node)
        return self.emit(layers.Movement(node.op, attributes), [register], node)  # type: ignore[arg-type]

    def _name(self, layer: layers.Layer, node: Node) -> str:
        """Returns a name of no other layer, after the path of the module."""
        parts = node.origin.module.split(".") if node.origin.module else []
        parts = parts[1:] if self._is_module else parts
        if not isinstance(layer, (layers.Linear, layers.Convolution)) or not parts:
            single = isinstance(layer, (layers.Movement, layers.FloatOperation))
            parts = [*parts, node.op.name if single else layer.kind]
        stem = name = "_".join(parts)
        number = 2
        while name in self.layers:
            name, number = f"{stem}_{number}", number + 1
        return name

    def add(
        self, layer: layers.Layer, given: Sequence[Quantized], node: Node, scale: float
    ) -> Quantized:
        """Adds a layer, its call and its line of the report; returns its result, of a scale."""
        start = len(self.instructions)
        register = self.emit(layer, [one.register for one in given], node)
        self._note(start, node, scale)
        return Quantized(register, scale)

    def _note(self, start: int, node: Node, scale: float | None) -> None:
        """Adds to the report the layers that were written for a node, from one on."""
        for one in self.instructions[start:]:
            layer = self.layers[one.layer]
            after = layers.bytes_of(layer)
            if not isinstance(layer, layers.Movement) or after:
                share = 0.0 if scale is None else self.range_of(node).saturation
                before = layer.bytes_before
                self.rows.append(LayerReport(one.layer, layer.kind, scale, share, before, after))

    # --- what is known of a node ------------------------------------------------------------------

    def range_of(self, node: Node) -> Range:
        """Returns the range of the numbers of a node; of moved ones, that of the ones they were."""
        while node not in self.ranges:
            node = node.inputs[0]
        return self.ranges[node]

    def is_float(self, node: Node) -> bool:
        """Whether a node is computed in float32."""
        return isinstance(self._values.get(node), Float)

    def pending(self, node: Node) -> Pending | None:
        """Returns a value that waits, if whoever asks is the only one that reads it."""
        value = self._values[node]
        if isinstance(value, Pending) and not self.analysis.is_shared(node):
            return value
        return None

    def quantized(self, node: Node) -> Quantized:
        """Returns the int8 of a node; writes what makes it where there is none yet."""
        value = self._resolved(node)
        if isinstance(value, Quantized):
            return value
        start, scale = len(self.instructions), self.range_of(node).scale
        if isinstance(value, Pending):
            made = value.source.finish(self, value, scale)
            self._note(start, node, scale)
        elif isinstance(value, Float):
            made = Quantized(self.emit(layers.Quantize(scale), [value.register], node), scale)
        else:
            given = self.quantized(value.root)
            table = functions.table(self.analysis, node, given.scale, scale)
            made = self.add(layers.Table(table), [given], node, scale)
        self._values[node] = made
        return made

    # --- functions of one number ------------------------------------------------------------------

    def _resolved(self, node: Node) -> Value:
        """Returns the value of a node, where it is a bounded one as that."""
        value = self._values[node]
        if isinstance(value, Function):
            value = self._values[node] = self._clipped(node, value.root) or value
        return value

    def _clipped(self, node: Node, root: Node) -> Pending | Quantized | None:
        """Returns a function of one number as bounds, of what waits or of its root; None where it
        is another function.
        """
        numbers = functions.points(self.range_of(root).bound)
        found = functions.values_within(self.analysis, node, numbers)
        if not self.analysis.is_shared(root):
            for base, values in found.items():
                pending = self._values[base]
                limits = functions.as_clip(values, found[node])
                if isinstance(pending, Pending) and limits is not None:
                    return pending.clipped(*limits)
        limits = functions.as_clip(found[root], found[node])
        if limits is None:
            return None
        given = self.quantized(root)
        return self.add(layers.Clip(*clip_bounds(*limits, given.scale)), [given], node, given.scale)

    # --- float32 ----------------------------------------------------------------------------------

    def _as_float(self, node: Node) -> int:
        """Returns a register with a node in float32."""
        if node in self._floats:
            return self._floats[node]
        value = self._resolved(node)
        if isinstance(value, Float):
            return value.register
        if isinstance(value, Function):
            self._as_float(value.root)
            for one in self.analysis.region(node):
                if one not in self._floats:
                    self._floats[one] = self._float_operation(one)
        else:
            given = self.quantized(node)
            layer = layers.Dequantize(given.scale)
            self._floats[node] = self.emit(layer, [given.register], node)
        return self._floats[node]

    def _float_operation(self, node: Node) -> int:
        """Writes an operation in float32; returns the register."""
        assert isinstance(node.op, Op)
        constants = [self.constants.get(operand) for operand in node.inputs]
        reads = [self._as_float(one) for one in node.inputs if one not in self.constants]
        attributes = self.analysis.captured.attributes(node)
        layer = layers.FloatOperation(node.op, attributes, constants)
        if not node.op.is_movement:
            within = f" in {node.origin.module}" if node.origin.module else ""
            self.float_operations[f"{node.op.name}{within}"] = None
        return self.emit(layer, reads, node)

    # --- operations -------------------------------------------------------------------------------

    def _value(self, node: Node) -> Value:
        """Returns what a node is."""
        operands = self.analysis.operands(node)
        is_product = node.op is contraction.matmul or node.op is convolution
        if node in self.analysis.floats or (any(map(self.is_float, operands)) and not is_product):
            return Float(self._float_operation(node))
        return rule_of(node)(self, node)
