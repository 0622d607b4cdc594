"""A step that refuses its data says which value it has found."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, train
from smelt.errors import ArgumentError, BoundsError

LABELS = np.array([0, 2, 1, 7, 0, 9])


@pytest.mark.parametrize("compile", [True, False])
def test_a_label_that_is_no_class(compile: bool) -> None:
    step = smelt.compile(lambda x, y: F.cross_entropy(x * 2, y))
    with (
        smelt.settings(compile=compile),
        pytest.raises(BoundsError, match=r"found 7 at index \[3\], and 1 more"),
    ):
        step(smelt.zeros(6, 3), LABELS)


def test_the_step_of_many_that_is_refused() -> None:
    step = smelt.compile(lambda x, y: F.cross_entropy(x, y))
    with pytest.raises(BoundsError, match=r"found 7 at index \[1\]\n") as raised:
        step.over(smelt.zeros(6, 3), LABELS, batch_size=2)
    assert "in step 1 of this call" in str(raised.value)


def test_what_the_check_looks_at_may_be_computed_from_states() -> None:
    counts = smelt.tensor([1, 2])
    embedding = nn.Embedding(5, 2)

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        counts.copy_(counts * 2)
        return embedding(x + counts)

    step(smelt.tensor([0, 0]))
    with pytest.raises(BoundsError, match=r"found 8 at index \[1\]"):
        step(smelt.tensor([0, 0]))
    assert counts.tolist() == [2, 4]


def test_values_of_other_kinds() -> None:
    with pytest.raises(ArgumentError, match=r"found -0.5 at index \[0, 1\]"):
        smelt.compile(F.binary_cross_entropy)(smelt.tensor([[0.5, -0.5]]), smelt.ones(1, 2))
    with pytest.raises(ArgumentError, match="found 2.0$"):
        smelt.compile(lambda x: smelt.quantile(x, 2.0))(smelt.ones(3))
    with pytest.raises(BoundsError, match=r"found 3 at index \[0\]"):
        train.Accuracy()(smelt.zeros(1, 2), smelt.tensor([3]))


def test_under_vmap_the_index_counts_the_examples_too() -> None:
    scores, labels = smelt.zeros(2, 3, 4), smelt.tensor([[0, 1, 2], [3, 4, 0]])
    with pytest.raises(BoundsError, match=r"found 4 at index \[1, 1\]"):
        smelt.vmap(lambda x, y: F.cross_entropy(x, y))(scores, labels)


def test_inside_a_loop_only_the_check_is_named() -> None:
    def body(total: smelt.Tensor, y: smelt.Tensor) -> tuple[smelt.Tensor, None]:
        return total + F.cross_entropy(smelt.zeros(1, 3), y), None

    step = smelt.compile(lambda y: smelt.scan(body, smelt.tensor(0.0), y)[0])
    with pytest.raises(BoundsError, match="a label lies outside the 3 classes"):
        step(LABELS.reshape(6, 1))
