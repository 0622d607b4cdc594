"""Indexing against NumPy, changed copies, gather and scatter, and their errors."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import smelt
from smelt.autodiff.reverse import grad
from smelt.creation import tensor
from smelt.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    DTypeError,
    ShapeError,
    TraceError,
)
from smelt.tensor.indexing import take, take_along_dim

X = np.arange(5 * 4 * 3 * 2.0).reshape(5, 4, 3, 2)
ROWS, COLUMNS = np.array([3, -1, 0, 3]), np.array([[1], [-2]])
BASIC = [
    2, -1, slice(1, 4), slice(None, None, -1), slice(4, 0, -2), slice(7, 9), slice(-2, None),
    None, ..., (), (1, 2, 0, -1), (..., 0), (0, ..., slice(1)), (slice(None), None, 1, ..., None),
    (slice(3, 1), 2), (slice(None, None, 2), slice(2, None, -1)), (None, None, ...),
]  # fmt: skip
ADVANCED = [
    ROWS, [0, 2], COLUMNS, (ROWS, ROWS), (ROWS, COLUMNS), (slice(None), ROWS),
    (slice(1, 3), ROWS, ..., 0), (0, ROWS), (ROWS, 0), (ROWS, slice(None), [0, 1, 2, -3]),
    (0, slice(None), [0, 1]), (ROWS, None, ROWS), (..., [0, 1]), (slice(None, None, -1), [[0, 1]]),
    (slice(None), [1, 2], [0, 2], slice(1)), ([], slice(1)), (None, ROWS, ..., None),
    ([1], 2, slice(None), [0, 1]), (np.array(3),), (slice(None), np.int64(2)),
    (X[:, 0, 0, 0] > 40,), (X > 60,), (X[..., 0, 0] > 40, [0]), (slice(None), X[0, ..., 0] > 5, 0),
    (..., X[0, 0] > 2),
]  # fmt: skip


def as_given(index):
    """The index with tensors in place of arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(tensor(part) if isinstance(part, np.ndarray) else part for part in parts)


@pytest.mark.parametrize("index", [*BASIC, *ADVANCED], ids=str)
def test_reading_agrees_with_numpy(index):
    for given_index in (index, as_given(index)):
        found = tensor(X)[given_index]
        assert found.shape == X[index].shape
        assert (found.numpy() == X[index]).all()


@pytest.mark.parametrize("index", [*BASIC, *ADVANCED], ids=str)
def test_gradient_adds_up_where_it_was_read(index):
    weight = np.cos(np.arange(X[index].size)).reshape(X[index].shape)
    expected = np.zeros_like(X)
    np.add.at(expected, index, weight)
    found = grad(lambda x: (x[as_given(index)] * tensor(weight)).sum())(tensor(X))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("index", [*BASIC, *ADVANCED], ids=str)
def test_changed_copies(index):
    x, value = tensor(X), np.sin(np.arange(X[index].size)).reshape(X[index].shape)
    expected = X.copy()
    np.add.at(expected, index, value)
    np.testing.assert_allclose(x.at[as_given(index)].add(value).numpy(), expected, atol=1e-13)
    if not _names_twice(index):
        expected = X.copy()
        expected[index] = -1.5
        assert (x.at[as_given(index)].set(-1.5).numpy() == expected).all()
    assert (x.numpy() == X).all()


def _names_twice(index):
    places = np.arange(X.size).reshape(X.shape)[index]
    return len(np.unique(places)) < places.size


@given(arrays.basic_indices((5, 4, 3, 2), allow_newaxis=True, allow_ellipsis=True))
def test_any_basic_index(index):
    assert np.array_equal(tensor(X)[index].numpy(), X[index])


@given(
    arrays.integer_array_indices((5, 4), result_shape=arrays.array_shapes(max_dims=2, max_side=3)),
    st.integers(0, 2),
)
def test_any_pair_of_index_arrays(pair, place):
    index = pair[:1] + (slice(None),) * place + pair[1:]
    x = X.transpose(0, 1, 2, 3) if not place else np.moveaxis(X, 1, 1 + place)
    assert np.array_equal(tensor(x)[as_given(index)].numpy(), x[index])


