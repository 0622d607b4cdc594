"""Functions that ONNX has as operators are written as these, and compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export, nn
from smelt.tensor import Tensor
from smelt.tracing.engine import composites_marked, context
from tests.export.onnx_zoo import floats

onnx = pytest.importorskip("onnx")

from tests.export.test_onnx import NEWEST, assert_agrees  # noqa: E402

Function = Callable[[Tensor], Any]


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def operators(path: Path) -> list[str]:
    """Returns the types of a file's nodes in order."""
    return [node.op_type for node in onnx.load(path).graph.node]


def written(function: Function, path: Path, x: np.ndarray, **options: Any) -> list[str]:
    """Writes a function, looks that readers agree with it, and returns its operators."""
    model = function if isinstance(function, nn.Module) else Applied(function)
    export.save_onnx(model, path, x, **options)
    assert_agrees(path, model.eval(), x)
    return operators(path)


IMAGES = (2, 4, 7, 9)
ONE_OPERATOR: list[tuple[str, Function, tuple[int, ...]]] = [
    ("Softmax", lambda x: F.softmax(x, -1), (3, 4)),
    ("Softmax", lambda x: F.softmax(x, 1), (3, 4, 5)),
    ("LogSoftmax", lambda x: F.log_softmax(x, 0), (3, 4)),
    ("LayerNormalization", nn.LayerNorm((4, 5)), (3, 4, 5)),
    ("LayerNormalization", nn.LayerNorm(5, eps=0.1, bias=False), (3, 4, 5)),
    ("BatchNormalization", nn.BatchNorm1d(4), (3, 4)),
    ("BatchNormalization", nn.BatchNorm2d(4, eps=0.1), IMAGES),
    ("AveragePool", nn.AvgPool1d(3, 2), (2, 4, 9)),
    ("AveragePool", nn.AvgPool2d((2, 3), padding=1), IMAGES),
    ("AveragePool", nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGES),
    ("ConvTranspose", nn.ConvTranspose1d(4, 3, 3, stride=2), (2, 4, 9)),
    ("ConvTranspose", nn.ConvTranspose2d(4, 3, (2, 3), bias=False), IMAGES),
    ("ConvTranspose", nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1), IMAGES),
    ("ConvTranspose", nn.ConvTranspose2d(4, 6, 3, 3, groups=2, dilation=2), IMAGES),
]


