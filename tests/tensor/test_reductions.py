"""Reductions, extremes, sorting and running sums against NumPy, and their gradients."""

import itertools
import math

import numpy as np
import pytest

from smelt.autodiff.reverse import grad
from smelt.creation import tensor
from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.tensor.reductions import allclose, cumprod, cumsum, equal
from tests.gradients import check_gradient

DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(3, 4, 2))

DIMS = [None, 0, -1, (0, 2), (1,)]


@pytest.mark.parametrize(("dim", "keepdim"), list(itertools.product(DIMS, [False, True])))
def test_reductions_agree_with_numpy(dim, keepdim):
    x, options = tensor(X), {"axis": dim, "keepdims": keepdim}
    expected = {
        "sum": np.sum(X, **options),
        "mean": np.mean(X, **options),
        "prod": np.prod(X, **options),
        "amax": np.max(X, **options),
        "amin": np.min(X, **options),
        "var": np.var(X, ddof=1, **options),
        "std": np.std(X, ddof=1, **options),
        "norm": np.sqrt((X**2).sum(**options)),
        "logsumexp": np.log(np.exp(X).sum(**options)),
        "any": (X > 0).any(**options),
        "all": (X > -2).all(**options),
        "count_nonzero": (X > 0).sum(**options),
    }
    asked = {"any": x > 0, "all": x > -2, "count_nonzero": x > 0}
    for name, value in expected.items():
        found = getattr(asked.get(name, x), name)(dim=dim, keepdim=keepdim)
        assert found.shape == value.shape, name
        np.testing.assert_allclose(found.numpy(), value, rtol=1e-13, err_msg=name)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.var((0, 1)).sum(),
        lambda x: (x.std(1, correction=0) ** 3).sum(),
        lambda x: x.norm(3, 1).sum(),
        lambda x: x.norm(1).sum(),
        lambda x: x.norm(math.inf, 0).sum(),
        lambda x: x.logsumexp((0, 1)).exp().sum(),
        lambda x: (x.cumsum(1) ** 2).sum(),
        lambda x: (x.cumprod(0) ** 2).sum(),
        lambda x: (x.max(1).values ** 2).sum(),
        lambda x: (x.sort(1).values * tensor(X)).sum(),
        lambda x: (x.topk(2, 1).values ** 2).sum(),
        lambda x: x.prod(1).sum(),
    ],
)
def test_gradients_of_reductions(function):
    check_gradient(function, X)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_floats_are_computed_in_float32(dtype):
    x = tensor(np.full(100_000, 3.0)).to(dtype)
    assert x.mean().item() == 3
    assert x.std().item() == 0
    assert x.norm().dtype is x.dtype
    assert x.var().dtype is x.logsumexp().dtype is x.dtype
    row = tensor([[1.0, 2.0, 3.0]]).to(dtype)
    expected = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    np.testing.assert_allclose(row.softmax(1).numpy()[0], expected, rtol=2**-8)
    assert row.log_softmax(1).dtype is row.dtype


def test_norms():
    x = np.array([[3.0, -4.0], [0.0, 0.0]])
    for p, expected in [(2, 5), ("fro", 5), (1, 7), (0, 2), (math.inf, 4), (-math.inf, 0)]:
        assert tensor(x).norm(p).item() == expected
    slope = grad(lambda x: x.norm(2, 1).sum())(tensor(x)).numpy()
    np.testing.assert_allclose(slope, [[0.6, -0.8], [0, 0]], rtol=1e-15)
    with pytest.raises(ArgumentError, match="nuc"):
        tensor(x).norm("nuc")


def test_logsumexp_at_the_extremes():
    rows = [[1e4, 1e4], [-1e4, -math.inf], [-math.inf, -math.inf], [math.inf, 0.0]]
    found = tensor(np.array(rows)).logsumexp(1).tolist()
    assert found == [1e4 + math.log(2), -1e4, -math.inf, math.inf]
    slope = grad(lambda x: x.logsumexp(1).sum())(tensor(np.array(rows[:3]))).tolist()
    assert slope == [[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]]


