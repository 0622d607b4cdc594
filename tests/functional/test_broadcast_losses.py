"""Losses and similarities of several operands broadcast them before they sum anything up."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.errors import ArgumentError, ShapeError

ROW, COLUMN = smelt.tensor([[3.0, 4.0]]), smelt.tensor([[1.0], [2.0]])
WIDE_ROW, WIDE_COLUMN = ROW.expand(2, 2), COLUMN.expand(2, 2)
LABELS = smelt.tensor([1.0, -1.0])
FUNCTIONS = {
    "cosine_similarity": F.cosine_similarity,
    "cosine_similarity of rows": lambda a, b: F.cosine_similarity(a, b, dim=0),
    "cosine_embedding_loss": lambda a, b: F.cosine_embedding_loss(a, b, LABELS),
    "triplet_margin_loss": lambda a, b: F.triplet_margin_loss(a, b, b[:1]),
    "triplet, reversed": lambda a, b: F.triplet_margin_loss(b, a, b),
    "margin_ranking_loss": lambda a, b: F.margin_ranking_loss(a, b, smelt.ones(1, 1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_if_expanded_beforehand(name) -> None:
    function = FUNCTIONS[name]
    want = function(WIDE_ROW, WIDE_COLUMN).numpy()
    np.testing.assert_allclose(function(ROW, COLUMN).numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(smelt.compile(function)(ROW, COLUMN).numpy(), want, rtol=1e-6)


def test_values_of_cosine_similarity() -> None:
    want = [7 / np.sqrt(50), 14 / np.sqrt(25 * 8)]
    np.testing.assert_allclose(F.cosine_similarity(ROW, COLUMN).numpy(), want, rtol=1e-6)


def test_variances_fit_the_input() -> None:
    x, y = smelt.ones(2, 3), smelt.zeros(2, 3)
    per_row = smelt.tensor([0.5, 2.0])
    want = F.gaussian_nll_loss(x, y, per_row.unsqueeze(1).expand(2, 3)).item()
    assert F.gaussian_nll_loss(x, y, per_row).item() == pytest.approx(want)
    assert F.gaussian_nll_loss(x, y, per_row.unsqueeze(1)).item() == pytest.approx(want)
    with pytest.raises(ShapeError, match="var"):
        F.gaussian_nll_loss(x[:, :1], y[:, :1], smelt.ones(2, 3))
    with pytest.raises(ArgumentError, match="negative"):
        F.gaussian_nll_loss(x, y, -per_row)


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
def test_factors_do_not_enlarge_a_loss(name) -> None:
    x = smelt.full((2, 1), 0.5)
    with pytest.raises(ShapeError, match=name):
        F.binary_cross_entropy_with_logits(x, x, **{name: smelt.ones(2, 3)})
    with pytest.raises(ShapeError, match="weight"):
        F.binary_cross_entropy(x, x, weight=smelt.ones(2, 3))


def test_hinge_embedding_loss_of_other_labels_takes_both_sides() -> None:
    got = F.hinge_embedding_loss(smelt.tensor([0.25]), smelt.tensor([0.0]), reduction="none")
    assert got.tolist() == [1.0]
    with pytest.raises(ShapeError, match="same number of axes"):
        F.margin_ranking_loss(smelt.ones(2), smelt.ones(2, 1), smelt.ones(2))
