"""Libraries: they run without Smelt and LLVM, do what Python does, and refuse what is damaged."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt_runtime
from smelt import export, nn, optim
from smelt.errors import ArgumentError, FileError
from smelt_runtime import CheckError, LibraryError, load
from smelt_runtime.library_file import read
from smelt_runtime.processor import check_processor, features
from tests.export.c_targets import TARGETS
from tests.export.c_zoo import ZOO, training_step
from tests.export.test_to_c import batch, classifier

ROOT = Path(smelt_runtime.__file__).parents[1]
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not {"avx2", "asimd"} & features(),
    reason="libraries run on Linux, and by default on CPUs with AVX2",
)

# a process that cannot import Smelt or LLVM: it loads a library, runs it, and says what it has
ALONE = """
import importlib.abc, json, sys
import numpy as np

class Forbidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("smelt", "llvmlite"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Forbidden())
sys.path.append(sys.argv[1])
import smelt_runtime

library = smelt_runtime.load(sys.argv[2])
given = np.load(sys.argv[3])
steps = int(given["steps"])
results = [library(*[given[f"{one.name}.{n}"] for one in library.arguments]) for n in range(steps)]
state = library.state_dict()
np.savez(sys.argv[4], results=np.array(results), **{f"state.{k}": v for k, v in state.items()})
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def run_alone(
    path: Path, batches: list[tuple[np.ndarray, ...]]
) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    """Runs a library in a process of its own: returns results, state, and the packages loaded."""
    names = [one.name for one in load(path).arguments]
    given = {
        f"{name}.{number}": array
        for number, arrays in enumerate(batches)
        for name, array in zip(names, arrays, strict=True)
    }
    inputs, outputs = path.with_suffix(".in.npz"), path.with_suffix(".out.npz")
    np.savez(inputs, steps=len(batches), **given)
    command = [sys.executable, "-c", ALONE, str(ROOT), str(path), str(inputs), str(outputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    with np.load(outputs) as found:
        state = {key[6:]: found[key] for key in found.files if key.startswith("state.")}
        return found["results"], state, json.loads(done.stdout)


# --- the same as in Python ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "lenet", "lstm", "transformer", "vae"])
def test_the_zoo_runs_without_smelt(name: str, tmp_path: Path) -> None:
    network, random = ZOO[name], np.random.default_rng(2)
    smelt.manual_seed(1)
    model = network.make()
    step = smelt.compile(training_step(network, model))
    batches = [network.batch(random) for _ in range(10)]
    path = tmp_path / f"{name}.smeltlib"
    made = export.to_library(step, path, *batches[0])
    losses, state, packages = run_alone(path, batches)
    assert not {"smelt", "llvmlite"} & set(packages)
    expected = [step(*arrays).item() for arrays in batches]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert set(state) == set(made.tensors)
    for key, value in model.named_parameters():
        if not key.endswith("in_proj_bias"):  # a key's bias moves nothing: see c_agreement.py
            true = value.detach().numpy()
            largest = max(float(abs(true).max()), 1e-6)
            assert abs(state[key] - true).max() <= 1e-4 * largest, key
    model.eval()
    inputs = [arrays[: network.inputs] for arrays in batches[:3]]
    export.to_library(model, path, *inputs[0])
    outputs, _, _ = run_alone(path, inputs)
    for output, arrays in zip(outputs, inputs, strict=True):
        true = model(*map(smelt.tensor, arrays)).detach().numpy()
        np.testing.assert_allclose(output, true, rtol=1e-5, atol=1e-5 * abs(true).max())


def test_the_runtime_imports_numpy_and_nothing_else() -> None:
    code = "import sys, smelt_runtime; print('smelt' in sys.modules, 'llvmlite' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "False"]
    files = (ROOT / "smelt_runtime").glob("*.py")
    assert not [file for file in files if "import smelt\n" in file.read_text()]
    from smelt import runtime

    assert {getattr(runtime, name) for name in runtime.__all__} == {
        getattr(smelt_runtime, name) for name in smelt_runtime.__all__
    }


def test_smelt_itself_runs_a_library_without_loading_llvm(tmp_path: Path) -> None:
    path = tmp_path / "twice.smeltlib"
    export.to_library(lambda x: x * 2, path, smelt.zeros(3))
    code = (
        "import sys, numpy, smelt.runtime; twice = smelt.runtime.load(sys.argv[1]); "
        "print(twice(numpy.ones(3, 'float32')), 'llvmlite' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[2. 2. 2.] False\n"


def test_draws_have_the_same_bits_and_go_on(tmp_path: Path) -> None:
    @smelt.compile
    def draw() -> smelt.Tensor:
        return smelt.randn(5)

    smelt.manual_seed(7)
    export.to_library(draw, tmp_path / "draw.smeltlib")
    library = load(tmp_path / "draw.smeltlib")
    for _ in range(2):
        assert library().tobytes() == draw().numpy().tobytes()
    assert (library.state_dict()["generator"] == smelt.get_rng_state().numpy()).all()


def test_results_come_in_their_structure(tmp_path: Path) -> None:
    def several(pair: Any, flag: Any) -> Any:
        total = pair["a"] + pair["b"]
        return {"sum": total, "more": [total * 2, (flag, None), 3], "": (), "last": [flag + total]}

    given = {"a": np.arange(3, dtype=np.float32), "b": np.ones((), np.float32)}
    flag = np.array(True)
    export.to_library(several, tmp_path / "net.smeltlib", given, flag)
    library = load(tmp_path / "net.smeltlib")
    assert [one.name for one in library.arguments] == ["pair_a", "pair_b", "flag"]
    found = library(given["a"], flag=flag, pair_b=given["b"])
    assert list(found) == ["", "last", "more", "sum"]
    np.testing.assert_array_equal(found["sum"], [1, 2, 3])
    np.testing.assert_array_equal(found["more"][0], [2, 4, 6])
    assert found["more"][1][0].dtype == bool
    assert (found["more"][1][1], found["more"][2], found[""]) == (None, 3, ())
    assert repr(library).startswith("Library(net: pair_a: float32[3], pair_b: float32, flag: bool")


def test_a_function_without_arguments_and_results(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (model(smelt.ones(1, 2)).sum()).backward()
        optimizer.step()

    export.to_library(step, tmp_path / "net.smeltlib")
    library = load(tmp_path / "net.smeltlib")
    assert library() is None
    step()
    np.testing.assert_allclose(library.state_dict()["weight"], model.weight.numpy(), rtol=1e-6)


# --- the state ------------------------------------------------------------------------------------


def library_of(step: Callable[..., Any], folder: Path, *inputs: Any) -> smelt_runtime.Library:
    path = folder / "net.smeltlib"
    export.to_library(step, path, *inputs)
    return load(path)


def test_parameters_are_read_and_set_by_name(tmp_path: Path) -> None:
    model, _ = classifier()
    library = library_of(model, tmp_path, batch()[0])
    state = library.state_dict()
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    before = library(batch()[0])
    library.load_state_dict({"2.weight": state["2.weight"] * 2, "2.bias": state["2.bias"] * 2})
    np.testing.assert_allclose(library(batch()[0]), before * 2, rtol=1e-6)
    state["0.weight"][...] = 0  # a copy
    np.testing.assert_allclose(library(batch()[0]), before * 2, rtol=1e-6)
    with pytest.raises(KeyError, match=r"no tensor '3.weight'; it has 0.weight, 0.bias"):
        library.load_state_dict({"3.weight": before})
    with pytest.raises(ValueError, match=r"2.bias has shape \(2,\), and should have \(3,\)"):
        library.load_state_dict({"0.bias": np.zeros(8, np.float32), "2.bias": np.zeros(2, "f4")})
    with pytest.raises(TypeError, match="2.bias has dtype float64, and should have float32"):
        library.load_state_dict({"2.bias": np.zeros(3)})
    np.testing.assert_allclose(library(batch()[0]), before * 2, rtol=1e-6)  # nothing was set
    library.reset()
    assert library(batch()[0]).tobytes() == before.tobytes()


def test_each_library_has_a_state_of_its_own(tmp_path: Path) -> None:
    _, step = classifier()
    first = library_of(step, tmp_path, *batch())
    second = load(tmp_path / "net.smeltlib")
    losses = [float(first(*batch())) for _ in range(5)]
    assert losses[4] < losses[0]
    assert float(second(*batch())) == losses[0]


def test_threads_may_call_one_library(tmp_path: Path) -> None:
    model, _ = classifier()
    library = library_of(model, tmp_path, batch()[0])
    expected, found = library(batch()[0]), []

    def call() -> None:
        for _ in range(200):
            found.append(library(batch()[0]).tobytes() == expected.tobytes())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 800
    assert all(found)


# --- what a call refuses --------------------------------------------------------------------------


def test_a_failed_check_says_which_and_changes_nothing(tmp_path: Path) -> None:
    _, step = classifier()
    library = library_of(step, tmp_path, *batch())
    x, labels = batch()
    wrong = labels.copy()
    wrong[3] = 3
    before = library.state_dict()
    with pytest.raises(CheckError, match="label") as caught:
        library(x, wrong)
    assert caught.value.code == 1
    assert library.checks[0] in str(caught.value)
    for key, value in library.state_dict().items():
        assert value.tobytes() == before[key].tobytes(), key
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.code) == (str(caught.value), 1)


def test_arguments_that_do_not_fit(tmp_path: Path) -> None:
    _, step = classifier()
    library = library_of(step, tmp_path, *batch())
    x, labels = batch()
    wrong: list[tuple[Any, Any, type[Exception], str]] = [
        ((x,), {}, TypeError, "net: label missing"),
        ((x, labels, x), {}, TypeError, "net: takes 2 arguments, got 3"),
        ((x,), {"x": x}, TypeError, "x is given twice"),
        ((x,), {"y": x}, TypeError, "y is no argument; arguments are x, label"),
        ((x.astype(np.float64), labels), {}, TypeError, "x has dtype float64, and should have"),
        ((x, labels.astype(np.int32)), {}, TypeError, "label has dtype int32"),
        ((x.astype(">f4"), labels), {}, TypeError, "x has dtype >f4"),
        ((x[:4], labels), {}, ValueError, r"x has shape \(4, 4\), and should have \(5, 4\)"),
        ((x, labels[:, None]), {}, ValueError, r"label has shape \(5, 1\)"),
        ((None, labels), {}, TypeError, "x has dtype object"),
    ]
    for given, named, error, message in wrong:
        with pytest.raises(error, match=message):
            library(*given, **named)
    model, _ = classifier()
    plain = library_of(model, tmp_path, x)
    expected = plain(x)
    strided = np.stack([x, x], 2)[:, :, 0]
    unaligned = np.frombuffer(b"1" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    for given in (strided, unaligned, np.asfortranarray(x)):
        assert plain(given).tobytes() == expected.tobytes()


def test_what_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    x = np.ones(2, np.float32)
    path = tmp_path / "net.smeltlib"
    with pytest.raises(ArgumentError, match="returns a complex"):
        export.to_library(lambda x: (x, 1j), path, x)
    with pytest.raises(ArgumentError, match="machine='mips'"):
        export.to_library(lambda x: x + 1, path, x, machine="mips")
    with pytest.raises(ArgumentError, match="choose one of x86-64-v3, x86-64-v4"):
        export.to_library(lambda x: x + 1, path, x, machine="x86_64", cpu="znver9")
    with pytest.raises(ArgumentError, match="needs a compiled function"):
        export.to_library(3, path)  # type: ignore[arg-type]
    with pytest.raises(FileError):
        export.to_library(lambda x: x + 1, tmp_path / "nowhere" / "net.smeltlib", x)
    assert not os.listdir(tmp_path)


# --- processors -----------------------------------------------------------------------------------


def test_a_processor_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(2, np.float32)
    path = tmp_path / "net.smeltlib"
    export.to_library(lambda x: x + 1, path, x)
    needs = read(path).needs
    monkeypatch.setattr("smelt_runtime.processor.features", lambda: frozenset(needs[:-1]))
    with pytest.raises(LibraryError, match=f"lacks {needs[-1]}; export it for an older one"):
        load(path)
    monkeypatch.undo()
    monkeypatch.setattr("platform.machine", lambda: "mips")
    with pytest.raises(LibraryError, match="and this processor is mips"):
        load(path)
    monkeypatch.undo()
    monkeypatch.setattr("sys.platform", "plan9")
    with pytest.raises(LibraryError, match="libraries run on Linux"):
        check_processor("x86_64", "x86-64", (), "net")


@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_levels_of_x86_64(cpu: str, tmp_path: Path) -> None:
    model, _ = classifier()
    path = tmp_path / "net.smeltlib"
    x = batch()[0]
    export.to_library(model, path, x, machine="x86_64", cpu=cpu)
    if features() >= set(read(path).needs):
        expected = model(smelt.tensor(x)).detach().numpy()
        np.testing.assert_allclose(load(path)(x), expected, rtol=1e-5, atol=1e-6)
    else:
        with pytest.raises(LibraryError, match=f"is for {cpu}"):
            load(path)


_LOADER = """
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* code, its size, where to begin, then files of the state, of arguments, and for a result */
int main(int count, char **given)
{
    size_t size = strtoul(given[2], 0, 10);
    unsigned char *code = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static unsigned char memory[8][1 << 20];
    void *places[8];
    int number, result;
    FILE *file = fopen(given[1], "rb");
    if (fread(code, 1, size, file) != size)
        return 100;
    for (number = 0; number < count - 5; number++) {
        places[number] = memory[number];
        file = fopen(given[4 + number], "rb");
        if (fread(memory[number], 1, 1 << 20, file) == 0)
            return 101;
    }
    places[number] = memory[number];
    if (mprotect(code, size, PROT_READ | PROT_EXEC))
        return 102;
    result = ((int (*)(void **))(uintptr_t)(code + strtoul(given[3], 0, 10)))(places);
    file = fopen(given[count - 1], "wb");
    fwrite(memory[number], 1, 1 << 20, file);
    fclose(file);
    return result;
}
"""


@pytest.mark.skipif(bool(TARGETS["aarch64"].missing), reason="no gcc or QEMU for aarch64")
def test_the_code_for_aarch64_runs_wherever_it_lies(tmp_path: Path) -> None:
    network = ZOO["transformer"]
    model, arrays = network.make().eval(), network.batch(np.random.default_rng(0))[:1]
    path = tmp_path / "net.smeltlib"
    export.to_library(model, path, *arrays, machine="aarch64")
    file = read(path)
    assert (file.machine, file.needs) == ("aarch64", ("asimd", "fp"))
    state = np.zeros(file.state_bytes, np.uint8)
    for one, contents in zip(file.tensors, file.contents, strict=True):
        state[one.offset : one.offset + len(contents)] = np.frombuffer(contents, np.uint8)
    (tmp_path / "loader.c").write_text(_LOADER)
    (tmp_path / "code").write_bytes(file.code)
    (tmp_path / "state").write_bytes(state.tobytes())
    (tmp_path / "argument").write_bytes(arrays[0].tobytes())
    build = ["aarch64-linux-gnu-gcc", "-O1", "-static", "loader.c", "-o", "loader"]
    subprocess.run(build, check=True, cwd=tmp_path)
    numbers = [str(len(file.code)), str(file.entry)]
    command = ["qemu-aarch64", "./loader", "code", *numbers, "state", "argument", "result"]
    assert subprocess.run(command, check=False, cwd=tmp_path).returncode == 0
    (one,) = file.results
    result = np.frombuffer((tmp_path / "result").read_bytes()[: one.nbytes], one.storage)
    expected = model(smelt.tensor(arrays[0])).detach().numpy()
    np.testing.assert_allclose(result.reshape(one.shape), expected, rtol=1e-5, atol=1e-5)


def test_a_state_that_no_memory_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(nbytes: int) -> np.ndarray:
        raise MemoryError

    export.to_library(lambda x: x + 1, tmp_path / "net.smeltlib", np.ones(2, np.float32))
    monkeypatch.setattr("smelt_runtime.library._aligned", none)
    with pytest.raises(LibraryError, match="bytes of memory"):
        load(tmp_path / "net.smeltlib")
