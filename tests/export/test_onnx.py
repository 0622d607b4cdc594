"""Networks as ONNX files: three readers agree with eager Smelt, and what cannot be is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export, nn, tree
from smelt.errors import ArgumentError, CompileError, FileError
from smelt.tensor import Tensor
from tests.export.onnx_zoo import ZOO, Network, floats

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

NEWEST = onnx.defs.onnx_opset_version()


def made(name: str) -> tuple[Network, nn.Module]:
    smelt.manual_seed(0)
    network = ZOO[name]
    return network, network.make()


def readers(path: Path, model: Any) -> Iterator[Any]:
    """Yields what runs a file, by every library that is there."""
    if not any(map(is_grouped_transpose, model.graph.node)):
        yield ReferenceEvaluator(model)
    if onnxruntime is not None:
        yield onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def is_grouped_transpose(node: Any) -> bool:
    """Whether it is a ConvTranspose with groups, which the reference evaluator does not have."""
    groups = [one.i for one in node.attribute if one.name == "group"]
    return node.op_type == "ConvTranspose" and groups != [1]


def assert_agrees(path: Path, model: nn.Module, *inputs: np.ndarray) -> None:
    """Fails unless every reader gives what the model does, within 1e-5."""
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    expected = [x.numpy() for x in tree.flatten(model(*map(smelt.tensor, inputs)))[0]]
    names = [one.name for one in proto.graph.input]
    for reader in readers(path, proto):
        with np.errstate(all="ignore"):  # the reference evaluator computes what Where leaves out
            found = reader.run(None, dict(zip(names, inputs, strict=True)))
        assert [x.shape for x in found] == [x.shape for x in expected]
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, want, 1e-5, 1e-5)


# --- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ZOO)
def test_readers_agree_at_every_length(name: str, tmp_path: Path) -> None:
    network, model = made(name)
    path = tmp_path / "model.onnx"
    example = network.input(network.lengths[0])
    (parameter,) = _parameters(model)
    written = export.save_onnx(model, path, example, dynamic_axes={parameter: network.axes})
    assert model.training
    model.eval()
    assert list(written.inputs[0].shape) == [
        network.axes.get(axis, extent) for axis, extent in enumerate(example.shape)
    ]
    for lengths in network.lengths:
        assert_agrees(path, model, network.input(lengths))


@pytest.mark.parametrize("opset", sorted({17, 20, NEWEST}))
@pytest.mark.parametrize("name", ["lenet", "gpt", "lstm"])
def test_every_opset_says_the_same(name: str, opset: int, tmp_path: Path) -> None:
    network, model = made(name)
    path, example = tmp_path / "model.onnx", network.input(network.lengths[0])
    export.save_onnx(model, path, example, opset_version=opset)
    proto = onnx.load(path)
    assert [one.version for one in proto.opset_import] == [opset]
    model.eval()
    found = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: example})
    expected = [x.numpy() for x in tree.flatten(model(smelt.tensor(example)))[0]]
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, 1e-5, 1e-5)


def _parameters(model: nn.Module) -> list[str]:
    code = model.forward.__code__
    return (
        ["x"]
        if isinstance(model, (nn.RNN, nn.GRU, nn.LSTM))
        else list(code.co_varnames[1 : code.co_argcount])
    )


# --- recurrent layers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("rnn", ["RNN"] * 2),
        ("relu rnn", ["Scan"]),
        ("gru", ["GRU"] * 2),
        ("lstm", ["LSTM"] * 4),
        ("masked gru", ["Scan"] * 2),
    ],
)
def test_recurrent_layers_are_those_of_onnx(
    name: str, operations: list[str], tmp_path: Path
) -> None:
    network, model = made(name)
    state = smelt.random.get_rng_state().numpy().copy()
    export.save_onnx(model, tmp_path / "model.onnx", network.input(network.lengths[0]))
    graph = onnx.load(tmp_path / "model.onnx").graph
    kinds = {"LSTM", "GRU", "RNN", "Scan"}
    assert [node.op_type for node in graph.node if node.op_type in kinds] == operations
    np.testing.assert_array_equal(smelt.random.get_rng_state().numpy(), state)


def test_recurrent_layers_of_other_forms_agree(tmp_path: Path) -> None:
    path, x = tmp_path / "model.onnx", floats(6, 3, 4)
    for layer in (
        nn.LSTM(4, 5, bias=False),
        nn.GRU(4, 5, bias=False),
        nn.RNN(4, 4),
        nn.LSTM(4, 1),
    ):
        layer.eval()
        export.save_onnx(layer, path, x)
        assert "Scan" not in {node.op_type for node in onnx.load(path).graph.node}
        assert_agrees(path, layer, x)

    gru = nn.GRU(4, 5)
    export.save_onnx(gru, path, x, floats(1, 3, 5))
    assert [one.name for one in onnx.load(path).graph.input] == ["x", "state"]
    assert_agrees(path, gru, x, floats(1, 3, 5))


def test_a_cell_of_ones_own_stays_a_loop(tmp_path: Path) -> None:
    class Leaky(nn.RNN):
        def _step(self, x: Tensor, state: Any, weight_hh: Tensor, bias_hh: Any) -> Any:
            (h,) = state
            return (0.9 * h + smelt.tanh(x + h @ weight_hh.T),)

    path, layer = tmp_path / "model.onnx", Leaky(4, 5)
    export.save_onnx(layer, path, floats(6, 3, 4))
    assert "Scan" in {node.op_type for node in onnx.load(path).graph.node}
    assert_agrees(path, layer, floats(6, 3, 4))


# --- loops and branches ---------------------------------------------------------------------------


class Control(nn.Module):
    """Loops with and without inputs, forwards and backwards, and a branch."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        def add(carry: Tensor, row: Tensor | None) -> tuple[Tensor, Tensor]:
            total = carry * 0.5 + (x[:, 0] if row is None else row)
            return total, carry

        last, sums = smelt.scan(add, x[:, 0], length=4)
        rows = x.transpose(0, 1)
        first, back = smelt.scan(add, x[:, 0], rows, reverse=True)
        chosen = smelt.cond(x.sum() > 0, lambda a: a * 2, lambda a: a - 1, x)
        grown = smelt.while_loop(lambda a: a.abs().max() < 10, lambda a: a * 2, x + 0.1)
        bounded = smelt.while_loop(
            lambda a: a.abs().max() < 10, lambda a: a * 2, x + 0.1, max_steps=12
        )
        return last, sums, first, back, chosen, grown, bounded


