"""Steps as functions that C calls: what they compute, and that they need nothing."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.compiler.codegen import machine
from smelt.compiler.codegen.freestanding import Data, _data, emit_call
from smelt.compiler.codegen.object_file import read_elf, undefined
from smelt.errors import ArgumentError, CompileError
from smelt.export.object_code import made_object
from smelt.export.object_targets import object_target
from smelt.export.traced_step import traced_step

LINUX = "x86_64-unknown-linux-gnu"


def function(x: smelt.Tensor, y: smelt.Tensor) -> Any:
    _, every = smelt.scan(lambda carry, row: (carry * 0.5 + row, carry.sum()), x[0], x)
    halved = smelt.while_loop(lambda v: (v > 1).any(), lambda v: v / 2, x.abs() * 8)
    chosen = smelt.cond(x.sum() > 0, lambda v: v + 1, lambda v: v - 1, y)
    return every, halved, chosen, F.softmax(x @ y.reshape(3, 1), 0)


@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v3"])
def test_loops_branches_and_products(cpu: str) -> None:
    level = machine.cpu_of(machine.host())
    if level.name == "NEON" or (cpu != "x86-64" and level.name == "SSE"):
        pytest.skip(f"this machine is no {cpu}")
    random = np.random.default_rng(0)
    given = [random.normal(size=(4, 3)).astype(np.float32) + shift for shift in (1, -1)]
    y = random.normal(size=3).astype(np.float32)
    made = made_object(
        traced_step("to_object", function, (given[0], y)), "net", object_target("", LINUX, cpu, "")
    )
    assert made.runtime_functions == ()
    assert undefined(made.code) == []
    library = machine.load_object(made.code, ("net_init", "net_step"))
    state = np.zeros(made.interface.sizes.state, np.uint8)
    pointer = ctypes.c_void_p
    step = ctypes.CFUNCTYPE(ctypes.c_int, *[pointer] * (1 + len(made.interface.names)))(
        library["net_step"]
    )
    ctypes.CFUNCTYPE(None, pointer)(library["net_init"])(state.ctypes.data)
    for x in given:
        results = [np.empty(one.shape, one.dtype.storage) for one in made.exported.results]
        assert step(*[array.ctypes.data for array in (state, x, y, *results)]) == 0
        expected = function(smelt.tensor(x), smelt.tensor(y))
        for result, one in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, one.numpy(), rtol=1e-6)


def test_loops_count_in_32_bits_where_registers_have_no_more() -> None:
    model = nn.Linear(5, 3)
    traced = traced_step("to_object", model, (np.zeros((2, 5), np.float32),))
    small = object_target("", "thumbv7em-none-eabi", None, None)
    assert small.has_short_loops
    assert not object_target("", LINUX, None, None).has_short_loops
    text = _text(traced, small)
    assert "phi i32" in text
    assert "phi i64" not in text


def _text(traced: Any, target: Any) -> str:
    """Returns the LLVM text that a step becomes."""
    seen = []

    def note(text: str, *_: Any) -> bytes:
        seen.append(text)
        raise CompileError("that is enough")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smelt.export.object_code.compile_apart", note)
        with pytest.raises(CompileError, match="that is enough"):
            made_object(traced, "net", target)
    return seen[0]


def test_no_function_becomes_a_call_of_the_c_library() -> None:
    text = _text(
        traced_step("to_object", lambda x: x * 0, (np.zeros(1000, np.float32),)),
        object_target("", "riscv64-unknown-elf", None, None),
    )
    heads = re.findall("^define .*", text, re.M)
    assert heads
    assert all('"no-builtins"' in head for head in heads)


def test_constants_are_written_byte_by_byte() -> None:
    contents = bytes(range(256))
    text = _data(Data("all", contents, 1)) + "\n" + emit_call("net", 2)
    text += "\ndeclare i32 @net_step(ptr, ptr, ptr)\n@used = global ptr @data.all\n"
    target = machine.Target(LINUX, "x86-64", "")
    file = read_elf(machine.emit(machine.parse(text, target), target))
    assert contents in [section.contents for section in file.sections]
    assert "zeroinitializer" in _data(Data("none", bytes(8), 8))


def test_targets_that_are_none() -> None:
    for triple in ("x86_64-apple-darwin", "mips-unknown-linux-gnu", "thumbv7em-none-elf", ""):
        with pytest.raises(ArgumentError, match="to_object: target="):
            object_target("to_object", triple, None, None)
