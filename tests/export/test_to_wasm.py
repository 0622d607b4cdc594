"""WebAssembly: the bits of C, nothing from outside, JavaScript that says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export, nn, optim
from smelt.compiler.codegen.apart import ConstructError, compile_apart
from smelt.compiler.codegen.machine import Target
from smelt.compiler.codegen.wasm_file import CODE, IMPORT, wasm_sections
from smelt.errors import ArgumentError, CompileError, FileError
from smelt.export.wasm.linker import link
from tests.export.c_agreement import predicted, trained
from tests.export.test_to_c import batch, classifier
from tests.export.wasm_program import MODULES, described, storage

SIMD_INSTRUCTION = 0xFD  # how each of them begins
PREFIX = b"\0asm\1\0\0\0"

wasmtime = pytest.mark.skipif(
    bool(MODULES["wasm"].missing), reason="wasmtime is missing: pip install wasmtime"
)
node = pytest.mark.skipif(
    shutil.which("node") is None, reason="node is missing: apt-get install nodejs"
)
gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")


# --- the same as in Python, and as in C -----------------------------------------------------------


@wasmtime
@gcc
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("name", ["words"])
def test_training_has_the_bits_of_c(name: str, module: str) -> None:
    found = trained(name, module, steps=5)
    found.check()
    assert trained(name, "gcc", steps=5).results.items() <= found.results.items()


@wasmtime
@pytest.mark.parametrize("name", ["digits"])
def test_a_hundred_steps_agree_with_python(name: str) -> None:
    trained(name, "wasm with SIMD", steps=100).check()


@wasmtime
@gcc
@pytest.mark.parametrize("name", ["transformer"])
def test_predictions_have_the_bits_of_c(name: str) -> None:
    found = predicted(name, "wasm with SIMD", inputs=8)
    found.check()
    assert found.results == predicted(name, "gcc", inputs=8).results


@wasmtime
@pytest.mark.parametrize("module", MODULES)
def test_elementwise_results_have_the_bits_of_machine_code(module: str, tmp_path: Path) -> None:
    @smelt.compile
    def formula(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        wave = smelt.tanh(x) * smelt.exp(-(y**2)) + smelt.erf(x - y) / (1 + abs(y))
        return wave + smelt.floor(x * 8) % 3 + smelt.sqrt(abs(x)) + smelt.round(y) // 2

    random = np.random.default_rng(1)
    x, y = (random.normal(size=(7, 9)).astype(np.float32) for _ in range(2))
    made = export.to_wasm(formula, tmp_path, x, y)
    _, results, _ = MODULES[module].program(made)([(x, y)])
    assert results[0][0].tobytes() == formula(x, y).numpy().tobytes()


@wasmtime
def test_every_dtype_comes_and_goes(tmp_path: Path) -> None:
    dtypes = [np.bool_, np.int8, np.int32, np.int64, np.float16, np.float32, np.float64]
    arrays = [np.array([0, 1, 1], dtype) for dtype in dtypes]
    arrays += [np.zeros((0, 2), np.float32)]
    made = export.to_wasm(lambda *values: [x[..., :] for x in values], tmp_path, *arrays)
    codes, results, _ = MODULES["wasm"].program(made)([arrays])
    assert codes == [0]
    for one, array, found in zip(made.results, arrays, results[0], strict=True):
        assert one.shape == array.shape
        assert found.tobytes() == array.tobytes()


@wasmtime
@pytest.mark.parametrize("module", MODULES)
def test_a_failed_check_says_which_and_changes_nothing(module: str, tmp_path: Path) -> None:
    model, step = classifier()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    x, labels = batch()
    wrong = labels.copy()
    wrong[3] = 3
    program = MODULES[module].program(export.to_wasm(step, tmp_path, x, labels))
    codes, _, state = program([(x, wrong)])
    assert codes == [1]
    for key, value in before.items():
        assert state[key].tobytes() == value.tobytes(), key
    codes, _, state = program([(x, labels)])
    assert codes == [0]
    assert state["0.weight"].tobytes() != before["0.weight"].tobytes()


# --- what is written ------------------------------------------------------------------------------


def test_modules_take_nothing_from_elsewhere_and_one_has_vectors(tmp_path: Path) -> None:
    _, step = classifier()
    made = export.to_wasm(step, tmp_path, *batch(), name="small")
    assert sorted(os.listdir(tmp_path)) == [
        "small.d.ts", "small.js", "small.scalar.wasm", "small.wasm"
    ]  # fmt: skip
    code = {}
    for path in (made.module, made.scalar_module):
        contents = Path(path).read_bytes()
        assert contents.startswith(PREFIX)
        sections = dict(wasm_sections(contents))
        assert IMPORT not in sections
        code[path] = sections[CODE]
    assert code[made.module].count(SIMD_INSTRUCTION) > 3 * code[made.scalar_module].count(
        SIMD_INSTRUCTION
    )
    assert len(code[made.module]) == made.code_bytes


@wasmtime
def test_only_one_module_needs_simd(tmp_path: Path) -> None:
    from wasmtime import Config, Engine, Module, WasmtimeError

    settings = Config()
    settings.wasm_simd = settings.wasm_relaxed_simd = False
    engine = Engine(settings)
    _, step = classifier()
    made = export.to_wasm(step, tmp_path, *batch())
    Module(engine, Path(made.scalar_module).read_bytes())
    with pytest.raises(WasmtimeError, match="SIMD"):
        Module(engine, Path(made.module).read_bytes())


def test_the_export_says_what_it_is(tmp_path: Path) -> None:
    model, step = classifier()
    made = export.to_wasm(step, tmp_path, *batch())
    assert [one.shape for one in made.results] == [()]
    tensors = {one.name: one.shape for one in made.tensors}
    for name, value in model.named_parameters():
        assert tensors[name] == value.shape
    assert made.memory_bytes > made.state_bytes
    assert made.memory_bytes % 65536 == 0
    about = described(made)
    assert [one["name"] for one in about["tensors"]] == list(tensors)
    assert all("\n" not in check for check in about["checks"])
    types = Path(made.types).read_text()
    assert '"0.weight": Float32Array;' in types


def test_tensors_that_a_step_does_not_change_can_be_set(tmp_path: Path) -> None:
    """In C they may become constants, as what follows from them may; here they are the caller's."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    made = export.to_wasm(model, tmp_path, smelt.zeros(2, 4))
    kept = {name for name, _ in model.state_dict().items() if "num_batches" not in name}
    assert {one.name for one in made.tensors} == kept