def test_set_takes_a_value_of_the_right_shape_and_dtype():
    x = tensor([[1, 2, 3], [4, 5, 6]])
    assert x.at[0].set([7, 8, 9]).tolist() == [[7, 8, 9], [4, 5, 6]]
    assert x.at[:, [2, 0]].set(tensor([[1], [2]])).tolist() == [[1, 2, 1], [2, 5, 2]]
    assert tensor([True, False]).at[[1]].set(True).tolist() == [True, True]
    assert tensor([True, False]).at[0].set(False).tolist() == [False, False]
    assert tensor([1.0]).to("bfloat16").at[[0]].add(0.5).numpy().tolist() == [1.5]
    assert x.at[x > 4].set(0).tolist() == [[1, 2, 3], [4, 0, 0]]
    assert x.at.set(1).tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        x.at[0].set([1, 2])
    with pytest.raises(DTypeError, match="use set"):
        tensor([True]).at[0].add(True)


def test_set_at_a_place_named_twice_is_an_error():
    with pytest.raises(ArgumentError, match="names an element twice"):
        tensor([1.0, 2.0]).at[[0, 0]].set(3.0)
    assert tensor([1.0, 2.0]).at[[0, 0]].add(3.0).tolist() == [7, 2]


def test_gradients_of_changed_copies():
    def change(x, v):
        return (x.at[1:, ::-2].set(v) * tensor(np.arange(6.0).reshape(2, 3))).sum()

    by_x, by_v = grad(change, (0, 1))(tensor(np.ones((2, 3))), tensor(np.ones(2)))
    assert by_x.tolist() == [[0, 1, 2], [0, 4, 0]]
    assert by_v.tolist() == [5, 3]
    by_x, by_v = grad(lambda x, v: (x.at[[2, 0]].set(v) ** 2).sum(), (0, 1))(
        tensor([1.0, 2.0, 3.0]), tensor([5.0, 6.0])
    )
    assert by_x.tolist() == [0, 4, 0]
    assert by_v.tolist() == [10, 12]


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (5, BoundsError, "index 5 is outside axis 0"),
        ((0, -5), BoundsError, "axis 1"),
        ((0, 0, 0, 0, 0), BoundsError, "5 indices"),
        ([0, 5], BoundsError, "outside"),
        ([0, -6], BoundsError, "outside"),
        ((..., ...), ArgumentError, r"only one \.\.\."),
        ([0.5], DTypeError, "float"),
        ("a", DTypeError, "str is not an index"),
        (True, DTypeError, "bool is not an index"),
        ([True, False], ShapeError, r"mask of shape \(2,\)"),
        (([0, 1], [0, 1, 2]), ShapeError, "broadcast"),
    ],
)
def test_indices_that_do_not_fit(index, error, words):
    with pytest.raises(error, match=words):
        tensor(X)[index]