@pytest.mark.parametrize(("name", "function", "shape"), ONE_OPERATOR)
def test_one_operator_stands_for_the_function(
    name: str, function: Function, shape: tuple[int, ...], tmp_path: Path
) -> None:
    assert written(function, tmp_path / "model.onnx", floats(*shape)) == [name]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_an_operator_since_opset_20(approximate: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"

    def gelu(x: Tensor) -> Tensor:
        return F.gelu(x, approximate=approximate)

    assert written(gelu, path, floats(3, 4), opset_version=NEWEST) == ["Gelu"]
    assert "Gelu" not in written(gelu, path, floats(3, 4), opset_version=19)


LENGTHS: dict[str, Any] = {"x": {0: "batch", 2: "height", 3: "width"}}


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, function) for name, function, shape in ONE_OPERATOR if shape is IMAGES],
)
def test_operators_hold_for_any_lengths(name: str, function: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    made = export.save_onnx(function, path, floats(2, 4, 30, 40), dynamic_axes=LENGTHS)
    assert operators(path) == [name]
    assert made.limits == ()
    for lengths in ((3, 4, 7, 9), (1, 4, 5, 4), (2, 4, 8, 8)):
        assert_agrees(path, function.eval(), floats(*lengths))


def test_average_pooling_that_tiles_takes_any_lengths(tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", nn.AvgPool2d(2)
    made = export.save_onnx(model, path, floats(2, 4, 30, 40), dynamic_axes=LENGTHS)
    assert made.limits == ("height != 1", "width != 1")  # too small for a window
    for lengths in ((3, 4, 7, 9), (1, 4, 8, 6)):
        assert_agrees(path, model, floats(*lengths))


def test_the_example_lies_within_the_limits(tmp_path: Path) -> None:
    """An example of few windows is traced as one of many, which any number is then."""
    path, model = tmp_path / "model.onnx", nn.AvgPool2d(3)
    made = export.save_onnx(model, path, floats(2, 4, 8, 9), dynamic_axes=LENGTHS)
    assert made.limits == ("height != 1", "width != 1", "height != 2", "width != 2")
    for lengths in ((2, 4, 8, 9), (1, 4, 3, 5), (2, 4, 30, 40)):
        assert_agrees(path, model, floats(*lengths))


@pytest.mark.parametrize(
    "model", [nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.ConvTranspose2d(4, 3, 3, 2, 1)]
)
def test_what_is_read_back_compiles_at_several_lengths(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export.save_onnx(model, path, floats(2, 4, 30, 40), dynamic_axes=LENGTHS)
    loaded = export.load_onnx(path)
    compiled = smelt.compile(lambda x: loaded(x), dynamic={"x": {2: "height", 3: "width"}})
    for lengths in ((2, 4, 30, 40), (2, 4, 17, 22)):
        x = smelt.tensor(floats(*lengths))
        np.testing.assert_allclose(compiled(x), model(x), 1e-4, 1e-5)


def test_attention_gives_zeros_where_a_mask_leaves_nothing(tmp_path: Path) -> None:
    mask = smelt.tensor(np.arange(5)[:, None] > np.arange(5))  # nothing in the first row

    def attention(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    path, model = tmp_path / "model.onnx", Applied(attention)
    export.save_onnx(model, path, floats(2, 5, 4))
    assert operators(path).count("Softmax") == 1
    assert_agrees(path, model, floats(2, 5, 4))
    assert not np.asarray(model(smelt.tensor(floats(2, 5, 4)))[:, 0]).any()


def test_bodies_and_batches_are_written_right(tmp_path: Path) -> None:
    """In a body a function is its operator; under vmap it is what it consists of."""

    def looped(x: Tensor) -> Tensor:
        return smelt.scan(lambda carry, row: (F.softmax(carry + row, -1), carry), x[0], x)[0]

    path = tmp_path / "model.onnx"
    assert "Scan" in written(looped, path, floats(3, 4))
    (body,) = [node.attribute for node in onnx.load(path).graph.node if node.op_type == "Scan"]
    inner = next(one.g for one in body if one.name == "body")
    assert "Softmax" in {node.op_type for node in inner.node}

    softmax_of_rows = smelt.vmap(lambda row: F.softmax(row, 0))
    assert "Softmax" not in written(softmax_of_rows, path, floats(3, 4))


def test_derivatives_in_a_file_are_those_of_the_function(tmp_path: Path) -> None:
    gradient = smelt.grad(lambda x: (F.log_softmax(x, -1) * F.gelu(x)).sum())
    written(gradient, tmp_path / "model.onnx", floats(3, 4))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.softmax(x.to(smelt.float16), -1).float(),  # computed in float32
        lambda x: F.layer_norm(x, (9,)),  # no weight
        lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.ConvTranspose2d(4, 3, 3, 1, dilation=2, output_padding=1),  # not in onnxruntime
    ],
)
def test_what_an_operator_does_not_say_is_written_in_parts(
    function: Function, tmp_path: Path
) -> None:
    names = {name for name, *_ in ONE_OPERATOR}
    assert not names & set(written(function, tmp_path / "model.onnx", floats(*IMAGES)))


def test_pooling_beyond_the_padding_cannot_change_its_length(tmp_path: Path) -> None:
    with pytest.raises(smelt.errors.ArgumentError, match="'height' cannot change"):
        export.save_onnx(
            nn.AvgPool2d(2, ceil_mode=True),
            tmp_path / "model.onnx",
            floats(2, 4, 31, 41),
            dynamic_axes=LENGTHS,
        )


def test_a_file_with_operators_is_read_back_and_trains(tmp_path: Path) -> None:
    model = nn.Sequential(nn.ConvTranspose2d(1, 2, 3, 2), nn.BatchNorm2d(2), nn.GELU())
    export.save_onnx(model, tmp_path / "model.onnx", floats(2, 1, 4, 4))
    loaded = export.load_onnx(tmp_path / "model.onnx")
    x = smelt.tensor(floats(2, 1, 4, 4))
    np.testing.assert_allclose(loaded(x), model.eval()(x), 1e-5, 1e-6)
    names = {name for name, _ in loaded.named_parameters()}
    assert names == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert {"1.running_mean", "1.running_var"} <= {name for name, _ in loaded.named_buffers()}
    loaded(x).sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_other_traces_have_no_marks() -> None:
    def function(x: Tensor) -> Tensor:
        return F.softmax(x, -1)

    assert not context.marks_composites
    x = smelt.tensor(floats(3, 4))
    with composites_marked():
        assert context.marks_composites
        marked = function(x)
    np.testing.assert_array_equal(marked, function(x))


def test_a_marked_function_compiles_to_the_same_bits() -> None:
    def function(x: Tensor) -> Tensor:
        return F.softmax(x, -1) * F.gelu(x)

    x = floats(3, 4)
    with composites_marked():
        marked = smelt.compile(function)(x)
    np.testing.assert_array_equal(marked, smelt.compile(function)(x))
