"""Steps as C: they compile without a warning, do what Python does, and refuse clearly.

`script/test-export` has the whole of it: twenty networks on eight targets.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export, nn, optim
from smelt.compiler.c import support
from smelt.errors import ArgumentError, CompileError, FileError
from tests.export.c_agreement import predicted, trained
from tests.export.c_targets import TARGETS
from tests.export.c_zoo import ZOO, training_step

needs_gcc = pytest.mark.skipif(bool(TARGETS["gcc"].missing), reason="there is no gcc here")
needs_clang = pytest.mark.skipif(bool(TARGETS["clang"].missing), reason="there is no clang here")


def classifier() -> tuple[nn.Module, Callable[..., Any]]:
    """Returns a small network and its training step, by stochastic gradient descent."""
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: smelt.Tensor, label: smelt.Tensor) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), label)
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def batch(rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 4)).astype(np.float32), random.integers(0, 3, rows)


# --- the same as in Python ------------------------------------------------------------------------


@needs_gcc
@pytest.mark.parametrize("name", ["digits", "words", "vae", "physics"])
def test_training_agrees_with_python(name: str) -> None:
    trained(name, steps=10).check()


@needs_gcc
@pytest.mark.parametrize("name", ["maxpool", "rnn", "transformer"])
def test_predictions_agree_with_python(name: str) -> None:
    predicted(name, inputs=20).check()


@needs_gcc
@needs_clang
def test_compilers_and_options_give_the_same_bits() -> None:
    targets = ("gcc", "gcc for this CPU", "clang")
    found = [trained("words", target, steps=5).results for target in targets]
    assert found[0] == found[1] == found[2]


@needs_gcc
def test_elementwise_results_have_the_bits_of_machine_code(tmp_path: Path) -> None:
    @smelt.compile
    def formula(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        return smelt.tanh(x) * smelt.exp(-(y**2)) + smelt.erf(x - y) / (1 + abs(y))

    random = np.random.default_rng(1)
    x, y = (random.normal(size=(7, 9)).astype(np.float32) for _ in range(2))
    made = export.to_c(formula, tmp_path, x, y)
    _, results, _ = TARGETS["gcc sanitized"].program(made)([(x, y)])
    assert results[0][0].tobytes() == formula(x, y).numpy().tobytes()


@needs_gcc
def test_draws_have_the_same_bits_and_go_on(tmp_path: Path) -> None:
    @smelt.compile
    def draw() -> tuple[smelt.Tensor, smelt.Tensor]:
        return smelt.randn(5), smelt.randint(0, 100, (3,))

    smelt.manual_seed(7)
    made = export.to_c(draw, tmp_path)
    _, results, state = TARGETS["gcc sanitized"].program(made)([(), ()])
    for numbers, counts in results:
        expected = draw()
        assert numbers.tobytes() == expected[0].numpy().tobytes()
        assert counts.tobytes() == expected[1].numpy().tobytes()
    assert (state["generator"] == smelt.get_rng_state().numpy()).all()


@needs_gcc
def test_loops_and_branches(tmp_path: Path) -> None:
    @smelt.compile
    def flow(x: smelt.Tensor) -> dict[str, smelt.Tensor]:
        last, every = smelt.scan(lambda carry, row: (carry * 0.5 + row, carry.sum()), x[0], x)
        halved = smelt.while_loop(lambda v: (v > 1).any(), lambda v: v / 2, x.abs() * 8)
        chosen = smelt.cond(x.sum() > 0, lambda v: v + 1, lambda v: v - 1, last)
        return {"every": every, "halved": halved, "chosen": chosen}

    random = np.random.default_rng(2)
    given = [random.normal(size=(4, 3)).astype(np.float32) + shift for shift in (1, -1)]
    made = export.to_c(flow, tmp_path, given[0])
    assert [one.name for one in made.results] == ["chosen", "every", "halved"]
    _, results, _ = TARGETS["gcc sanitized"].program(made)([(x,) for x in given])
    for x, arrays in zip(given, results, strict=True):
        expected = flow(x)
        for array, one in zip(arrays, made.results, strict=True):
            np.testing.assert_allclose(array, expected[one.name].numpy(), rtol=1e-6)


@needs_gcc
def test_a_failed_check_says_which_and_changes_nothing(tmp_path: Path) -> None:
    model, step = classifier()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    x, labels = batch()
    wrong = labels.copy()
    wrong[3] = 3
    made = export.to_c(smelt.compile(step), tmp_path, x, labels)
    header = Path(made.header).read_text()
    assert re.search(r"NET_CHECK_1 = 1, /\* .*(label|class).* \*/", header)
    program = TARGETS["gcc sanitized"].program(made)
    codes, _, state = program([(x, wrong)])
    assert codes == [1]
    for key, value in before.items():
        assert state[key].tobytes() == value.tobytes(), key
    codes, _, state = program([(x, labels)])
    assert codes == [0]
    assert state["0.weight"].tobytes() != before["0.weight"].tobytes()


def test_exporting_changes_nothing_in_python(tmp_path: Path) -> None:
    model, step = classifier()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    counter = smelt.get_rng_state().tolist()
    export.to_c(step, tmp_path, *batch())
    assert smelt.get_rng_state().tolist() == counter
    for key, value in model.state_dict().items():
        assert value.numpy().tobytes() == before[key].tobytes()


# --- what is written ------------------------------------------------------------------------------


def test_text_is_readable_and_needs_nothing(tmp_path: Path) -> None:
    _, step = classifier()
    made = export.to_c(smelt.compile(step), tmp_path, *batch(), name="digits")
    header, source = (Path(path).read_text() for path in (made.header, made.source))
    assert sorted(os.listdir(tmp_path)) == ["digits.c", "digits.h", "digits.txt"]
    includes = set(re.findall(r"#include (\S+)", header + source))
    assert includes == {"<stdbool.h>", "<stddef.h>", "<stdint.h>", '"digits.h"'}
    assert "const float *x, /* float32[5, 4] */" in header
    assert "const int64_t *label, /* int64[5] */" in header
    assert "float *result); /* float32 */" in header
    assert f"#define DIGITS_STATE_BYTES {made.state_bytes}\n" in header
    assert re.search(r"kernel_\d+_\w+\(.*\); /\* test_to_c.py:\d+ .*\*/", source)
    assert "for (int32_t i1 = 0; i1 < 5; i1++) {" in source
    assert not re.search(r"\b(malloc|free|memcpy|memset|printf|expf?|sqrtf?)\(", source)
    assert not re.search(r"^(static )?(?!const)\w+ \w+(\[\d+\])? = ", source, re.M)  # no globals
    assert max(map(len, source.splitlines())) <= 120


def test_float64_comes_only_from_the_graph(tmp_path: Path) -> None:
    model, _ = classifier()
    made = export.to_c(model, tmp_path, batch()[0])
    source = Path(made.source).read_text()
    assert "double" not in source.replace(support.FUNCTIONS["fma_f32"], "")


@needs_gcc
def test_the_object_calls_nothing_and_has_no_variables(tmp_path: Path) -> None:
    _, step = classifier()
    made = export.to_c(smelt.compile(step), tmp_path, *batch())
    for options in (("-O3",), ("-Os",), ("-O3", "-march=native", "-fno-math-errno")):
        file = tmp_path / "net.o"
        command = ["gcc", "-std=c99", *options, "-c", made.source, "-o", str(file)]
        subprocess.run(command, check=True)
        symbols = subprocess.run(["nm", str(file)], capture_output=True, text=True, check=True)
        kinds = {line.split()[-2]: line for line in symbols.stdout.splitlines()}
        assert not {"U", "D", "d", "B", "b", "C"} & set(kinds), symbols.stdout


@needs_gcc
def test_the_report_is_what_the_compiler_says(tmp_path: Path) -> None:
    _, step = classifier()
    made = export.to_c(smelt.compile(step), tmp_path, *batch())
    parameters = 4 * (4 * 8 + 8 + 8 * 3 + 3)
    assert made.ram["parameters"] == parameters
    assert made.ram["optimizer"] == parameters + 4 * 8  # momentum, and how often each was changed
    assert sum(made.ram.values()) <= made.state_bytes < sum(made.ram.values()) + 8
    size = tmp_path / "size.c"
    size.write_text(
        '#include "net.h"\nnet_state state;\nchar same[sizeof state == NET_STATE_BYTES ? 1 : -1];\n'
    )
    subprocess.run(["gcc", "-std=c99", "-c", str(size), "-o", str(tmp_path / "s.o")], check=True)
    file = tmp_path / "net.o"
    subprocess.run(["gcc", "-std=c99", "-O0", "-c", made.source, "-o", str(file)], check=True)
    listed = subprocess.run(["nm", "-S", str(file)], capture_output=True, text=True, check=True)
    symbols = [line.split() for line in listed.stdout.splitlines()]
    constants = sum(int(size, 16) for _, size, kind, _ in symbols if kind == "r")
    assert constants == sum(made.flash.values())
    assert "workspace" in Path(made.report_file).read_text()
    assert made.flops > 2 * 5 * (4 * 8 + 8 * 3)


@pytest.mark.skipif(bool(TARGETS["thumbv7em"].missing), reason="there is no arm-none-eabi-gcc here")
@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
def test_a_perceptron_takes_less_than_2_kb_of_code_on_a_cortex_m(
    tmp_path: Path, level: str
) -> None:
    layers = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    made = export.to_c(nn.Sequential(*layers), tmp_path, np.zeros((1, 64), np.float32))
    target, file = TARGETS["thumbv7em"], str(tmp_path / "net.o")
    options = [level if option == "-O2" else option for option in target.options]
    command = [target.compiler, "-std=c99", *options, "-c", made.source, "-o", file]
    subprocess.run(command, check=True)
    listed = subprocess.run(
        ["arm-none-eabi-size", "-A", file], capture_output=True, text=True, check=True
    )
    words = [line.split() for line in listed.stdout.splitlines() if line.startswith(".")]
    sizes = {name: int(size) for name, size, _ in words}
    assert sizes[".text"] < 2048
    assert sizes[".rodata"] == sum(made.flash.values())
    assert sizes[".data"] == sizes[".bss"] == 0
    assert made.state_bytes == 4 * (128 + 64)  # the two hidden layers


def test_names_of_parameters_follow_the_function(tmp_path: Path) -> None:
    def both(pair: Any, scale: Any) -> Any:
        return pair["a"] + pair["b"] * scale[0], scale[1]

    x = np.ones(3, np.float32)
    made = export.to_c(both, tmp_path, {"a": x, "b": x}, (x, x))
    names = [one.name for one in made.arguments]
    assert names == ["pair_a", "pair_b", "scale_0", "scale_1"]
    assert [one.name for one in made.results] == ["result0", "result1"]
    made = export.to_c(lambda state, result: state + result, tmp_path, x, x)
    assert [one.name for one in made.arguments] == ["state_2", "result"]
    assert [one.name for one in made.results] == ["result_2"]
    assert "float *result_2); /* float32[3] */" in Path(made.header).read_text()


class Names(nn.Module):
    """Parameters with names that C, C++ or the file itself have taken."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("double", "class", "exp_f32", "net_step", "SUPPORT", "linux", "weight"):
            setattr(self, name, nn.Parameter(smelt.ones(3) * len(name)))

    def forward(self, weight: smelt.Tensor, state: smelt.Tensor) -> smelt.Tensor:
        total = smelt.exp(weight) + state
        for parameter in self.parameters():
            total = total * parameter
        return total