def test_exporting_changes_nothing_in_python(tmp_path: Path) -> None:
    model, step = classifier()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    export.to_wasm(step, tmp_path, *batch())
    for key, value in model.state_dict().items():
        assert value.numpy().tobytes() == before[key].tobytes()


# --- JavaScript -----------------------------------------------------------------------------------


def in_node(folder: Path, program: str) -> Any:
    """Returns what a program prints as JSON."""
    (folder / "program.mjs").write_text(program)
    done = subprocess.run(
        ["node", "program.mjs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TRAINING = """
import { load } from "./train.js";
const given = %s;
const x = Float32Array.from(given.x), labels = BigInt64Array.from(given.labels.map(BigInt));
const steps = [await load(), await load("train.scalar.wasm")];
const found = steps.map((net) => {
  const losses = [1, 2, 3].map(() => net.step(x, labels)[0]);
  const weight = [...net.tensor("0.weight")];
  net.reset();
  return { losses, weight, again: net.step(x, labels)[0] };
});
console.log(JSON.stringify(found));
"""


@node
def test_javascript_trains(tmp_path: Path) -> None:
    model, step = classifier()
    x, labels = batch()
    export.to_wasm(step, tmp_path, x, labels, name="train")
    given = json.dumps({"x": x.ravel().tolist(), "labels": labels.tolist()})
    simd, scalar = in_node(tmp_path, TRAINING % given)
    assert simd == scalar
    losses = [step(x, labels).item() for _ in range(3)]
    np.testing.assert_allclose(simd["losses"], losses, rtol=1e-5)
    weight = model.state_dict()["0.weight"].numpy().ravel()
    np.testing.assert_allclose(simd["weight"], weight, rtol=1e-4, atol=1e-6)
    assert simd["again"] == simd["losses"][0]


SHARING = """
import { readFile } from "node:fs/promises";
import { load } from "./train.js";
import { load as loadPredict } from "./predict.js";
const given = %s;
const x = Float32Array.from(given.x), labels = BigInt64Array.from(given.labels.map(BigInt));
const train = await load(), predict = await loadPredict(await readFile("predict.wasm"));
const before = [...predict.step(x)];
train.step(x, labels);
predict.loadStateDict(train.stateDict(), { strict: false });
const after = [...predict.step(x)];
predict.tensor("0.bias").fill(0);
console.log(JSON.stringify({ before, after, zero: [...predict.stateDict()["0.bias"]] }));
"""


@node
def test_two_steps_share_what_is_learned_by_name(tmp_path: Path) -> None:
    model, step = classifier()
    x, labels = batch()
    export.to_wasm(step, tmp_path, x, labels, name="train")
    export.to_wasm(model, tmp_path, x, name="predict")
    given = json.dumps({"x": x.ravel().tolist(), "labels": labels.tolist()})
    found = in_node(tmp_path, SHARING % given)
    compiled = smelt.compile(model)
    for key in ("before", "after"):
        expected = compiled(x).detach().numpy().ravel()
        np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=1e-6)
        step(x, labels)
    assert set(found["zero"]) == {0}


REFUSED = """
import { CheckError, load } from "./net.js";
const net = await load(), x = new Float32Array(12), label = new BigInt64Array(4);
const calls = {
  count: () => net.step(x),
  dtype: () => net.step(new Float64Array(12), label),
  list: () => net.step([1, 2, 3], label),
  length: () => net.step(x.subarray(1), label),
  check: () => net.step(x, label.fill(7n)),
  tensor: () => net.tensor("weight"),
  name: () => net.loadStateDict({ weight: x }),
  size: () => net.loadStateDict({ "0.bias": new Float32Array(1) }),
};
const said = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    call();
  } catch (error) {
    said[name] = `${error.name}: ${error.message}`;
    if (error instanceof CheckError) said.code = error.code;
  }
}
console.log(JSON.stringify(said));
"""


@node
def test_javascript_says_what_is_wrong(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 5))
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: smelt.Tensor, label: smelt.Tensor) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), label)
        loss.backward()
        optimizer.step()
        return loss

    export.to_wasm(step, tmp_path, np.zeros((4, 3), np.float32), np.zeros(4, np.int64))
    said = in_node(tmp_path, REFUSED)
    assert said["count"] == "TypeError: net: takes 2 arguments (x, label), got 1"
    wanted = "and should be Float32Array (float32[4,3])"
    assert said["dtype"] == f"TypeError: net: x is Float64Array, {wanted}"
    assert said["list"] == f"TypeError: net: x is Array, {wanted}"
    numbers = "has 11 numbers, and should have 12 (float32[4,3])"
    assert said["length"] == f"RangeError: net: x {numbers}"
    assert said["check"].startswith("CheckError: net: a label lies outside the 5 classes 0..4")
    assert said["code"] == 1
    assert said["tensor"].startswith('RangeError: net: has no tensor "weight"; it has ')
    assert said["name"] == said["tensor"]
    assert said["size"].startswith("RangeError: net: 0.bias has 1 numbers, and should have 5")


@node
def test_results_and_single_numbers(tmp_path: Path) -> None:
    def step(x: smelt.Tensor, rate: smelt.Tensor, var: smelt.Tensor) -> dict[str, smelt.Tensor]:
        return {"sum": (x * rate).sum(), "count": var + 1}

    x, rate, count = np.ones(3, np.float32), np.float32(0), np.int64(0)
    made = export.to_wasm(step, tmp_path, x, rate, count)
    program = """
