"""Nests whose iterations depend on each other, and bodies with all that lowering may write."""

from __future__ import annotations

import pytest

from smelt.compiler.loops.dependence import DependenceInfo
from smelt.dtypes import bool_, float32, int32, int64
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Cast,
    Constant,
    Declare,
    If,
    Kernel,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Select,
    Store,
    Unary,
    constant,
    index_variable,
)
from tests.compiler import nests
from tests.compiler.loops.equivalence import check
from tests.compiler.nests import add, let, mul, nest, number

i, j, k = (index_variable(name) for name in "ijk")
x, y = Buffer("x", (40,), float32), Buffer("y", (40,), float32)
plus_one = Binary("add", i, constant(1))


def kernel(body, inputs=(x,), outputs=(y,)) -> Kernel:
    return Kernel("nest", inputs, outputs, body if isinstance(body, tuple) else (body,))


def test_a_recurrence_through_memory_stays_in_order():
    step = Store(y, (plus_one,), add(Load(y, (i,)), Load(x, (i,))))
    check(kernel(nest([i], [39], step), (x, y)), exact=True)


def test_a_shift_in_place_stays_in_order():
    check(kernel(nest([i], [39], Store(y, (i,), Load(y, (plus_one,)))), (x, y)), exact=True)


def test_sums_that_overlap_stay_in_order():
    """y[i + j] += x[i]: what a transposed convolution scatters."""
    index = (Binary("add", i, j),)
    step = Store(y, index, add(Load(y, index), Load(x, (i,))))
    check(kernel(nest([i, j], [30, 11], step), (x, y)), exact=True)


def test_the_last_of_several_writers_wins():
    check(kernel(nest([i, j], [20, 2], Store(y, (j,), Load(x, (i,))))), exact=True)
    same = nest([i], [20], Store(y, (constant(0),), Load(x, (i,))))
    check(kernel(same), exact=True)


def test_indices_that_interleave_are_told_apart():
    """y[2 * i + j] with two values of j hits each element once."""
    index = (Binary("add", mul(i, constant(2)), j),)
    after = check(kernel(nest([i, j], [20, 2], Store(y, index, Load(x, (i,))))), exact=True)
    assert after.body != ()


def test_a_read_of_the_sum_on_its_way_stays_in_order():
    acc = Register("acc", float32)
    body = (
        Declare(acc, number(0.0)),
        nest(
            [i],
            [33],
            Assign(acc, (), add(Read(acc), mul(Read(acc), Load(x, (i,))))),
            Store(y, (i,), Read(acc)),
        ),
    )
    check(kernel(body), exact=True)


def test_the_index_of_the_maximum():
    best, position = Register("best", float32), Register("position", int64)
    where = Buffer("where", (3,), int64)
    rows = Buffer("rows", (3, 21), float32)
    better, name_better = let("better", Binary("gt", Load(rows, (i, j)), Read(best)))
    body = (
        Declare(best, number(float("-inf"))),
        Declare(position, constant(0)),
        nest(
            [j],
            [21],
            name_better,
            Assign(position, (), Select(better, j, Read(position))),
            Assign(best, (), Select(better, Load(rows, (i, j)), Read(best))),
        ),
        Store(where, (i,), Read(position)),
    )
    check(kernel(nest([i], [3], *body), (rows,), (where,)), exact=True)


@pytest.mark.parametrize("rows", [1, 5, 17])
def test_loops_with_computed_bounds(rows):
    """Row i has i + 1 elements, as in causal attention."""
    a, out = Buffer("a", (rows, rows), float32), Buffer("out", (rows,), float32)
    acc = Register("acc", float32)
    inner = Loop(j, 0, plus_one, 1, (Assign(acc, (), add(Read(acc), Load(a, (i, j)))),))
    body = (Declare(acc, number(0.0)), inner, Store(out, (i,), Read(acc)))
    check(kernel(nest([i], [rows], *body), (a,), (out,)))
    copy = Loop(j, i, rows, 1, (Store(Buffer("out", (rows,), float32), (j,), Load(a, (i, j))),))
    b = copy.body[0].buffer
    check(kernel(nest([i], [rows], copy), (a, b), (b,)), exact=True)


def test_padding_is_a_masked_load():
    """y[i] = x[i - 3] where that exists, else 0."""
    position = Binary("sub", i, constant(3))
    inside = Binary("ge", position, constant(0))
    check(kernel(nest([i], [40], Store(y, (i,), Load(x, (position,), inside)))), exact=True)


