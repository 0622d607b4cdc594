"""A program as native code: it runs, it holds what it needs, and it is freed when it is dropped."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from smelt.compiler.codegen import machine
from smelt.compiler.runtime import build, native
from smelt.dtypes import float32
from smelt.ir.program import Program
from tests.compiler.handmade import Bound, elementwise, matmul, step_of


def resident() -> int:
    """Returns KiB of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
def test_dropped_code_is_freed() -> None:
    """500 programs are linked and dropped, and 60 compiled: memory stays where it was."""
    code = machine.compile_object(build.text(step_of(matmul(64, 64, 64))))
    small = build.text(step_of(matmul(8, 32, 4)))

    def cycle(links: int, compilations: int) -> None:
        for _ in range(links):
            native.Native(code, is_parallel=False)
        for _ in range(compilations):
            machine.compile_object(small)
        gc.collect()

    cycle(30, 20)
    before = resident()
    cycle(500, 60)
    assert resident() - before < 2500  # a leak of 10 KiB a link, or 85 KiB a compilation, is 5000


def test_native_code_outlives_nothing_that_it_needs() -> None:
    bound = Bound(
        step_of(elementwise("copy", float32, [float32], 16, 16, lambda x: x)),
        [np.zeros(16, np.float32), np.arange(16, dtype=np.float32)],
    )
    call = bound.native.bind(
        ctypes.addressof(bound.table), 1, 0, bound.control.ctypes.data, 0, 0, 0, 0
    )
    del bound.native
    gc.collect()
    assert call() == 0
    assert (bound.arrays[0] == np.arange(16)).all()


def test_an_empty_program_runs() -> None:
    bound = Bound(Program("empty", (), 0, ()), [])
    assert bound.run(7) == 0
    assert bound.control[1] == 7


def test_process_ends_cleanly_while_native_code_is_held() -> None:
    program = (
        "from smelt.compiler.runtime import build\n"
        "from smelt.ir.program import Program\n"
        "keep = build.build(Program('empty', (), 0, ()))\n"
        "cycle = [keep]; cycle.append(cycle)\n"
        "print('done')\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")
