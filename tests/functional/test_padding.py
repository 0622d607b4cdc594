"""Negative amounts of padding, which cut elements off; the numbers are PyTorch's."""

from __future__ import annotations

import numpy as np
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
    with pytest.raises(ShapeError, match="would remove more"):
        F.pad(x, (-3, -4), kind)
    with pytest.raises(ShapeError, match="too wide for mode .* along axis 2"):
        F.pad(x[..., :0], (1, 0), "reflect")


OWN = ("reflect", "replicate", "circular")
NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("counts", [(1, 1, 1, 1), (3, 0, 0, 2), (0, 4, 3, 3), (2, 1), (0, 0, 1, 0)])
@pytest.mark.parametrize("kind", OWN)
def test_edges_of_several_axes(kind, counts) -> None:
    x = smelt.randn(2, 3, 4, 5, dtype=smelt.float64)
    widths = [*zip(counts[::2], counts[1::2], strict=True)][::-1]
    wanted = np.pad(x.numpy(), [(0, 0)] * (4 - len(widths)) + widths, NUMPY[kind])
    padded = lambda x: F.pad(x, counts, kind)  # noqa: E731
    for call in (padded, smelt.compile(padded)):
        assert call(x).tolist() == wanted.tolist()
    assert padded(x.to(smelt.int32)).dtype is smelt.int32
    gradcheck(lambda x: F.pad(x, counts, kind) ** 3, x, order=2)
    weight = smelt.randn(*wanted.shape, dtype=smelt.float64)
    slopes = [call(lambda x: (padded(x) * weight).sum()) for call in (smelt.grad, _grad_by_axes)]
    np.testing.assert_allclose(*(slope(x).numpy() for slope in slopes), rtol=1e-12)


def _grad_by_axes(function):
    def slope(x):
        with smelt.settings(check_nan=True):  # which wants the single operations
            return smelt.grad(function)(x)

    return slope


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("kind", OWN)
def test_edges_under_vmap_and_without_samples(kind, batch) -> None:
    x = smelt.randn(batch, 3, 4, 5)
    rows = smelt.vmap(lambda x: F.pad(x, (1, 2, 2, 1), kind))(x) if batch else None
    padded = F.pad(x, (1, 2, 2, 1), kind)
    assert padded.shape == (batch, 3, 7, 8)
    assert rows is None or rows.tolist() == padded.tolist()
