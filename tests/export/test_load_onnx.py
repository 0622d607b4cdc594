"""ONNX files as modules: they compute, train and compile as what they were written from."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export, nn, optim, tree
from smelt.errors import (
    ArgumentError,
    CompileError,
    DTypeError,
    FileError,
    ShapeError,
    TraceError,
)
from smelt.tensor import Tensor
from tests.export.onnx_zoo import ZOO, Network, floats

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.export.test_onnx import Compositions, Control  # noqa: E402


def parameter_of(model: nn.Module) -> str:
    is_layer = isinstance(model, (nn.RNN, nn.GRU, nn.LSTM))
    return "x" if is_layer else model.forward.__code__.co_varnames[1]


def round_trip(name: str, path: Path) -> tuple[Network, nn.Module, export.OnnxModule]:
    """Returns a network in evaluation mode, and what is read of the file that it becomes."""
    smelt.manual_seed(0)
    network = ZOO[name]
    model = network.make()
    axes = {parameter_of(model): network.axes}
    export.save_onnx(model, path, network.input(network.lengths[0]), dynamic_axes=axes)
    return network, model.eval(), export.load_onnx(path)


def outputs(model: Any, *inputs: Any) -> list[Tensor]:
    return tree.flatten(model(*inputs))[0]


def assert_same(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-5) -> None:
    assert [x.shape for x in found] == [x.shape for x in expected]
    for got, want in zip(found, expected, strict=True):
        assert got.dtype is want.dtype
        np.testing.assert_allclose(got.numpy(), want.numpy(), tolerance, tolerance)


def graph_file(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[str],
    initializers: dict[str, np.ndarray] | None = None,
    opset: int = 18,
    **more: int,
) -> Path:
    """Writes a graph of nodes; inputs are names of float tensors, or whole descriptions."""
    given = [
        helper.make_tensor_value_info(one, TensorProto.FLOAT, None) if isinstance(one, str) else one
        for one in inputs
    ]
    results = [helper.make_empty_tensor_value_info(name) for name in outputs]
    stored = [numpy_helper.from_array(x, name) for name, x in (initializers or {}).items()]
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*one) for one in more.items())]
    graph = helper.make_graph(nodes, "graph", given, results, stored)
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    return path


# --- networks that Smelt wrote --------------------------------------------------------------------


@pytest.mark.parametrize("name", ZOO)
def test_round_trips_keep_outputs_names_and_gradients(name: str, tmp_path: Path) -> None:
    network, model, loaded = round_trip(name, tmp_path / "model.onnx")
    own = dict(model.named_parameters())
    assert dict(loaded.named_parameters()).keys() == own.keys()
    assert loaded.state_dict().keys() <= model.state_dict().keys()
    for lengths in network.lengths:
        x = network.input(lengths)
        found, expected = outputs(loaded, x), outputs(model, smelt.tensor(x))
        assert_same(found, expected)
        for results, module in ((found, loaded), (expected, model)):
            module.zero_grad()
            smelt.stack([(y * y).sum() for y in results if y.dtype.is_float]).sum().backward()
        for key, parameter in loaded.named_parameters():
            assert own[key].grad is not None
            assert parameter.grad is not None
            want = own[key].grad.numpy()
            np.testing.assert_allclose(parameter.grad.numpy(), want, 1e-4, 1e-4, err_msg=key)


@pytest.mark.parametrize("name", ["mlp", "waves", "gpt", "lstm", "masked gru"])
def test_what_is_read_compiles_for_any_length(name: str, tmp_path: Path) -> None:
    network, model, loaded = round_trip(name, tmp_path / "model.onnx")
    argument = parameter_of(model)
    axes = {axis: f"{length}_length" for axis, length in network.axes.items()}
    compiled = smelt.compile(loaded, dynamic={argument: axes})
    for lengths in network.lengths:
        x = network.input(lengths)
        assert_same(outputs(compiled, x), outputs(model, smelt.tensor(x)))


def test_a_training_step_is_that_of_the_original(tmp_path: Path) -> None:
    _, model, loaded = round_trip("lenet", tmp_path / "model.onnx")
    images, labels = floats(6, 1, 20, 20), np.arange(6)
    for module in (model, loaded):
        optimizer = optim.SGD(module.parameters(), lr=0.1)

        @smelt.compile
        def step(x: Tensor, y: Tensor, module: Any = module, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(module(x), y)
            loss.backward()
            optimizer.step()
            return loss

        first = float(step(images, labels))
        assert float(step(images, labels)) < first
    for key, parameter in loaded.named_parameters():
        want = model.state_dict()[key].numpy()
        np.testing.assert_allclose(parameter.numpy(), want, 1e-4, 1e-5)


def test_what_is_read_and_trained_is_written_again(tmp_path: Path) -> None:
    network, _, loaded = round_trip("mlp", tmp_path / "model.onnx")
    with smelt.no_grad():
        for parameter in loaded.parameters():
            parameter.copy_(parameter * 0.5)
    x = network.input({"batch": 4})
    written = export.save_onnx(loaded, tmp_path / "again.onnx", x, dynamic_axes={"x": {0: "n"}})
    assert written.inputs[0].name == "x"
    again = export.load_onnx(tmp_path / "again.onnx")
    assert again.state_dict().keys() == loaded.state_dict().keys()
    assert_same(outputs(again, x), outputs(loaded, x))


@pytest.mark.parametrize("compiled", [False, True])
def test_loops_and_branches_are_those_of_smelt(compiled: bool, tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", Control().eval()
    axes = {"x": {0: "batch", 1: "time"}}
    export.save_onnx(model, path, floats(4, 6, 3), dynamic_axes=axes)
    loaded = export.load_onnx(path)
    run = smelt.compile(loaded) if compiled else loaded
    for shape in ((4, 6, 3), (2, 3, 3)):
        for x in (floats(*shape), -floats(*shape)):
            assert_same(outputs(run, x), outputs(model, smelt.tensor(x)))


def test_compositions_come_back(tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", Compositions().eval()
    x = np.abs(floats(4, 2, 4, 4)) + 0.1
    export.save_onnx(model, path, x)
    assert_same(outputs(export.load_onnx(path), x), outputs(model, smelt.tensor(x)))


# --- files that others wrote ----------------------------------------------------------------------


def test_floats_are_parameters_and_statistics_buffers(tmp_path: Path) -> None:
    norm = ["norm/scale", "norm/bias"]
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["a"]),
        helper.make_node("BatchNormalization", ["a", *norm, "mean", "var"], ["b"]),
        helper.make_node("Gather", ["b", "index"], ["c"], axis=1),
        helper.make_node("Mul", ["c", "factor"], ["d"]),
        helper.make_node("Reshape", ["d", "shape"], ["y"]),
    ]  # fmt: skip
    stored = {
        "conv.weight": floats(3, 2, 1, 1), "norm/scale": floats(3), "norm/bias": floats(3),
        "mean": floats(3), "var": np.ones(3, np.float32), "index": np.array([2, 0]),
        "factor": np.float32(2), "shape": np.array([0, -1]), "unused": floats(2),
    }  # fmt: skip
    stored = {name: np.asarray(value) for name, value in stored.items()}
    loaded = export.load_onnx(graph_file(tmp_path / "x.onnx", nodes, ["x"], ["y"], stored))
    names = [name for name, _ in loaded.named_parameters()]
    assert sorted(names) == ["conv.weight", "norm/bias", "norm/scale"]
    buffers = [name for name, _ in loaded.named_buffers()]
    assert sorted(buffers) == ["factor", "index", "mean", "shape", "var"]
    assert loaded.tensor_names["conv.weight"] == "conv.weight"
    x = floats(5, 2, 4, 4)
    y = loaded(x)
    assert y.shape == (5, 32)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["forward", "training", "_buffers"], ["forward_", "training_", "tensor_buffers"]),
        (["a", "a.b", "a.b.c"], ["a", "a_b_1", "a_b_c_1"]),
        (["a..b", "a_b", "."], ["a__b", "a_b", "tensor_"]),
        (["onnx::MatMul_3", "w:0"], ["onnx::MatMul_3", "w:0"]),
        (["a.b", "a"], ["a.b", "a_1"]),
        (["input_names", "x.tensor_names"], ["input_names_", "x.tensor_names_"]),
    ],
)
def test_any_name_of_a_tensor_has_a_path(
    names: list[str], paths: list[str], tmp_path: Path
) -> None:
    nodes = [helper.make_node("Sum", ["x", *names], ["y"])]
    stored = {name: floats(3) + number for number, name in enumerate(names)}
    loaded = export.load_onnx(graph_file(tmp_path / "x.onnx", nodes, ["x"], ["y"], stored))
    assert sorted(loaded.state_dict()) == sorted(paths)
    assert [loaded.tensor_names[path] for path in paths] == names
    expected = floats(3) + sum(stored.values())
    for module in (loaded, copy.deepcopy(loaded)):
        assert module.input_names == ("x",)
        np.testing.assert_allclose(module(floats(3)).numpy(), expected, 1e-6)


def test_inputs_go_by_order_or_name_and_are_checked(tmp_path: Path) -> None:
    declared = [
        helper.make_tensor_value_info("in:0", TensorProto.FLOAT, ["batch", 3]),
        helper.make_tensor_value_info("other", TensorProto.INT64, [1]),
    ]
    cast = helper.make_node("Cast", ["other"], ["f"], to=TensorProto.FLOAT)
    nodes = [cast, helper.make_node("Sub", ["in:0", "f"], ["y"])]
    loaded = export.load_onnx(graph_file(tmp_path / "x.onnx", nodes, declared, ["y"]))
    assert loaded.input_names == ("in:0", "other")
    x, n = floats(2, 3), np.array([2])
    expected = x - 2
    for y in (
        loaded(x, n),
        loaded(x, other=n),
        loaded(in_0=x, other=n),
        loaded(**{"in:0": x}, other=n),
    ):
        np.testing.assert_allclose(y.numpy(), expected)
    with pytest.raises(
        ArgumentError, match=r"takes 2 inputs \(in:0, other\), got 1.*other missing"
    ):
        loaded(x)
    with pytest.raises(ArgumentError, match="z unknown"):
        loaded(x, n, z=x)
    with pytest.raises(ArgumentError, match="got 3 in order"):
        loaded(x, n, n)
    with pytest.raises(DTypeError, match="input 'other' is of int64, got float32"):
        loaded(x, x)
    with pytest.raises(ShapeError, match=r"input 'in:0' has shape \(batch, 3\), got \(2, 4\)"):
        loaded(floats(2, 4), n)
    with pytest.raises(ArgumentError, match="input 'in:0' is a tensor, got None"):
        loaded(None, n)


def padded(x: np.ndarray) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 0), (1, 2)), constant_values=3.0)


def flat_softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x)
    return powers / powers.sum((1, 2), keepdims=True)


OLD: list[tuple[int, str, dict[str, Any], Any]] = [  # opset, operator, settings, of x (2, 3, 4)
    (11, "Unsqueeze", {"axes": [0, -1]}, lambda x: x[None, ..., None]),
    (11, "ReduceSum", {"axes": [1]}, lambda x: x.sum(1, keepdims=True)),
    (17, "ReduceMax", {"axes": [0], "keepdims": 0}, lambda x: x.max(0)),
    (9, "Slice", {"starts": [1, -2], "ends": [9, 99], "axes": [0, 2]}, lambda x: x[1:, :, -2:]),
    (11, "Split", {"split": [1, 2], "axis": 1}, lambda x: x[:, :1]),
    (7, "Clip", {"min": -0.5, "max": 0.5}, lambda x: np.clip(x, -0.5, 0.5)),
    (7, "Pad", {"pads": [0, 0, 1, 0, 0, 2], "value": 3.0}, padded),
    (7, "Dropout", {"ratio": 0.5}, lambda x: x),
    (9, "TopK", {"k": 2}, lambda x: -np.sort(-x, -1)[..., :2]),
    (11, "Softmax", {"axis": 1}, flat_softmax),
    (7, "Upsample", {"scales": [1.0, 1.0, 2.0]}, lambda x: x.repeat(2, -1)),
    (11, "Hardmax", {"axis": 2}, lambda x: (x == x.max(-1, keepdims=True)).astype(np.float32)),
]


@pytest.mark.parametrize(("opset", "op_type", "settings", "value"), OLD)
def test_older_versions_of_operators(
    opset: int, op_type: str, settings: dict[str, Any], value: Any, tmp_path: Path
) -> None:
    outputs = ["y", "z"] if op_type in ("Split", "TopK") else ["y"]
    node = helper.make_node(op_type, ["x"], outputs, **settings)
    x = floats(2, 3, 4)
    loaded = export.load_onnx(graph_file(tmp_path / "x.onnx", [node], ["x"], ["y"], {}, opset))
    np.testing.assert_allclose(loaded(x).numpy(), value(x), 1e-5, 1e-6)


def test_data_in_other_files_of_the_folder_are_read(tmp_path: Path) -> None:
    weight = floats(3, 4)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(b"before" + weight.tobytes() + b"behind")
    proto = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(3, 4), data_location=1)
    for key, value in (("location", "data/w.bin"), ("offset", "6"), ("length", "48")):
        proto.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_empty_tensor_value_info("y")],
        [proto],
    )
    (tmp_path / "x.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    loaded = export.load_onnx(tmp_path / "x.onnx")
    np.testing.assert_array_equal(loaded.w.numpy(), weight)
    np.testing.assert_allclose(loaded(floats(2, 3)).numpy(), floats(2, 3) @ weight, 1e-5)


def test_numbers_of_every_type_are_read_in_every_field(tmp_path: Path) -> None:
    kinds = ["float32", "float64", "float16", "int32", "int64", "bool", "uint8", "int8", "int16"]
    for kind in [*kinds, "uint16", "uint32"]:
        values = np.array([0, 1, 100, 1], kind)
        raw = numpy_helper.from_array(values, "w")
        plain = helper.make_tensor("w", raw.data_type, [4], values.tolist())
        for proto in (raw, plain):
            node = helper.make_node("Constant", [], ["y"], value=proto)
            found = export.load_onnx(graph_file(tmp_path / "x.onnx", [node], [], ["y"]))()
            np.testing.assert_array_equal(found.numpy(), values)
    halves = helper.make_tensor("w", TensorProto.BFLOAT16, [2], [1.5, -2.0])
    node = helper.make_node("Constant", [], ["y"], value=halves)
    found = export.load_onnx(graph_file(tmp_path / "x.onnx", [node], [], ["y"]))()
    assert found.dtype is smelt.bfloat16
    assert found.float().tolist() == [1.5, -2.0]


def test_narrow_integers_wrap_around(tmp_path: Path) -> None:
    declared = [helper.make_tensor_value_info("x", TensorProto.UINT8, [2])]
    nodes = [
        helper.make_node("Add", ["x", "x"], ["a"]),
        helper.make_node("BitwiseNot", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.INT8),
    ]
    loaded = export.load_onnx(graph_file(tmp_path / "x.onnx", nodes, declared, ["a", "b", "y"]))
    x = np.array([200, 3], np.uint8)
    expected = x + x, ~(x + x), (~(x + x)).astype(np.int8)
    for got, want in zip(loaded(x), expected, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


def test_operators_that_a_file_defines_are_what_they_consist_of(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 18)]
    slope = helper.make_node("LeakyRelu", ["s"], ["r"])
    reference = onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "slope"
    slope.attribute.append(reference)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s"]), slope]
    own = helper.make_function("own", "Layer", ["x", "w"], ["r"], nodes, opsets, ["slope"])
    calls = [
        helper.make_node("Layer", ["x", "w"], ["a"], domain="own", slope=0.5),
        helper.make_node("Layer", ["a", "w"], ["y"], domain="own"),
    ]
    weight = numpy_helper.from_array(floats(3, 3), "w")
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])]
    graph = helper.make_graph(
        calls, "g", given, [helper.make_empty_tensor_value_info("y")], [weight]
    )
    model = helper.make_model(
        graph, functions=[own], opset_imports=[*opsets, helper.make_opsetid("own", 1)]
    )
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    loaded = export.load_onnx(tmp_path / "x.onnx")
    a = smelt.tensor(floats(2, 3)) @ floats(3, 3)
    expected = F.leaky_relu(F.leaky_relu(a, 0.5) @ floats(3, 3), 0.01)
    for run in (loaded, smelt.compile(loaded)):
        np.testing.assert_allclose(run(floats(2, 3)).numpy(), expected.numpy(), 1e-5, 1e-6)
    loaded(floats(2, 3)).sum().backward()
    assert loaded.w.grad is not None


# --- lengths and numbers --------------------------------------------------------------------------


def flattening(path: Path) -> export.OnnxModule:
    """Reads a graph that computes a shape, as exporters write it: x (n, ...) -> (n, rest)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axes"], ["u"]),
        helper.make_node("Concat", ["u", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Shape", ["r"], ["t"], start=0, end=1),
        helper.make_node("ConstantOfShape", ["t"], ["o"]),
        helper.make_node("Unsqueeze", ["o", "one"], ["p"]),
        helper.make_node("Add", ["r", "p"], ["y"]),
    ]
    numbers = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}
    numbers["one"] = np.array([1])
    return export.load_onnx(graph_file(path, nodes, ["x"], ["y"], numbers))


