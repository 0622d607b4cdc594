"""Matrix products and einsum against NumPy, and their errors."""

import numpy as np
import pytest

from smelt.creation import tensor
from smelt.errors import ArgumentError, ShapeError
from smelt.tensor.einsum import einsum
from tests.gradients import check_gradient

DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(3, 4, 2))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((3, 4), (4, 2)), ((5, 3, 4), (4, 2)),
        ((5, 3, 4), (5, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((5, 3, 4), (4,)), ((4,), (5, 4, 2)),
        ((0, 4), (4, 2)), ((3, 0), (0, 2)), ((5, 0, 4), (4, 2)),
    ],
)  # fmt: skip
def test_matmul(a, b):
    left, right = DRAW.normal(size=a), DRAW.normal(size=b)
    found = tensor(left) @ tensor(right)
    assert found.shape == (left @ right).shape
    np.testing.assert_allclose(found.numpy(), left @ right, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose((left @ tensor(right)).numpy(), left @ right, rtol=1e-12, atol=1e-14)
    check_gradient(lambda x, y: ((x @ y) ** 2).sum(), left, right)


def test_other_products():
    a, b = DRAW.normal(size=5), DRAW.normal(size=5)
    assert tensor(a).dot(tensor(b)).item() == pytest.approx(a @ b)
    np.testing.assert_allclose(tensor(a).outer(tensor(b[:3])).numpy(), np.outer(a, b[:3]))
    matrix = tensor(np.outer(a, b))
    found = matrix.addmm(matrix, matrix, beta=2, alpha=0.5).numpy()
    np.testing.assert_allclose(found, 2 * np.outer(a, b) + 0.5 * np.outer(a, b) @ np.outer(a, b))
    batch = DRAW.normal(size=(2, 3, 4))
    found = tensor(batch).bmm(tensor(batch).mT).numpy()
    np.testing.assert_allclose(found, batch @ batch.swapaxes(1, 2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, v: m @ m, "inner extents"),
        (lambda m, v: m @ 3, "a single number"),
        (lambda m, v: m.dot(m), "two vectors"),
        (lambda m, v: v.outer(m), "two vectors"),
        (lambda m, v: m.bmm(m), "bmm"),
        (lambda m, v: v.tril(), "tril"),
    ],
)
def test_products_that_do_not_fit(call, words):
    with pytest.raises(ShapeError, match=words):
        call(tensor(np.zeros((3, 4))), tensor(np.zeros(4)))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ba,cb", [(2, 3), (4, 2)]),
        ("bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
        ("i,j->ji", [(2,), (3,)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("iij->j", [(3, 3, 2)]),
        ("ijk->", [(2, 3, 4)]),
        ("ij->ji", [(2, 3)]),
        ("ij,j->ij", [(2, 3), (3,)]),
        ("ij,k->i", [(2, 3), (4,)]),
        ("ij,ij,ij->i", [(2, 3), (2, 3), (2, 3)]),
        ("ab,bc,cd,de->ae", [(2, 3), (3, 4), (4, 5), (5, 2)]),
        ("...ij,...jk->...ik", [(5, 1, 2, 3), (6, 3, 4)]),
        ("...i->...", [(2, 3, 4)]),
        ("i...,i...->...i", [(3, 2, 4), (3, 2, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("ij,kj->ik", [(2, 0), (3, 0)]),
    ],
)
def test_einsum(equation, shapes):
    arrays = [DRAW.normal(size=shape) for shape in shapes]
    expected = np.einsum(equation, *arrays)
    found = einsum(equation, *(tensor(array) for array in arrays))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-13)
    check_gradient(lambda *xs: (einsum(equation, *xs) ** 2).sum(), *arrays)


@pytest.mark.parametrize(
    ("equation", "error", "words"),
    [
        ("ij,jk->ik", ArgumentError, "2 terms for 1"),
        ("ijk->i", ShapeError, "names 3 axes"),
        ("i->i", ShapeError, "names 1 axes"),
        ("ij->k", ArgumentError, "that no operand has"),
        ("i1->i", ArgumentError, "letters"),
        ("ij->ii", ArgumentError, "twice"),
        ("ii->i", ShapeError, "extents 2 and 3"),
    ],
)
def test_einsum_errors(equation, error, words):
    with pytest.raises(error, match=words):
        einsum(equation, tensor(np.zeros((2, 3))))
