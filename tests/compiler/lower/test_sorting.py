"""Sorts by digits and by merging: stable, nan behind everything, whatever the length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt
from smelt.compiler.lower import sorting
from tests.references.running import ENGINES, on

DTYPES = (np.float32, np.float64, np.int32, np.int64, np.bool_)
LENGTHS = (sorting.LONG - 1, sorting.LONG, 2 * sorting.LONG, 300)


def numbers(dtype: Any, length: int, seed: int) -> np.ndarray:
    """Returns three rows of numbers of all sizes and signs, among which many are equal."""
    random = np.random.default_rng(seed)
    if dtype is np.bool_:
        return random.random((3, length)) < 0.5
    if dtype in (np.int32, np.int64):
        ends = np.iinfo(dtype)
        x = random.integers(ends.min, ends.max, (3, length), dtype, endpoint=True)
        return np.where(random.random(x.shape) < 0.5, random.choice(x[0], x.shape), x)
    x = random.normal(size=(3, length)) * 10.0 ** random.integers(-30, 30, (3, length))
    odd = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 2.0, 2.0])
    return np.where(random.random(x.shape) < 0.4, random.choice(odd, x.shape), x).astype(dtype)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_places_in_order(dtype: Any, length: int, engine: str) -> None:
    x = numbers(dtype, length, length)
    wanted = np.argsort(x, axis=-1, kind="stable")
    found = on(engine, lambda x: x.argsort())(smelt.tensor(x))
    np.testing.assert_array_equal(found.numpy(), wanted)
    row = on(engine, lambda x: x.argsort())(smelt.tensor(x[0]))
    np.testing.assert_array_equal(row.numpy(), wanted[0])


def test_many_long_rows() -> None:
    x = np.random.default_rng(0).integers(-40, 40, (70, 5000))
    for dtype in (np.int64, np.float32):
        found = smelt.compile(lambda x: x.argsort())(smelt.tensor(x.astype(dtype)))
        np.testing.assert_array_equal(found.numpy(), np.argsort(x, axis=-1, kind="stable"))


def test_each_row_of_several_axes() -> None:
    x = numbers(np.float64, 200, 1).repeat(2, 0).reshape(2, 3, 200)
    found = smelt.compile(lambda x: x.argsort(1))(smelt.tensor(x.swapaxes(1, 2)))
    np.testing.assert_array_equal(found.numpy(), np.argsort(x, -1, "stable").swapaxes(1, 2))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("length", "count"), [(64, 1), (777, 7), (1024, 4), (1024, 16)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_of_long_rows(dtype: Any, length: int, count: int, largest: bool) -> None:
    x = smelt.tensor(numbers(dtype, length, count))
    found = smelt.compile(lambda x: x.topk(count, largest=largest))(x)
    wanted = x.argsort(descending=largest)[:, :count]
    assert found.indices.tolist() == wanted.tolist()
    np.testing.assert_array_equal(found.values.numpy(), x.gather(1, wanted).numpy())


def test_the_first_in_a_batch_and_their_gradient() -> None:
    x = smelt.randn(5, 500)
    wanted = x.topk(3).indices.tolist()
    by_row = smelt.vmap(lambda row: row.topk(3).indices)
    assert by_row(x).tolist() == smelt.compile(by_row)(x).tolist() == wanted
    slope = smelt.grad(lambda x: (x.topk(3).values ** 2).sum())
    np.testing.assert_allclose(smelt.compile(slope)(x).numpy(), slope(x).numpy())


def test_the_first_where_extents_change() -> None:
    for extents in ({0: "rows"}, {1: "length"}):
        step = smelt.compile(lambda x: x.topk(3), dynamic={"x": extents})
        for more in (0, 3, 5, 9):
            x = smelt.randn(*((4 + more, 400) if 0 in extents else (4, 400 + more)))
            assert step(x).indices.tolist() == x.topk(3).indices.tolist()
