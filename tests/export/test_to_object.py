"""Object files: they need nothing, do what Python and the C source do, and refuse clearly."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import export, nn
from smelt.compiler.codegen.apart import ConstructError, compile_apart
from smelt.compiler.codegen.object_file import read_elf, undefined
from smelt.errors import ArgumentError, CompileError, FileError
from tests.export.c_agreement import predicted, trained
from tests.export.c_targets import OBJECTS, SAME_AS_C
from tests.export.c_zoo import ZOO, training_step
from tests.export.test_to_c import batch, classifier

EVERY = {
    "x86_64-unknown-linux-gnu": 62, "aarch64-unknown-linux-gnu": 183, "aarch64-none-elf": 183,
    "thumbv6m-none-eabi": 40, "thumbv7m-none-eabi": 40, "thumbv7em-none-eabihf": 40,
    "thumbv8m.base-none-eabi": 40, "thumbv8m.main-none-eabi": 40, "riscv32-unknown-elf": 243,
    "riscv64-unknown-linux-gnu": 243, "wasm32-unknown-unknown": 0,
}  # fmt: skip


def there(*names: str) -> list[Any]:
    """Returns targets as parameters of a test; one whose tools are missing is skipped, by name."""
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                bool(OBJECTS[name].missing),
                reason=f"{OBJECTS[name].missing} is missing: {OBJECTS[name].packages}",
            ),
        )
        for name in names
    ]


# --- the same as in Python, and as in C -----------------------------------------------------------


@pytest.mark.parametrize("target", there("x86-64", "x86-64-v3", "x86-64-v4"))
@pytest.mark.parametrize("name", ["digits", "vae"])
def test_training_agrees_with_python(name: str, target: str) -> None:
    trained(name, f"object {target}", steps=10).check()


@pytest.mark.parametrize("target", there("x86-64-v3"))
@pytest.mark.parametrize("name", ["words", "gru"])
def test_a_hundred_steps_agree_with_python(name: str, target: str) -> None:
    trained(name, f"object {target}", steps=100).check()


@pytest.mark.parametrize("target", there("x86-64-v2", "x86-64-v3", "aarch64"))
@pytest.mark.parametrize("name", ["lenet", "transformer"])
def test_predictions_agree_with_python(name: str, target: str) -> None:
    predicted(name, f"object {target}", inputs=8).check()


@pytest.mark.parametrize("target", there(*SAME_AS_C))
@pytest.mark.parametrize("name", ["words", "bayesian"])
def test_code_without_vectors_has_the_bits_of_c(name: str, target: str) -> None:
    """Also where the CPU has no fused multiply-add, no square root, or no floats at all."""
    found = trained(name, f"object {target}", steps=3)
    assert found.has_same_numbers
    assert found.results == trained(name, "gcc", steps=3).results


@pytest.mark.parametrize("target", there("x86-64", "x86-64-v3", "aarch64", "thumbv6m"))
def test_elementwise_results_have_the_bits_of_machine_code(target: str, tmp_path: Path) -> None:
    @smelt.compile
    def formula(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        wave = smelt.tanh(x) * smelt.exp(-(y**2)) + smelt.erf(x - y) / (1 + abs(y))
        return wave + smelt.floor(x * 8) % 3 + smelt.sqrt(abs(x)) + smelt.round(y) // 2

    random = np.random.default_rng(1)
    x, y = (random.normal(size=(7, 9)).astype(np.float32) for _ in range(2))
    made = OBJECTS[target].export(formula, tmp_path, x, y, name="net")
    _, results, _ = OBJECTS[target].program(made)([(x, y)])
    assert results[0][0].tobytes() == formula(x, y).numpy().tobytes()


@pytest.mark.parametrize("target", there("x86-64", "thumbv7em"))
def test_doubles_are_fused_without_an_instruction(target: str, tmp_path: Path) -> None:
    @smelt.compile
    def formula(x: smelt.Tensor) -> smelt.Tensor:
        return smelt.exp(x) + smelt.sqrt(x * x) + smelt.pow(abs(x), 1.7) + smelt.fmod(x, 0.3)

    x = np.random.default_rng(1).normal(size=33)
    made = OBJECTS[target].export(formula, tmp_path, x, name="net")
    _, results, _ = OBJECTS[target].program(made)([(x,)])
    assert results[0][0].tobytes() == formula(x).numpy().tobytes()


@pytest.mark.parametrize("target", there("x86-64-v3", "thumbv7em"))
def test_a_failed_check_says_which_and_changes_nothing(target: str, tmp_path: Path) -> None:
    model, step = classifier()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    x, labels = batch()
    wrong = labels.copy()
    wrong[3] = 3
    made = OBJECTS[target].export(step, tmp_path, x, labels, name="net")
    program = OBJECTS[target].program(made)
    codes, _, state = program([(x, wrong)])
    assert codes == [1]
    for key, value in before.items():
        assert state[key].tobytes() == value.tobytes(), key
    codes, _, state = program([(x, labels)])
    assert codes == [0]
    assert state["0.weight"].tobytes() != before["0.weight"].tobytes()


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", EVERY)
def test_every_target_has_code_that_needs_no_c_library(target: str, tmp_path: Path) -> None:
    network = ZOO["housing"]
    step, given = training_step(network, network.make()), network.batch(np.random.default_rng(0))
    made = export.to_object(step, tmp_path / "net.o", *given, target=target)
    code = Path(made.object_file).read_bytes()
    if EVERY[target]:
        file = read_elf(code)
        assert file.machine == EVERY[target]
        defined = {one.name for one in file.symbols if one.section}
        assert {"net_init", "net_step"} <= defined
        assert not [one.name for one in file.sections if one.is_allocated and one.flags & 1]
    else:
        assert code[:4] == b"\0asm"
        assert b"net_step" in code
    needed = [one for one in undefined(code) if one != "__stack_pointer"]
    assert needed == list(made.runtime_functions)
    assert all(re.fullmatch("__[a-z0-9_]+", one) for one in needed)
    if "64" in target:
        assert needed == []
    assert made.flash["code"] > 1000
    assert "functions of the compiler's library" in made.report


def test_headers_say_what_those_of_c_say(tmp_path: Path) -> None:
    _, step = classifier()
    in_c = export.to_c(step, tmp_path / "c", *batch())
    source = Path(in_c.header).read_text().splitlines()
    for target in ("thumbv7em-none-eabi", "x86_64-unknown-linux-gnu"):
        made = export.to_object(step, tmp_path / "net.o", *batch(), target=target)
        assert made.header == str(tmp_path / "net.h")
        lines = Path(made.header).read_text().splitlines()
        assert lines[0] == f"/* net: exported by Smelt; object code for {target}. */"
        tensors = [line for line in lines if "workspace" not in line]
        same = [line for line in source if "workspace" not in line]
        if target.startswith("thumb"):
            assert lines[1:] == source[1:]
        assert [x for x in tensors[1:] if "_BYTES" not in x] == [
            x for x in same[1:] if "_BYTES" not in x
        ]
        assert (made.arguments, made.results) == (in_c.arguments, in_c.results)


def test_names_and_files(tmp_path: Path) -> None:
    x = np.ones(3, np.float32)
    made = export.to_object(lambda x: x + 1, tmp_path / "plus.obj", x, header=False)
    assert (made.name, made.header) == ("plus", "")
    assert os.listdir(tmp_path) == ["plus.obj"]
    made = export.to_object(lambda x: x + 1, tmp_path / "a-b.o", x, name="named")
    assert b"named_step" in Path(made.object_file).read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a-b.h", "a-b.o", "plus.obj"]


def test_names_of_parameters_hide_no_function(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in ("floorf", "fmaf", "net_step", "state"):
                setattr(self, name, nn.Parameter(smelt.ones(3) * len(name)))

        def forward(self, x: smelt.Tensor) -> smelt.Tensor:
            for parameter in self.parameters():
                x = smelt.floor(smelt.exp(x)) * parameter
            return x

    x = np.array([0.5, -1, 0], np.float32)
    model = Odd()
    made = export.to_object(model, tmp_path / "net.o", x, cpu="x86-64", target=next(iter(EVERY)))
    if not OBJECTS["x86-64"].missing:
        _, results, _ = OBJECTS["x86-64"].program(made)([(x,)])
        assert results[0][0].tobytes() == smelt.compile(model)(x).numpy().tobytes()


def test_exporting_changes_nothing_in_python(tmp_path: Path) -> None:
    model, step = classifier()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    export.to_object(step, tmp_path / "net.o", *batch())
    for key, value in model.state_dict().items():
        assert value.numpy().tobytes() == before[key].tobytes()


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "mips-unknown-linux-gnu"}, "begin with one of x86_64, aarch64"),
        ({"target": "arm64-apple-macosx"}, "object files are ELF or WebAssembly"),
        ({"target": "thumbv7em-none-elf"}, "end it with eabi or eabihf"),
        ({"target": "thumbv7em-none-eabi", "cpu": "cortex-m99"}, "no CPU 'cortex-m99'"),
        ({"features": "+telepathy"}, "no feature"),
        ({"name": "my-net"}, "C identifier"),
        ({"features": "fp16"}, r"begin each feature with \+ or -, as in \+fp16"),
    ],
)
def test_targets_and_names_that_are_none(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        export.to_object(lambda x: x + 1, tmp_path / "net.o", np.ones(2, np.float32), **given)
    assert not os.listdir(tmp_path)


def test_what_has_no_code_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_division(text: str, *rest: Any) -> bytes:
        if "fdiv" in text:
            raise ConstructError("LLVM made no code for it: Cannot select: fdiv")
        return compile_apart(text, *rest)

    def step(x: smelt.Tensor) -> Sequence[smelt.Tensor]:
        y = (x + 1).sum(0)
        z = x.cumsum(0)
        return [y, z, 1 / (x @ x.T)]

    monkeypatch.setattr("smelt.export.object_code.compile_apart", without_division)
    with pytest.raises(CompileError) as caught:
        export.to_object(step, tmp_path / "net.o", np.ones((3, 3), np.float32))
    message = str(caught.value)
    assert "Cannot select: fdiv" in message
    assert re.search(r"in \w*matmul\w*, at test_to_object.py:\d+", message), message
    assert not os.listdir(tmp_path)


def test_files_are_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "net.h").mkdir()  # where the header should be
    x = np.ones(2, np.float32)
    with pytest.raises(FileError):
        export.to_object(lambda x: x + 1, tmp_path / "net.o", x)
    with pytest.raises(FileError):
        export.to_object(lambda x: x + 1, tmp_path / "nowhere" / "net.o", x)
    with pytest.raises(ArgumentError, match="use .o"):
        export.to_object(lambda x: x + 1, tmp_path / "some.h", x)
    assert os.listdir(tmp_path) == ["net.h"]
