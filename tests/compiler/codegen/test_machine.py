"""Object code: compiled, linked, run, and freed when it is dropped."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smelt.compiler.codegen import kernel as llvm
from smelt.compiler.codegen import machine
from smelt.compiler.codegen.machine import LEVELS
from smelt.compiler.cpu import AVX2, AVX512, CPU, NEON, SSE
from smelt.compiler.runtime import build
from smelt.dtypes import float32
from smelt.errors import CompileError
from smelt.ir.loops import Binary, Constant, Fma
from tests.compiler.handmade import elementwise, matmul, step_of

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


FAR = """
import mmap
import smelt
from smelt import nn, optim
smelt.compile(lambda x: x + 1)(smelt.ones(3))
small = [mmap.mmap(-1, 8192) for _ in range(4000)]
large = mmap.mmap(-1, 3 << 30)  # new code lies on its other side, constants fit into the gaps
for region in small[::2]:
    region.close()
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = optim.Adam(model.parameters())

@smelt.compile
def step(x, y):
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss

print(step(smelt.randn(64, 64), smelt.randint(0, 10, (64,))).item())
"""


def test_code_finds_its_constants_in_a_process_with_much_data(tmp_path: Path) -> None:
    """LLVM's older linker ended the process where they came to lie more than 2 GB apart."""
    environment = {**os.environ, "SMELT_CACHE": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", FAR], capture_output=True, text=True, env=environment
    )
    assert found.returncode == 0, found.stderr
    assert 1 < float(found.stdout) < 5


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

        text = build.assembly(step_of(elementwise(op, float32, [float32], 64, 8, apply)))
        assert any(instruction in line and "ymm" in line for line in text.splitlines())
    separate = elementwise(
        "apart", float32, size, 64, 8, lambda x, y: Binary("add", Binary("mul", x, y), y)
    )
    assert "vfm" not in build.assembly(step_of(separate))
    together = elementwise("fma", float32, size, 64, 8, lambda x, y: Fma(x, y, y))
    assert "vfm" in build.assembly(step_of(together))


def test_other_targets_compile() -> None:
    text = llvm.emit(step_of(matmul(16, 32, 8, lanes=4)), threads=False)
    for triple in ("aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "wasm32-unknown-unknown"):
        target = machine.Target(triple, "generic" if "wasm" in triple else "", "")
        assert len(machine.compile_object(text, target)) > 100
        assert machine.fingerprint(target) != machine.fingerprint()


@pytest.mark.parametrize(
    ("triple", "features", "cpu"),
    [
        ("x86_64-unknown-linux-gnu", "+sse2,+avx2,+avx512f", AVX512),
        ("x86_64-unknown-linux-gnu", "+sse2,+avx2,-avx512f", AVX2),
        ("x86_64-apple-darwin", "+sse2", SSE),
        ("arm64-apple-darwin", "+neon", NEON),
        ("aarch64-unknown-linux-gnu", "+neon,+sve", NEON),
    ],
)
def test_what_passes_know_of_a_cpu(triple: str, features: str, cpu: CPU) -> None:
    assert machine.cpu_of(machine.Target(triple, "", features)) is cpu


# --- older CPUs -----------------------------------------------------------------------------------

OLDER = """
import numpy as np, smelt
from smelt import nn
from smelt.compiler.codegen.machine import host_cpu

halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
with np.errstate(all="ignore"):
    floats = halves.astype(np.float32)
    given = np.concatenate([floats, (floats[1:] + floats[:-1]) / 2, np.nextafter(floats, 0.0)])
    wanted = given.astype(np.float16)
widened = smelt.compile(lambda x: x.float())(smelt.tensor(halves)).numpy()
np.testing.assert_array_equal(widened, floats)
narrowed = smelt.compile(lambda x: x.half())(smelt.tensor(given)).numpy()
np.testing.assert_array_equal(narrowed, wanted)

smelt.manual_seed(0)
model = nn.LSTM(9, 33, batch_first=True)
x = smelt.randn(5, 7, 9)
(y, _), (z, _) = model(x), smelt.compile(model)(x)
np.testing.assert_allclose(z.numpy(), y.numpy(), rtol=1e-5, atol=1e-6)
a, b = smelt.randn(65, 300), smelt.randn(65, 41)
c = smelt.compile(lambda a, b: (a.mT @ b).softmax(-1).exp())(a, b)
np.testing.assert_allclose(c.numpy(), (a.mT @ b).softmax(-1).exp().numpy(), rtol=1e-4)
print(host_cpu().name)
"""


def run_as(cpu: str, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SMELT_CPU": cpu, "SMELT_CACHE": str(folder)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.mark.parametrize(("level", "name"), [(k, cpu.name) for k, (cpu, _) in LEVELS.items()])
def test_code_can_be_made_for_an_older_cpu(level: str, name: str, tmp_path: Path) -> None:
    lacking = {*LEVELS[level][1]} - {*machine.host().features.split(",")}
    if lacking:
        pytest.skip(f"this machine has no {', '.join(lacking)}")
    ran = run_as(level, OLDER, tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{name}\n", "")


def test_a_cpu_that_is_none_is_refused(tmp_path: Path) -> None:
    ran = run_as("pentium", "import smelt; smelt.compile(lambda x: x + 1)(smelt.ones(3))", tmp_path)
    assert "SMELT_CPU=pentium: " in ran.stderr
    assert "ArgumentError" in ran.stderr
