from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from smelt.dtypes import bfloat16, bool_, float16, float32, float64, int32, int64
from smelt.errors import CompileError
from smelt.ir import arithmetic
from smelt.ir.interpret import run_kernel, run_program
from smelt.ir.loops import (
    Binary,
    Buffer,
    Cast,
    Constant,
    Kernel,
    Lanes,
    Load,
    Loop,
    Reduce,
    Store,
    Transpose,
    constant,
    index_variable,
)
from smelt.ir.program import Call, Check, Program, Slot
from tests.compiler import nests


def run(kernel: Kernel, **options: int) -> list[np.ndarray]:
    arrays = nests.arrays_for(kernel, **options)
    run_kernel(kernel, arrays)
    return arrays


def one(value, *loads):
    """Runs `out[...] = value` on nothing but the given (buffer, array) pairs."""
    out = Buffer("out", (value.lanes,), value.dtype)
    where = Lanes(value.lanes) if value.lanes > 1 else constant(0)
    kernel = Kernel("one", tuple(b for b, _ in loads), (out,), (Store(out, (where,), value),))
    result = np.zeros(out.shape, out.dtype.storage)
    run_kernel(kernel, [result, *(array for _, array in loads)])
    return result


def test_the_naive_nests_mean_what_numpy_means():
    y, x, b = run(nests.bias_relu(5, 7))
    np.testing.assert_array_equal(y, np.maximum(x + b, 0))
    y, x = run(nests.softmax(4, 9))
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=1e-6)
    y, x = run(nests.column_sum(6, 3))
    np.testing.assert_allclose(y, 2 * x.sum(0), rtol=1e-5)
    out, a, b, bias = run(nests.matmul(3, 4, 5, batch=(2,)))
    np.testing.assert_allclose(out, np.maximum(a @ b + bias, 0), rtol=1e-5, atol=1e-6)
    y, x = run(nests.transpose(3, 5))
    np.testing.assert_array_equal(y, x.T)
    y, x = run(nests.cumulative_sum(3, 6))
    np.testing.assert_allclose(y, x.cumsum(1), rtol=1e-5, atol=1e-6)
    y, g, index = run(nests.scatter_add(8, 3, 5))
    wanted = np.zeros_like(y)
    np.add.at(wanted, index, g)
    np.testing.assert_allclose(y, wanted, rtol=1e-6)


def test_float32_stays_float32():
    y, x = run(nests.column_sum(100, 1))
    total = np.float32(0)
    for value in x[:, 0]:
        total = np.float32(total + value)
    assert y[0] == total * np.float32(2)


@pytest.mark.parametrize("dtype", [float32, float64])
def test_fma_rounds_once(dtype):
    random = np.random.default_rng(1)
    kind = dtype.storage.type
    for _ in range(2000):
        a, b = (random.standard_normal(2) * 2.0 ** random.integers(-30, 30, 2)).astype(kind)
        c = kind(-float(a) * float(b) * (1 + random.integers(-2, 3) * 2.0**-24))
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
        got = Fraction(float(arithmetic.fma(a, b, c, dtype)))
        below = Fraction(float(np.nextafter(kind(got), kind(-np.inf))))
        above = Fraction(float(np.nextafter(kind(got), kind(np.inf))))
        assert abs(got - exact) <= min(abs(below - exact), abs(above - exact))


def test_fma_of_what_is_not_finite():
    inf, nan, one_ = np.float64(np.inf), np.float64(np.nan), np.float64(1)
    assert arithmetic.fma(inf, one_, one_, float64) == np.inf
    assert np.isnan(arithmetic.fma(nan, one_, one_, float64))
    assert arithmetic.fma(np.float64(1e308), np.float64(10), one_, float64) == np.inf
    assert math.copysign(1, arithmetic.fma(np.float64(-0.0), one_, np.float64(-0.0), float64)) < 0


def test_integers_wrap_and_division_by_zero_gives_zero():
    a = Buffer("a", (4,), int32)
    b = Buffer("b", (4,), int32)
    values = np.array([7, -7, 2**31 - 1, -(2**31)], np.int32)
    others = np.array([0, 2, 1, -1], np.int32)
    pair = [(a, values), (b, others)]
    x, y = (Load(buffer, (Lanes(4),)) for buffer, _ in pair)

    def both(op):
        return one(Binary(op, x, y), *pair).tolist()

    with np.errstate(all="ignore"):
        assert both("add") == [7, -5, -(2**31), 2**31 - 1]
        assert both("floordiv") == [0, -4, 2**31 - 1, -(2**31)]
        assert both("div") == [0, -3, 2**31 - 1, -(2**31)]
        assert both("mod") == [0, 1, 0, 0]
        assert both("shl") == [7, -28, -2, 0]
        assert both("shr")[:3] == [7, (2**32 - 7) >> 2, (2**31 - 1) >> 1]


def test_casts_saturate():
    x = Buffer("x", (4,), float32)
    values = np.array([np.nan, 1e20, -1e20, -2.7], np.float32)
    got = one(Cast(Load(x, (Lanes(4),)), int64), (x, values))
    assert got.tolist() == [0, 2**63 - 1, -(2**63), -2]


