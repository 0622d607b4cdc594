"""Short rows: many are done at once, one in each lane; nothing but the order of sums changes."""

from __future__ import annotations

import pytest

from smelt.compiler.cpu import AVX2, AVX512, CPU, NEON
from smelt.compiler.loops.optimize import optimize
from smelt.compiler.loops.rewrites.reshape_buffers import join_buffer_axes
from smelt.compiler.loops.substitute import Names
from smelt.dtypes import DType, bfloat16, bool_, float32, float64, int64
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Cast,
    Declare,
    Expression,
    If,
    Kernel,
    Load,
    Loop,
    Read,
    Register,
    Scratch,
    Select,
    Statement,
    Store,
    constant,
    index_variable,
)
from smelt.ir.show import kernel_text
from tests.compiler import nests
from tests.compiler.loops.equivalence import check

i, j, k = (index_variable(name) for name in "ijk")
TRANSPOSES = "transpose("


def text(kernel: Kernel, cpu: CPU = AVX512) -> str:
    return kernel_text(optimize(kernel, cpu))


def total(source: Buffer, extent: int) -> tuple[list[Statement], Expression]:
    """A sum over row i of an array."""
    register = Register("acc", source.dtype)
    step = Assign(register, (), nests.add(Read(register), Load(source, (i, k))))
    declare = Declare(register, nests.number(0.0, source.dtype))
    return [declare, nests.nest([k], [extent], step)], Read(register)


def rows_kernel(
    inputs: tuple[Buffer, ...], outputs: tuple[Buffer, ...], *body: Statement
) -> Kernel:
    return Kernel("rows", inputs, outputs, (nests.nest([i], [outputs[0].shape[0]], *body),))


def arrays(count: int, columns: int, dtype: DType = float32) -> tuple[Buffer, Buffer]:
    x, y = (Buffer(name, (count, columns), dtype) for name in "xy")
    return x, y


@pytest.mark.parametrize("count", [5, 15, 16, 17, 33, 70])
@pytest.mark.parametrize("columns", [2, 3, 6, 10, 24])
def test_softmax(count, columns):
    after = check(nests.softmax(count, columns))
    few = count % 16 in (1, 5)  # in the last vector, so that it is mostly idle
    assert TRANSPOSES in kernel_text(after) or few or columns == 24


@pytest.mark.parametrize("dtype", [float64, bfloat16])
@pytest.mark.parametrize("cpu", [NEON, AVX2, AVX512], ids=str)
def test_other_vectors(dtype, cpu):
    check(nests.softmax(21, 6), cpu=cpu)
    x, y = arrays(21, 5, dtype)
    body, value = total(x, 5)
    kernel = rows_kernel((x,), (y,), *body, nests.nest([j], [5], Store(y, (i, j), value)))
    if dtype is not bfloat16:  # which a register of sums never is
        check(kernel, cpu=cpu)
    copy = Store(y, (i, j), Load(x, (i, Binary("sub", constant(4), j))))
    check(rows_kernel((x,), (y,), nests.nest([j], [5], copy)), exact=True, cpu=cpu)


def test_long_rows_stay_rows():
    """A row that fills vectors is better read as it lies."""
    assert TRANSPOSES not in text(nests.softmax(64, 100))
    assert TRANSPOSES not in text(nests.softmax(64, 33))


def test_results_in_place_are_read_first():
    p, g = Buffer("p", (37, 6), float32), Buffer("g", (37, 6), float32)
    body, value = total(g, 6)
    update = Store(p, (i, j), Binary("sub", Load(p, (i, j)), value))
    kernel = rows_kernel((p, g), (p,), *body, nests.nest([j], [6], update))
    after = kernel_text(check(kernel))
    assert "p_panel[0 :+ 4, row :+ 4] = transpose(p[" in after
    assert "= transpose(p_panel[0 :+ 4, " in after


def test_results_are_read_again():
    x, y = arrays(37, 6)
    z = Buffer("z", (37,), float32)
    first = nests.nest([j], [6], Store(y, (i, j), nests.mul(Load(x, (i, j)), Load(x, (i, j)))))
    body, value = total(y, 6)
    check(rows_kernel((x,), (y, z), first, *body, Store(z, (i,), value)))


def test_what_is_not_written_stays():
    """Only some columns are written; neither the others nor rows beyond the last may change."""
    x, y = arrays(19, 6)
    body, value = total(x, 6)
    some = nests.nest([j], [4], Store(y, (i, nests.add(j, constant(1))), value))
    check(rows_kernel((x, y), (y,), *body, some))
    mask = Binary("lt", Load(x, (i, j)), nests.number(0.0))
    masked = nests.nest([j], [6], Store(y, (i, j), value, mask))
    check(rows_kernel((x, y), (y,), *body, masked))


@pytest.mark.parametrize("rows", [7, 40])
def test_branches_inside(rows):
    x, y = arrays(rows, 6)
    flag = Buffer("flag", (1,), bool_)
    body, value = total(x, 6)
    inner = nests.nest([j], [6], Store(y, (i, j), value))
    check(rows_kernel((x, y, flag), (y,), *body, If(Load(flag, (constant(0),)), (inner,))))


def test_labels_choose_elements_of_rows():
    """The position in the row differs from lane to lane."""
    x, y = arrays(37, 6)
    label, picked = Buffer("label", (37,), int64), Buffer("picked", (37,), float32)
    body, value = total(x, 6)
    hot = Cast(Binary("eq", j, Load(label, (i,))), float32)
    body += [
        nests.nest([j], [6], Store(y, (i, j), Binary("sub", hot, value))),
        Store(picked, (i,), Load(x, (i, Load(label, (i,))))),
    ]
    check(rows_kernel((x, label), (y, picked), *body), indices_below=6)


def test_each_lane_has_its_own_local_row():
    x, y = arrays(40, 6)
    row = Buffer("row", (6,), float32)
    body, value = total(x, 6)
    keep = Store(row, (j,), nests.mul(Load(x, (i, j)), value))
    back = Select(Binary("lt", j, constant(3)), Load(row, (constant(5),)), Load(row, (j,)))
    kernel = rows_kernel(
        (x,), (y,), Scratch(row), *body, nests.nest([j], [6], keep),
        nests.nest([j], [6], Store(y, (i, j), back)),
    )  # fmt: skip
    assert "row = scratch(float32[6, 32])" in kernel_text(check(kernel))


def test_axes_stay_where_another_access_needs_them():
    x, y = Buffer("x", (4, 6), float32), Buffer("y", (24,), float32)
    quotient, digit = (Binary(op, i, constant(6)) for op in ("floordiv", "mod"))
    body = Store(y, (i,), nests.add(Load(x, (quotient, digit)), Load(x, (constant(1), digit))))
    kernel = rows_kernel((x,), (y,), body)
    assert join_buffer_axes(kernel, Names(kernel.body)).buffers == kernel.buffers
    check(kernel, exact=True)


def test_a_loop_with_a_step_is_left_alone():
    x, y = arrays(40, 6)
    body, value = total(x, 6)
    every_other = Loop(j, 0, 6, 2, (Store(y, (i, j), value),))
    check(rows_kernel((x, y), (y,), *body, every_other))