def test_loops_and_branches_agree(tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", Control().eval()
    axes = {"x": {0: "batch", 1: "time"}}
    written = export.save_onnx(model, path, floats(4, 6, 3), dynamic_axes=axes)
    operations = {node.op_type for node in onnx.load(path).graph.node}
    assert {"Scan", "Loop", "If"} <= operations
    assert written.outputs[1].shape == (4, "batch", 3)
    for shape in ((4, 6, 3), (2, 3, 3), (1, 8, 3)):
        assert_agrees(path, model, floats(*shape))
        assert_agrees(path, model, -floats(*shape))


class Compositions(nn.Module):
    """What is made of many operations: places of maxima, einsum, interpolation, losses."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        pooled, places = F.max_pool2d(x, 2, return_indices=True)
        return (
            pooled,
            places,
            smelt.einsum("bchw,bcwk->bchk", x, x),
            x[:, smelt.tensor([1, 0])],
            F.one_hot((x[:, 0, 0] > 0).long(), 2),
            x.gather(1, (x > 0).long()),
            F.interpolate(x, scale_factor=2, mode="bilinear"),
            x.var(1),
            x.logsumexp(-1),
            F.gelu(x, approximate="tanh"),
            x.sort(-1)[0],
            x.topk(2, -1)[1],
            x.norm(),
            F.cross_entropy(x.reshape(4, -1), smelt.tensor([0, 1, 2, 1])),
        )


def test_compositions_agree(tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", Compositions().eval()
    export.save_onnx(model, path, floats(2, 2, 4, 4))
    assert_agrees(path, model, floats(2, 2, 4, 4))


def test_halves_are_storage_in_a_file_too(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).to(smelt.float16)
    path, x = tmp_path / "model.onnx", floats(2, 3).astype(np.float16)
    written = export.save_onnx(model, path, x)
    assert written.outputs[0].dtype is smelt.float16
    assert_agrees(path, model, x)


# --- names ----------------------------------------------------------------------------------------


def test_names_are_those_of_the_program(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
            self.register_buffer("scale", smelt.tensor(2.0))

        def forward(self, image: Tensor, more: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            return self.body(image) * self.scale, more["mask"] + 1.0

    path, rows = tmp_path / "model.onnx", floats(2, 3)
    written = export.save_onnx(Scaled(), path, rows, {"mask": rows})
    assert [one.name for one in written.inputs] == ["image", "more_mask"]
    assert [one.name for one in written.outputs] == ["output", "output1"]
    graph = onnx.load(path).graph
    stored = {one.name for one in graph.initializer}
    assert {"body.0.weight", "body.0.bias", "scale"} <= stored
    assert [one.name for one in graph.output] == ["output", "output1"]
    tanh = next(node for node in graph.node if node.op_type == "Tanh")
    assert tanh.name == "scaled/body/1/Tanh"
    assert re.fullmatch(r"scaled\.body\.1 test_onnx\.py:\d+", tanh.doc_string)


def test_the_weights_in_the_file_are_the_models(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    export.save_onnx(model, tmp_path / "model.onnx", floats(2, 3))
    for one in onnx.load(tmp_path / "model.onnx").graph.initializer:
        want = dict(model.named_parameters())[one.name].numpy()
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(one), want)


def test_functions_and_compiled_ones_are_written(tmp_path: Path) -> None:
    weight = smelt.tensor(floats(3, 2))

    @smelt.compile
    def product(rows: Tensor) -> Tensor:
        return smelt.relu(rows @ weight)

    for number, function in enumerate((product, lambda rows: smelt.relu(rows @ weight))):
        path = tmp_path / f"{number}.onnx"
        export.save_onnx(function, path, floats(4, 3))
        assert_agrees(path, function, floats(4, 3))
    model = smelt.compile(nn.Linear(3, 2))
    export.save_onnx(model, tmp_path / "module.onnx", floats(4, 3))
    assert_agrees(tmp_path / "module.onnx", model, floats(4, 3))


def test_an_output_may_be_an_input_or_stand_twice(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export.save_onnx(lambda x: (x, x, smelt.ones(2)), path, floats(3))
    reader = ReferenceEvaluator(onnx.load(path))
    same, again, ones = reader.run(None, {"x": floats(3)})
    np.testing.assert_array_equal(same, floats(3))
    np.testing.assert_array_equal(again, floats(3))
    np.testing.assert_array_equal(ones, np.ones(2, np.float32))


def test_evaluation_mode_ends_with_the_export(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(3)))
    model[1].eval()
    export.save_onnx(model, tmp_path / "model.onnx", floats(4, 3))
    assert [module.training for module in model.modules()] == [True, True, False, False]


# --- lengths --------------------------------------------------------------------------------------


def test_a_list_of_axes_gives_names_and_outputs_may_have_their_own(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    axes: dict[str, Any] = {"x": [0], "output": {0: "twice"}}
    written = export.save_onnx(lambda x: smelt.cat([x, x]), path, floats(4, 3), dynamic_axes=axes)
    assert written.inputs[0].shape == ("x_axis0", 3)
    assert written.outputs[0].shape == ("(2*x_axis0)", 3)
    dimension = onnx.load(path).graph.output[0].type.tensor_type.shape.dim[0]
    assert dimension.dim_param == "twice"


def test_lengths_are_computed_in_the_file(tmp_path: Path) -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        rows, columns = x.shape
        split = x[: rows // 2].reshape(-1)
        mean = x.sum() / (rows * columns)
        return split, mean, smelt.arange(rows), x[1:].T, smelt.full((rows + 1, columns), 2.0)

    path = tmp_path / "model.onnx"
    axes = {"x": {0: "rows", 1: "columns"}}
    export.save_onnx(function, path, floats(4, 6), dynamic_axes=axes)
    for shape in ((4, 6), (5, 3), (12, 9)):
        assert_agrees(path, function, floats(*shape))


def test_limits_say_for_which_lengths_a_file_holds(tmp_path: Path) -> None:
    def function(x: Tensor) -> Tensor:
        if x.shape[0] == 6:
            return x * 3.0
        return x * 2.0 if x.shape[0] < 40 else x

    path = tmp_path / "model.onnx"
    written = export.save_onnx(function, path, floats(20), dynamic_axes={"x": {0: "n"}})
    assert written.limits == ("((-40 + n) < 0)", "n != 6")
    assert onnx.load(path).graph.doc_string.splitlines() == list(written.limits)
    plain = export.save_onnx(lambda x: x + 1.0, path, floats(20), dynamic_axes={"x": {0: "n"}})
    assert plain.limits == ()


def test_a_length_that_python_counts_with_cannot_change(tmp_path: Path) -> None:
    def function(x: Tensor) -> Tensor:
        total = x[0]
        for row in range(1, x.shape[0]):
            total = total + x[row]
        return total

    with pytest.raises(ArgumentError, match="'n' cannot change.*\n  at .*test_onnx.py:") as caught:
        export.save_onnx(
            function, tmp_path / "model.onnx", floats(5, 2), dynamic_axes={"x": {0: "n"}}
        )
    assert "leave it out of dynamic_axes" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"y": {0: "n"}}, "dynamic_axes names 'y'; the file has x, output"),
        ({"x": {2: "n"}}, r"x of shape \(3, 4\) has no axis 2"),
        ({"x": {0: "n", 1: "n"}}, "'n' is both 3 and 4 in the example inputs"),
        ({"x": {0: "not a name"}}, "a length is named 'not a name'"),
        ({"x": "n"}, "for 'x' it has 'n'"),
        (3, "it is a int"),
        ({"output": {1: "n"}}, "axis 1 of output does not change"),
    ],
)
def test_dynamic_axes_are_checked(axes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        export.save_onnx(
            lambda x: x + 1.0, tmp_path / "model.onnx", floats(3, 4), dynamic_axes=axes
        )
    assert not list(tmp_path.iterdir())


# --- what is refused ------------------------------------------------------------------------------


def test_an_operation_without_a_form_is_named_with_module_and_line(tmp_path: Path) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Powers()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    class Powers(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x**x

    with pytest.raises(CompileError) as caught:
        export.save_onnx(Outer(), tmp_path / "model.onnx", np.arange(3))
    text = str(caught.value)
    assert "cannot write pow to this ONNX file" in text
    assert "in module outer.inner" in text
    assert re.search(r"at .*test_onnx.py:\d+", text)
    assert not list(tmp_path.iterdir())


def test_what_is_drawn_or_changed_is_refused(tmp_path: Path) -> None:
    norm = nn.BatchNorm1d(3)
    with pytest.raises(CompileError, match=r"changes the state num_batches_tracked.*call eval\(\)"):
        export.save_onnx(lambda x: norm(x), tmp_path / "model.onnx", floats(4, 3))
    with pytest.raises(CompileError, match="changes the state generator"):
        export.save_onnx(lambda x: x + smelt.randn(3), tmp_path / "model.onnx", floats(3))
    assert not list(tmp_path.iterdir())


def test_arguments_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(ArgumentError, match="needs a module or a function, got int"):
        export.save_onnx(3, path)  # type: ignore[arg-type]
    for opset in (16, NEWEST + 1, "18", 18.0):
        with pytest.raises(
            ArgumentError, match=f"opset_version must be an int from 17 to {NEWEST}"
        ):
            export.save_onnx(nn.Linear(3, 2), path, floats(1, 3), opset_version=opset)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="returns no tensor"):
        export.save_onnx(lambda x: None, path, floats(3))
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no folder"):
        export.save_onnx(nn.Linear(3, 2), tmp_path / "no" / "model.onnx", floats(1, 3))


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(CompileError):
        export.save_onnx(lambda x: x**x, path, np.arange(3))
    assert path.read_bytes() == b"before"
    export.save_onnx(nn.Linear(3, 2), path, floats(1, 3))
    assert [one.name for one in tmp_path.iterdir()] == ["model.onnx"]
    onnx.checker.check_model(onnx.load(path))


def test_more_than_a_file_can_hold_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smelt.export.onnx.save.MOST_BYTES", 20)
    with pytest.raises(
        ArgumentError, match="the tensors take 32 bytes, but an ONNX file holds at most 20"
    ):
        export.save_onnx(nn.Linear(3, 2), tmp_path / "model.onnx", floats(1, 3))
    assert not list(tmp_path.iterdir())


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export.save_onnx(made("gpt")[1], tmp_path / name, np.zeros((2, 5), np.int64))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_extra_is_named_where_it_is_missing() -> None:
    program = (
        "import sys; sys.modules['onnx'] = None\n"
        "from smelt import export, nn\n"
        "import numpy as np\n"
        "try:\n"
        "    export.save_onnx(nn.Linear(2, 2), 'model.onnx', np.zeros((1, 2), np.float32))\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("MissingExtra save_onnx needs the optional extra [onnx]")


def test_texts_by_name_stand_in_the_file(tmp_path: Path) -> None:
    x, path = smelt.zeros(2, 3), tmp_path / "x.onnx"
    notes = {"classes": "cat, dog", "maße": "m"}
    export.save_onnx(lambda x: x * 2, path, x, metadata=notes)
    assert {note.key: note.value for note in onnx.load(path).metadata_props} == notes
    wrong: Any
    for wrong in ([("a", "b")], {"a": 1}):
        with pytest.raises(ArgumentError, match="metadata must be a dict of texts by name"):
            export.save_onnx(lambda x: x * 2, path, x, metadata=wrong)


def test_a_training_step_has_no_form_in_onnx(tmp_path: Path) -> None:
    model = nn.Linear(3, 1)

    def step(x: smelt.Tensor) -> smelt.Tensor:
        loss = model(x).square().mean()
        loss.backward()
        return loss

    with pytest.raises(CompileError, match="step computes gradients, and an ONNX file"):
        export.save_onnx(step, tmp_path / "step.onnx", smelt.zeros(2, 3))
    assert not list(tmp_path.iterdir())