@pytest.mark.parametrize("dtype", [float16, bfloat16])
def test_half_floats_are_storage(dtype):
    x = Buffer("x", (2,), dtype)
    bits = arithmetic.cast(np.array([1.5, -0.25], np.float32), dtype)
    wide = Cast(Load(x, (Lanes(2),)), float32)
    assert one(wide, (x, bits)).tolist() == [1.5, -0.25]
    again = Cast(Binary("mul", wide, Constant(2.0, float32)), dtype)
    back = one(again, (x, bits))
    assert arithmetic.convert(back, dtype, float32).tolist() == [3.0, -0.5]


def test_a_mask_reads_zero_and_writes_nothing():
    x, y = Buffer("x", (3,), float32), Buffer("y", (3,), float32)
    lanes = Lanes(4)
    mask = Binary("lt", lanes, constant(3))
    load = Load(x, (lanes,), mask)
    store = Store(y, (lanes,), Binary("add", load, Constant(1.0, float32)), mask)
    arrays = [np.zeros(3, np.float32), np.arange(3, dtype=np.float32)]
    run_kernel(Kernel("masked", (x,), (y,), (store,)), arrays)
    assert arrays[0].tolist() == [1, 2, 3]


def test_reduce_folds_the_upper_half_onto_the_lower():
    x = Buffer("x", (4,), float32)
    values = np.array([1e8, 1.0, -1e8, 1.0], np.float32)
    got = one(Reduce("add", Load(x, (Lanes(4),))), (x, values))
    assert got[0] == 2.0  # left to right it would be 1


def test_a_transpose_tile():
    x, y = Buffer("x", (2, 4, 8), float32), Buffer("y", (8, 2, 4), float32)
    h = index_variable("h")
    tile = Transpose(x, (h, constant(0), constant(4)), 1, y, (constant(4), h, constant(0)), 0, 4, 4)
    source = np.arange(64, dtype=np.float32).reshape(2, 4, 8)
    target = np.zeros(y.shape, np.float32)
    run_kernel(Kernel("tile", (x,), (y,), (Loop(h, 0, 2, 1, (tile,)),)), [target, source])
    np.testing.assert_array_equal(target[4:], source.transpose(2, 0, 1)[4:])
    assert not target[:4].any()


def test_an_index_outside_its_axis_is_an_error():
    x, y = Buffer("x", (3,), float32), Buffer("y", (4,), float32)
    i = index_variable("i")
    kernel = Kernel("bad", (x,), (y,), (Loop(i, 0, 4, 1, (Store(y, (i,), Load(x, (i,))),)),))
    with pytest.raises(CompileError, match=r"bad: index 3 is outside axis 0 of \[3\] in `x\[i\]`"):
        run(kernel)


def test_lanes_that_collide_are_an_error():
    y = Buffer("y", (4,), float32)
    half = Binary("floordiv", Lanes(4), constant(2))
    with pytest.raises(CompileError, match="two lanes write the same element"):
        run(Kernel("bad", (), (y,), (Store(y, (half,), Constant(1.0, float32)),)))


def test_an_array_that_does_not_fit_is_an_error():
    kernel = nests.bias_relu(2, 3)
    arrays = nests.arrays_for(kernel)
    with pytest.raises(CompileError, match="buffer b is"):
        run_kernel(kernel, [*arrays[:2], np.zeros(4, np.float32)])
    with pytest.raises(CompileError, match="takes 3 arrays"):
        run_kernel(kernel, arrays[:2])


def program(status: int) -> tuple[Program, dict[Slot, np.ndarray]]:
    kernel = nests.transpose(2, 3)
    x = Slot("x", (3, 2), float32, "argument", 0)
    t = Slot("t", (2, 3), float32, "arena", 0, 64)
    y = Slot("y", (3, 2), float32, "result", 0)
    ok = Slot("ok", (1,), int64, "status", 0)
    back = nests.transpose(3, 2)
    body = (Call(kernel, (t, x)), Check(ok, 4), Call(back, (y, t)))
    arrays = {
        x: np.arange(6, dtype=np.float32).reshape(3, 2),
        y: np.zeros((3, 2), np.float32),
        ok: np.array([status]),
    }
    return Program("step", (x, t, y, ok), 128, body), arrays


def test_a_program_runs_in_order_and_stops_at_a_check():
    step, arrays = program(0)
    assert run_program(step, arrays) == 0
    np.testing.assert_array_equal(arrays[step.slots[2]], arrays[step.slots[0]])
    step, arrays = program(1)
    assert run_program(step, arrays) == 5
    assert not arrays[step.slots[2]].any()


def test_a_program_wants_every_array():
    step, arrays = program(0)
    del arrays[step.slots[0]]
    with pytest.raises(CompileError, match="slot x"):
        run_program(step, arrays)


def test_bool_arithmetic():
    x = Buffer("x", (2,), bool_)
    load = Load(x, (Lanes(2),))
    got = one(Binary("bitwise_xor", load, Constant(True, bool_)), (x, np.array([True, False])))
    assert got.tolist() == [False, True]
