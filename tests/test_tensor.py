"""Tensor: operators, methods, and the functions behind them, against NumPy and their gradients."""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smelt.elementary as elementary
from smelt import dtypes, tree
from smelt.autodiff.reverse import grad
from smelt.creation import from_numpy, tensor
from smelt.einsum import einsum
from smelt.engine import no_grad
from smelt.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    ShapeError,
    TraceError,
)
from smelt.reductions import allclose, equal
from smelt.shaping import cat, stack
from smelt.tensor import Tensor, as_tensor

DRAW = np.random.default_rng(3)
X = DRAW.normal(size=(3, 4, 2))


def check_gradient(function, *arrays, step=1e-6):
    """Compares the gradient in a random direction with a central difference."""
    arrays = [np.asarray(array, np.float64) for array in arrays]
    direction = [np.random.default_rng(0).normal(size=array.shape) for array in arrays]
    moved = [
        function(*(tensor(x + sign * step * d) for x, d in zip(arrays, direction, strict=True)))
        for sign in (1, -1)
    ]
    expected = (moved[0].item() - moved[1].item()) / (2 * step)
    found = grad(function, tuple(range(len(arrays))))(*(tensor(x) for x in arrays))
    total = sum((g.numpy() * d).sum() for g, d in zip(found, direction, strict=True))
    assert total == pytest.approx(expected, rel=1e-6, abs=1e-8)


# --- dtypes and operators -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("float32", "float64", "float64"),
        ("int64", "float32", "float32"),
        ("int32", "int64", "int64"),
        ("bool", "int32", "int32"),
        ("float16", "bfloat16", "float32"),
        ("int64", "float16", "float16"),
    ],
)
def test_two_dtypes_make_one(left, right, result):
    a, b = tensor([1, 0]).to(left), tensor([1, 1]).to(right)
    assert (a + b).dtype is (b * a).dtype is dtypes.as_dtype(result)
    assert elementary.where(tensor([True, False]), a, b).dtype is dtypes.as_dtype(result)


@pytest.mark.parametrize(
    ("dtype", "scalar", "result"),
    [
        ("float32", 2.5, "float32"),
        ("float32", np.float64(2.5), "float32"),
        ("float16", 2, "float16"),
        ("int32", 2, "int32"),
        ("int32", 2.5, "float32"),
        ("bool", 2, "int64"),
        ("bool", True, "int64"),
    ],
)
def test_scalars_are_weak(dtype, scalar, result):
    x = tensor([1, 0]).to(dtype)
    assert (x + scalar).dtype is (scalar * x).dtype is dtypes.as_dtype(result)


OPERATORS = [
    ("+", lambda a, b: a + b),
    ("-", lambda a, b: a - b),
    ("*", lambda a, b: a * b),
    ("/", lambda a, b: a / b),
    ("//", lambda a, b: a // b),
    ("%", lambda a, b: a % b),
    ("**", lambda a, b: abs(a) ** b),
    ("<", lambda a, b: a < b),
    (">=", lambda a, b: a >= b),
    ("==", lambda a, b: a == b),
    ("!=", lambda a, b: a != b),
]


@pytest.mark.parametrize(("name", "operator"), OPERATORS)
def test_operators_agree_with_numpy(name, operator):
    a, b = DRAW.normal(size=(3, 1)), DRAW.normal(size=4)
    np.testing.assert_allclose(operator(tensor(a), tensor(b)).numpy(), operator(a, b), rtol=1e-15)
    np.testing.assert_allclose(operator(tensor(a), 1.5).numpy(), operator(a, 1.5), rtol=1e-15)
    np.testing.assert_allclose(operator(2.5, tensor(b)).numpy(), operator(2.5, b), rtol=1e-15)
    np.testing.assert_allclose(operator(a, tensor(b)).numpy(), operator(a, b), rtol=1e-15)


def test_small_powers_and_signs():
    x = tensor([-2.0, 3.0])
    assert [(x**n).tolist() for n in range(5)] == [[(-2.0) ** n, 3.0**n] for n in range(5)]
    assert (-x).tolist() == [2, -3]
    assert (+x) is x
    assert abs(x).tolist() == [2, 3]


def test_logic():
    a, b = tensor([True, True, False]), tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True]
    assert a.logical_and(tensor([2.0, 0.0, 1.0])).tolist() == [True, False, False]
    assert a.logical_not().tolist() == [False, False, True]


def test_a_tensor_with_something_else():
    with pytest.raises(DTypeError, match="combined with a str"):
        tensor([1.0]) + "1"
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        tensor([1.0, 2.0]) + tensor([1.0, 2.0, 3.0])


UNARY = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "atan": np.arctan, "abs": np.abs,
    "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc,
    "square": np.square, "reciprocal": np.reciprocal, "isnan": np.isnan, "isfinite": np.isfinite,
    "isinf": np.isinf,
}  # fmt: skip
POSITIVE = {
    "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
}  # fmt: skip
UNIT = {"asin": np.arcsin, "acos": np.arccos}


