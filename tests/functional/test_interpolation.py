"""Interpolation, held to what PyTorch's documentation and arithmetic by hand say."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from tests.gradients import check_gradient


def line(*values: float) -> smelt.Tensor:
    return smelt.tensor([[list(values)]])


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"scale_factor": 2}, [1, 1, 2, 2, 4, 4]),
        ({"size": 2}, [1, 2]),
        ({"size": 2, "mode": "nearest-exact"}, [1, 4]),
        ({"scale_factor": 2, "mode": "linear"}, [1, 1.25, 1.75, 2.5, 3.5, 4]),
        ({"size": 5, "mode": "linear", "align_corners": True}, [1, 1.5, 2, 3, 4]),
        ({"size": 1, "mode": "linear", "align_corners": True}, [1]),
        ({"size": 1, "mode": "linear"}, [2]),
        ({"scale_factor": 1.5, "mode": "linear"}, [1, 1.5, 7 / 3, 11 / 3]),
        (
            {"scale_factor": 1.5, "mode": "linear", "recompute_scale_factor": True},
            [1, 1.625, 2.75, 4],
        ),
        ({"size": 2, "mode": "area"}, [1.5, 3]),
    ],
)
def test_values_on_a_line(options, wanted) -> None:
    found = F.interpolate(line(1.0, 2.0, 4.0), **options)
    assert found.tolist()[0][0] == pytest.approx(wanted)
    compiled = smelt.compile(lambda x: F.interpolate(x, **options))(line(1.0, 2.0, 4.0))
    assert compiled.tolist()[0][0] == pytest.approx(wanted)


def test_images_are_interpolated_axis_by_axis() -> None:
    image = smelt.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    found = nn.UpsamplingBilinear2d((3, 3))(image)
    assert found.tolist() == [[[[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]]]
    assert nn.UpsamplingNearest2d(scale_factor=2)(image)[0, 0, 1].tolist() == [0, 0, 1, 1]
    cube = smelt.arange(8.0).reshape(1, 1, 2, 2, 2)
    assert F.interpolate(cube, 3, mode="trilinear", align_corners=True)[0, 0, 1, 1, 1] == 3.5
    layer = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    assert repr(layer) == "Upsample(scale_factor=2, mode='bilinear')"
    assert layer(image).shape == (1, 1, 4, 4)
    assert F.interpolate(smelt.tensor([[[1, 3]]]), 3).dtype is smelt.int64
    assert F.interpolate(smelt.tensor([[[1, 3]]]), 3, mode="linear").dtype is smelt.float32


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "area"])
def test_gradients(mode) -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 4))
    check_gradient(lambda x: (F.interpolate(x, (5, 2), mode=mode) ** 2).sum(), x)


@pytest.mark.parametrize(
    ("shape", "options", "error", "message"),
    [
        ((1, 1, 3), {}, ArgumentError, "either size or scale_factor"),
        ((1, 1, 3), {"size": 2, "scale_factor": 2}, ArgumentError, "either size or"),
        ((1, 1, 3), {"size": 2, "mode": "cubic"}, ArgumentError, "mode must be one of"),
        ((1, 1, 3), {"size": 2, "mode": "bilinear"}, ShapeError, "4 axes"),
        ((3, 3), {"size": 2}, ShapeError, "3 to 5 axes"),
        ((1, 1, 3), {"size": 2, "align_corners": True}, ArgumentError, "leave it out"),
        ((1, 1, 3), {"size": (2, 2)}, ShapeError, "one per spatial axis"),
        ((1, 1, 3), {"size": 0}, ShapeError, "extents must be at least 1"),
        ((1, 1, 3), {"scale_factor": 0.1}, ShapeError, "extents must be at least 1"),
        ((1, 1, 3), {"scale_factor": -1}, ArgumentError, "must be positive"),
        ((1, 1, 3), {"scale_factor": "2"}, ArgumentTypeError, "must be a number"),
        ((1, 1, 2, 2, 2), {"size": 1, "mode": "area"}, ShapeError, "one or two axes"),
    ],
)
def test_what_is_refused(shape, options, error, message) -> None:
    with pytest.raises(error, match=message):
        F.interpolate(smelt.ones(shape), **options)
