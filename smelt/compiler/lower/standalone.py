"""Lower groups with loop nests of their own shapes: running sums, scatters, sorts, random bits."""

from __future__ import annotations

from smelt.compiler.lower.kernel_builder import Index, KernelBuilder
from smelt.compiler.lower.nests import Body, nest
from smelt.compiler.lower.sorting import sort
from smelt.dtypes import int64
from smelt.ir.graph import Node
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Constant,
    Declare,
    Expression,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Statement,
    Store,
    Variable,
    constant,
    index_variable,
)
from smelt.ops.indexing import ScatterAdd
from smelt.ops.random import RandomBits
from smelt.ops.reduction import Cumulative
from smelt.ops.sorting import Argsort

WORDS = 4  # 32-bit words that a block of random bits has


def lower_standalone(builder: KernelBuilder) -> Body:
    """Returns the loops of a running sum, a scatter, a sort or a draw of random bits."""
    (node,) = builder.group.members
    return _NESTS[type(node.op)](builder, node)


def _running(builder: KernelBuilder, node: Node) -> Body:
    """For every line along the axis: acc = start; for t: acc = acc + x[t]; y[t] = acc"""
    op, (x,), axis = node.op, node.inputs, node.attributes["axis"]
    assert isinstance(op, Cumulative)
    index = tuple([builder.loop("i", extent) for extent in node.shape])
    start = int(op.start) if not node.dtype.is_float else op.start
    wide = op.accumulator_dtype(node.dtype)
    acc = Register(builder.fresh("acc"), wide)
    lets, element = builder.bind(builder.read(x, index))
    combined = Binary(op.combine, Read(acc), element.to(wide))
    store = Store(builder.output(node), index, Read(acc).to(node.dtype))
    line = nest([(index[axis], node.shape[axis])], (*lets, Assign(acc, (), combined), store))
    outer = [(index[i], node.shape[i]) for i in range(node.ndim) if i != axis]
    return nest(outer, (Declare(acc, Constant(start, wide)), *line))


def _scatter(builder: KernelBuilder, node: Node) -> Body:
    """Y = 0; for every element of g: y[..., index, ...] += g"""
    (g, indices), axis = node.inputs, node.attributes["axis"]
    zero = tuple([builder.loop("z", extent) for extent in node.shape])
    output = builder.output(node)
    clear = Store(output, zero, Constant(0, node.dtype))
    index = tuple([builder.loop("i", extent) for extent in g.shape])
    end = axis + indices.ndim
    lets, target = builder.bind(builder.read(indices, index[axis:end]).to(int64))
    row = Variable(builder.fresh("row"), int64)
    at = (*index[:axis], row, *index[end:])
    more, value = builder.bind(builder.read(g, index))
    body = (*lets, Let(row, target), *more, Store(output, at, Load(output, at) + value))
    return (
        *nest(list(zip(zero, node.shape, strict=True)), (clear,)),
        *nest(list(zip(index, g.shape, strict=True)), body),
    )


def _random(builder: KernelBuilder, node: Node) -> Body:
    """For every block: row = its four words; y[block, 0], ..., y[block, 3] = row"""
    blocks, remainder = divmod(node.size, WORDS)
    output = builder.output(node, (node.size,) if remainder else (blocks, WORDS))
    block = index_variable(builder.fresh("block"))
    body = _words(builder, node, output, block, WORDS)
    tail = _words(builder, node, output, constant(blocks), remainder)
    return ((Loop(block, 0, blocks, 1, tuple(body)),) if blocks else ()) + tuple(tail)


def _words(
    builder: KernelBuilder, node: Node, output: Buffer, block: Expression, count: int
) -> list[Statement]:
    """Returns the words of a block, kept together so that whole rows are written at once."""
    assert isinstance(node.op, RandomBits)

    def state(index: Index, mask: Expression | None = None) -> Expression:
        return builder.read(node.inputs[0], index, mask)

    lets, words = builder.bind_all(node.op.words(state, block)[:count])
    row = Buffer(builder.fresh("row"), (WORDS,), node.dtype)
    keep = [Store(row, (constant(k),), word) for k, word in enumerate(words)]
    word = index_variable(builder.fresh("word"))
    index = (block, word) if len(output.shape) == 2 else (block * WORDS + word,)
    write = Store(output, index, Load(row, (word,)))
    return [Scratch(row), *lets, *keep, Loop(word, 0, count, 1, (write,))] if count else []


_NESTS = {Cumulative: _running, ScatterAdd: _scatter, Argsort: sort, RandomBits: _random}
