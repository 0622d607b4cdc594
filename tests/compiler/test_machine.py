"""Object code: compiled, linked, run, and freed when it is dropped."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from smelt.compiler.codegen import kernel as llvm
from smelt.compiler.codegen import machine
from smelt.compiler.report import roofline
from smelt.compiler.report.roofline import multiply_adds
from smelt.compiler.runtime import native
from smelt.dtypes import float32
from smelt.errors import CompileError
from smelt.ir.loops import Binary, Constant, Fma, Unary
from smelt.ir.program import Program
from tests.compiler.handmade import Bound, elementwise, matmul, step_of

TEXT = """
define i64 @twice(i64 %x) {
  %y = add i64 %x, %x
  ret i64 %y
}
"""


def function(library: machine.Library, name: str = "twice"):
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library[name])


def test_object_code_links_and_runs() -> None:
    library = machine.load_object(machine.compile_object(TEXT), ("twice",))
    assert function(library)(21) == 42


def test_libraries_may_have_the_same_names() -> None:
    code = machine.compile_object(TEXT)
    libraries = [machine.load_object(code, ("twice",)) for _ in range(3)]
    del libraries[1]
    gc.collect()
    assert [function(library)(4) for library in libraries] == [8, 8]


def test_imported_functions_are_called() -> None:
    text = "declare i64 @outside(i64)\n" + TEXT.replace(
        "add i64 %x, %x", "call i64 @outside(i64 %x)"
    )
    negate = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: -x)
    address = ctypes.cast(negate, ctypes.c_void_p).value
    assert address
    code = machine.compile_object(text)
    library = machine.load_object(code, ("twice",), {"outside": address})
    assert function(library)(5) == -5


def test_missing_symbols_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    text = TEXT.replace("add i64 %x, %x", "call i64 @smelt_nowhere(i64 %x)")
    code = machine.compile_object("declare i64 @smelt_nowhere(i64)\n" + text)
    with pytest.raises(CompileError, match=r"cannot be linked: .*twice"):
        machine.load_object(code, ("twice",))
    assert "smelt_nowhere" in capfd.readouterr().err  # LLVM says that name there only
    with pytest.raises(CompileError, match="thrice"):
        machine.load_object(machine.compile_object(TEXT), ("thrice",))


def test_invalid_text_is_refused() -> None:
    with pytest.raises(CompileError, match="expected"):
        machine.compile_object("define nonsense")
    with pytest.raises(CompileError, match="does not dominate"):
        machine.compile_object(
            "define i64 @f() {\n %a = add i64 %b, 1\n %b = add i64 1, 1\n ret i64 %a\n}"
        )


def test_vectors_are_vector_instructions() -> None:
    """What is written with 8 lanes comes out as one packed instruction, and stays unfused."""
    if not machine.host().triple.startswith("x86_64") or "+avx2" not in machine.host().features:
        pytest.skip("reads the assembly of an x86-64 CPU with AVX2")
    size = [float32, float32]
    for op, instruction in {"add": "vaddps", "maximum": "vmaxps", "mul": "vmulps"}.items():

        def apply(x, op=op):
            return Binary(op, x, Constant(3.0, float32))

        text = native.assembly(step_of(elementwise(op, float32, [float32], 64, 8, apply)))
        assert any(instruction in line and "ymm" in line for line in text.splitlines())
    separate = elementwise(
        "apart", float32, size, 64, 8, lambda x, y: Binary("add", Binary("mul", x, y), y)
    )
    assert "vfm" not in native.assembly(step_of(separate))
    together = elementwise("fma", float32, size, 64, 8, lambda x, y: Fma(x, y, y))
    assert "vfm" in native.assembly(step_of(together))


def test_other_targets_compile() -> None:
    text = llvm.emit(step_of(matmul(16, 32, 8, lanes=4)), threads=False)
    for triple in ("aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "wasm32-unknown-unknown"):
        target = machine.Target(triple, "generic" if "wasm" in triple else "", "")
        assert len(machine.compile_object(text, target)) > 100
        assert machine.fingerprint(target) != machine.fingerprint()


def resident() -> int:
    """Returns KiB of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's /proc")
def test_dropped_code_is_freed() -> None:
    """500 programs are linked and dropped, and 60 compiled: memory stays where it was."""
    code = machine.compile_object(native.text(step_of(matmul(64, 64, 64))))
    small = native.text(step_of(matmul(8, 32, 4)))

    def cycle(links: int, compilations: int) -> None:
        for _ in range(links):
            native.Native(step_of(matmul(8, 32, 4)), code)
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


def test_peak_kernels_compute_what_they_say() -> None:
    total, ones = np.zeros((3, 8), np.float32), np.ones(2, np.float32)
    assert Bound(step_of(multiply_adds(3, 8, parallel=False)), [total, ones]).run() == 0
    assert (total == roofline.CHAINS * roofline.ROUNDS).all()


def test_peak_is_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "LINES", 64)  # fits a cache: quick, and no statement about memory
    monkeypatch.setattr(roofline, "REPEATS", 2)
    roofline._measure.cache_clear()
    peak = roofline.measured_peak(parallel=False)
    roofline._measure.cache_clear()
    assert peak.threads == 1
    assert 0.1 < peak.gflops < 10_000
    assert 0.1 < peak.gbytes < 10_000


def test_process_ends_cleanly_while_native_code_is_held() -> None:
    program = (
        "from smelt.compiler.runtime import native\n"
        "from smelt.ir.program import Program\n"
        "keep = native.build(Program('empty', (), 0, ()))\n"
        "cycle = [keep]; cycle.append(cycle)\n"
        "print('done')\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


def test_unary_of_every_lane_count() -> None:
    for lanes in (1, 2, 4, 8, 32):
        given, found = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
        kernel = elementwise(
            "root", float32, [float32], 64, lanes, lambda x: Unary("sqrt", x, float32)
        )
        assert Bound(step_of(kernel), [found, given]).run() == 0
        assert (found == np.sqrt(given)).all()