def test_iteration():
    assert [row.tolist() for row in tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(ShapeError, match="iterated"):
        iter(tensor(1))


def test_gather_and_scatter_add_agree_with_numpy():
    x = X[..., 0]
    index = np.random.default_rng(0).integers(0, 4, (5, 6, 3))
    expected = np.take_along_axis(x, index, 1)
    assert (tensor(x).gather(1, tensor(index)).numpy() == expected).all()
    few = index[:2, :, :1]
    assert (tensor(x).gather(1, tensor(few)).numpy() == expected[:2, :, :1]).all()
    added = x.copy()
    grid = np.indices(index.shape)
    np.add.at(added, (grid[0], index, grid[2]), 1.5)
    ones = tensor(np.full(index.shape, 1.5))
    found = tensor(x).scatter_add(1, tensor(index), ones)
    np.testing.assert_allclose(found.numpy(), added)
    by_x, by_src = grad(lambda x, s: (x.scatter_add(1, tensor(index), s) ** 2).sum(), (0, 1))(
        tensor(x), ones
    )
    np.testing.assert_allclose(by_x.numpy(), 2 * added)
    np.testing.assert_allclose(by_src.numpy(), np.take_along_axis(2 * added, index, 1))


def test_take_and_its_kin():
    x = tensor(X[0, :, :, 0])
    assert take(x, tensor([[0, -1]])).tolist() == [[0, 22]]
    assert (x.index_select(1, tensor([2, 0])).numpy() == x.numpy()[:, [2, 0]]).all()
    order = x.argsort(0, descending=True)
    assert (take_along_dim(x, order, 0).numpy() == x.numpy()[::-1]).all()
    assert take_along_dim(x, tensor([[1]]), 0).shape == (1, 3)
    assert take_along_dim(x, tensor([4])).tolist() == [8]
    filled = x.masked_fill(x > 10, 0)
    assert (filled.numpy() == np.where(x.numpy() > 10, 0, x.numpy())).all()


def test_scatter_add_reads_as_much_of_src_as_the_index_has():
    x, src = smelt.zeros(3, 2), smelt.ones(4, 5)
    index = tensor([[2, 0]])

    def add(x, index, src):
        return x.scatter_add(0, index, src)

    for function in (add, smelt.compile(add)):
        assert function(x, index, src).tolist() == [[0, 1], [0, 0], [1, 0]]
    by_src = smelt.grad(lambda src: smelt.scatter_add(x, 0, index, src).sum())(src)
    assert by_src.tolist() == [[1, 1, 0, 0, 0]] + [[0] * 5] * 3


@pytest.mark.parametrize("start", [0, 1, -2, -3])
def test_narrow_begins_where_a_tensor_says(start):
    x = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    want = x.narrow(1, start, 2)
    for call in (lambda x, s: x.narrow(1, s, 2), smelt.compile(lambda x, s: x.narrow(1, s, 2))):
        assert call(x, tensor(start)).tolist() == want.tolist()
        slope = smelt.grad(lambda x, f=call: (f(x, tensor(start)) ** 2).sum())(x)
        assert slope.sum() == 2 * want.sum()


@pytest.mark.parametrize("start", [2, -4])
def test_narrow_past_the_end(start):
    for call in (lambda s: smelt.ones(3).narrow(0, s, 2), lambda s: smelt.ones(3).narrow(0, s, -1)):
        for function in (call, smelt.compile(call)):
            with pytest.raises(ArgumentError, match="narrow"):
                function(tensor(start))
    with pytest.raises(ArgumentTypeError, match="float32"):
        smelt.ones(3).narrow(0, tensor(1.0), 2)


@pytest.mark.parametrize(
    ("repeats", "dim"),
    [
        *[(2, None), (2, 1), (3, -1), ([1, 2], 0), ([2, 0, 3], 1), ([2], 1)],
        ([1, 0, 2, 1, 0, 1], None),
    ],
)
def test_repeat_interleave_is_numpys_repeat(repeats, dim):
    array = np.arange(6.0).reshape(2, 3)
    want = np.repeat(array, repeats, dim)
    factors = np.random.default_rng(0).normal(size=want.shape)
    x = tensor(array)
    if isinstance(repeats, int):
        calls = [lambda x: x.repeat_interleave(repeats, dim)]
        calls += [smelt.compile(calls[0])]
    else:
        size = want.shape[dim or 0]
        counts = tensor(repeats)
        sized = smelt.compile(lambda x, n: smelt.repeat_interleave(x, n, dim, output_size=size))
        calls = [lambda x: x.repeat_interleave(counts, dim), lambda x: sized(x, counts)]
    for call in calls:
        assert np.array_equal(call(x).numpy(), want)
        slope = smelt.grad(lambda x, f=call: (f(x) ** 2 * tensor(factors)).sum())(x)
        places = np.repeat(np.arange(6).reshape(2, 3), repeats, dim)
        sums = np.bincount(places.ravel(), factors.ravel(), 6).reshape(2, 3)
        np.testing.assert_allclose(slope.numpy(), 2 * array * sums)


def test_the_places_of_counts():
    assert smelt.repeat_interleave(tensor([1, 2, 0, 1])).tolist() == [0, 1, 1, 3]
    assert smelt.repeat_interleave(tensor(3.0), 2).tolist() == [3, 3]
    empty = smelt.zeros(0, 2)
    assert smelt.ones(2, 3).repeat_interleave(0, 1).shape == (2, 0)
    assert smelt.ones(2, 3).repeat_interleave(tensor([0, 0]), 0).shape == (0, 3)
    assert empty.repeat_interleave(smelt.zeros(0, dtype=smelt.int64), 0).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: x.repeat_interleave(-1), ArgumentError, "negative"),
        (lambda x: x.repeat_interleave(tensor([1, -1, 1])), ArgumentError, "a count is negative"),
        (lambda x: x.repeat_interleave(tensor([1, 1])), ShapeError, "has 3 slices"),
        (lambda x: x.repeat_interleave(1.5), ArgumentTypeError, "whole number"),
        (lambda x: x.repeat_interleave(x), DTypeError, "int32 or int64"),
        (lambda x: x.repeat_interleave(x.long(), output_size=4), ShapeError, "sum of the counts"),
        (smelt.compile(lambda x: x.repeat_interleave(x.long())), TraceError, "output_size="),
    ],
)
def test_counts_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call(smelt.ones(3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x, i: x.gather(1, i - 1), BoundsError, "gather"),
        (lambda x, i: x.gather(1, i[0]), ShapeError, "does not fit"),
        (lambda x, i: x.index_select(0, i), ShapeError, "vector"),
        (lambda x, i: x.index_select(0, i[0] + 4), BoundsError, "extent 4"),
        (lambda x, i: x.scatter_add(0, i, x[:, :2]), ShapeError, "more elements than src"),
        (lambda x, i: x.scatter_add(0, i, x[0]), ShapeError, "more elements than src"),
        (lambda x, i: x.scatter_add(0, i + 9, i), BoundsError, "scatter_add"),
        (lambda x, i: x.gather(1, i * 1.0), DTypeError, "int32 or int64"),
    ],
)
def test_gathers_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call(tensor(np.zeros((4, 3))), tensor(np.zeros((2, 3), np.int64)))


