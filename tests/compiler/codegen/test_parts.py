"""Long modules: cut into parts that are compiled side by side and linked together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.compiler.codegen import machine, parts
from smelt.compiler.codegen.parts import parts_of
from smelt.compiler.runtime import build
from smelt.errors import CompileError


@pytest.fixture(scope="module")
def text() -> str:
    """The LLVM text of a training step."""
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 300), nn.GELU(), nn.LayerNorm(300), nn.Linear(300, 7))
    optimizer = optim.Adam(model.parameters())

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    with smelt.settings(verify=True):
        step(smelt.randn(500, 40), smelt.tensor(np.arange(500) % 7))
    program = step.executables.newest.stages.program
    assert any(kernel.parallel for kernel in program.kernels)
    return build.text(program)


def test_each_kernel_is_in_one_part(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LONG", 5000)
    several = parts_of(text, 3)
    assert len(several) == 3
    assert max(map(len, several)) < 0.7 * len(text)
    kernels = text.count("noinline")
    assert sum(part.count("define void") - part.count('.job"(ptr %') for part in several) == kernels
    # hidden functions are called by their distance, and parts may be linked far apart
    assert not any("hidden" in part for part in several[1:])  # sections are with the step
    exported = [part for part in several if "define i64 @run(" in part]
    assert exported == several[:1]
    for part in several:
        machine.parse(part)  # whole, and verified


def test_short_texts_are_not_cut(text: str) -> None:
    assert parts_of(text[:5000], 8) == [text[:5000]]
    assert parts_of(text, 1) == [text]


def test_parts_are_linked_to_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    smelt.manual_seed(1)
    x, w = smelt.randn(300, 50), smelt.randn(50, 90)
    wanted = (F.gelu(x @ w).softmax(-1) @ w.T).numpy()
    monkeypatch.setattr(parts, "LONG", 1000)
    monkeypatch.setattr(machine, "cores", lambda: 3)
    made = []
    compiled = machine.compile_object
    monkeypatch.setattr(
        machine, "compile_object", lambda text: made.append(compiled(text)) or made[-1]
    )
    got = smelt.compile(lambda x, w: F.gelu(x @ w).softmax(-1) @ w.T)(x, w)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert any(code.startswith(machine.SEVERAL) for code in made)


def test_where_the_unlocked_function_is_hidden_one_thread_makes_all(text, monkeypatch) -> None:
    monkeypatch.setattr(machine, "_EMIT", None)
    monkeypatch.setattr(parts, "LONG", 1000)
    assert not machine.compile_object(text).startswith(machine.SEVERAL)


def test_a_part_of_which_nothing_is_made_is_an_error(text: str, monkeypatch) -> None:
    monkeypatch.setattr(parts, "LONG", 1000)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(machine, "_EMIT", lambda *given: None)
    with pytest.raises(CompileError, match="LLVM cannot compile the module"):
        machine.compile_object(text)


def test_garbage_does_not_keep_a_new_thread_waiting(tmp_path: Path) -> None:
    """What llvmlite is called by when garbage is collected waits for the lock of who compiles."""
    run = subprocess.run(
        [sys.executable, "-c", COLLECTS],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "SMELT_CACHE": str(tmp_path)},
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == ["2", "True"]


COLLECTS = """
import gc
import llvmlite.binding as llvm
import smelt
from smelt.compiler.codegen import machine, parts

emit, emitted = machine._EMIT, []
modules = [llvm.parse_assembly("") for _ in range(2)]

def collecting(*given):
    garbage = [modules.pop()]
    garbage.append(garbage)
    del garbage
    numbers = [[number] for number in range(20_000)]  # more than what a collection waits for
    emitted.append(given)
    return emit(*given)

machine._EMIT = collecting
machine.cores = lambda: 2
parts.LONG = 1000
smelt.compile(lambda x, w: (x @ w).softmax(-1) @ w.T)(smelt.ones(300, 50), smelt.ones(50, 90))
print(len(emitted), gc.isenabled())
"""
