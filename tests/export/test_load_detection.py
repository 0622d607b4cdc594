"""Operators of networks that detect objects, and of quantized ones, beside what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import export
from smelt.errors import CompileError, TraceError
from smelt.tensor import Tensor
from tests.export.onnx_zoo import floats

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from tests.export.test_load_onnx import graph_file  # noqa: E402


def loaded(
    path: Path,
    op_type: str,
    inputs: list[str],
    kinds: dict[str, int] | None = None,
    **settings: Any,
) -> export.OnnxModule:
    """Returns a module of one node; `kinds` are the types of inputs that are not float32."""
    node = helper.make_node(op_type, inputs, ["y"], **settings)
    given = [
        helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), None)
        for name in inputs
        if name
    ]
    return export.load_onnx(graph_file(path / "model.onnx", [node], given, ["y"], opset=19))


def numbers(*values: Any) -> Tensor:
    return smelt.tensor(np.array(values, np.float32))


# --- deformable convolution -----------------------------------------------------------------------


def test_offsets_of_zero_leave_a_convolution(tmp_path: Path) -> None:
    names = ["x", "w", "offset", "b"]
    settings = {"strides": [2, 1], "pads": [1, 2, 0, 1], "dilations": [1, 2], "group": 2}
    deformed = loaded(tmp_path, "DeformConv", names, **settings, offset_group=2)
    plain = loaded(tmp_path, "Conv", ["x", "w", "b"], **settings)
    x, w, b = (smelt.tensor(floats(*shape)) for shape in ((2, 4, 7, 8), (6, 2, 3, 3), (6,)))
    want = plain(x, w, b)
    offset = smelt.zeros(2, 2 * 2 * 9, *want.shape[2:])
    np.testing.assert_allclose(deformed(x, w, offset, b), want, 1e-5, 1e-5)


def test_whole_offsets_move_what_is_read(tmp_path: Path) -> None:
    deformed = loaded(tmp_path, "DeformConv", ["x", "w", "offset"])
    x, w = smelt.tensor(floats(1, 1, 5, 5)), smelt.ones(1, 1, 1, 1)
    offset = smelt.cat([smelt.ones(1, 1, 5, 5), smelt.zeros(1, 1, 5, 5)], 1)
    want = F.pad(x[:, :, 1:], (0, 0, 0, 1))  # zeros beyond the image
    np.testing.assert_array_equal(deformed(x, w, offset), want)


def test_a_deformable_convolution_compiles_and_learns_its_offsets(tmp_path: Path) -> None:
    names = ["x", "w", "offset", "", "mask"]
    kinds = dict.fromkeys(names, TensorProto.DOUBLE)
    deformed = loaded(tmp_path, "DeformConv", names, kinds)
    shapes = ((1, 2, 5, 6), (3, 2, 2, 2), (1, 8, 4, 5), (1, 4, 4, 5))
    arrays = [np.random.default_rng(0).uniform(0.1, 0.4, shape) for shape in shapes]
    smelt.autodiff.gradcheck(lambda *given: deformed(*given), *arrays, rtol=1e-4, atol=1e-6)
    given = list(map(smelt.tensor, arrays))
    np.testing.assert_allclose(smelt.compile(deformed)(*given), deformed(*given), 1e-5, 1e-5)


# --- regions and boxes ----------------------------------------------------------------------------


def test_a_region_of_the_whole_image_is_its_mean(tmp_path: Path) -> None:
    align = loaded(
        tmp_path, "RoiAlign", ["x", "regions", "samples"], {"samples": TensorProto.INT64},
        output_height=2, sampling_ratio=4,
    )  # fmt: skip
    x = smelt.tensor(floats(2, 3, 4, 8)).requires_grad_()
    regions, samples = numbers([0, 0, 8, 4]), np.array([1])
    found = align(x, regions, samples)
    assert found.shape == (1, 3, 2, 1)
    steady = smelt.ones(2, 3, 4, 8)
    np.testing.assert_allclose(align(steady, regions, samples), smelt.ones(1, 3, 2, 1), 1e-6)
    found.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.sum((2, 3)), [[0] * 3, [2] * 3], 1e-5, 1e-6)
    outside = align(x, numbers([100, 100, 120, 120]), samples)
    assert not outside.detach().numpy().any()


def test_the_best_boxes_remain(tmp_path: Path) -> None:
    names = ["boxes", "scores", "most", "overlap", "least"]
    suppress = loaded(tmp_path, "NonMaxSuppression", names, {"most": TensorProto.INT64})
    boxes = numbers([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [2, 2, 3, 3], [1, 1, 0, 0], [5, 5, 5, 5]])
    scores = numbers([[0.5, 0.9, 0.3, 0.8, 0.1], [0.0, 0.0, 0.9, 0.0, 0.0]])

    def remaining(most: int, overlap: float, least: float) -> list[list[int]]:
        limits = np.array([most]), numbers(overlap), numbers(least)
        return list(suppress(boxes, scores, *limits).tolist())

    assert remaining(9, 0.5, 0.2) == [[0, 0, 1], [0, 0, 2], [0, 1, 2]]
    assert remaining(1, 0.5, 0.0) == [[0, 0, 1], [0, 1, 2]]
    assert remaining(9, 0.9, 0.4) == [[0, 0, 1], [0, 0, 3], [0, 1, 2]]  # the same box twice
    assert remaining(0, 0.5, 0.2) == []
    with pytest.raises(
        TraceError, match="NonMaxSuppression takes its input 0.*run the model eager"
    ):
        smelt.compile(suppress)(boxes, scores, np.array([1]), numbers(0.5), numbers(0.0))


def test_other_modes_of_regions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="RoiAlign.*mode 'max'"):
        loaded(tmp_path, "RoiAlign", ["x", "regions", "samples"], mode="max")


# --- quantized convolution ------------------------------------------------------------------------


@pytest.mark.parametrize("scales", [[0.02], [0.02, 0.03, 0.01, 0.05]])
def test_a_quantized_convolution_is_that_of_the_numbers(
    scales: list[float], tmp_path: Path
) -> None:
    """As the same convolution of floats, up to where their rounding differs."""
    random = np.random.default_rng(0)
    x, w = random.integers(0, 255, (2, 3, 6, 6)), random.integers(-127, 127, (4, 3, 3, 3))
    bias, w_scale = random.integers(-999, 999, 4), np.array(scales, np.float32)
    tables = {
        "x_scale": np.float32(0.1), "x_zero": np.uint8(120), "w": w.astype(np.int8),
        "w_scale": w_scale, "w_zero": np.zeros(len(scales), np.int8), "y_scale": np.float32(5),
        "y_zero": np.uint8(100), "b": bias.astype(np.int32),
    }  # fmt: skip
    given = helper.make_tensor_value_info("x", TensorProto.UINT8, None)
    node = helper.make_node("QLinearConv", ["x", *tables], ["y"], pads=[1, 1, 1, 1])
    initializers = {name: np.asarray(value) for name, value in tables.items()}
    path = graph_file(tmp_path / "model.onnx", [node], [given], ["y"], initializers)
    found = export.load_onnx(path)(x.astype(np.uint8))
    assert found.dtype is smelt.int32  # which holds uint8

    wide = w_scale.reshape(-1, 1, 1, 1)
    floats_of_x, floats_of_w = (x - 120) * 0.1, w * wide
    y = F.conv2d(*map(smelt.tensor, (floats_of_x, floats_of_w)), padding=1).numpy()
    y = y + (bias * 0.1 * w_scale).reshape(1, -1, 1, 1)
    want = np.clip(np.rint(y / 5) + 100, 0, 255)
    assert abs(found.numpy() - want).max() <= 1
    assert (found.numpy() == want).mean() > 0.99
