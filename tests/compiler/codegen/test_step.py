"""The step around the kernels: it advances, gathers rows, and ends at a check or the stop flag."""

from __future__ import annotations

import numpy as np

from smelt.compiler.codegen import kernel as llvm
from smelt.dtypes import (
    float32,
    int64,
)
from smelt.ir.loops import (
    Binary,
    Buffer,
    Cast,
    Constant,
    Kernel,
    Lanes,
    Let,
    Load,
    Loop,
    Store,
    Variable,
    constant,
    index_variable,
)
from smelt.ir.program import Call, Check, Program, Slot
from tests.compiler.handmade import (
    Bound,
    add,
    elementwise,
)


def counting() -> tuple[Program, list[np.ndarray]]:
    """Returns a step that adds 1 to a counter, writes it to a result, and fails when it is 5."""
    count, result = Buffer("count", (1,), int64), Buffer("result", (1,), int64)
    status, zero = Buffer("status", (1,), int64), constant(0)
    new = Variable("new", int64)
    body = (
        Let(new, add(Load(count, (zero,)), 1)),
        Store(count, (zero,), new),
        Store(result, (zero,), new),
        Store(status, (zero,), Cast(Binary("eq", new, constant(5)), int64)),
    )
    kernel = Kernel("count", (count,), (count, result, status), body)
    kinds = ("state", "result", "status")
    slots = tuple(
        Slot(buffer.name, (1,), int64, kind, 0)
        for buffer, kind in zip(kernel.buffers, kinds, strict=True)
    )
    program = Program("counting", slots, 0, (Call(kernel, slots), Check(slots[2], 3)))
    return program, [np.zeros(1, np.int64), np.zeros(8, np.int64), np.zeros(1, np.int64)]


def test_steps_advance_results() -> None:
    program, arrays = counting()
    bound = Bound(program, arrays)
    bound.advance[1] = 8
    assert bound.run(steps=4) == 0
    assert arrays[1].tolist() == [1, 2, 3, 4, 0, 0, 0, 0]
    assert bound.control.tolist() == [0, 4]


def test_check_ends_the_step_that_failed() -> None:
    program, arrays = counting()
    bound = Bound(program, arrays)
    assert bound.run(steps=8) == 4
    assert bound.control[1] == 4
    assert arrays[0] == 5


def test_stop_flag_and_no_steps() -> None:
    program, arrays = counting()
    bound = Bound(program, arrays)
    assert bound.run(steps=0) == 0
    assert bound.control[1] == 0
    bound.control[0] = 1
    assert bound.run(steps=4) == 0
    assert bound.control.tolist() == [1, 0]
    assert arrays[0] == 0


def test_gathered_rows_and_arena() -> None:
    batch, middle = Buffer("batch", (2, 16), float32), Buffer("middle", (2, 16), float32)
    total, i = Buffer("total", (16,), float32), index_variable("i")
    index = (i, Lanes(16))
    double = Store(middle, index, Binary("mul", Load(batch, index), Constant(2.0, float32)))
    first = Kernel("double", (batch,), (middle,), (Loop(i, 0, 2, 1, (double,)),))
    collect = Store(
        total, (Lanes(16),), Binary("add", Load(total, (Lanes(16),)), Load(middle, index))
    )
    second = Kernel("sum", (middle, total), (total,), (Loop(i, 0, 2, 1, (collect,)),))
    slots = (
        Slot("batch", (2, 16), float32, "argument", 0),
        Slot("middle", (2, 16), float32, "arena", 0, 64),
        Slot("total", (16,), float32, "state", 0),
    )
    calls = (Call(first, (slots[1], slots[0])), Call(second, (slots[2], slots[1])))
    rows = np.arange(200, dtype=np.float32).reshape(10, 20)[:, :16]  # 64 bytes of each 80
    chosen = np.array([3, 1, 9, 9, 0, 4], np.int64)
    arrays = [np.zeros((2, 16), np.float32), np.zeros(16, np.float32)]
    bound = Bound(Program("gather", slots, 192, calls), arrays)
    gathers = np.array([[rows.ctypes.data, 64, arrays[0].ctypes.data, 80]], np.int64)
    assert bound.run(3, gathers, chosen) == 0
    assert (arrays[1] == 2 * rows[chosen].sum(0)).all()


def test_a_kernel_used_twice_is_written_once() -> None:
    kernel = elementwise("twice", float32, [float32], 16, 16, lambda x: x)
    slots = tuple(Slot(str(n), (16,), float32, "state", n) for n in range(3))
    calls = (Call(kernel, (slots[1], slots[0])), Call(kernel, (slots[2], slots[1])))
    program = Program("twice", slots, 0, calls)
    assert llvm.emit(program).count("define internal") == 1
    arrays = [np.arange(16, dtype=np.float32), np.zeros(16, np.float32), np.zeros(16, np.float32)]
    assert Bound(program, arrays).run() == 0
    assert (arrays[2] == arrays[0]).all()