import { load } from "./net.js";
const { sum, count } = (await load()).step(Float32Array.of(1, 2, 3), 0.5, 41n);
console.log(JSON.stringify([sum[0], count[0].toString(), sum.constructor.name, count.length]));
"""
    assert in_node(tmp_path, program) == [3, "42", "Float32Array", 1]
    types = Path(made.types).read_text()
    parameters = "x: Float32Array, rate: Float32Array | number, var_: BigInt64Array | bigint"
    assert f'step({parameters}): {{ "count": BigInt64Array; "sum": Float32Array; }};' in types


# --- what is refused ------------------------------------------------------------------------------


def test_what_is_no_function_or_no_name(tmp_path: Path) -> None:
    x = np.ones(2, np.float32)
    with pytest.raises(ArgumentError, match="to_wasm: name='my-net' is not a C identifier"):
        export.to_wasm(lambda x: x + 1, tmp_path, x, name="my-net")
    with pytest.raises(ArgumentError, match="to_wasm needs a compiled function, got int"):
        export.to_wasm(3, tmp_path, x)  # type: ignore[arg-type]
    assert not os.listdir(tmp_path)


def test_what_has_no_code_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_division(text: str, *rest: Any) -> bytes:
        if "fdiv" in text:
            raise ConstructError("LLVM made no code for it: Cannot select: fdiv")
        return b"\0asm"

    monkeypatch.setattr("smelt.export.object_code.compile_apart", without_division)
    with pytest.raises(CompileError, match=r"(?s)Cannot select: fdiv.*test_to_wasm.py:\d+"):
        export.to_wasm(lambda x: 1 / (x @ x.T), tmp_path, np.ones((3, 3), np.float32))
    assert not os.listdir(tmp_path)


def assembled(text: str) -> bytes:
    """Returns an object of LLVM text."""
    target = Target("wasm32-unknown-unknown", "generic", "", "static")
    return compile_apart(text, target, "inline")


def test_a_step_that_needs_more_memory_than_there_is() -> None:
    nothing = assembled("define void @net_step() {\n ret void\n}")
    with pytest.raises(CompileError, match="WebAssembly has 4,294,967,296"):
        link(nothing, "net", 5_000_000_000, {}, 0, 0)


@wasmtime
@pytest.mark.parametrize(("stack", "is_enough"), [(1000, False), (2000, True)])
def test_a_stack_that_is_too_small_ends_the_call(stack: int, is_enough: bool) -> None:
    """It begins at address 0, so that it cannot grow into data."""
    from wasmtime import Instance, Module, Store, Trap

    text = """
