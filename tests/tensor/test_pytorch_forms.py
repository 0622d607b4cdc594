"""Forms of calls that PyTorch takes beside the plain one, and what it refuses, as it does."""

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.errors import ArgumentError, BoundsError, ShapeError

ROW = smelt.tensor([1.0, 2.0, 3.0])
M = smelt.arange(6).reshape(2, 3)
EMPTY = smelt.zeros(0)
FORMS = [
    (lambda: smelt.arange(0.0, -8.000001, -4.0, dtype=smelt.int64), [0, -4]),
    (lambda: smelt.arange(0.1, -7.9, -4.0, dtype=smelt.int64), [0, -4]),
    (lambda: smelt.linspace(4.3, -3, 5, dtype=smelt.int32), [4, 2, 0, -1, -3]),
    (lambda: smelt.linspace(smelt.tensor(-2.0), 1, 4, dtype=smelt.float64), [-2, -1, 0, 1]),
    (lambda: F.hardtanh(smelt.tensor([-8, 3, 0]), -0.5, 0.5), [0, 0, 0]),
    (lambda: F.pad(ROW, (1, 0), "constant", None), [0, 1, 2, 3]),
    (lambda: smelt.take_along_dim(ROW, smelt.tensor([-1, 0]), 0), [3, 1]),
    (lambda: smelt.take_along_dim(M, smelt.tensor([-1])), [5]),
    (lambda: smelt.cat([EMPTY, M], 1), M.tolist()),
    (lambda: smelt.cat([EMPTY, EMPTY]), []),
    (lambda: smelt.movedim(smelt.zeros(4, 3, 2), (0, 1), (2, 0)).shape, (3, 2, 4)),
    (lambda: smelt.squeeze(smelt.zeros(1, 2, 1), (0, 1)).shape, (2, 1)),
    (lambda: smelt.squeeze(smelt.zeros(1, 1), ()).shape, (1, 1)),
    (lambda: smelt.roll(M, 1), [[5, 0, 1], [2, 3, 4]]),
    (lambda: smelt.roll(M, (1, 1), (0, 1)), [[5, 3, 4], [2, 0, 1]]),
    (lambda: smelt.narrow(ROW, 0, -1, 1), [3]),
    (lambda: smelt.meshgrid([ROW, ROW])[0].shape, (3, 3)),
    (lambda: smelt.normal(smelt.zeros(2).half(), smelt.ones(2).half()).dtype, smelt.float16),
    (lambda: smelt.normal(0, 1, 2).dtype, smelt.float32),
]
REFUSED = [
    (lambda: smelt.diagonal(M, 0, 5), ArgumentError, "axis 5"),
    (lambda: smelt.diagonal(M, 0, 1), ArgumentError, "twice"),
    (lambda: F.prelu(smelt.ones(2, 2), smelt.ones(2, 2)), ShapeError, "prelu"),
    (lambda: F.prelu(smelt.ones(2), smelt.ones(2)), ShapeError, "prelu"),
    (lambda: smelt.einsum("ii->i", smelt.ones(1, 3)), ShapeError, "axis i"),
    (lambda: smelt.addmm(smelt.ones(2, 2), ROW, smelt.ones(3, 2)), ShapeError, "addmm"),
    (
        lambda: smelt.addmm(ROW.unsqueeze(-1), smelt.ones(1, 2), smelt.ones(2, 2)),
        ShapeError,
        "broadcast",
    ),
    (lambda: F.layer_norm(smelt.ones(2, 3), (3,), smelt.ones(1)), ShapeError, "weight"),
    (lambda: F.rms_norm(smelt.ones(2, 3), (3,), smelt.ones(1)), ShapeError, "weight"),
    (lambda: F.smooth_l1_loss(ROW, ROW, beta=-1.0), ArgumentError, "beta"),
    (lambda: smelt.stack([]), ArgumentError, "nothing to stack"),
    (lambda: smelt.movedim(M, (0, 0), (0, 1)), ArgumentError, "twice"),
    (lambda: smelt.movedim(M, (0, 1), 0), ArgumentError, "source and destination"),
    (lambda: smelt.roll(M, (1, 1), 0), ArgumentError, "shifts"),
    (lambda: smelt.squeeze(M, (0, -2)), ArgumentError, "twice"),
    (lambda: smelt.narrow(ROW, 0, -4, 1), ArgumentError, "narrow"),
    (lambda: smelt.take_along_dim(ROW, smelt.tensor([-4]), 0), BoundsError, "index"),
]


@pytest.mark.parametrize("place", range(len(FORMS)))
def test_a_form_of_pytorch(place):
    call, expected = FORMS[place]
    got = call()
    if isinstance(got, smelt.Tensor):
        np.testing.assert_allclose(got.numpy(), np.asarray(expected))
        assert got.shape == np.shape(expected)
    else:
        assert got == expected


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_pytorch_refuses_is_refused(place):
    call, error, words = REFUSED[place]
    with pytest.raises(error, match=words):
        call()


def test_integers_stay_integers():
    assert F.hardtanh(smelt.tensor([-8, 3]), -0.5, 2.0).dtype is smelt.int64
    assert smelt.linspace(0, 1, 3, dtype=smelt.int32).dtype is smelt.int32


def test_round_to_digits() -> None:
    x = smelt.tensor([1.2345, -2.5, 1250.0], dtype=smelt.float64)
    assert smelt.round(x, decimals=2).tolist() == [1.23, -2.5, 1250.0]
    assert x.round(decimals=-2).tolist() == [0.0, -0.0, 1200.0]


def test_heaviside_takes_the_value_at_0() -> None:
    x = smelt.tensor([-1.0, 0.0, 2.0])
    assert F.heaviside(x, smelt.tensor(0.5)).tolist() == [0, 0.5, 1]
    assert F.heaviside(x).tolist() == [0, 1, 1]


def test_no_correction_is_the_unbiased_one() -> None:
    x = smelt.tensor([1.0, 2.0, 4.0])
    assert smelt.std(x, correction=None) == smelt.std(x)
