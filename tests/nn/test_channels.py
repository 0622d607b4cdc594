"""Layers that treat channels as wholes: dropout, pixel shuffling, norms of instances, padding."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.Dropout1d, (40, 5), 1),
        (nn.Dropout1d, (8, 5, 6), 2),
        (nn.Dropout2d, (8, 5, 6), 2),
        (nn.Dropout2d, (8, 5, 2, 3), 2),
        (nn.Dropout3d, (40, 2, 2, 3), 1),
        (nn.Dropout3d, (8, 5, 2, 1, 3), 2),
    ],
)
def test_whole_channels_are_dropped(layer, shape, axes) -> None:
    smelt.manual_seed(3)
    drop, x = layer(0.25), smelt.ones(shape)
    for call in (drop, smelt.compile(drop)):
        channels = call(x).numpy().reshape(*shape[:axes], -1)
        assert np.all(channels == channels[..., :1])
        assert set(np.round(np.unique(channels), 5)) == {0, np.float32(1.33333)}
    drop.eval()
    assert drop(x).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.dropout1d(smelt.ones(2)), ShapeError, "2 or 3 axes"),
        (lambda: F.dropout2d(smelt.ones(2, 2), training=False), ShapeError, "3 or 4 axes"),
        (lambda: nn.Dropout2d(1.5), ArgumentError, "Dropout2d: p must"),
        (lambda: F.pixel_shuffle(smelt.ones(6, 2, 2), 2), ShapeError, "6 channels"),
        (lambda: F.pixel_unshuffle(smelt.ones(1, 3, 2), 2), ShapeError, "not divisible by 2"),
        (lambda: F.pixel_shuffle(smelt.ones(4, 4), 2), ShapeError, "needs images"),
        (lambda: nn.PixelShuffle(0)(smelt.ones(4, 4, 4)), ArgumentError, "at least 1"),
        (lambda: nn.InstanceNorm1d(3)(smelt.ones(2, 3, 1)), ShapeError, "more than one element"),
        (lambda: nn.InstanceNorm2d(3)(smelt.ones(2, 4, 2, 2)), ShapeError, "3 channels"),
        (lambda: nn.ZeroPad2d((1, 2)), ArgumentError, "one number or 4"),
        (lambda: nn.ZeroPad1d(1.5), ArgumentTypeError, "whole number"),
        (lambda: nn.ReflectionPad1d(3)(smelt.ones(1, 1, 3)), ShapeError, "too wide"),
        (lambda: nn.ReplicationPad1d(1)(smelt.ones(3)), ShapeError, "2 or 3 axes"),
        (lambda: F.softshrink(smelt.ones(2), -1.0), ArgumentError, "negative"),
    ],
)
def test_what_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_running_statistics_of_instances_serve_in_evaluation() -> None:
    layer = nn.InstanceNorm1d(2, track_running_stats=True, momentum=1.0)
    x = smelt.tensor([[[0.0, 2.0], [1.0, 1.0]], [[2.0, 4.0], [1.0, 3.0]]])
    layer(x)
    assert layer.running_mean.tolist() == [2, 1.5]
    assert layer.running_var.tolist() == [2, 1]
    layer.eval()
    assert layer(x[:1, :, :1])[0, 0, 0].item() == pytest.approx(-(2**0.5), rel=1e-4)
