from __future__ import annotations

import pytest

from smelt.dtypes import float32, float64, int64
from smelt.errors import CompileError
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Cast,
    Constant,
    Declare,
    Kernel,
    Lanes,
    Let,
    Load,
    Loop,
    Read,
    Reduce,
    Register,
    Statement,
    Store,
    Variable,
    constant,
    index_variable,
)
from smelt.ir.verify import verify
from tests.compiler import nests

x, y = Buffer("x", (8,), float32), Buffer("y", (8,), float32)
i, j = index_variable("i"), index_variable("j")
zero = Constant(0.0, float32)
s, t = Variable("s", float32), Variable("t", float32)
acc, tile = Register("acc", float32), Register("tile", float32, 4, (2,))


def kernel(*body: Statement) -> Kernel:
    return Kernel("k", (x,), (y,), body)


def loop(variable: Variable, stop: int, *body: Statement, kind: str = "serial") -> Loop:
    return Loop(variable, 0, stop, 1, body, kind)


@pytest.mark.parametrize(
    "good",
    [
        nests.bias_relu(3, 4),
        nests.softmax(3, 4),
        nests.matmul(3, 4, 5, (2,)),
        nests.scatter_add(3, 4, 5),
        nests.cumulative_sum(0, 4),
        nests.full_sum(2, 2),
    ],
    ids=lambda good: good.name,
)
def test_the_naive_nests_are_well_formed(good):
    verify(good)


@pytest.mark.parametrize(
    ("problem", "body"),
    [
        ("t is not defined", (Store(y, (constant(0),), t),)),
        ("i is defined twice", (loop(i, 2, loop(i, 2)),)),
        ("register acc is not declared", (Assign(acc, (), zero),)),
        ("declared twice", (Declare(acc, zero), Declare(acc, zero))),
        (
            "from 1 to 8, outside an axis of 8",
            (loop(i, 8, Store(y, (Binary("add", i, constant(1)),), zero)),),
        ),
        ("2 indices for 1 axes", (Store(y, (constant(0), constant(0)), zero),)),
        ("x is an input, which may only be read", (Store(x, (constant(0),), zero),)),
        ("float64", (Store(y, (constant(0),), Constant(0.0, float64)),)),
        ("0.0 is float32 but", (Let(t, Binary("add", zero, Constant(0.0, float64))),)),
        ("lanes", (Let(t, Load(x, (Lanes(4),))),)),
        ("instead of float32 x 1", (Store(y, (constant(0),), Load(x, (Lanes(4),))),)),
        ("only the outermost", (loop(i, 2, loop(j, 2, kind="parallel")),)),
        ("must be ints", (loop(i, 2, Loop(j, i, 4, 1, (), "unroll")),)),
        (
            "not known at compile time",
            (Declare(tile, zero), loop(i, 2, Assign(tile, (i,), zero))),
        ),
        (
            "outside an axis of 2 of tile",
            (Declare(tile, zero), loop(i, 3, Assign(tile, (i,), zero), kind="unroll")),
        ),
        (
            "vectors of",
            (Let(t, Reduce("add", Binary("add", Load(x, (Lanes(4),)), Load(x, (Lanes(8),))))),),
        ),
        ("unknown operation", (Store(y, (constant(0),), Binary("plus", zero, zero)),)),
        ("int64 x 1", (Store(y, (zero,), zero),)),
    ],
)
def test_what_is_wrong_is_named(problem, body):
    with pytest.raises(CompileError, match=problem) as caught:
        verify(kernel(*body))
    assert "kernel k" in str(caught.value)
    assert "`" in str(caught.value)


def test_names_end_with_their_block():
    with pytest.raises(CompileError, match="t is not defined"):
        verify(kernel(loop(i, 2, Let(t, zero)), Store(y, (constant(0),), t)))
    verify(kernel(loop(i, 2, Let(t, zero)), loop(i, 2, Let(s, zero))))


def test_a_name_is_given_once_in_a_kernel():
    with pytest.raises(CompileError, match="t is defined twice"):
        verify(kernel(loop(i, 2, Let(t, zero)), loop(i, 2, Let(t, zero))))


def test_a_masked_index_may_reach_outside():
    place = Binary("add", i, Lanes(16))
    mask = Binary("lt", place, constant(8))
    verify(kernel(loop(i, 8, Store(y, (place,), Load(x, (place,), mask), mask))))
    with pytest.raises(CompileError, match="outside"):
        verify(kernel(loop(i, 8, Store(y, (place,), zero))))


def test_a_let_of_an_index_is_followed():
    k = index_variable("k")
    double = Let(k, Binary("mul", i, constant(2)))
    verify(kernel(loop(i, 4, double, Store(y, (k,), zero))))
    with pytest.raises(CompileError, match="from 0 to 8"):
        verify(kernel(loop(i, 5, double, Store(y, (k,), zero))))


def test_casts_and_reads_pass():
    whole = Cast(Read(acc), int64)
    verify(kernel(Declare(acc, zero), Store(y, (constant(0),), Cast(whole, float32))))
