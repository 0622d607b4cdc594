"""The emitter: every node of the loop IR does natively what the interpreter says it means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from smelt.compiler.codegen import kernel as llvm
from smelt.compiler.runtime import build
from smelt.dtypes import (
    ALL,
    DType,
    bfloat16,
    bool_,
    encode,
    float32,
    float64,
    int32,
    int64,
)
from smelt.errors import CompileError
from smelt.ir.loops import (
    REDUCE,
    Assign,
    Binary,
    Buffer,
    Cast,
    Constant,
    Declare,
    Expression,
    If,
    Kernel,
    Lanes,
    Let,
    Load,
    Loop,
    Read,
    Reduce,
    Register,
    Scratch,
    Store,
    Transpose,
    Unary,
    Variable,
    constant,
    index_variable,
)
from tests.compiler.handmade import (
    add,
    along,
    check,
    mask_below,
    matmul,
    mul,
    run_native,
    step_of,
)

# -------------------------------------------------------------------------------------------------
# memory
# -------------------------------------------------------------------------------------------------


def grid(shape: tuple[int, ...], dtype: DType = float32) -> np.ndarray:
    """Returns different numbers of a shape (only 0 and 1 for bool)."""
    numbers = np.arange(np.prod(shape)).reshape(shape)
    return encode(numbers % 2 if dtype is bool_ else numbers % 251, dtype)


@pytest.mark.parametrize("dtype", ALL, ids=repr)
@pytest.mark.parametrize("size", [1, 16, 35])
def test_masked_tail_touches_nothing_else(dtype: DType, size: int) -> None:
    source, target, i = (
        Buffer("x", (size,), dtype),
        Buffer("y", (size,), dtype),
        index_variable("i"),
    )
    mask, index = mask_below(i, 16, size), (along(i, 16),)
    store = Store(target, index, Load(source, index, mask), mask)
    kernel = Kernel("tail", (source,), (target,), (Loop(i, 0, size, 16, (store,)),))
    given, room = grid((size,), dtype), np.zeros(size + 32, dtype.storage)
    room.view(np.uint8)[:] = 1
    result = room[16 : 16 + size]
    run_native(kernel, [result, given])
    assert (result == given).all()
    assert (room[:16].view(np.uint8) == 1).all()
    assert (room[16 + size :].view(np.uint8) == 1).all()


@pytest.mark.parametrize("dtype", [bool_, bfloat16, int64, float32], ids=repr)
def test_masked_scalar(dtype: DType) -> None:
    source, target, i = Buffer("x", (8,), dtype), Buffer("y", (16,), dtype), index_variable("i")
    mask = Binary("lt", i, constant(8))
    store = Store(target, (i,), Load(source, (i,), mask), Binary("lt", i, constant(12)))
    kernel = Kernel("scalar", (source,), (target,), (Loop(i, 0, 16, 1, (store,)),))
    given, result = grid((8,), dtype), grid((16,), dtype)
    expected = np.concatenate([given, np.zeros(4, given.dtype), result[12:]])
    run_native(kernel, [result, given])
    assert (result == expected).all()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "index",
    [
        lambda i, j: (i, add(j, Lanes(16))),
        lambda i, j: (i, add(Lanes(16), j)),
        lambda i, j: (Lanes(16), add(i, j)),
        lambda i, j: (i, add(j, mul(Lanes(16), 2))),
        lambda i, j: (i, Binary("sub", constant(15), Lanes(16))),
        lambda i, j: (i, Binary("floordiv", Lanes(16), constant(3))),
        lambda i, j: (i, Binary("mod", add(i, Lanes(16)), constant(5))),
        lambda i, j: (i, j),
        lambda i, j: (constant(3), Constant(4, int64, 16)),
    ],
    ids=["row", "sum", "column", "strided", "reversed", "floordiv", "mod", "scalar", "constant"],
)
@pytest.mark.parametrize("dtype", [bool_, float32, float64], ids=repr)
def test_vector_loads(dtype: DType, index: Callable, masked: bool) -> None:
    source, target = Buffer("x", (16, 48), dtype), Buffer("y", (16, 4, 16), dtype)
    i, j = index_variable("i"), index_variable("j")
    mask = mask_below(j, 16, 9) if masked else None
    store = Store(target, (i, j, Lanes(16)), Load(source, index(i, j), mask))
    kernel = Kernel(
        "load", (source,), (target,), (Loop(i, 0, 16, 1, (Loop(j, 0, 4, 1, (store,)),)),)
    )
    check([kernel], [grid((16, 48), dtype)])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [bool_, bfloat16, float32, int64], ids=repr)
def test_scatter(dtype: DType, masked: bool) -> None:
    source, target, i = (
        Buffer("x", (8, 16), dtype),
        Buffer("y", (16, 8), dtype),
        index_variable("i"),
    )
    mask = mask_below(i, 16, 13) if masked else None
    store = Store(target, (Lanes(16), i), Load(source, (i, Lanes(16))), mask)
    kernel = Kernel("scatter", (source,), (target,), (Loop(i, 0, 8, 1, (store,)),))
    check([kernel], [grid((8, 16), dtype)])


def test_gather_at_loaded_indices() -> None:
    table, chosen = Buffer("table", (10, 3), float32), Buffer("chosen", (32,), int64)
    target, i = Buffer("y", (32,), float32), index_variable("i")
    index = (along(i, 16),)
    store = Store(target, index, Load(table, (Load(chosen, index), constant(1))))
    kernel = Kernel("gather", (table, chosen), (target,), (Loop(i, 0, 32, 16, (store,)),))
    numbers, order = grid((10, 3)), np.random.default_rng(2).integers(0, 10, 32)
    result = np.zeros(32, np.float32)
    run_native(kernel, [result, numbers, order])
    assert (result == numbers[order, 1]).all()


def test_zero_dimensional_and_empty_buffers() -> None:
    source, target, empty = (
        Buffer("x", (), float32),
        Buffer("y", (), float32),
        Buffer("z", (0,), float32),
    )
    i = index_variable("i")
    body = (
        Store(target, (), Load(source, ())),
        Loop(i, 0, 0, 1, (Store(empty, (i,), Load(source, ())),)),
    )
    result = np.zeros((), np.float32)
    kernel = Kernel("scalar", (source,), (target, empty), body)
    run_native(kernel, [result, np.zeros(0, np.float32), np.array(3, np.float32)])
    assert result == 3


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (2, 2), (4, 8), (8, 4), (8, 8), (16, 16), (1, 8)]
)
@pytest.mark.parametrize("dtype", [bool_, bfloat16, float32, float64], ids=repr)
def test_transpose(dtype: DType, rows: int, columns: int) -> None:
    shape = (rows + 3, columns + 5)
    source, target = Buffer("x", shape, dtype), Buffer("y", shape[::-1], dtype)
    tile = Transpose(
        source,
        (constant(2), constant(3)),
        0,
        target,
        (constant(3), constant(2)),
        0,
        rows,
        columns,
    )
    given, result = grid(shape, dtype), np.zeros(shape[::-1], dtype.storage)
    run_native(Kernel("transpose", (source,), (target,), (tile,)), [result, given])
    expected = np.zeros_like(result)
    expected[3 : 3 + columns, 2 : 2 + rows] = given[2 : 2 + rows, 3 : 3 + columns].T
    assert (result == expected).all()


def test_transpose_of_inner_axes() -> None:
    source, target = Buffer("x", (3, 8, 8), float32), Buffer("y", (3, 8, 8), float32)
    b, zero = index_variable("b"), constant(0)
    tile = Transpose(source, (b, zero, zero), 1, target, (b, zero, zero), 1, 8, 8)
    kernel = Kernel("transpose", (source,), (target,), (Loop(b, 0, 3, 1, (tile,)),))
    given, result = grid((3, 8, 8)), np.zeros((3, 8, 8), np.float32)
    run_native(kernel, [result, given])
    assert (result == given.transpose(0, 2, 1)).all()


# -------------------------------------------------------------------------------------------------
# registers, reductions, control
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("dtype", [float32, float64, int32, bfloat16], ids=repr)
def test_reduce(dtype: DType, lanes: int) -> None:
    source = Buffer("x", (lanes,), dtype)
    given = encode(np.random.default_rng(3).standard_normal(lanes) * 3, dtype)
    zero = constant(0)
    kernels = []
    for op in sorted(REDUCE):
        target = Buffer("y", (1,), dtype)
        value = Reduce(op, Load(source, (along(zero, lanes),)))
        kernels.append(Kernel(op, (source,), (target,), (Store(target, (zero,), value),)))
    check(kernels, [given])


def test_reduction_of_flags() -> None:
    source, target, zero = Buffer("x", (8,), bool_), Buffer("y", (1,), bool_), constant(0)
    store = Store(target, (zero,), Reduce("maximum", Load(source, (Lanes(8),))))
    for given in (np.zeros(8, bool), np.arange(8) == 5):
        check([Kernel("any", (source,), (target,), (store,))], [given])


def test_register_array_keeps_elements_apart() -> None:
    source, target = Buffer("x", (6,), int32), Buffer("y", (2, 3), int32)
    cells = Register("cells", int32, 1, (2, 3))
    i, j, k = (index_variable(name) for name in "ijk")
    update = Assign(
        cells, (i, j), Binary("add", Read(cells, (i, j)), Load(source, (add(mul(i, 3), j),)))
    )
    unrolled = Loop(i, 0, 2, 1, (Loop(j, 0, 3, 1, (update,), "unroll"),), "unroll")
    keep = Loop(
        i,
        0,
        2,
        1,
        (Loop(j, 0, 3, 1, (Store(target, (i, j), Read(cells, (i, j))),), "unroll"),),
        "unroll",
    )
    body = (Declare(cells, Constant(5, int32)), Loop(k, 0, 4, 1, (unrolled,)), keep)
    check([Kernel("cells", (source,), (target,), body)], [np.arange(6, dtype=np.int32)])


def test_serial_loops_with_expression_bounds() -> None:
    target, i, j = Buffer("y", (5, 5), int64), index_variable("i"), index_variable("j")
    inner = Loop(j, i, add(mul(i, 2), 1), 2, (Store(target, (i, j), add(mul(i, 10), j)),))
    condition = Binary("lt", i, constant(3))
    kernel = Kernel("triangle", (), (target,), (Loop(i, 0, 5, 1, (If(condition, (inner,)),)),))
    check([kernel], [])


def test_negative_bounds_and_steps() -> None:
    target, i = Buffer("y", (20,), int64), index_variable("i")
    stores = [Store(target, (add(i, 7),), Binary(op, i, constant(4))) for op in ("mod", "floordiv")]
    shifted = Store(target, (add(i, 13),), Binary("floordiv", i, constant(4)))
    kernel = Kernel("negative", (), (target,), (Loop(i, -7, 6, 3, (stores[0], shifted)),))
    check([kernel], [])


def test_names_end_with_their_block() -> None:
    target, i = Buffer("y", (4,), int64), index_variable("i")
    name = Variable("t", int64)
    inner = (Let(name, mul(i, 3)), Store(target, (i,), name))
    body = (Let(name, constant(100)), Loop(i, 0, 3, 1, inner), Store(target, (constant(3),), name))
    result = np.zeros(4, np.int64)
    run_native(Kernel("names", (), (target,), body), [result])
    assert result.tolist() == [0, 3, 6, 100]


def test_scratch_inside_unrolled_loops() -> None:
    source, target, room = (Buffer(name, (4, 16), float32) for name in ("x", "y", "room"))
    i, u = index_variable("i"), index_variable("u")
    fill = Loop(i, 0, 4, 1, (Store(room, (i, Lanes(16)), Load(source, (i, Lanes(16)))),))
    reverse = Store(target, (u, Lanes(16)), Load(room, (Binary("sub", constant(3), u), Lanes(16))))
    body = (Loop(u, 0, 4, 1, (Scratch(room), fill, reverse), "unroll"),)
    result, given = np.zeros((4, 16), np.float32), grid((4, 16))
    run_native(Kernel("room", (source,), (target,), body), [result, given])
    assert (result == given[::-1]).all()


def test_shared_expressions_are_written_once() -> None:
    x: Expression = Cast(constant(3), float32)
    for _ in range(200):
        x = Binary("add", x, x)  # as a tree this has 2 ** 200 nodes
    target = Buffer("y", (1,), float32)
    store = Store(target, (constant(0),), Binary("mul", x, Constant(0.5, float32)))
    result = np.zeros(1, np.float32)
    with np.errstate(over="ignore"):
        run_native(Kernel("shared", (), (target,), (store,)), [result])
    assert np.isinf(result[0])


def test_deep_expressions_need_no_recursion() -> None:
    x: Expression = Load(Buffer("x", (1,), float32), (constant(0),))
    source = x.buffer
    for _ in range(20_000):
        x = Binary("add", x, Constant(1.0, float32))
    target = Buffer("y", (1,), float32)
    kernel = Kernel("deep", (source,), (target,), (Store(target, (constant(0),), x),))
    assert llvm.emit(step_of(kernel)).count("fadd float") == 20_000


@pytest.mark.parametrize("shape", [(8, 32, 5), (64, 64, 64), (16, 96, 1)])
def test_matmul_tile(shape: tuple[int, int, int]) -> None:
    rows, columns, inner = shape
    random = np.random.default_rng(4)
    a = random.standard_normal((rows, inner)).astype(np.float32)
    b = random.standard_normal((inner, columns)).astype(np.float32)
    result = np.zeros((rows, columns), np.float32)
    run_native(matmul(rows, columns, inner), [result, a, b])
    np.testing.assert_allclose(result, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-5)


def test_matmul_tile_lives_in_registers() -> None:
    """The tile of 8 x 32 is 16 vectors: its innermost loop must not touch the stack."""
    text = build.assembly(step_of(matmul(64, 64, 64)))
    if "zmm" not in text:
        pytest.skip("this CPU has no 512-bit vectors")
    products = [line for line in text.splitlines() if "vfmadd" in line]
    assert len(products) == 16
    assert not any("rsp" in line for line in products)


# -------------------------------------------------------------------------------------------------
# what has no machine code is refused
# -------------------------------------------------------------------------------------------------


def refused(body: tuple, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        llvm.emit(step_of(Kernel("bad", (), (TARGET,), body)))


TARGET = Buffer("y", (16,), float32)
ZERO = constant(0)
ONE = Constant(1.0, float32)


def test_refusals() -> None:
    stray, room = Buffer("stray", (4,), float32), Buffer("room", (1 << 19,), float32)
    register, i = Register("r", float32, 1, (2,)), index_variable("i")
    refused((Store(stray, (ZERO,), ONE),), "buffer stray is not in scope")
    refused((Store(TARGET, (ZERO,), constant(1)),), "a int64 is stored to y, which is float32")
    refused((Store(TARGET, (ZERO,), Variable("v", float32)),), "variable v has no value")
    refused((Scratch(room),), "scratch buffers take 2097152 bytes of stack")
    refused((Assign(register, (ZERO,), ONE),), "register r.0. is not declared")
    refused((Loop(i, 0, Load(TARGET, (ZERO,)), 1, (), "unroll"),), "bounds of the unrolled loop i")
    refused((Store(TARGET, (ZERO,), Unary("bitwise_not", ONE, float32)),), "bitwise_not of float32")
    refused(
        (Store(TARGET, (ZERO,), Binary("shl", ONE, ONE)),), "shl of float32 has no machine code"
    )
    wide = Binary("add", Constant(1.0, float32, 4), Constant(1.0, float32, 8))
    refused((Store(TARGET, (Lanes(8),), wide),), "a vector of 4 lanes is given where 8")
    refused((Store(TARGET, (ZERO,), Reduce("add", Constant(1.0, float32, 3))),), "over 3 lanes")
    refused(
        (Transpose(TARGET, (ZERO,), 0, TARGET, (ZERO,), 0, 3, 4),), "both must be powers of two"
    )
