"""Reshaping, joining and splitting against NumPy, and their errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smelt.creation import tensor
from smelt.errors import ArgumentError, ShapeError
from smelt.tensor.shaping import cat, stack
from tests.gradients import check_gradient

DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(3, 4, 2))


def test_shapes_agree_with_numpy():
    x = tensor(X)
    pairs = [
        (x.reshape(4, -1), X.reshape(4, -1)),
        (x.view((2, 12)), X.reshape(2, 12)),
        (x.permute(2, 0, 1), X.transpose(2, 0, 1)),
        (x.transpose(0, -1), X.swapaxes(0, -1)),
        (x.movedim(0, 2), np.moveaxis(X, 0, 2)),
        (x.T, X.T),
        (x.mT, X.swapaxes(1, 2)),
        (x.flip(0, 2), np.flip(X, (0, 2))),
        (x.roll(3, 1), np.roll(X, 3, 1)),
        (x.roll(-1, 0), np.roll(X, -1, 0)),
        (x.repeat(2, 1, 1, 3), np.tile(X, (2, 1, 1, 3))),
        (x.flatten(1), X.reshape(3, 8)),
        (x.flatten(0, 1), X.reshape(12, 2)),
        (x.unsqueeze(1).squeeze(1), X),
        (x.unsqueeze(-1), X[..., None]),
        (x[:1].expand(5, -1, -1), np.broadcast_to(X[:1], (5, 4, 2))),
        (x.narrow(1, 1, 2), X[:, 1:3]),
        (cat([x, x[:1]], 0), np.concatenate([X, X[:1]])),
        (stack([x, x], -1), np.stack([X, X], -1)),
        (x.tril(), np.tril(X)),
        (x.triu(1), np.triu(X, 1)),
        (x.diagonal(), np.diagonal(X)),
        (x.diagonal(0, 1, 2), np.diagonal(X, axis1=1, axis2=2)),
        (x.diagonal(1), np.diagonal(X, 1)),
        (x.diagonal(-1, 0, 2), np.diagonal(X, -1, 0, 2)),
        (x.diagonal(9), np.diagonal(X, 9)),
    ]
    for number, (found, expected) in enumerate(pairs):
        assert found.shape == expected.shape, number
        assert (found.numpy() == expected).all(), number


def test_parts():
    x = tensor(np.arange(7))
    assert [part.tolist() for part in x.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [part.tolist() for part in x.split([1, 6])] == [[0], [1, 2, 3, 4, 5, 6]]
    assert [part.shape[0] for part in x.chunk(3)] == [3, 3, 1]
    assert [part.item() for part in x[:2].unbind()] == [0, 1]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.reshape(5, -1), ShapeError, "cannot be reshaped"),
        (lambda x: x.reshape(-1, -1), ShapeError, "only one"),
        (lambda x: x.reshape(7), ShapeError, "24 elements"),
        (lambda x: x.permute(0, 0, 1), ArgumentError, "permutation"),
        (lambda x: x.unsqueeze(5), ArgumentError, "no position 5"),
        (lambda x: x.flatten(2, 1), ArgumentError, "after"),
        (lambda x: x.narrow(0, 2, 2), ArgumentError, "narrow"),
        (lambda x: x.split(0), ArgumentError, "positive"),
        (lambda x: x.split([1, 1]), ArgumentError, "add up"),
        (lambda x: x.chunk(0), ArgumentError, "positive"),
        (lambda x: x.expand(3, 3, 2), ShapeError, "broadcast"),
        (lambda x: cat([]), ArgumentError, "nothing"),
        (lambda x: cat([x, x[:, 1:]]), ShapeError, "differ"),
        (lambda x: cat([x.sum(), x.sum()]), ShapeError, "stack"),
        (lambda x: stack([x, x[0]]), ShapeError, "same shape"),
        (lambda x: x.repeat(2), ShapeError, "a count for each"),
    ],
)
def test_shapes_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call(tensor(X))


def test_gradients_of_movements():
    check_gradient(lambda x: (x.roll(1, 1) * x.permute(0, 1, 2).flip(0)).sum(), X)
    check_gradient(lambda x: (cat([x, x * 2], 1) ** 2).chunk(2, 1)[1].sum(), X)
    check_gradient(lambda x: (x.repeat(2, 1, 1) ** 2).sum(), X)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_permutations_undo_each_other(shape, chance):
    order = list(range(len(shape)))
    chance.shuffle(order)
    x = np.arange(math.prod(shape)).reshape(shape)
    back = [order.index(axis) for axis in range(len(shape))]
    assert (tensor(x).permute(order).permute(back).numpy() == x).all()
