"""Rules: what each operation of the float32 graph becomes; see `rewrite.py`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from smelt.errors import CompileError
from smelt.export.quantization import layers
from smelt.export.quantization.capture import located
from smelt.export.quantization.fixed_point import LARGEST, fixed_point_terms
from smelt.export.quantization.sources import Combined, Total, Weighted
from smelt.export.quantization.values import Function, Pending, Quantized, Value
from smelt.ir.graph import Node
from smelt.ir.operation import Operation
from smelt.ir.symbolic import is_symbolic
from smelt.ops import contraction, elementwise, indexing, movement, pooling, reduction
from smelt.ops.barrier import optimization_barrier
from smelt.ops.convolution import convolution
from smelt.ops.detach import detach
from smelt.ops.elementwise import Elementwise

if TYPE_CHECKING:
    from smelt.export.quantization.rewrite import Rewriting

__all__ = ["rule_of"]

Rule = Callable[["Rewriting", Node], Value]
AFFINE = (elementwise.add, elementwise.sub, elementwise.mul, elementwise.div, elementwise.neg)
ONE: np.ndarray = np.ones(())
NOTHING: np.ndarray = np.zeros(())


def rule_of(node: Node) -> Rule:
    """Returns the rule for an operation that has an integer form."""
    if node.op in RULES:
        return RULES[node.op]
    return _elementwise if isinstance(node.op, Elementwise) else _moved


# --- products and sums ----------------------------------------------------------------------------


def _matmul(rewriting: Rewriting, node: Node) -> Value:
    sides = [rewriting.constants.get(operand) for operand in node.inputs]
    left, right = sides
    if right is not None and right.ndim == 2:
        read = rewriting.quantized(node.inputs[0])
        weight = right.T.astype(np.float64)
        return _waiting(Weighted(node, read, weight, -1, layers.Linear))
    depth = node.inputs[0].shape[-1]
    if left is None and right is None:
        read, other = map(rewriting.quantized, node.inputs)
        make = functools.partial(layers.MatrixProduct, None, False)
        return _total(node, (read, other), read.scale * other.scale, depth * LARGEST**2, make)
    is_left = left is not None
    constant = left if left is not None else right
    assert constant is not None
    read = rewriting.quantized(node.inputs[1 if is_left else 0])
    scale = float(np.abs(constant).max(initial=0.0)) / LARGEST or 1.0
    whole = np.rint(constant / scale).astype(np.int8)
    make = functools.partial(layers.MatrixProduct, whole, is_left)
    return _total(node, (read,), read.scale * scale, depth * LARGEST**2, make)


def _convolution(rewriting: Rewriting, node: Node) -> Value:
    x, kernel = node.inputs
    settings = node.attributes
    return _waiting(
        Weighted(
            node,
            rewriting.quantized(x),
            rewriting.constants[kernel].astype(np.float64),
            1 - node.ndim,
            lambda weight, bias: layers.Convolution(weight, bias, settings),
        )
    )


def _sum(rewriting: Rewriting, node: Node) -> Value:
    (x,), axes = node.inputs, node.attributes["axes"]
    count = math.prod(x.shape[axis] for axis in axes)
    if is_symbolic(count):
        raise CompileError(
            located("quantize: sum adds up samples, of which there may be any number", node)
        )
    read = rewriting.quantized(x)
    make = functools.partial(layers.Sum, axes)
    return _total(node, (read,), read.scale, count * LARGEST, make)


def _total(
    node: Node,
    given: tuple[Quantized, ...],
    step: float,
    largest: float,
    make: Callable[[np.ndarray | None], layers.Layer],
) -> Pending:
    reads = tuple([one.register for one in given])
    return _waiting(Total(node, reads, step, largest, make))


def _waiting(source: Combined | Total | Weighted) -> Pending:
    return Pending(source, ONE, NOTHING)


# --- elementwise ----------------------------------------------------------------------------------


def _elementwise(rewriting: Rewriting, node: Node) -> Value:
    operands = rewriting.analysis.operands(node)
    root = rewriting.analysis.roots[node]
    if len(operands) > 1:
        return Function(root) if root is not node else _of_two(rewriting, node)
    (operand,) = operands
    is_affine = node.op in AFFINE and node.inputs.count(operand) == 1
    pending = rewriting.pending(operand)
    if pending is not None:
        made = _affine(rewriting, node, pending) if is_affine else None
        made = made or _bounded(rewriting, node, pending)
        if made is not None:
            return made
    if root is not node:
        return Function(root)
    terms = ((rewriting.quantized(operand), 1.0),)
    made = _affine(rewriting, node, _waiting(Combined(node, terms)))
    assert made is not None, node
    return made


def _affine(rewriting: Rewriting, node: Node, x: Pending) -> Pending | None:
    """Returns x plus, times or over a constant; None where it cannot wait."""
    if node.op is elementwise.neg:
        return x.times(-ONE)
    constants = [rewriting.constants.get(operand) for operand in node.inputs]
    is_first = constants[0] is None
    constant = np.asarray(constants[1] if is_first else constants[0], np.float64)
    if node.op is elementwise.add:
        return x.plus(constant)
    if node.op is elementwise.mul:
        return x.times(constant)
    if node.op is elementwise.sub:
        if is_first:
            return x.plus(-constant)
        opposite = x.times(-ONE)
        return None if opposite is None else opposite.plus(constant)
    is_divisor = is_first and bool(constant.all())
    return x.times(1 / constant) if is_divisor else None


def _bounded(rewriting: Rewriting, node: Node, x: Pending) -> Pending | None:
    """Returns x with a bound, of a ReLU, or where it is compared with a number."""
    if node.op is elementwise.relu:
        return x.clipped(0.0, math.inf)
    if node.op is not elementwise.maximum and node.op is not elementwise.minimum:
        return None
    constants = [one for one in map(rewriting.constants.get, node.inputs) if one is not None]
    if len(constants) != 1 or constants[0].size != 1 or not np.isfinite(constants[0]).all():
        return None
    bound = float(constants[0].reshape(()))
    if node.op is elementwise.maximum:
        return x.clipped(bound, math.inf)
    return x.clipped(-math.inf, bound)


def _of_two(rewriting: Rewriting, node: Node) -> Value:
    a, b = map(rewriting.quantized, node.inputs)
    if node.op is elementwise.mul:
        return _total(node, (a, b), a.scale * b.scale, LARGEST**2, layers.Multiplication)
    sign = -1.0 if node.op is elementwise.sub else 1.0
    return _waiting(Combined(node, ((a, 1.0), (b, sign))))


# --- elements in other places, and the largest ones -----------------------------------------------


def _moved(rewriting: Rewriting, node: Node) -> Value:
    operand = node.inputs[0]
    if node.op is movement.reshape or node.op is movement.permute:
        pending = rewriting.pending(operand)
        made = None if pending is None else pending.moved(node)
        if made is not None:
            return made
    given = rewriting.quantized(operand)
    return Quantized(rewriting.emit_movement(given.register, node), given.scale)


def _same(rewriting: Rewriting, node: Node) -> Value:
    return rewriting.quantized(node.inputs[0])


def _taken(rewriting: Rewriting, node: Node) -> Value:
    given = rewriting.quantized(node.inputs[0])
    index = rewriting.constants[node.inputs[1]].astype(np.int32)
    attributes = rewriting.analysis.captured.attributes(node)
    layer = layers.Movement(indexing.take, attributes, index)
    return rewriting.add(layer, [given], node, given.scale)


def _concatenated(rewriting: Rewriting, node: Node) -> Value:
    scale = rewriting.range_of(node).scale
    parts = [_rescaled(rewriting, node, operand, scale) for operand in node.inputs]
    layer = layers.Concatenation(node.attributes["axis"])
    return rewriting.add(layer, parts, node, scale)


def _rescaled(rewriting: Rewriting, node: Node, operand: Node, scale: float) -> Quantized:
    given = rewriting.quantized(operand)
    if given.scale == scale:
        return given
    multipliers, offset, shift = fixed_point_terms([np.asarray(given.scale / scale)], NOTHING)
    layer = layers.Combination(multipliers, offset, shift, -LARGEST, LARGEST)
    return rewriting.add(layer, [given], node, scale)


def _max_pooled(rewriting: Rewriting, node: Node) -> Value:
    given = rewriting.quantized(node.inputs[0])
    return rewriting.add(layers.MaxPool(node.attributes), [given], node, given.scale)


def _extreme(rewriting: Rewriting, node: Node) -> Value:
    given = rewriting.quantized(node.inputs[0])
    layer = layers.Extreme(node.op, node.attributes["axes"])  # type: ignore[arg-type]
    return rewriting.add(layer, [given], node, given.scale)


RULES: dict[Operation, Rule] = {
    contraction.matmul: _matmul,
    convolution: _convolution,
    detach: _same,
    indexing.take: _taken,
    movement.concatenate: _concatenated,
    optimization_barrier: _same,
    pooling.window_take: _max_pooled,
    reduction.max: _extreme,
    reduction.min: _extreme,
    reduction.sum: _sum,
}
