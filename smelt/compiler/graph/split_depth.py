"""Deep products with few results are computed in parts of the depth, which threads share.

The gradient of a small weight over many samples is such a product: its rows and columns, which
threads could share, are only a tile or two; or its tiles are parts of lines that are far apart,
whereas a part of the depth is contiguous. So the depth is cut into parts, whose sums are added up:

    before: matmul(a float32[16, 65536], b float32[65536, 16])
    after:  sum(matmul(a' float32[4, 16, 16384], b' float32[4, 16384, 16]), axes=(0,))

In a convolution (the gradient of a first layer's kernel), parts of the channels become groups:

    before: convolution(x float32[1, 64, 28, 28], w float32[8, 64, 26, 26], groups=1)
    after:  sum(reshape(convolution(x, w' float32[32, 16, 26, 26], groups=4), (1, 4, 8, 3, 3)))

How a product is cut depends on its shape alone, never on the number of threads.
"""

from __future__ import annotations

import math

from smelt.compiler.graph.applied import applied
from smelt.compiler.graph.product_blocking import is_read_by_columns
from smelt.ir.graph import Node
from smelt.ir.symbolic import is_symbolic
from smelt.ops import movement, reduction
from smelt.ops.op import Shape

ENOUGH = 4  # chunks of work for the threads
ROWS, COLUMNS = 32, 32  # of a product that are one chunk
SAMPLES, OUTPUTS = 8, 32  # of a convolution
PARTS = range(2, 9)  # how many there may be: each costs memory for its sums
LONG = 256  # depth of a part, at least
SMALL_PART = 8  # so many times more must be read than the sums of the parts take
MUCH = 1 << 21  # multiply-adds that are worth it


def split_product(node: Node) -> Node | None:
    """A product of deep matrices with few rows and columns -> parts of the depth, added up"""
    a, b = node.inputs
    (*batch, rows, columns), depth = node.shape, a.shape[-1]
    if any(map(is_symbolic, (*node.shape, depth))) or a.ndim != b.ndim or _is_half(node):
        return None
    chunks = math.prod(batch) * -(-rows // ROWS) * -(-columns // COLUMNS)
    if not batch and is_read_by_columns(node) and _is_much_deeper(rows, columns, depth):
        chunks = 1  # the tiles that threads would share read lines of which they need a part
    parts = _parts(depth, depth, chunks, math.prod(node.shape))
    if parts is None:
        return None
    before = len(batch)
    left = _with_parts(a, a.ndim - 1, parts, before)
    right = _with_parts(b, b.ndim - 2, parts, before)
    shape = (*batch, parts, rows, columns)
    products = Node(node.op, (left, right), node.attributes, shape, node.dtype, node.origin)
    return applied(reduction.sum, products, axes=(before,))


def split_convolution(node: Node) -> Node | None:
    """A convolution of many channels with few results -> parts of the channels, added up"""
    x, w = node.inputs
    if any(map(is_symbolic, (*node.shape, *x.shape, *w.shape))) or _is_half(node):
        return None
    samples, outputs, *positions = node.shape
    channels, *taps = w.shape[1:]
    chunks = -(-samples * math.prod(positions[:-1]) // SAMPLES) * -(-outputs // OUTPUTS)
    parts = _parts(channels, math.prod(w.shape[1:]), chunks, math.prod(node.shape))
    if parts is None or node.attributes["groups"] != 1:
        return None
    kernels = _with_parts(w, 1, parts, 0)  # (parts, O, C / parts, *K)
    kernels = _reshaped(kernels, (parts * outputs, channels // parts, *taps))
    attributes = node.attributes | {"groups": parts}
    shape = (samples, parts * outputs, *positions)
    sums = Node(node.op, (x, kernels), attributes, shape, node.dtype, node.origin)
    apart = _reshaped(sums, (samples, parts, outputs, *positions))
    return applied(reduction.sum, apart, axes=(1,))


def _parts(extent: int, depth: int, chunks: int, results: int) -> int | None:
    """Returns into how many equal parts an axis is cut, or None if that does not pay."""
    if chunks >= ENOUGH or results * depth < MUCH:
        return None
    fitting = (n for n in PARTS if extent % n == 0 and n * chunks >= ENOUGH and depth // n >= LONG)
    return next(fitting, None)


def _is_much_deeper(rows: int, columns: int, depth: int) -> bool:
    """Whether the parts' sums, written and read once more, are few compared with what is read."""
    return (rows + columns) * depth >= SMALL_PART * 2 * ENOUGH * rows * columns


def _is_half(node: Node) -> bool:
    """Whether sums would be rounded to half precision before they are added up."""
    return node.dtype.compute is not node.dtype


def _with_parts(operand: Node, axis: int, parts: int, before: int) -> Node:
    """Returns an operand with an axis cut into equal parts, whose number becomes axis `before`.

    A transposed operand stays a permutation of one that is not.
    """
    axes = tuple(range(operand.ndim))
    if operand.op is movement.permute:
        axes, (operand,) = operand.attributes["axes"], operand.inputs
    cut = axes[axis]
    extents = operand.shape
    pieces = (*extents[:cut], parts, extents[cut] // parts, *extents[cut + 1 :])
    moved = [one + (one >= cut) for one in axes]  # the axis within a part is after the parts'
    moved.insert(before, cut)
    return applied(movement.permute, _reshaped(operand, pieces), axes=tuple(moved))


def _reshaped(x: Node, shape: Shape) -> Node:
    return applied(movement.reshape, x, shape=shape)