def test_mean_and_variance_of_nothing_are_nan():
    x = tensor(np.zeros((0, 2)))
    assert np.isnan(x.mean(0).numpy()).all()
    assert np.isnan(tensor([3.0]).var().item())


def test_extremes_give_the_first_place():
    x = tensor([[1.0, 5.0, 5.0], [math.nan, 2.0, math.nan]])
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(1).tolist() == [0, 0]
    assert x.argmax(0, keepdim=True).shape == (1, 3)
    assert tensor([[3, 1], [7, 7]]).argmax().item() == 2
    assert tensor([False, True]).argmax().item() == 1
    assert tensor(4.0).argmax(0).item() == 0
    values, places = tensor([[3, 1], [7, 8]]).max(0)
    assert values.tolist() == [7, 8]
    assert places.tolist() == [1, 1]
    assert tensor([3, 1]).min(0).indices.item() == 1
    assert tensor([3, 1]).max().item() == 3
    assert tensor([3.0, 1.0]).max(tensor([2.0])).tolist() == [3, 2]
    assert tensor([3.0, 1.0]).min(tensor([2.0])).tolist() == [2, 1]


@pytest.mark.parametrize(("descending", "dim"), [(False, 0), (True, 0), (False, 1), (True, -1)])
def test_sort_is_stable(descending, dim):
    x = np.random.default_rng(1).integers(0, 4, (9, 8))
    values, places = tensor(x).sort(dim, descending)
    expected = np.argsort(-x if descending else x, axis=dim, kind="stable")
    assert (places.numpy() == expected).all()
    assert (values.numpy() == np.take_along_axis(x, expected, dim)).all()
    assert (tensor(x).argsort(dim, descending).numpy() == expected).all()


def test_topk_and_nan():
    x = tensor([1.0, math.nan, 3.0, 2.0, 3.0])
    assert x.topk(3).indices.tolist() == [1, 2, 4]
    assert x.topk(2, largest=False).values.tolist() == [1, 2]
    assert x.topk(0).values.shape == (0,)
    with pytest.raises(ArgumentError, match="k=6 is out of range"):
        x.topk(6)


def test_allclose_and_equal():
    a = tensor([1.0, math.nan, math.inf])
    assert not a.allclose(a)
    assert allclose(a, a + 1e-9, equal_nan=True)
    assert equal(tensor([1, 2]), tensor([1, 2]))
    assert not equal(tensor([1, 2]), tensor([[1, 2]]))


def test_axes_that_do_not_exist():
    x = tensor(X)
    for call in (lambda: x.sum(3), lambda: x.cumsum(-4), lambda: x.argmax(5), lambda: x.softmax(3)):
        with pytest.raises(ArgumentError, match=r"axis .* \(shape .*\n  at .*test_reductions"):
            call()
    with pytest.raises(ArgumentError, match="name one axis twice"):
        x.sum((0, -3))


def test_keepdim_is_no_axis():
    with pytest.raises(ArgumentTypeError, match="one tuple"):
        tensor(X).sum(0, 1)
    with pytest.raises(ArgumentTypeError, match="keepdim"):
        tensor(X).mean(0, keepdim=1)


def test_the_only_place_of_a_number_has_one_axis():
    assert tensor(1.0).argsort(-1).tolist() == 0
    with pytest.raises(ArgumentError, match="axis 1"):
        tensor(1.0).argsort(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("run", [cumsum, cumprod])
def test_many_lines_run_as_each_does_alone(run, axis, dtype):
    x = tensor((3 * np.random.default_rng(0).standard_normal((9, 10, 11))).astype(dtype))
    lines = np.moveaxis(x.numpy(), axis, -1).reshape(-1, x.shape[axis])
    alone = [run(tensor(line.copy()), 0).numpy() for line in lines]
    together = np.moveaxis(run(x, axis).numpy(), axis, -1).reshape(lines.shape)
    np.testing.assert_array_equal(together, alone)
    assert run(x[:, :, :0], axis).shape == (9, 10, 0)
