"""Lower sorts, which are stable: radix sort for long rows, merge sort for others."""

from __future__ import annotations

from smelt.compiler.lower.kernel_builder import Index, KernelBuilder
from smelt.compiler.lower.nests import Body, nest
from smelt.dtypes import bool_, int32, int64
from smelt.ir.graph import Node
from smelt.ir.loops import (
    Assign,
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
    Select,
    Statement,
    Store,
    Unary,
    Variable,
    constant,
    index_variable,
)

LONG = 64  # elements of 32 bits from which on a radix sort costs less than a merge sort
DIGIT = 8  # bits
DIGITS = 1 << DIGIT
WORD = 32  # bits of a key that are sorted by at once, and of the index below them
PASSES = WORD // DIGIT
LOW = (1 << WORD) - 1


def sort(builder: KernelBuilder, node: Node) -> Body:
    """Returns the loops that write the indices of each row's elements in sorted order."""
    length = node.shape[-1]
    least = LONG * _words(node.inputs[0])
    by_digits = isinstance(length, int) and least <= length <= LOW
    return (_radix_sort if by_digits else _merge_sort)(builder, node)


def _words(x: Node) -> int:
    """Returns how many words the key of an element has."""
    return -(-x.dtype.itemsize * 8 // WORD)


def _radix_sort(builder: KernelBuilder, node: Node) -> Body:
    """Radix sort, from the lowest digit to the highest: a pass puts each element after those with a
    smaller digit, and after earlier ones with the same digit.

    One number holds a word of the key above the element's index; elements of 64 bits are sorted by
    their lower words first. Digits are counted beforehand. The number of passes is even: they
    alternate between the result and a workspace, and end in the result.
    """
    (x,), shape = node.inputs, node.shape
    rows = tuple([builder.loop("i", extent) for extent in shape[:-1]])
    source, target = builder.output(node), builder.workspace()
    counts = Buffer(builder.fresh("counts"), (PASSES, DIGITS), int64)
    body: list[Statement] = [Scratch(counts)]
    for word in range(_words(x)):
        body += _counted(builder, x, rows, source, counts, word)
        for number in range(PASSES):
            body.append(_distributed(builder, rows, source, target, counts, number))
            source, target = target, source
    return nest(list(zip(rows, shape[:-1], strict=True)), tuple(body))


def _counted(
    builder: KernelBuilder, x: Node, rows: Index, source: Buffer, counts: Buffer, word: int
) -> list[Statement]:
    """Returns the loops that put a word of each key above its index in `source`, and turn each
    digit's count into the place of its first element.
    """
    number, digit, k = (index_variable(builder.fresh(stem)) for stem in ("pass", "digit", "k"))
    clear = Loop(digit, 0, DIGITS, 1, (Store(counts, (number, digit), constant(0)),))
    place, both = (Variable(builder.fresh(stem), int64) for stem in ("place", "both"))
    lets, key = builder.bind(_key(builder, x, (*rows, place), word))
    count: list[Statement] = [
        Let(place, Load(source, (*rows, k)) if word else k),
        *lets,
        Let(both, key << constant(WORD) | place),
        Store(source, (*rows, k), both),
    ]
    for step in range(PASSES):
        at = (constant(step), Variable(builder.fresh("at"), int64))
        count += [Let(at[1], _digit(both, step)), Store(counts, at, Load(counts, at) + 1)]
    return [
        Loop(number, 0, PASSES, 1, (clear,)),
        Loop(k, 0, x.shape[-1], 1, tuple(count)),
        _summed(builder, counts),
    ]


def _summed(builder: KernelBuilder, counts: Buffer) -> Loop:
    """Returns the loop that replaces counts by the sums of those before them."""
    number, digit = (index_variable(builder.fresh(stem)) for stem in ("pass", "digit"))
    total, count = Register(builder.fresh("total"), int64), Variable(builder.fresh("n"), int64)
    body = (
        Let(count, Load(counts, (number, digit))),
        Store(counts, (number, digit), Read(total)),
        Assign(total, (), Read(total) + count),
    )
    sums = (Declare(total, constant(0)), Loop(digit, 0, DIGITS, 1, body))
    return Loop(number, 0, PASSES, 1, sums)


def _distributed(
    builder: KernelBuilder,
    rows: Index,
    source: Buffer,
    target: Buffer,
    counts: Buffer,
    step: int,
) -> Loop:
    """Returns the loop of one pass; the last one drops the keys."""
    k = index_variable(builder.fresh("k"))
    both, digit, first = (Variable(builder.fresh(n), int64) for n in ("both", "digit", "first"))
    at = (constant(step), digit)
    body = (
        Let(both, Load(source, (*rows, k))),
        Let(digit, _digit(both, step)),
        Let(first, Load(counts, at)),
        Store(counts, at, first + 1),
        Store(target, (*rows, first), both & LOW if step == PASSES - 1 else both),
    )
    return Loop(k, 0, source.shape[-1], 1, body)


def _key(builder: KernelBuilder, x: Node, at: Index, word: int) -> Expression:
    """Returns a word, counted from the lowest, of an unsigned number with the order of the elements
    of x, as the lower half of an int64.
    """
    element, kind = builder.read(x, at), int32 if _words(x) == 1 else int64
    lowest = Constant(-(1 << (8 * kind.itemsize - 1)), kind)
    if x.dtype.is_float:  # adding 0 makes 0 of -0, which is equal to it
        bits = Unary("bitcast", element + Constant(0.0, x.dtype), kind)
        ordered = Select(bits < 0, bits ^ Constant(-1, kind), bits ^ lowest)
        key: Expression = Select(Unary("isnan", element, bool_), Constant(-1, kind), ordered)
    else:
        key = element.to(kind) ^ lowest
    return key.to(int64) >> constant(WORD * word)


def _digit(both: Expression, step: int) -> Expression:
    return (both >> constant(WORD + step * DIGIT)) & constant(DIGITS - 1)


def _merge_sort(builder: KernelBuilder, node: Node) -> Body:
    """Merge sort, bottom-up: a pass merges pairs of runs of `width`.

    The passes alternate between the result and a workspace of its size, so that the last one ends
    in the result.
    """
    (x,), length = node.inputs, node.shape[-1]
    rows = tuple([builder.loop("i", extent) for extent in node.shape[:-1]])
    source, target = builder.output(node), builder.workspace()
    passes = max(length - 1, 0).bit_length()
    if passes % 2:
        source, target = target, source
    k = index_variable(builder.fresh("k"))
    body: list[Statement] = [Loop(k, 0, length, 1, (Store(source, (*rows, k), k),))]
    for step in range(passes):
        body += _merge(builder, x, rows, source, target, 1 << step, length)
        source, target = target, source
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
    """Returns the loops that merge runs of `width` of a row into runs of twice the width."""
    left = Register(builder.fresh("left"), int64)
    right = Register(builder.fresh("right"), int64)
    k = index_variable(builder.fresh("k"))
    body: list[Statement] = []

    def let(stem: str, value: Expression) -> Variable:
        variable = Variable(builder.fresh(stem), value.dtype)
        body.append(Let(variable, value))
        return variable

    start = let("start", k // (2 * width) * (2 * width))
    middle = let("middle", (start + width).minimum(length))
    end = let("end", (start + 2 * width).minimum(length))
    is_first = let("first", k.equals(start))
    a = let("a", Select(is_first, start, Read(left)))
    b = let("b", Select(is_first, middle, Read(right)))
    has_a, has_b = let("has_a", a < middle), let("has_b", b < end)
    row_a = let("row_a", Load(source, (*rows, a), has_a))
    row_b = let("row_b", Load(source, (*rows, b), has_b))
    key_a = let("key_a", builder.read(x, (*rows, row_a)))
    key_b = let("key_b", builder.read(x, (*rows, row_b)))
    b_first = let("b_first", _less(key_b, key_a))
    take_a = let("take_a", has_a & (~has_b | ~b_first))
    step = let("step", take_a.to(int64))
    body += [
        Store(target, (*rows, k), Select(take_a, row_a, row_b)),
        Assign(left, (), a + step),
        Assign(right, (), b + (1 - step)),
    ]
    return [
        Declare(left, constant(0)),
        Declare(right, constant(0)),
        Loop(k, 0, length, 1, tuple(body)),
    ]


def _less(a: Expression, b: Expression) -> Expression:
    """A < b, with nan after everything."""
    if not a.dtype.is_float:
        return a < b
    return (a < b) | (Unary("isnan", b, bool_) & ~Unary("isnan", a, bool_))
