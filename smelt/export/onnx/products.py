"""Sums of products in ONNX: matrix products and convolutions."""

from __future__ import annotations

from typing import Final

from smelt.export.onnx.writer import Rules, Writer
from smelt.ir.graph import Node
from smelt.ops.contraction import matmul
from smelt.ops.convolution import convolution
from smelt.ops.movement import pad


def _matmul(w: Writer, node: Node, a: str, b: str) -> str:
    return w.add("MatMul", a, b)


def _convolution(w: Writer, node: Node, x: str, kernel: str) -> str:
    """Padding before it becomes the padding of Conv."""
    if not node.dtype.is_float:
        raise w.refuse(node, f"Conv takes floats, got {node.dtype.name}")
    attributes, (operand, taps) = node.attributes, node.inputs
    pads = (0,) * (2 * len(attributes["stride"]))
    if operand.op is pad and _is_spatial(operand):
        pads = (*operand.attributes["low"][2:], *operand.attributes["high"][2:])
        x = w.values[operand.inputs[0]]
    return w.add(
        "Conv",
        x,
        kernel,
        kernel_shape=list(taps.shape[2:]),
        strides=list(attributes["stride"]),
        dilations=list(attributes["dilation"]),
        group=attributes["groups"],
        pads=list(pads),
    )


def _is_spatial(node: Node) -> bool:
    """Whether zeros come before and behind the elements of the spatial axes only."""
    low, high, step = (node.attributes[name] for name in ("low", "high", "step"))
    sides = (*low, *high)
    plain = all(type(count) is int for count in sides) and set(step) == {1}
    return plain and not any((*low[:2], *high[:2]))


RULES: Final[Rules] = {matmul: _matmul, convolution: _convolution}