@pytest.mark.parametrize("extent", [1, 7, 16, 37])
def test_branches_and_masked_stores(extent):
    low, high = Binary("lt", i, constant(5)), Binary("ge", i, constant(3))
    masked = Store(y, (i,), Load(x, (i,)), high)
    check(kernel(nest([i], [extent], masked), (x, y)), exact=True)
    branch = If(low, (Store(y, (i,), Unary("neg", Load(x, (i,)), float32)),))
    check(kernel(nest([i], [extent], masked, branch), (x, y)), exact=True)


@pytest.mark.parametrize("extent", [1, 3, 16, 37])
def test_integers_comparisons_and_iota(extent):
    """Random bits by multiplication and shifts, thresholds, and the index itself as a value."""
    keep, bits = Buffer("keep", (extent,), bool_), Buffer("bits", (extent,), int32)
    t, name_t = let("t", mul(Binary("add", i, constant(12345)), constant(0xD2511F53)))
    mixed = Binary("bitwise_xor", t, Binary("shr", t, constant(32)))
    u, name_u = let("u", Cast(mixed, int32))
    body = (
        name_t,
        name_u,
        Store(bits, (i,), u),
        Store(keep, (i,), Binary("lt", u, Constant(0, int32))),
    )
    check(kernel(nest([i], [extent], *body), (), (bits, keep)), exact=True)


def test_two_copies_across_each_other():
    a = Buffer("a", (2, 17, 40), float32)
    b, c = (Buffer(name, (2, 20, 17), float32) for name in "bc")
    h = index_variable("h")
    body = (
        Store(b, (h, i, j), Load(a, (h, j, i))),
        Store(c, (h, i, j), Load(a, (h, j, Binary("add", i, constant(20))))),
    )
    check(kernel(nest([h, i, j], [2, 20, 17], *body), (a,), (b, c)), exact=True)


def test_a_local_row_is_not_shared_between_lanes():
    """Each column, and so each lane, has a row of its own."""
    a, out = Buffer("a", (6, 33), float32), Buffer("out", (33,), float32)
    row, acc = Buffer("row", (6,), float32), Register("acc", float32)
    body = (
        Scratch(row),
        nest([i], [6], Store(row, (i,), Load(a, (i, j)))),
        Declare(acc, number(0.0)),
        nest([k], [6], Assign(acc, (), add(Read(acc), Load(row, (k,))))),
        Store(out, (j,), Read(acc)),
    )
    check(kernel(nest([j], [33], *body), (a,), (out,)))


def test_names_of_lets_may_cross_loops():
    """A let from before a loop is used behind it, in a tile of rows and columns."""
    a, b = Buffer("a", (6, 20), float32), Buffer("b", (20, 40), float32)
    out, acc = Buffer("out", (6, 40), float32), Register("acc", float32)
    first, name_first = let("first", add(Load(b, (constant(0), j)), Load(a, (i, constant(0)))))
    body = (
        name_first,
        Declare(acc, first),
        nest([k], [20], Assign(acc, (), add(Read(acc), mul(Load(a, (i, k)), Load(b, (k, j)))))),
        Store(out, (i, j), mul(Read(acc), first)),
    )
    check(kernel(nest([i, j], [6, 40], *body), (a, b), (out,)))


def test_a_let_that_is_the_same_all_over_a_tile():
    """It stands before the tile's loops, with what it loads."""
    a, b = Buffer("a", (6, 20), float32), Buffer("b", (20, 40), float32)
    out, acc, scale = (
        Buffer("out", (6, 40), float32),
        Register("acc", float32),
        Buffer("s", (), float32),
    )
    s, name_s = let("scale", add(Load(scale, ()), number(1.0)))
    step, name_step = let("step", mul(s, Load(a, (constant(0), k))))
    product = mul(mul(Load(a, (i, k)), Load(b, (k, j))), step)
    body = (
        Declare(acc, Load(scale, ())),
        nest([k], [20], name_step, Assign(acc, (), add(Read(acc), product))),
        name_s,
        Store(out, (i, j), mul(Read(acc), add(s, Load(scale, ())))),
    )
    body = (name_s, body[0], body[1], *body[3:])
    check(kernel(nest([i, j], [6, 40], *body), (a, b, scale), (out,)))


def test_which_loops_carry_no_dependence():
    around = {"i": 6, "j": 20}
    gather, scatter = nests.gather(6, 20, 5), nests.scatter_add(6, 20, 5)

    def inside(loop):
        return loop.body[0].body

    reads = DependenceInfo(inside(gather.body[0]), around)
    assert reads.carries_no_dependence("i")
    assert reads.carries_no_dependence("j")
    adds = DependenceInfo(inside(scatter.body[1]), around)
    assert not adds.carries_no_dependence("i")
    assert adds.carries_no_dependence("j")