def test_shapes_are_computed_while_python_runs(tmp_path: Path) -> None:
    loaded = flattening(tmp_path / "x.onnx")
    compiled = smelt.compile(loaded, dynamic={"x": {0: "n"}})
    for count in (5, 3, 8):
        x = floats(count, 2, 3)
        np.testing.assert_array_equal(loaded(x).numpy(), x.reshape(count, 6))
        np.testing.assert_array_equal(compiled(x).numpy(), x.reshape(count, 6))


def test_numbers_that_a_compiled_step_does_not_know_are_named(tmp_path: Path) -> None:
    declared = ["x", helper.make_tensor_value_info("shape", TensorProto.INT64, ["k"])]
    node = helper.make_node("Reshape", ["x", "shape"], ["y"], "flat")
    loaded = export.load_onnx(graph_file(tmp_path / "x.onnx", [node], declared, ["y"]))
    assert loaded(floats(2, 3), np.array([-1])).shape == (6,)
    with pytest.raises(
        TraceError, match=r"Reshape 'flat' takes its input 1 \('shape'\) as numbers"
    ):
        smelt.compile(loaded)(floats(2, 3), np.array([-1]))
    closed = smelt.compile(lambda x: loaded(x, np.array([3, 2])))
    assert closed(floats(2, 3)).shape == (3, 2)


