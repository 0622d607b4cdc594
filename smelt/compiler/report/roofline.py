"""The peak of this machine: multiply-adds per second, and bytes per second from main memory.

Both are measured with programs of the loop IR, compiled and run as every other program is.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from smelt.compiler.codegen.machine import host_cpu
from smelt.compiler.runtime import build
from smelt.compiler.runtime import threads as runtime
from smelt.dtypes import float32
from smelt.ir import loops as ir
from smelt.ir.program import Call, Program, Slot
from smelt.ir.visit import Body

CHAINS = 10  # multiply-adds in flight: more than the latency of any CPU, fewer than its registers
ROUNDS = 20_000
LINE = 1 << 14  # floats that a parallel iteration streams
LINES = 1 << 10  # 64 MiB per array: more than caches hold
REPEATS = 5


@dataclass(frozen=True)
class Peak:
    """The best that was measured: 10^9 float32 operations and 10^9 bytes a second."""

    threads: int
    gflops: float
    gbytes: float


def measured_peak(parallel: bool = True) -> Peak:
    """Returns what all threads together can do, or one thread; measured once in 0.2 s.

    A multiply-add counts as two operations. Bytes are those of `z = a * x + y` (McCalpin's triad).
    """
    return _measure(runtime.threads() if parallel else 1)


@cache
def _measure(threads: int) -> Peak:
    lanes = host_cpu().vector_bits // 32
    tasks = 8 * threads
    seconds = _best(multiply_adds(tasks, lanes, threads > 1))
    operations = 2.0 * CHAINS * ROUNDS * lanes * tasks
    moved = 3.0 * 4 * LINE * LINES
    return Peak(threads, operations / seconds / 1e9, moved / _best(triad(lanes, threads > 1)) / 1e9)


def multiply_adds(tasks: int, lanes: int, parallel: bool) -> ir.Kernel:
    """Returns a kernel that does nothing but `CHAINS` independent chains of multiply-adds."""
    source, target = ir.Buffer("x", (2,), float32), ir.Buffer("y", (tasks, lanes), float32)
    sums = ir.Register("sums", float32, lanes, (CHAINS,))
    task, turn, chain = (ir.index_variable(name) for name in ("task", "turn", "chain"))
    a, b = (ir.Load(source, (ir.constant(place),)) for place in range(2))
    more = ir.Assign(sums, (chain,), _multiply_add(ir.Read(sums, (chain,)), a, b))
    place = (task, ir.Lanes(lanes))
    add = ir.Store(target, place, ir.Binary("add", ir.Load(target, place), ir.Read(sums, (chain,))))
    body = (
        ir.Declare(sums, ir.Constant(0.0, float32)),
        ir.Loop(turn, 0, ROUNDS, 1, (_each(chain, more),)),
        _each(chain, add),
    )
    return ir.Kernel("peak", (source,), (target,), (_over(task, tasks, body, parallel),))


def _multiply_add(a: ir.Expression, b: ir.Expression, c: ir.Expression) -> ir.Expression:
    """Returns `a * b + c` as programs for this CPU compute it: without one instruction for it, an
    Fma is a function that takes a hundred times as long.
    """
    if host_cpu().has_fma:
        return ir.Fma(a, b, c)
    return ir.Binary("add", ir.Binary("mul", a, b), c)


def triad(lanes: int, parallel: bool) -> ir.Kernel:
    """Returns `z = 3 * x + y` over arrays that no cache holds."""
    x, y, z = (ir.Buffer(name, (LINES, LINE), float32) for name in "xyz")
    line, i = ir.index_variable("line"), ir.index_variable("i")
    place = (line, ir.Binary("add", i, ir.Lanes(lanes)))
    value = _multiply_add(ir.Constant(3.0, float32), ir.Load(x, place), ir.Load(y, place))
    stream = ir.Loop(i, 0, LINE, lanes, (ir.Store(z, place, value),))
    return ir.Kernel("triad", (x, y), (z,), (_over(line, LINES, (stream,), parallel),))


def _each(chain: ir.Variable, statement: ir.Statement) -> ir.Loop:
    return ir.Loop(chain, 0, CHAINS, 1, (statement,), "unroll")


def _over(variable: ir.Variable, count: int, body: Body, parallel: bool) -> ir.Loop:
    return ir.Loop(variable, 0, count, 1, body, "parallel" if parallel else "serial")


def _best(kernel: ir.Kernel) -> float:
    """Returns the seconds of the quickest of several runs."""
    slots = tuple(
        Slot(buffer.name, buffer.shape, buffer.dtype, "state", number)
        for number, buffer in enumerate(kernel.buffers)
    )
    arrays = [np.ones(slot.shape, slot.dtype.storage) for slot in slots]
    table = (ctypes.c_void_p * (len(arrays) + 1))(*(array.ctypes.data for array in arrays))
    control = (ctypes.c_int64 * 2)()
    step = build.build(Program(kernel.name, slots, 0, (Call(kernel, slots),)))
    run = step.bind(ctypes.addressof(table), 1, 0, ctypes.addressof(control), 0, 0, 0, 0)
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:])
