"""Negative amounts of padding, which cut elements off; the numbers are PyTorch's."""

from __future__ import annotations

import pytest

import smelt
import smelt.nn.functional as F
from smelt.autodiff import gradcheck
from smelt.errors import ShapeError

CASES = [
    ("reflect", (-1, 2), [1, 2, 3, 4, 5, 4, 3]),
    ("reflect", (2, -2), [2, 1, 0, 1, 2, 3]),
    ("reflect", (-3, -2), [3]),
    ("reflect", (-4, 5), [4, 5, 4, 3, 2, 1, 0]),
    ("replicate", (-1, 2), [1, 2, 3, 4, 5, 5, 5]),
    ("replicate", (2, -4), [0, 0, 0, 1]),
    ("circular", (-1, 2), [1, 2, 3, 4, 5, 1, 2]),
    ("circular", (2, -1), [3, 4, 0, 1, 2, 3, 4]),
    ("constant", (-1, 2), [1, 2, 3, 4, 5, 0, 0]),
]


@pytest.mark.parametrize("mode", [lambda f: f, smelt.compile], ids=["eager", "compiled"])
@pytest.mark.parametrize(("kind", "amounts", "expected"), CASES)
def test_negative_amounts_cut_off(mode, kind, amounts, expected) -> None:
    x = smelt.arange(6).float().reshape(1, 1, 6)
    assert mode(lambda x: F.pad(x, amounts, kind))(x).tolist() == [[expected]]
    rows = x.transpose(1, 2)
    padded = mode(lambda x: F.pad(x, (0, 0, *amounts), kind))(rows)
    assert padded.flatten().tolist() == expected


@pytest.mark.parametrize(("kind", "amounts", "expected"), CASES)
def test_derivatives(kind, amounts, expected) -> None:
    x = smelt.randn(1, 2, 6, dtype=smelt.float64)
    gradcheck(lambda x: F.pad(x, amounts, kind) ** 3, x, order=2)


@pytest.mark.parametrize("kind", ["reflect", "replicate", "circular", "constant"])
def test_no_more_is_cut_off_than_there_is(kind) -> None:
    x = smelt.ones(1, 1, 6)
    assert F.pad(x, (-3, -3), kind).shape == (1, 1, 0)
    with pytest.raises(ShapeError, match="cut more off"):
        F.pad(x, (-3, -4), kind)
    with pytest.raises(ShapeError, match="do not fit axis 2"):
        F.pad(x[..., :0], (1, 0), "reflect")