# --- compiled -------------------------------------------------------------------------------------

STEPS = {
    "basic": lambda x, i: x[1:, ::-2, None, 0],
    "one index": lambda x, i: x[i],
    "behind a slice": lambda x, i: x[:, i - 2],
    "two apart": lambda x, i: x[i, :, i - 1],
    "set": lambda x, i: x.at[1:3, ::2].set(7.0),
    "set by index": lambda x, i: x.at[i].set(7.0),
    "add by index": lambda x, i: x.at[i * 0].add(7.0),
    "gather": lambda x, i: x.gather(0, i.reshape(1, 3, 1, 1).expand(2, 3, 1, 2)),
    "scatter": lambda x, i: x[:, 0, 0].scatter_add(1, i.reshape(3, 1) * 0 + 1, x[:3, 0, 0, :1]),
    "sort": lambda x, i: (-x).sort(1, descending=True).values,
    "argmax": lambda x, i: x.argmax(2),
    "gradient": lambda x, i: grad(lambda x: (x[i, :, [0, 1, 0]] ** 2).sum())(x),
}


@pytest.mark.parametrize("name", STEPS)
def test_compiled_indexing_agrees(name):
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    x, i = tensor(X), tensor([2, 0, 1])
    found = compiler.compile(STEPS[name])(x, i)
    expected = STEPS[name](x, i)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-14)


def test_compiled_bounds_are_checked():
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    step = compiler.compile(lambda x, i: x[i])
    x = tensor([1.0, 2.0])
    assert step(x, tensor([-1])).tolist() == [2]
    with pytest.raises(BoundsError, match="index"):
        step(x, tensor([2]))
    assert step(x, tensor([-2])).tolist() == [1]


def test_a_mask_in_a_compiled_step_is_refused():
    compiler = pytest.importorskip("smelt.compiler.frontend.step")
    with pytest.raises(TraceError, match=r"smelt\.where"):
        compiler.compile(lambda x: x[x > 1])(tensor([1.0, 2.0]))