@needs_gcc
def test_names_that_are_taken_get_numbers(tmp_path: Path) -> None:
    given = np.array([0.5, -1, 2], np.float32), np.array([1, 2, 3], np.float32)
    model = Names()
    made = export.to_c(model, tmp_path, *given)
    _, results, _ = TARGETS["gcc sanitized"].program(made)([given])
    assert results[0][0].tobytes() == smelt.compile(model)(*given).numpy().tobytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")
def test_headers_are_read_by_cpp(tmp_path: Path) -> None:
    made = export.to_c(Names(), tmp_path, np.ones(3, np.float32), np.ones(3, np.float32))
    command = ["g++", "-std=c++11", "-Wall", "-Werror", "-fsyntax-only", "-x", "c++", made.header]
    subprocess.run(command, check=True)


# --- what is refused ------------------------------------------------------------------------------


class Floors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(Floor())

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.inner(x)


class Floor(nn.Module):
    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return smelt.floor(x)


def test_an_operation_without_c_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(support.FUNCTIONS, "floor_f32")
    with pytest.raises(CompileError) as caught:
        export.to_c(Floors(), tmp_path, np.ones(3, np.float32))
    message = str(caught.value)
    assert "floor of float32 has no C code" in message
    assert re.search(r"at test_to_c.py:\d+ floors\.inner\.0", message), message
    assert not os.listdir(tmp_path)


