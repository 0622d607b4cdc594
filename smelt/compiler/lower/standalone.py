"""Lower what has a loop nest of its own shape: running sums, scatters, sorts, random bits."""

from __future__ import annotations

from smelt.compiler.lower.kernel_builder import Index, KernelBuilder
from smelt.compiler.lower.nests import Body, nest
from smelt.dtypes import bool_, int64
from smelt.ir.graph import Node
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Cast,
    Constant,
    Declare,
    Expression,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Select,
    Statement,
    Store,
    Unary,
    Variable,
    constant,
    index_variable,
)
from smelt.ops.indexing import Argsort, ScatterAdd
from smelt.ops.random import RandomBits
from smelt.ops.reduction import Cumulative

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
    acc = Register(builder.fresh("acc"), node.dtype)
    lets, element = builder.bind(builder.read(x, index))
    combined = Binary(op.combine, Read(acc), element)
    store = Store(builder.output(node), index, Read(acc))
    along = nest([(index[axis], node.shape[axis])], (*lets, Assign(acc, (), combined), store))
    others = [(index[i], node.shape[i]) for i in range(node.ndim) if i != axis]
    return nest(others, (Declare(acc, Constant(start, node.dtype)), *along))


def _scatter(builder: KernelBuilder, node: Node) -> Body:
    """Y = 0; for every element of g: y[..., index, ...] += g"""
    (g, places), axis = node.inputs, node.attributes["axis"]
    zero = tuple([builder.loop("z", extent) for extent in node.shape])
    output = builder.output(node)
    clear = Store(output, zero, Constant(0, node.dtype))
    index = tuple([builder.loop("i", extent) for extent in g.shape])
    chosen = index[axis : axis + places.ndim]
    lets, place = builder.bind(Cast(builder.read(places, chosen), int64))
    row = Variable(builder.fresh("row"), int64)
    at = (*index[:axis], row, *index[axis + places.ndim :])
    more, value = builder.bind(builder.read(g, index))
    add = Store(output, at, Binary("add", Load(output, at), value))
    body = (*lets, Let(row, place), *more, add)
    return (
        *nest(list(zip(zero, node.shape, strict=True)), (clear,)),
        *nest(list(zip(index, g.shape, strict=True)), body),
    )


def _sort(builder: KernelBuilder, node: Node) -> Body:
    """A stable bottom-up merge sort of each row; a pass merges runs of `width` two by two.

    The passes go to and fro between the result and a workspace of its size, so that the last one
    ends in the result.
    """
    (x,), length = node.inputs, node.shape[-1]
    rows = tuple([builder.loop("i", extent) for extent in node.shape[:-1]])
    here, there = builder.output(node), builder.workspace()
    passes = max(length - 1, 0).bit_length()
    if passes % 2:
        here, there = there, here
    k = index_variable(builder.fresh("k"))
    body: list[Statement] = [Loop(k, 0, length, 1, (Store(here, (*rows, k), k),))]
    for number in range(passes):
        body += _merge(builder, x, rows, here, there, 1 << number, length)
        here, there = there, here
    return nest(list(zip(rows, node.shape[:-1], strict=True)), tuple(body))


def _merge(
    builder: KernelBuilder,
    x: Node,
    rows: Index,
    source: Buffer,
    target: Buffer,
    width: int,
    length: int,
) -> list[Statement]:
    left = Register(builder.fresh("left"), int64)
    right = Register(builder.fresh("right"), int64)
    k = index_variable(builder.fresh("k"))

    def name(stem: str, value: Expression) -> Variable:
        variable = Variable(builder.fresh(stem), value.dtype)
        body.append(Let(variable, value))
        return variable

    def at_most_length(value: Expression) -> Expression:
        return Binary("minimum", value, constant(length))

    body: list[Statement] = []
    start = name(
        "start", Binary("mul", Binary("floordiv", k, constant(2 * width)), constant(2 * width))
    )
    middle = name("middle", at_most_length(Binary("add", start, constant(width))))
    end = name("end", at_most_length(Binary("add", start, constant(2 * width))))
    fresh_run = name("fresh", Binary("eq", k, start))
    a = name("a", Select(fresh_run, start, Read(left)))
    b = name("b", Select(fresh_run, middle, Read(right)))
    has_a, has_b = name("has_a", Binary("lt", a, middle)), name("has_b", Binary("lt", b, end))
    row_a = name("row_a", Load(source, (*rows, a), has_a))
    row_b = name("row_b", Load(source, (*rows, b), has_b))
    key_a = name("key_a", builder.read(x, (*rows, row_a)))
    key_b = name("key_b", builder.read(x, (*rows, row_b)))
    b_first = name("b_first", _less(key_b, key_a))
    keep_a = Binary("bitwise_or", _not(has_b), _not(b_first))
    take_a = name("take_a", Binary("bitwise_and", has_a, keep_a))
    step = name("step", Cast(take_a, int64))
    body += [
        Store(target, (*rows, k), Select(take_a, row_a, row_b)),
        Assign(left, (), Binary("add", a, step)),
        Assign(right, (), Binary("add", b, Binary("sub", constant(1), step))),
    ]
    return [
        Declare(left, constant(0)),
        Declare(right, constant(0)),
        Loop(k, 0, length, 1, tuple(body)),
    ]


def _less(a: Expression, b: Expression) -> Expression:
    """A < b, with nan behind everything."""
    less = Binary("lt", a, b)
    if not a.dtype.is_float:
        return less
    only_b = Binary("bitwise_and", Unary("isnan", b, bool_), _not(Unary("isnan", a, bool_)))
    return Binary("bitwise_or", less, only_b)


def _not(condition: Expression) -> Expression:
    return Unary("logical_not", condition, bool_)


def _random(builder: KernelBuilder, node: Node) -> Body:
    """For every block: row = its four words; y[block, 0], ..., y[block, 3] = row"""
    whole, rest = divmod(node.size, WORDS)
    shape = (whole, WORDS) if not rest else (node.size,)
    output = builder.output(node, shape)
    block = index_variable(builder.fresh("block"))
    body = _words(builder, node, output, block, WORDS)
    last = _words(builder, node, output, constant(whole), rest)
    return ((Loop(block, 0, whole, 1, tuple(body)),) if whole else ()) + tuple(last)


def _words(
    builder: KernelBuilder, node: Node, output: Buffer, block: Expression, count: int
) -> list[Statement]:
    """Returns the words of a block, kept together so that whole rows are written at once."""
    assert isinstance(node.op, RandomBits)

    def state(index: Index, mask: Expression | None = None) -> Expression:
        return builder.read(node.inputs[0], index, mask)

    lets, words = builder.bind_all(node.op.words(state, block)[:count])
    row = Buffer(builder.fresh("row"), (WORDS,), node.dtype)
    keep = [Store(row, (constant(number),), word) for number, word in enumerate(words)]
    word = index_variable(builder.fresh("word"))
    flat = Binary("add", Binary("mul", block, constant(WORDS)), word)
    index = (block, word) if len(output.shape) == 2 else (flat,)
    write = Store(output, index, Load(row, (word,)))
    return [Scratch(row), *lets, *keep, Loop(word, 0, count, 1, (write,))] if count else []


_NESTS = {Cumulative: _running, ScatterAdd: _scatter, Argsort: _sort, RandomBits: _random}
