"""What is fitted to the training data and applied to all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

import smelt
from smelt import dtypes
from smelt.data import MinMaxScaler, OneHotEncoder, OrdinalEncoder, SimpleImputer, StandardScaler
from smelt.errors import ArgumentError, ShapeError, StateError

X = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 80.0]])
EITHER = pytest.mark.parametrize("make", [StandardScaler, MinMaxScaler])
numbers = arrays(np.float64, (7, 3), elements=some.floats(-1e3, 1e3, width=32))


def test_standard_scaler() -> None:
    scale = StandardScaler().fit(X)
    y = scale.transform(X)
    assert (scale.mean_.tolist(), scale.scale_[0]) == ([2, 40], pytest.approx(np.sqrt(2 / 3)))
    assert np.abs(y.mean(0)).max() < 1e-15
    assert y.std(0) == pytest.approx([1, 1])
    assert StandardScaler(ddof=1).fit(X).scale_[0] == pytest.approx(1)


def test_min_max_scaler() -> None:
    assert MinMaxScaler().fit(X).transform(X).tolist() == [[0, 0], [0.5, 2 / 7], [1, 1]]
    y = MinMaxScaler((-1, 3)).fit(X).transform(X)
    assert (y.min(0), y.max(0)) == (pytest.approx([-1, -1]), pytest.approx([3, 3]))


def test_only_the_training_data_count() -> None:
    scale = MinMaxScaler().fit(X[:2])
    assert scale.transform(X[2]).tolist() == [2, 3.5]


@EITHER
@given(numbers)
def test_the_inverse_brings_everything_back(
    make: Callable[..., StandardScaler | MinMaxScaler], x: np.ndarray
) -> None:
    scale = make(constant="keep").fit(x)
    assert np.allclose(scale.inverse_transform(scale.transform(x)), x, rtol=1e-9, atol=1e-7)


@EITHER
def test_tensors_stay_tensors_and_compile(
    make: Callable[..., StandardScaler | MinMaxScaler],
) -> None:
    scale = make().fit(smelt.tensor(X))
    x = smelt.tensor(X.tolist())
    y = scale.transform(x)
    assert y.dtype is dtypes.float32
    assert y.numpy() == pytest.approx(scale.transform(X), abs=1e-6)
    assert smelt.compile(lambda x: scale.transform(x))(x).tolist() == y.tolist()
    assert scale.inverse_transform(y).numpy() == pytest.approx(X, rel=1e-6)
    assert scale.transform(smelt.tensor([[1, 10]])).dtype is dtypes.float32


@EITHER
def test_arrays_keep_their_dtype(make: Callable[..., StandardScaler | MinMaxScaler]) -> None:
    scale = make().fit(X)
    assert scale.transform(X.astype(np.float32)).dtype == np.float32
    assert scale.transform(X.astype(np.int64)).dtype == np.float64


def test_an_array_can_be_changed_in_place() -> None:
    x = X.copy()
    scale = StandardScaler().fit(x)
    expected = scale.transform(x)
    assert scale.transform(x, out=x) is x
    assert x.tolist() == expected.tolist()


def test_a_single_column() -> None:
    assert MinMaxScaler().fit(X[:, 0]).transform(np.array([1.5, 4.0])).tolist() == [0.25, 1.5]


@EITHER
def test_the_state_can_be_kept(make: Callable[..., StandardScaler | MinMaxScaler]) -> None:
    scale = make().fit(X)
    other = make().load_state_dict(scale.state_dict())
    assert other.transform(X).tolist() == scale.transform(X).tolist()
    with pytest.raises(StateError, match=r"got \['mean'\]"):
        other.load_state_dict({"mean": 0})
    with pytest.raises(StateError, match="differ"):
        other.load_state_dict({"shift": [1.0], "scale": 1.0})


@EITHER
def test_a_constant_column_is_told_or_kept(
    make: Callable[..., StandardScaler | MinMaxScaler],
) -> None:
    x = np.array([[1.0, 5.0], [2.0, 5.0]])
    with pytest.raises(ArgumentError, match="column 1 with one value only"):
        make().fit(x)
    with pytest.raises(ArgumentError, match="column 'price' with one value"):
        make().fit(x, names=["area", "price"])
    assert make(constant="keep").fit(x).transform(x)[:, 1].tolist() == [0, 0]
    assert MinMaxScaler((-1, 1), constant="keep").fit(x).transform(x)[:, 1].tolist() == [-1, -1]


@EITHER
def test_what_cannot_be_scaled_is_refused(
    make: Callable[..., StandardScaler | MinMaxScaler],
) -> None:
    with pytest.raises(ArgumentError, match="missing values"):
        make().fit(np.array([[1.0, np.nan], [2.0, 3.0]]))
    with pytest.raises(ArgumentError, match="no rows"):
        make().fit(np.zeros((0, 2)))
    with pytest.raises(ShapeError, match="must be"):
        make().fit(np.zeros((2, 2, 2)))
    with pytest.raises(ArgumentError, match="fit it"):
        make().transform(X)
    with pytest.raises(ShapeError, match="must have the 2 columns"):
        make().fit(X).transform(X[:, :1])
    with pytest.raises(ArgumentError, match="constant="):
        make(constant="drop")


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ArgumentError, match="high above low"):
        MinMaxScaler((0, 0))
    with pytest.raises(ArgumentError, match="ddof=3 needs more than 3 rows"):
        StandardScaler(ddof=3).fit(X)


def test_missing_numbers_are_filled_in() -> None:
    column = np.array([1.0, np.nan, 2.0, 6.0, 2.0])
    expected = {"mean": 2.75, "median": 2.0, "most_frequent": 2.0}
    for by, value in expected.items():
        filled = SimpleImputer(by).fit(column).transform(column)
        assert filled.tolist() == [1, value, 2, 6, 2]
    assert np.isnan(column[1])
    assert SimpleImputer(fill_value=0.5).transform(column)[1] == 0.5


def test_missing_text_is_filled_in() -> None:
    assert SimpleImputer("most_frequent").fit(["a", "b", None, "b"]).transform([None, "c"]) == [
        "b",
        "c",
    ]
    with pytest.raises(ArgumentError, match="text has no mean"):
        SimpleImputer().fit(["a"])


def test_what_cannot_be_filled_in_is_refused() -> None:
    with pytest.raises(ArgumentError, match="has no values"):
        SimpleImputer().fit(np.array([np.nan]))
    with pytest.raises(ArgumentError, match="strategy='max'"):
        SimpleImputer("max")
    with pytest.raises(ArgumentError, match="fit it"):
        SimpleImputer().transform(np.zeros(2))
    with pytest.raises(ArgumentError, match="'x' cannot fill a column of numbers"):
        SimpleImputer(fill_value="x").transform(np.zeros(2))
    with pytest.raises(ArgumentError, match="1.0 cannot fill a column of text"):
        SimpleImputer(fill_value=1.0).transform(["a"])


def test_categories_become_rows() -> None:
    code = OneHotEncoder().fit(["b", "a", "c", "a"])
    assert code.categories_ == [["a", "b", "c"]]
    assert code.transform(["c", "a"]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert code.transform(["c"]).dtype is dtypes.float32
    assert OrdinalEncoder().fit(["b", "a", "c"]).transform(["b", "c"]).tolist() == [1, 2]
    assert OneHotEncoder().fit(np.array([3, 1, 3])).categories_ == [[1, 3]]
    assert OneHotEncoder(["x", "y"]).transform(["y"]).tolist() == [[0, 1]]


def test_unknown_categories_are_told_or_zero() -> None:
    with pytest.raises(ArgumentError, match="'d' in row 1 of the column is not one of"):
        OneHotEncoder().fit(["a", "b"]).transform(["a", "d"])
    assert OneHotEncoder(handle_unknown="ignore").fit(["a", "b"]).transform(
        ["a", "d"]
    ).tolist() == [[1, 0], [0, 0]]


def test_categories_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ArgumentError, match="no rows"):
        OneHotEncoder().fit([])
    for column in (["a", None], np.array([1.0, np.nan])):
        with pytest.raises(ArgumentError, match="has missing values"):
            OneHotEncoder().fit(column)
    with pytest.raises(ArgumentError, match="occurs twice"):
        OneHotEncoder(["a", "a"])
    with pytest.raises(ArgumentError, match="handle_unknown="):
        OneHotEncoder(handle_unknown="drop")
    with pytest.raises(ArgumentError, match="fit it"):
        OneHotEncoder().transform(["a"])