def test_a_slice_without_a_step_is_refused():
    with pytest.raises(ArgumentError, match="step of a slice"):
        tensor(X)[::0]


@pytest.mark.parametrize("change", ["set", "add"])
@pytest.mark.parametrize("value", [0.5, [1.0, 2.0, 3.0]])
def test_a_mask_changes_elements_within_a_step(change: str, value: Any) -> None:
    x = smelt.tensor([[1.0, -2.0, 3.0], [-0.0, 5.0, float("nan")]])
    mask = x > 0 if isinstance(value, float) else smelt.tensor([False, True])

    def changed(x: smelt.Tensor, mask: smelt.Tensor) -> smelt.Tensor:
        return getattr(x.at[mask], change)(smelt.tensor(value))

    expected = x.numpy().copy()
    expected[mask.numpy()] = np.array(value) + (expected[mask.numpy()] if change == "add" else 0)
    for found in (changed(x, mask), smelt.compile(changed)(x, mask)):
        np.testing.assert_array_equal(found.numpy(), expected)


def test_a_mask_in_a_step_says_what_to_write() -> None:
    for choose in (lambda x: x[x > 0], lambda x: x.at[x > 0].set(smelt.ones(2))):
        with pytest.raises(TraceError, match=r"smelt.where\(mask, x, other\).*at\[mask\].*mean"):
            smelt.compile(choose)(smelt.ones(2, 3))
    with pytest.raises(ShapeError, match="a mask"):
        smelt.compile(lambda x, m: x.at[m].set(0.0))(smelt.ones(2, 3), smelt.ones(3) > 0)


def test_what_is_linear_in_a_tensor_has_its_derivative_after_a_change() -> None:
    table = smelt.nn.Parameter(smelt.ones(3, 2))
    found = table.index_select(0, smelt.tensor([1])) * 3
    with smelt.no_grad():
        table.copy_(table * 2)
    found.sum().backward()
    assert table.grad is not None
    assert table.grad.tolist() == [[0, 0], [3, 3], [0, 0]]


def test_scatter_puts_values_by_place() -> None:
    x, index = smelt.zeros(2, 3), tensor([[2, 0], [1, 1]])
    assert x.scatter(1, index, 1.0).tolist() == [[1, 0, 1], [0, 1, 0]]
    src = smelt.arange(6.0).reshape(2, 3)
    assert x.scatter(0, tensor([[1, 0, 1]]), src).tolist() == [[0, 1, 0], [0, 0, 2]]
    assert smelt.scatter(x, 1, index, src, reduce="add").tolist() == [[1, 0, 0], [0, 7, 0]]
    flags = smelt.zeros(3, dtype=smelt.bool_).scatter(0, tensor([1]), True)
    assert flags.tolist() == [False, True, False]
    twice = smelt.compile(lambda s: x.scatter(1, index, s))
    for call in (lambda: x.scatter(1, index, src), lambda: twice(src)):
        with pytest.raises(ArgumentError, match="twice"):
            call()
    with pytest.raises(ArgumentError, match="reduce"):
        x.scatter(1, index, src, reduce="mean")
    by_x, by_src = grad(lambda x, s: (x.scatter(0, tensor([1, 0]), s) ** 2).sum(), (0, 1))(
        tensor([1.0, 2.0, 3.0]), tensor([4.0, 5.0])
    )
    assert by_x.tolist() == [0, 0, 6]
    assert by_src.tolist() == [8, 10]


def test_a_mask_is_set_to_one_number_in_a_compiled_step() -> None:
    x = tensor([[1.0, -2.0], [-3.0, 4.0]])
    step = smelt.compile(lambda x: x.at[x < 0].set(0.0))
    assert step(x).tolist() == x.at[x < 0].set(0.0).tolist() == [[1, 0], [0, 4]]
    rows = smelt.compile(lambda x, keep: x.at[keep].set(9.0))
    assert rows(x, tensor([True, False])).tolist() == [[9, 9], [-3, 4]]
    with pytest.raises(ShapeError, match="mask"):
        x.at[tensor([True, False, True])].set(0.0)