def test_gradients_of_an_earlier_call_are_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model(smelt.ones(1, 2)).sum().backward()

    def step() -> None:
        optimizer.step()

    with pytest.raises(ArgumentError, match=r"reads a \.grad that an earlier call left"):
        export.to_c(step, tmp_path)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["", "2net", "my-net", "int", "../net", None])
def test_names_that_c_has_not_are_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="a word of C" if name == "int" else "C identifier"):
        export.to_c(lambda x: x + 1, tmp_path, np.ones(2, np.float32), name=name)
    assert not os.listdir(tmp_path)


def test_what_is_no_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="needs a compiled function"):
        export.to_c(3, tmp_path)  # type: ignore[arg-type]


def test_files_are_there_whole_or_not_at_all(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(FileError):
        export.to_c(lambda x: x + 1, blocked, np.ones(2, np.float32))
    (tmp_path / "net.c").mkdir()  # where the file should be
    with pytest.raises(FileError):
        export.to_c(lambda x: x + 1, tmp_path, np.ones(2, np.float32))
    assert sorted(os.listdir(tmp_path)) == ["file", "net.c"]


def test_the_zoo_has_twenty_networks() -> None:
    assert len(ZOO) == 20
    assert all(callable(training_step(network, network.make())) for network in ZOO.values())


def test_a_module_is_exported_in_evaluation_mode(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    made = export.to_c(model, tmp_path, smelt.zeros(2, 4), name="net")
    assert "generator" not in made.ram
    assert "buffers" not in made.ram  # no statistics change
    assert all(module.training for module in model.modules())


def test_a_header_of_an_object_file_is_not_replaced(tmp_path: Path) -> None:
    x = smelt.zeros(3)
    export.to_object(lambda x: x * 2, tmp_path / "net.o", x)
    before = (tmp_path / "net.h").read_bytes()
    with pytest.raises(FileError, match=r"net\.h: belongs to an object file"):
        export.to_c(lambda x: x * 3, tmp_path, x, name="net")
    assert (tmp_path / "net.h").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["net.h", "net.o"]
    export.to_object(lambda x: x * 3, tmp_path / "net.o", x)  # its own may be


def test_a_header_of_c_source_is_not_replaced(tmp_path: Path) -> None:
    x = smelt.zeros(3)
    export.to_c(lambda x: x * 2, tmp_path, x, name="net")
    with pytest.raises(FileError, match=r"net\.h: belongs to C source"):
        export.to_object(lambda x: x * 3, tmp_path / "net.o", x)
    with pytest.raises(ArgumentError, match=r"\.c is an ending of C source"):
        export.to_object(lambda x: x * 3, tmp_path / "net.c", x)
    assert sorted(os.listdir(tmp_path)) == ["net.c", "net.h", "net.txt"]
