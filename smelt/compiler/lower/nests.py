"""Plain loops of a pointwise, rowwise or gemm group: one nest, its members one after another."""

from __future__ import annotations

from smelt.compiler.lower.kernel_builder import KernelBuilder
from smelt.ir.graph import Node
from smelt.ir.loops import (
    Assign,
    Binary,
    Constant,
    Declare,
    Expression,
    Loop,
    Read,
    Register,
    Statement,
    Variable,
)
from smelt.ir.visit import Body, Index
from smelt.ops.convolution import convolution
from smelt.ops.elementwise import broadcast_index
from smelt.ops.reduction import Reduction

Loops = list[tuple[Expression, int]]  # each an index and its extent, the first outermost


def nest(loops: Loops, body: Body) -> Body:
    """Returns `body` inside loops from 0, the first outermost; an index that is 0 needs none."""
    for index, extent in reversed(loops):
        if isinstance(index, Variable):
            body = (Loop(index, 0, extent, 1, body),)
    return body


def lower_nest(builder: KernelBuilder) -> Body:
    """Returns the loops of a group: the shared ones outside, those of each member within."""
    statements: list[Statement] = []
    for node in builder.group.members:
        statements += _member(builder, node)
    loops = list(zip(builder.outer, builder.group.iteration_space, strict=True))
    return nest(loops, (*builder.scratch_statements(), *statements))


def _member(builder: KernelBuilder, node: Node) -> Body:
    """Returns the statements that compute a member within the outer loops."""
    extents = node.shape[len(builder.outer) :]
    inner = tuple([builder.loop("j", extent) for extent in extents])
    index = builder.outer + inner
    builder.forget_inlined()
    if node.op.is_inlinable:
        statements, value = builder.bind(builder.inline(node, index, None))
    else:
        statements, value = _accumulated(builder, node, index)
    statements += builder.emit_result(node, index, value)
    return nest(list(zip(inner, extents, strict=True)), tuple(statements))


def _accumulated(
    builder: KernelBuilder, node: Node, index: Index
) -> tuple[list[Statement], Expression]:
    """Returns the loops of a reduction or contraction, and the expression of its result."""
    if isinstance(node.op, Reduction):
        return _reduction(builder, node, node.op, index)
    if node.op is convolution:
        product, loops = _convolution(builder, node, index)
    else:
        product, loops = _matmul(builder, node, index)
    start = Constant(0, node.inputs[0].dtype)
    statements, value = accumulate(builder, "add", start, product, loops)
    return list(statements), value


def _reduction(
    builder: KernelBuilder, node: Node, op: Reduction, index: Index
) -> tuple[list[Statement], Expression]:
    (x,), axes = node.inputs, node.attributes["axes"]
    inner = {axis: builder.loop("k", x.shape[axis]) for axis in axes}
    outer = iter(index)
    at = tuple([inner[axis] if axis in inner else next(outer) for axis in range(x.ndim)])
    loops = [(inner[axis], x.shape[axis]) for axis in axes]
    start = Constant(op.start_value(node.dtype), x.dtype)
    statements, value = accumulate(builder, op.combine, start, builder.read(x, at), loops)
    return list(statements), value


def _matmul(builder: KernelBuilder, node: Node, index: Index) -> tuple[Expression, Loops]:
    """Returns the product to sum up for the element at `index`, and the loop of the sum."""
    a, b = node.inputs
    k = builder.loop("k", a.shape[-1])
    *batch, row, column = index
    left = builder.read(a, (*broadcast_index(tuple(batch), a.shape[:-2]), row, k))
    right = builder.read(b, (*broadcast_index(tuple(batch), b.shape[:-2]), k, column))
    return left * right, [(k, a.shape[-1])]


def _convolution(builder: KernelBuilder, node: Node, index: Index) -> tuple[Expression, Loops]:
    """Returns the product to sum up for the element at `index`, and the loops of the sum.

    y[n, o, p] = sum over c, k of x[n, o's group of channels + c, p * stride + k * dilation]
    * w[o, c, k]
    """
    x, w = node.inputs
    inner = [builder.loop("k", extent) for extent in w.shape[1:]]
    n, o, *position = index
    outputs = w.shape[0] // node.attributes["groups"]
    channel = o // outputs * w.shape[1] + inner[0]
    at = (n, channel, *input_position(node, tuple(position), tuple(inner[1:])))
    product = builder.read(x, at) * builder.read(w, (o, *inner))
    return product, list(zip(inner, w.shape[1:], strict=True))


def input_position(node: Node, position: Index, tap: Index) -> Index:
    """Returns the position in x of a convolution's tap, when its kernel is at a position of y."""
    strides, dilations = node.attributes["stride"], node.attributes["dilation"]
    axes = zip(position, strides, tap, dilations, strict=True)
    return tuple([p * stride + k * gap for p, stride, k, gap in axes])


def accumulate(
    builder: KernelBuilder, combine: str, start: Expression, element: Expression, loops: Loops
) -> tuple[Body, Read]:
    """Returns the statements that combine an element over loops in a register, and the result."""
    register = Register(builder.fresh("acc"), element.dtype)
    lets, value = builder.bind(element)
    step = Assign(register, (), Binary(combine, Read(register), value))
    return (Declare(register, start), *nest(loops, (*lets, step))), Read(register)