# --- what is refused ------------------------------------------------------------------------------


def test_one_error_names_all_that_cannot_be_expressed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("StringConcat", ["x", "x"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Own", ["b"], ["c"], "second", domain="my.domain"),
        helper.make_node("StringConcat", ["c", "c"], ["d"], "third"),
        helper.make_node("Cast", ["d"], ["e"], "fourth", to=TensorProto.STRING),
        helper.make_node("RNN", ["e", "e", "e"], ["f"], "fifth", activations=["Own"]),
    ]
    more = {"my.domain": 1}
    path = graph_file(tmp_path / "x.onnx", nodes, ["x"], ["f"], opset=20, **more)
    with pytest.raises(CompileError) as caught:
        export.load_onnx(path)
    text = str(caught.value)
    assert "StringConcat (opset 20): StringConcat 'first', StringConcat 'third'" in text
    assert "my.domain.Own (opset 1): Own 'second'" in text
    assert "Cast: to string: Cast 'fourth'" in text
    assert "RNN: activation 'Own': RNN 'fifth'" in text
    assert "Relu" not in text


def test_settings_and_versions_that_are_not_known_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    node = helper.make_node("Add", ["x", "x"], ["y"], broadcast=1)
    with pytest.raises(CompileError, match=r"Add: with 'broadcast': Add \(node 0\)"):
        export.load_onnx(graph_file(path, [node], ["x"], ["y"], opset=7))
    node = helper.make_node("Add", ["x", "x"], ["y"])
    with pytest.raises(CompileError, match=r"Add \(opset 5\)"):
        export.load_onnx(graph_file(path, [node], ["x"], ["y"], opset=5))
    text = helper.make_tensor_value_info("x", TensorProto.STRING, [1])
    with pytest.raises(CompileError, match="an input of string: 'x'"):
        export.load_onnx(
            graph_file(path, [helper.make_node("Identity", ["x"], ["y"])], [text], ["y"])
        )


def test_errors_within_the_graph_name_the_node(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    path = graph_file(tmp_path / "x.onnx", [node], ["x"], ["y"], {"w": floats(3, 2)})
    with pytest.raises(ShapeError, match="onnxmodule.product"):
        export.load_onnx(path)(floats(2, 4))


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    with pytest.raises(FileError, match="no such file"):
        export.load_onnx(path)
    for content in (b"", b"hello, this is text", b"PK\3\4" + b"\0" * 100, b"\x80\2."):
        path.write_bytes(content)
        with pytest.raises(FileError, match="ONNX"):
            export.load_onnx(path)
    with pytest.raises(FileError):
        export.load_onnx(tmp_path)


def test_reading_needs_no_library(tmp_path: Path) -> None:
    round_trip("mlp", tmp_path / "model.onnx")
    program = (
        "import sys; sys.modules['onnx'] = None\n"
        "from smelt import export\n"
        "import numpy as np\n"
        f"model = export.load_onnx({str(tmp_path / 'model.onnx')!r})\n"
        "print(model(np.zeros((2, 64), np.float32)).shape)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "(2, 10)\n"
