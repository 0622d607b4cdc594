"""Kernels built by hand for the tests of the back end, and a short way to run them natively."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from smelt.compiler.runtime import build, native
from smelt.compiler.runtime import object_cache as cache
from smelt.dtypes import DType, bfloat16, float32
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Constant,
    Declare,
    Expression,
    Fma,
    Kernel,
    Lanes,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Store,
    Variable,
    constant,
    index_variable,
)
from smelt.ir.program import Call, Program, Slot


def add(a: Expression, b: Expression | int) -> Expression:
    """Returns the index `a + b`."""
    return Binary("add", a, constant(b) if isinstance(b, int) else b)


def mul(a: Expression, b: Expression | int) -> Expression:
    """Returns the index `a * b`."""
    return Binary("mul", a, constant(b) if isinstance(b, int) else b)


def along(index: Expression, lanes: int) -> Expression:
    """Returns the lanes from `index` on, or the index itself for one lane."""
    return add(index, Lanes(lanes)) if lanes > 1 else index


def elementwise(
    name: str,
    result: DType,
    operands: Sequence[DType],
    size: int,
    lanes: int,
    function: Callable[..., Expression],
) -> Kernel:
    """Returns `out[i] = function(in0[i], in1[i], ...)`, `lanes` elements at a time."""
    inputs = tuple(Buffer(f"in{number}", (size,), dtype) for number, dtype in enumerate(operands))
    output, i = Buffer("out", (size,), result), index_variable("i")
    index = (along(i, lanes),)
    value = function(*(Load(buffer, index) for buffer in inputs))
    return Kernel(
        name, inputs, (output,), (Loop(i, 0, size, lanes, (Store(output, index, value),)),)
    )


def step_of(*kernels: Kernel, name: str = "step") -> Program:
    """Returns a program that runs kernels, each on slots of its own."""
    slots: list[Slot] = []
    calls = []
    for kernel in kernels:
        own = tuple(
            Slot(buffer.name, buffer.shape, buffer.dtype, "state", len(slots) + number)
            for number, buffer in enumerate(kernel.buffers)
        )
        slots += own
        calls.append(Call(kernel, own))
    return Program(name, tuple(slots), 0, tuple(calls))


class Bound:
    """A native program with arrays for its slots, kept alive together."""

    def __init__(self, program: Program, arrays: Sequence[np.ndarray]) -> None:
        # past the cache's key, which is text: handmade expressions may share beyond all printing
        self.native = native.Native(cache.compiled(build.text(program)), build.is_parallel(program))
        self.arrays = list(arrays)
        self.arena = np.zeros(program.arena_bytes + 64, np.uint8)
        start = -self.arena.ctypes.data % 64
        inside = iter(self.arrays)
        addresses = [
            None if slot.kind == "arena" else next(inside).ctypes.data for slot in program.slots
        ]
        self.table = (ctypes.c_void_p * (len(addresses) + 1))(
            *addresses, self.arena.ctypes.data + start
        )
        self.control = np.zeros(2, np.int64)
        self.advance = np.zeros(max(len(program.slots), 1), np.int64)

    def run(
        self, steps: int = 1, gathers: np.ndarray | None = None, order: np.ndarray | None = None
    ) -> int:
        """Runs steps and returns the result."""
        batch = 0 if order is None else order.size // steps
        return self.native.run(
            ctypes.addressof(self.table),
            steps,
            self.advance.ctypes.data,
            self.control.ctypes.data,
            0 if gathers is None else gathers.ctypes.data,
            0 if gathers is None else len(gathers),
            0 if order is None else order.ctypes.data,
            batch,
        )


def run_native(kernel: Kernel, arrays: Sequence[np.ndarray]) -> None:
    """Runs one kernel natively on arrays in the order of `kernel.buffers`, in place."""
    assert Bound(step_of(kernel), arrays).run() == 0


def matmul(
    rows: int, columns: int, inner: int, tile_rows: int = 8, tile_columns: int = 32, lanes: int = 16
) -> Kernel:
    """Returns `C = A @ B` in register tiles, the inner axis innermost."""
    a, b = Buffer("A", (rows, inner), float32), Buffer("B", (inner, columns), float32)
    c = Buffer("C", (rows, columns), float32)
    i, j, k, row, column = (index_variable(name) for name in ("i", "j", "k", "row", "column"))
    parts = tile_columns // lanes
    tile = Register("tile", float32, lanes, (tile_rows, parts))
    line = [Variable(f"line{part}", float32, lanes) for part in range(parts)]
    element = Variable("element", float32)
    products = [
        Assign(
            tile, (row, constant(part)), Fma(element, line[part], Read(tile, (row, constant(part))))
        )
        for part in range(parts)
    ]
    inner_body = [
        Let(line[part], Load(b, (k, add(add(j, part * lanes), Lanes(lanes)))))
        for part in range(parts)
    ]
    taken = Let(element, Load(a, (add(i, row), k)))
    rows_body = Loop(row, 0, tile_rows, 1, (taken, *products), "unroll")
    index = (add(i, row), add(add(j, mul(column, lanes)), Lanes(lanes)))
    stores = Loop(column, 0, parts, 1, (Store(c, index, Read(tile, (row, column))),), "unroll")
    body = (
        Declare(tile, Constant(0.0, float32)),
        Loop(k, 0, inner, 1, (*inner_body, rows_body)),
        Loop(row, 0, tile_rows, 1, (stores,), "unroll"),
    )
    over_columns = Loop(j, 0, columns, tile_columns, body)
    return Kernel("matmul", (a, b), (c,), (Loop(i, 0, rows, tile_rows, (over_columns,)),))


def shared(name: str, iterations: int, length: int, function: Callable[..., Expression]) -> Kernel:
    """Returns a parallel kernel: iteration r computes `out[r, :] = function(in[r, :])`."""
    source, target = (Buffer(side, (iterations, length), float32) for side in ("in", "out"))
    r, i = index_variable("r"), index_variable("i")
    index = (r, along(i, 16))
    line = Loop(i, 0, length, 16, (Store(target, index, function(Load(source, index))),))
    return Kernel(name, (source,), (target,), (Loop(r, 0, iterations, 1, (line,), "parallel"),))


def mask_below(index: Expression, lanes: int, bound: int) -> Expression:
    """Returns which of the lanes from `index` on are below `bound`."""
    return Binary("lt", along(index, lanes), constant(bound))


def bits(array: np.ndarray, dtype: DType, signed_zero: bool = True) -> np.ndarray:
    """Returns what must be equal: the bits, all nan alike, and zeros alike if so wanted."""
    if not dtype.is_float:
        return array
    if dtype is bfloat16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    array = np.where(np.isnan(array), array.dtype.type(7.25), array)
    array = array if signed_zero else array + array.dtype.type(0)
    return array.view(f"i{array.dtype.itemsize}")


def check(kernels: list[Kernel], given: list[np.ndarray], loose: tuple[str, ...] = ()) -> None:
    """Asserts that native code and interpreter agree on kernels of one output each."""
    outputs = [np.zeros(k.outputs[0].shape, k.outputs[0].dtype.storage) for k in kernels]
    arrays = [[output, *given[: len(k.inputs)]] for k, output in zip(kernels, outputs, strict=True)]
    assert Bound(step_of(*kernels), list(itertools.chain(*arrays))).run() == 0
    for kernel, results in zip(kernels, outputs, strict=True):
        expected = np.zeros_like(results)
        run_kernel(kernel, [expected, *given[: len(kernel.inputs)]])
        dtype, signed = kernel.outputs[0].dtype, kernel.name not in loose
        wrong = np.flatnonzero(bits(results, dtype, signed) != bits(expected, dtype, signed))
        shown = [(*(x[n] for x in given), results[n], expected[n]) for n in wrong[:5]]
        assert not wrong.size, f"{kernel.name}: (operands, native, interpreted) {shown}"