define i32 @net_step(i32 %index) {
  %array = alloca [1500 x i8]
  %place = getelementptr i8, ptr %array, i32 %index
  store volatile i32 1, ptr %place
  %value = load volatile i32, ptr %array
  ret i32 %value
}"""
    store = Store()
    module = Module(store.engine, link(assembled(text), "net", 0, {}, 0, stack).contents)
    step = Instance(store, module, []).exports(store)["net_step"]
    if is_enough:
        assert step(store, 0) == 1
    else:
        with pytest.raises(Trap, match="out of bounds memory access"):
            step(store, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("declare void @f()\ndefine void @net_step() {\n call void @f()\n ret void\n}", "calls f"),
        (
            "@x = external global i32\ndefine i32 @net_step() {\n %y = load i32, ptr @x\n"
            " ret i32 %y\n}",
            "refers to x",
        ),
        (
            "@x = global ptr @net_step\ndefine void @net_step() {\n ret void\n}",
            "addresses in its data",
        ),
        ("define ptr @net_step() {\n ret ptr @net_step\n}", "a relocation of kind 1"),
    ],
)
def test_objects_that_need_more_are_refused(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        link(assembled(text), "net", 0, {}, 0, 0)


def test_files_are_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "net.d.ts").mkdir()
    with pytest.raises(FileError, match="choose another name"):
        export.to_wasm(lambda x: x + 1, tmp_path, np.ones(2, np.float32))
    assert os.listdir(tmp_path) == ["net.d.ts"]


def test_the_description_may_stand_in_a_page(tmp_path: Path) -> None:
    def step(x: dict[str, smelt.Tensor]) -> smelt.Tensor:
        return x["</script>"] + 1

    made = export.to_wasm(step, tmp_path, {"</script>": np.ones(2, np.float32)})
    assert "</script>" not in Path(made.script).read_text()
    assert storage(described(made)["args"][0]) == np.float32