@pytest.mark.parametrize("name", [*UNARY, *POSITIVE, *UNIT])
def test_elementary_functions(name):
    given = np.abs(X) + 0.1 if name in POSITIVE else np.tanh(X) if name in UNIT else X
    expected = (UNARY | POSITIVE | UNIT)[name](given)
    np.testing.assert_allclose(getattr(tensor(given), name)().numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(getattr(elementary, name)(given).numpy(), expected, rtol=1e-13)
    if expected.dtype == float:
        check_gradient(lambda x: (getattr(x, name)() * tensor(X)).sum(), given)


def test_atan2_lerp_and_nan_to_num():
    a, b = tensor(X[0]), tensor(X[1])
    np.testing.assert_allclose(a.atan2(b).numpy(), np.arctan2(X[0], X[1]))
    np.testing.assert_allclose(a.lerp(b, 0.25).numpy(), X[0] + 0.25 * (X[1] - X[0]))
    assert tensor([1.0, math.nan, math.inf]).nan_to_num(7).tolist() == [1, 7, math.inf]


def test_clamp():
    x = tensor([-2.0, -1.0, 0.5, 1.0, math.nan]).requires_grad_()
    y = x.clamp(-1, 1)
    assert y.tolist()[:4] == [-1, -1, 0.5, 1]
    assert math.isnan(y.tolist()[4])
    y[:4].sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    assert x.clamp(max=0.0).tolist()[:3] == [-2, -1, 0]
    assert x.clip(min=0).tolist()[:3] == [0, 0, 0.5]
    assert x.clamp(tensor([0.0]), None).tolist()[0] == 0
    with pytest.raises(ArgumentError, match="min, max"):
        x.clamp()


def test_where_sends_the_gradient_to_the_chosen_side():
    a, b = tensor([1.0, 2.0]).requires_grad_(), tensor([3.0]).requires_grad_()
    elementary.where(tensor([True, False]), a, b * 2).sum().backward()
    assert a.grad.tolist() == [1, 0]
    assert b.grad.tolist() == [2]
    with pytest.raises(DTypeError, match="bool condition"):
        elementary.where(tensor([1, 0]), a, b)


# --- reductions -----------------------------------------------------------------------------------

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
    with pytest.raises(ArgumentError, match="no 6 elements"):
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
        with pytest.raises(ArgumentError, match="axis"):
            call()
    with pytest.raises(ArgumentError, match="named twice"):
        x.sum((0, -3))


# --- shapes ---------------------------------------------------------------------------------------


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
        (x.diagonal(1, 2), np.diagonal(X, axis1=1, axis2=2)),
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
        (lambda x: x.reshape(5, -1), ShapeError, "divide"),
        (lambda x: x.reshape(-1, -1), ShapeError, "only one"),
        (lambda x: x.reshape(7), ShapeError, "24 elements"),
        (lambda x: x.permute(0, 0, 1), ArgumentError, "order"),
        (lambda x: x.unsqueeze(5), ArgumentError, "no place 5"),
        (lambda x: x.flatten(2, 1), ArgumentError, "behind"),
        (lambda x: x.narrow(0, 2, 2), ArgumentError, "narrow"),
        (lambda x: x.split(0), ArgumentError, "positive"),
        (lambda x: x.split([1, 1]), ArgumentError, "add up"),
        (lambda x: x.chunk(0), ArgumentError, "positive"),
        (lambda x: x.expand(3, 3, 2), ShapeError, "broadcast"),
        (lambda x: cat([]), ArgumentError, "nothing"),
        (lambda x: cat([x, x[:, 1:]]), ShapeError, "differ"),
        (lambda x: cat([x.sum(), x.sum()]), ShapeError, "stack"),
        (lambda x: stack([x, x[0]]), ShapeError, "differ"),
        (lambda x: x.repeat(2), ShapeError, "counts"),
    ],
)
def test_shapes_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call(tensor(X))


def test_gradients_of_movements():
    check_gradient(lambda x: (x.roll(1, 1) * x.permute(0, 1, 2).flip(0)).sum(), X)
    check_gradient(lambda x: (cat([x, x * 2], 1) ** 2).chunk(2, 1)[1].sum(), X)
    check_gradient(lambda x: (x.repeat(2, 1, 1) ** 2).sum(), X)


# --- products -------------------------------------------------------------------------------------


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
        (lambda m, v: m @ 3, "no rows"),
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
        ("ij->k", ArgumentError, "in no operand"),
        ("i1->i", ArgumentError, "letters"),
        ("ij->ii", ArgumentError, "twice"),
        ("ii->i", ShapeError, "extents 2 and 3"),
    ],
)
def test_einsum_errors(equation, error, words):
    with pytest.raises(error, match=words):
        einsum(equation, tensor(np.zeros((2, 3))))


