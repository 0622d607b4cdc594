"""Draws for a part of a batch are a part of the draw for all of it."""

import numpy as np
import pytest

import smelt
from smelt.random import Rows, drawing_rows

TOTAL = 12


def whole(*shape):
    smelt.manual_seed(3)
    smelt.rand(5)  # so that the generator is not at its beginning
    return smelt.rand(TOTAL, *shape).numpy(), smelt.get_rng_state().tolist()


def part(count, first, *shape):
    smelt.manual_seed(3)
    smelt.rand(5)
    with drawing_rows(Rows(count, first, TOTAL)):
        drawn = smelt.rand(count, *shape)
    return drawn.numpy(), smelt.get_rng_state().tolist()


@pytest.mark.parametrize("shape", [(), (3,), (4,), (2, 5)])
@pytest.mark.parametrize(("count", "first"), [(4, 0), (4, 4), (5, 7), (1, 11), (12, 0)])
def test_rows_are_those_of_the_whole_draw(shape, count, first):
    expected, after = whole(*shape)
    drawn, own_after = part(count, first, *shape)
    assert np.array_equal(drawn, expected[first : first + count])
    assert own_after == after


@pytest.mark.parametrize("shape", [(3,), (4,)])
def test_where_they_begin_may_be_a_tensor(shape):
    expected, _ = whole(*shape)

    @smelt.compile
    def drawn(first):
        with drawing_rows(Rows(4, first, TOTAL)):
            return smelt.rand(4, *shape)

    for first in (0, 4, 7):
        smelt.manual_seed(3)
        smelt.rand(5)
        found = drawn(smelt.tensor(first))
        assert np.array_equal(found.numpy(), expected[first : first + 4])


def test_heads_of_a_sample_lie_together():
    expected, _ = whole(2, 7)  # two heads a sample
    smelt.manual_seed(3)
    smelt.rand(5)
    with drawing_rows(Rows(3, 6, TOTAL)):
        drawn = smelt.rand(6, 7)
    assert np.array_equal(drawn.numpy(), expected[6:9].reshape(6, 7))


def test_other_draws_are_the_same_for_each_part():
    drawn = []
    for first in (0, 5):
        smelt.manual_seed(1)
        with drawing_rows(Rows(5, first, TOTAL)):
            drawn.append(smelt.rand(7).tolist())
    smelt.manual_seed(1)
    assert drawn == [smelt.rand(7).tolist()] * 2