# --- the tensor itself ----------------------------------------------------------------------------


def test_what_it_says_about_itself():
    x = tensor([[1.0, 2.0]])
    assert (x.shape, x.ndim, x.size, len(x)) == ((1, 2), 2, 2, 1)
    assert repr(x) == "tensor([[1., 2.]])"
    assert repr(x.to("float64").requires_grad_()) == (
        "tensor([[1., 2.]], smelt.float64, requires_grad=True)"
    )
    assert f"{tensor(1.25):.1f}" == "1.2"
    assert str(x) == f"{x}" == repr(x)
    with pytest.raises(ShapeError, match="no length"):
        len(tensor(1.0))


def test_leaving_for_python():
    assert tensor(3).item() == int(tensor(3)) == 3
    assert float(tensor([2.5])) == 2.5
    assert [10, 11, 12][tensor(1)] == 11
    assert bool(tensor([True]))
    assert np.asarray(tensor([1, 2])).tolist() == [1, 2]
    assert np.from_dlpack(tensor([1.0, 2.0])).tolist() == [1, 2]
    view = tensor([1.0]).numpy()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 2
    with pytest.raises(ShapeError, match="one element"):
        tensor([1, 2]).item()
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(tensor([1, 2]))
    with pytest.raises(DTypeError, match="index"):
        [1][tensor(0.0)]


def test_assignment_names_the_alternative():
    x = tensor([1.0])
    with pytest.raises(TypeError, match=r"x\.at\[i\]\.set"):
        x[0] = 2


def test_copy_in_place():
    x = tensor([1.0, 2.0]).requires_grad_()
    with pytest.raises(GradientError, match="no_grad"):
        x.copy_(x)
    with no_grad():
        assert x.copy_(tensor([3, 4])) is x
        assert x.tolist() == [3, 4]
        with pytest.raises(ShapeError, match="does not fit"):
            x.copy_([1.0])
        with pytest.raises(ArgumentError, match="shared with NumPy"):
            from_numpy(np.zeros(2)).copy_([1, 2])
    y = x * x
    with no_grad():
        x.copy_([0.0, 0.0])
    with pytest.raises(GradientError, match="changed in place"):
        y.sum().backward()


def test_copies_and_pickles_have_memory_of_their_own():
    x = tensor([1.0, 2.0], requires_grad=True)
    pair = copy.deepcopy([x, x])
    again = pickle.loads(pickle.dumps(x.detach().to("bfloat16")))
    with no_grad():
        x.copy_([5.0, 6.0])
    assert pair[0] is pair[1]
    assert pair[0].requires_grad
    assert pair[0].tolist() == again.tolist() == [1, 2]
    assert again.dtype is dtypes.bfloat16
    y = x.clone()
    (y * y).sum().backward()
    assert x.grad.tolist() == [10, 12]
    with no_grad():
        x.copy_([0.0, -0.0])
    assert y.tolist() == [5, 6]
    with pytest.raises(GradientError, match="detach"):
        copy.copy(y)


def test_short_names():
    x = tensor([0.0, 2.5])
    kinds = [x.double(), x.float(), x.half(), x.long(), x.int(), x.bool()]
    assert [y.dtype.name for y in kinds] == [
        "float64", "float32", "float16", "int64", "int32", "bool",
    ]  # fmt: skip
    assert x.contiguous() is x
    assert (x.numel(), x.dim()) == (2, 1)


def test_history_is_refused_where_it_makes_no_sense():
    with pytest.raises(DTypeError, match="only float"):
        tensor([1]).requires_grad_()
    y = tensor([1.0]).requires_grad_() * 2
    with pytest.raises(GradientError, match="detach"):
        y.requires_grad_(False)
    assert not y.detach().requires_grad


def test_a_tensor_is_a_leaf_of_trees_and_hashable():
    x = as_tensor([1.0])
    assert tree.flatten({"a": x})[0] == [x]
    assert x in {x}
    assert isinstance(x, Tensor)


def test_traced_tensors_have_no_value():
    compiler = pytest.importorskip("smelt.compiler.step")
    for ask in (bool, float, lambda x: x.allclose(x), lambda x: x[x > 0], lambda x: f"{x}"):
        with pytest.raises(TraceError, match=r"compiled step|traced|the step runs"):
            compiler.compile(lambda x, ask=ask: x * ask(x))(tensor(2.0))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_permutations_undo_each_other(shape, chance):
    order = list(range(len(shape)))
    chance.shuffle(order)
    x = np.arange(math.prod(shape)).reshape(shape)
    back = [order.index(axis) for axis in range(len(shape))]
    assert (tensor(x).permute(order).permute(back).numpy() == x).all()
