"""Transforms in scikit-learn's words, on arrays and tables, kept in files; tables as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import (
    FeatureHasher,
    HashingVectorizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    Preprocessing,
    SimpleImputer,
    StandardScaler,
    Table,
    load_titanic,
)
from smelt.data.hashing import murmur_hash
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError, StateError

TABLE = Table({"area": [50.0, 80.0, 120.0], "age": [10.0, 20.0, 60.0], "place": ["t", "c", "t"]})
X = np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 80.0]])


def restored(fitted: Any, fresh: Any, path: Path) -> Any:
    """Returns a fresh transform with the state of another, by way of a file."""
    smelt.save({"transform": fitted.state_dict()}, path / "transform.safetensors")
    return fresh.load_state_dict(smelt.load(path / "transform.safetensors")["transform"])


# --- scales -----------------------------------------------------------------------------------


def test_a_scaler_takes_tables_by_name_and_gives_tables() -> None:
    scale = StandardScaler().fit(TABLE.select("area", "age"))
    scaled = scale.transform(TABLE.select("age", "place", "area"))
    assert scaled.names == scale.get_feature_names_out() == ["area", "age"]
    assert scaled["age"].mean() == pytest.approx(0, abs=1e-12)
    assert scale.inverse_transform(scaled)["age"] == pytest.approx(TABLE["age"])
    with pytest.raises(ArgumentError, match="no column 'age'; it has area"):
        scale.transform(TABLE.select("area"))
    with pytest.raises(DTypeError, match="column 'place' holds text"):
        StandardScaler().fit(TABLE)
    with pytest.raises(ArgumentError, match="column 'age' with one value only"):
        StandardScaler().fit(TABLE.select("area").with_columns({"age": np.ones(3)}))


def test_scikit_learns_words() -> None:
    scale = StandardScaler()
    assert scale.fit_transform(X).tolist() == scale.transform(X).tolist()
    assert scale.mean_.tolist() == [2, 40]
    assert scale.var_ == pytest.approx(scale.scale_**2)
    assert scale.fit(X, np.zeros(3)).get_feature_names_out() == ["x0", "x1"]
    assert scale.get_feature_names_out(["a", "b"]) == ["a", "b"]
    with pytest.raises(ShapeError, match="fitted to 2 columns, but got 1"):
        scale.get_feature_names_out(["a"])
    clipped = MinMaxScaler((0, 2), clip=True).fit(X)
    assert clipped.transform(np.array([[0.0, 200.0]])).tolist() == [[0, 2]]
    assert clipped.transform(smelt.tensor([[0.0, 200.0]])).tolist() == [[0, 2]]


@pytest.mark.parametrize("make", [StandardScaler, MinMaxScaler])
def test_a_scaler_comes_out_of_a_file_with_its_names(make: Any, tmp_path: Path) -> None:
    scale = make().fit(TABLE.select("area", "age"))
    other = restored(scale, make(), tmp_path)
    assert other.transform(TABLE)["age"].tobytes() == scale.transform(TABLE)["age"].tobytes()
    assert other.get_feature_names_out() == ["area", "age"]


def test_only_numbers_have_a_scale() -> None:
    with pytest.raises(DTypeError, match="x holds"):
        StandardScaler().fit(np.array(["a", "b"]))
    with pytest.raises(ArgumentError, match="no rows"):
        StandardScaler().fit(Table({"a": np.zeros(0)}))


@pytest.mark.parametrize("make", [StandardScaler, MinMaxScaler])
def test_blocks_of_data_are_fitted_as_the_whole(make: Any) -> None:
    x = np.random.default_rng(0).normal(100, 3, (1000, 2))
    whole, parts = make().fit(x), make()
    for start in range(0, 1000, 170):
        parts.partial_fit(x[start : start + 170])
    assert parts.transform(x) == pytest.approx(whole.transform(x), abs=1e-9)
    assert parts.fit(X).transform(X).tolist() == make().fit(X).transform(X).tolist()
    table = Table({"a": x[:, 0], "b": x[:, 1].astype(np.float32)})
    by_name = make().fit(table.select("b", "a")).partial_fit(table)
    scaled = by_name.transform(table)
    assert (scaled.names, scaled["b"].dtype) == (["b", "a"], np.float32)
    with pytest.raises(ShapeError, match="the data have 1 columns, and had 2"):
        parts.partial_fit(x[:, :1])


def test_a_column_that_is_constant_so_far_is_an_error_when_used() -> None:
    scale = StandardScaler().partial_fit(np.ones((3, 1)))
    with pytest.raises(ArgumentError, match="column 0 with one value only"):
        scale.transform(np.ones((1, 1)))
    assert scale.partial_fit(np.zeros((3, 1))).transform(np.array([[0.5]])).tolist() == [[0]]


def test_settings_can_be_read_and_changed() -> None:
    scale = MinMaxScaler((0, 2), clip=True).fit(X)
    assert scale.get_params() == {"feature_range": (0, 2), "constant": "error", "clip": True}
    assert scale.set_params(clip=False).n_features_in_ is None
    assert (scale.feature_range, scale.clip) == ((0, 2), False)
    with pytest.raises(ArgumentError, match="did you mean 'clip' for 'clp'"):
        scale.set_params(clp=True)
    assert Preprocessing({"a": "text"}).get_params()["types"] == {"a": "text"}


def test_transforms_work_in_pipelines_of_scikit_learn() -> None:
    pipeline = pytest.importorskip("sklearn.pipeline")
    base = pytest.importorskip("sklearn.base")
    x = np.where(X == 30, np.nan, X)
    steps = pipeline.make_pipeline(SimpleImputer(), StandardScaler())
    result = steps.fit(x, np.zeros(3)).transform(x)
    assert result == pytest.approx(StandardScaler().fit_transform(SimpleImputer().fit_transform(x)))
    fresh = base.clone(steps).set_params(standardscaler__ddof=1)
    assert fresh.fit_transform(x, np.zeros(3))[0, 0] == pytest.approx(-1)
    for transform in (MinMaxScaler((0, 2)), OneHotEncoder(), Preprocessing(), OrdinalEncoder()):
        assert base.clone(transform).get_params() == transform.get_params()


# --- filling in -------------------------------------------------------------------------------


def test_tables_and_arrays_are_filled_in(tmp_path: Path) -> None:
    table = Table({"x": [1.0, np.nan, 3.0], "kind": ["b", None, "a"]})
    fill = SimpleImputer("most_frequent").fit(table)
    other = restored(fill, SimpleImputer("most_frequent"), tmp_path)
    for one in (fill, other):
        filled = one.transform(table)
        assert (filled["x"].tolist(), filled["kind"]) == ([1, 1, 3], ["b", "a", "a"])
    x = np.array([[1.0, np.nan], [np.nan, 4.0], [3.0, 8.0]])
    assert SimpleImputer().fit_transform(x).tolist() == [[1, 6], [2, 4], [3, 8]]
    assert SimpleImputer("constant").fit(x).transform(x)[0, 1] == 0
    assert SimpleImputer("constant").fit(["a", None]).transform([None]) == ["missing_value"]
    assert SimpleImputer(fill_value=9).fit_transform(x)[1, 0] == 9


def test_what_cannot_be_filled_in_is_named() -> None:
    table = Table({"x": [1.0, 2.0], "none": np.array([np.nan, np.nan])})
    with pytest.raises(ArgumentError, match="column 'none' has no values"):
        SimpleImputer().fit(table)
    with pytest.raises(ArgumentError, match="leave one out"):
        SimpleImputer("median", fill_value=1)
    with pytest.raises(ShapeError, match="fitted to 2 columns, but got 1"):
        SimpleImputer().fit(X).transform(X[:, :1])
    with pytest.raises(StateError, match="numbers and texts"):
        SimpleImputer().load_state_dict({"statistics": [None], "columns": None})


# --- categories -------------------------------------------------------------------------------


def test_several_columns_become_rows_and_come_back(tmp_path: Path) -> None:
    table = Table({"kind": ["b", "a", "b"], "size": [2, 2, 5]})
    code = OneHotEncoder().fit(table)
    rows = code.transform(table)
    assert rows.tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert code.get_feature_names_out() == ["kind_a", "kind_b", "size_2", "size_5"]
    for one in (code, restored(code, OneHotEncoder(), tmp_path)):
        back = one.inverse_transform(rows)
        assert (back["kind"], back["size"].tolist()) == (table["kind"], [2, 2, 5])
    with pytest.raises(ArgumentError, match="'z' in row 0 of column 'kind'"):
        code.transform(table.with_columns({"kind": ["z", "a", "b"]}))


def test_places_and_back(tmp_path: Path) -> None:
    code = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    places = code.fit(["b", "a"]).transform(["a", "b", "c"])
    assert places.tolist() == [0, 1, -1]
    assert code.inverse_transform(places) == ["a", "b", None]
    table = Table({"kind": ["b", "a"], "size": [2, 5]})
    several = OrdinalEncoder().fit(table)
    assert several.transform(table).tolist() == [[1, 0], [0, 1]]
    other = restored(several, OrdinalEncoder(), tmp_path)
    assert other.inverse_transform([[1, 0]])["size"].tolist() == [2]
    with pytest.raises(BoundsError, match="2 in row 0"):
        several.inverse_transform([[2, 0]])


def test_an_unknown_row_comes_back_as_missing() -> None:
    code = OneHotEncoder(handle_unknown="ignore").fit(np.array([1, 3]))
    back = code.inverse_transform(code.transform(np.array([3, 7])))
    assert back[0] == 3
    assert np.isnan(back[1])


def test_given_categories_are_checked() -> None:
    assert OneHotEncoder([["a", "b"], [1, 2]]).fit([["a", 1]]).n_features_in_ == 2
    with pytest.raises(ArgumentError, match="'c' in row 0"):
        OneHotEncoder(["a", "b"]).fit(["c"])
    with pytest.raises(ShapeError, match="given for 1 columns, but the data have 2"):
        OneHotEncoder(["a", "b"]).fit([["a", 1]])
    with pytest.raises(ArgumentError, match="use_encoded_value"):
        OrdinalEncoder(handle_unknown="use_encoded_value")
    with pytest.raises(ArgumentError, match="index of a category"):
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=1).fit(
            ["a", "b"]
        ).transform(["a"])
    with pytest.raises(StateError, match="a state_dict has categories"):
        OneHotEncoder().load_state_dict({"shift": 1})


# --- hashing ----------------------------------------------------------------------------------


def test_the_hash_is_murmur_hash_3() -> None:
    expected = {
        b"": 0,
        b"a": 1009084850,
        b"ab": -1681926305,
        b"abc": -1277324294,
        b"abcd": 1139631978,
    }
    assert {text: murmur_hash(text) for text in expected} == expected


def test_text_and_named_values_are_hashed_as_scikit_learn_does() -> None:
    rows = HashingVectorizer(8, ngram_range=(1, 2), norm=None).transform(["The dog, the cat!"])
    assert rows.tolist() == [[0, -1, 1, 0, 0, -1, -2, 2]]
    named = FeatureHasher(8).transform([{"dog": 2, "kind": "x"}, {}])
    assert named.tolist() == [[0, 0, 0, 0, 0, 1 - 2, 0, 0], [0] * 8]
    pairs = FeatureHasher(8, "pair").transform([[("dog", 2), ("kind=x", 1)]])
    assert pairs.tolist() == named[:1].tolist()


def test_what_cannot_be_hashed_is_named() -> None:
    with pytest.raises(DTypeError, match="sample 1 is not a text but 3"):
        HashingVectorizer().transform(["a", 3])  # type: ignore[list-item]
    with pytest.raises(DTypeError, match="give a list of texts"):
        HashingVectorizer().transform("text")
    with pytest.raises(DTypeError, match="sample 0 must be a list of texts"):
        FeatureHasher(input_type="string").transform(["text"])
    for make in (lambda: HashingVectorizer(0), lambda: HashingVectorizer(norm="max")):
        with pytest.raises(ArgumentError):
            make()
    with pytest.raises(ArgumentError, match="ngram_range"):
        HashingVectorizer(ngram_range=(2, 1))
    with pytest.raises(ArgumentError, match="input_type"):
        FeatureHasher(input_type="text")


# --- whole tables -----------------------------------------------------------------------------

PEOPLE = {
    "age": [20.0, None, 40.0, 33.0] * 5,
    "paid": [True, False, True, True] * 5,
    "place": ["x", "y", None, "x"] * 5,
    "note": [f"a long remark number {n}" for n in range(20)],
    "ticket": [f"A{n}" for n in range(20)],
    "empty": [None] * 20,
    "same": [1] * 20,
}


def test_a_table_becomes_tensors() -> None:
    prepare = Preprocessing(text_features=16)
    tensors = prepare.fit_transform(PEOPLE)
    assert {key: (t.shape, t.dtype.name) for key, t in tensors.items()} == {
        "numbers": ((20, 3), "float32"),
        "categories": ((20, 1), "int64"),
        "text": ((20, 16), "float32"),
    }
    names = prepare.get_feature_names_out()
    assert names["numbers"] == ["age", "paid", "age_missing"]
    assert (names["categories"], prepare.cardinalities) == (["place"], [3])
    assert tensors["categories"].flatten().tolist()[:4] == [1, 2, 0, 1]
    assert tensors["numbers"][:4, 2].tolist() == [0, 1, 0, 0]
    assert sorted(prepare.reasons_) == ["empty", "same", "ticket"]
    assert "ticket: ignore (its 20 short texts are all different)" in repr(prepare)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "ignore") for name in ("id", "PassengerId", "row_ID", "", "Unnamed: 0")),
        *((name, "number") for name in ("paid", "Madrid", "year")),
    ],
)
def test_what_numbers_the_rows_is_left_out(name: str, kind: str) -> None:
    table = {name: [1, 2, 3], "x": [1, 2, 2]}
    assert Preprocessing().fit(table).types_ == {name: kind, "x": "number"}
    assert Preprocessing().fit({**table, name: [1, 2, 2]}).types_ == {name: "number", "x": "number"}


def test_what_was_not_seen_is_unknown_and_what_is_missing_is_filled_in() -> None:
    prepare = Preprocessing().fit(PEOPLE)
    row = {"age": [None], "paid": [1.0], "place": ["mars"], "note": [None]}
    tensors = prepare.transform(row)
    assert tensors["categories"].tolist() == [[0]]
    assert tensors["numbers"][0, 2].item() == 1
    assert (tensors["text"] == 0).all()
    assert len(prepare.transform(Table({name: [] for name in PEOPLE}))["categories"]) == 0


def test_numbers_can_be_categories_in_any_dtype() -> None:
    prepare = Preprocessing({"grade": "category", "x": "ignore"}).fit(
        {"grade": np.array([1, 2, 3]), "x": [1, 2, 3]}
    )
    assert prepare.categories_ == {"grade": ["1", "2", "3"]}
    assert prepare.transform({"grade": [2.0, np.nan]})["categories"].tolist() == [[2], [0]]
    assert prepare.transform({"grade": ["3"]})["categories"].tolist() == [[3]]


def test_preprocessing_comes_out_of_a_file(tmp_path: Path) -> None:
    prepare = Preprocessing(text_features=16).fit(PEOPLE)
    other = restored(prepare, Preprocessing(), tmp_path)
    assert repr(other) == repr(prepare)
    for key, tensor in prepare.transform(PEOPLE).items():
        assert other.transform(PEOPLE)[key].numpy().tobytes() == tensor.numpy().tobytes()
    state = prepare.state_dict()
    with pytest.raises(StateError, match="do not fit"):
        Preprocessing().load_state_dict({**state, "fill": []})


def test_what_does_not_fit_the_training_table_is_named() -> None:
    prepare = Preprocessing().fit(PEOPLE)
    with pytest.raises(ArgumentError, match="no column 'age'; did you mean 'aged'"):
        prepare.transform({**{n: c for n, c in PEOPLE.items() if n != "age"}, "aged": [1] * 20})
    with pytest.raises(DTypeError, match="column 'age' holds text, such as 'old' in row 1"):
        prepare.transform({**PEOPLE, "age": [None, "old"] * 10})
    with pytest.raises(DTypeError, match="column 'age' is infinite in row 0"):
        prepare.transform({**PEOPLE, "age": [np.inf] * 20})
    with pytest.raises(ArgumentError, match="fit it"):
        Preprocessing().transform(PEOPLE)
    with pytest.raises(ArgumentError, match="no rows"):
        Preprocessing().fit({"a": []})
    with pytest.raises(ArgumentError, match="no column is left"):
        Preprocessing().fit({"a": [1, 1]})
    with pytest.raises(ArgumentError, match="no column 'b'"):
        Preprocessing({"b": "text"}).fit(PEOPLE)
    with pytest.raises(ArgumentError, match=r"types\['age'\]='int'"):
        Preprocessing({"age": "int"})


def test_the_titanic(published: Path) -> None:
    prepare = Preprocessing({"Pclass": "category"}).fit(load_titanic(published).drop("Survived"))
    kinds = prepare.types_
    assert kinds is not None
    assert [name for name, kind in kinds.items() if kind == "category"] == [
        "Pclass",
        "Sex",
        "Embarked",
    ]
    assert (kinds["Name"], kinds["Ticket"], kinds["Cabin"]) == ("text", "ignore", "presence")


def test_dates_become_numbers(tmp_path: Path) -> None:
    table = Table(
        {"day": ["2024-01-01", "2024-12-31", None, "2024-01-01T12:00"], "x": [1, 2, 3, 4]}
    )
    prepare = Preprocessing().fit(table)
    assert prepare.types_ == {"day": "date", "x": "number"}
    names = ["day_day", "day_day_of_year", "day_weekday", "x", "day_day_missing"]
    assert prepare.get_feature_names_out() == {"numbers": names}
    again = restored(prepare, Preprocessing(), tmp_path)
    first, second, missing, noon = again.transform(table)["numbers"].tolist()
    assert [row[4] for row in (first, second, missing, noon)] == [0, 0, 1, 0]
    assert first[1] == noon[1]
    assert first[0] < noon[0] < second[0]
    assert first[2] < second[2]  # a Monday, a Tuesday
    same = Preprocessing(types={"day": "date"}).fit_transform(
        {"day": np.array(["2024-02-29"], "datetime64[D]")}
    )
    assert same["numbers"].shape == (1, 3)
    with pytest.raises(DTypeError, match="column 'day' holds '31.12.2024' in row 1, but a date"):
        again.transform({"day": ["2024-01-01", "31.12.2024"], "x": [1, 2]})


@pytest.mark.parametrize("text", ["2024-1-1", "2024-13-01", "2024-02-30", "20240101", "today"])
def test_what_is_no_date_stays_text(text: str) -> None:
    prepare = Preprocessing().fit({"day": ["2024-01-01", text] * 3, "x": [1, 2] * 3})
    assert prepare.types_ is not None
    assert prepare.types_["day"] == "category"


def test_of_different_texts_it_is_kept_whether_there_is_one(tmp_path: Path) -> None:
    cabins = [None if n % 2 else f"C{n}" for n in range(20)]
    prepare = Preprocessing().fit({"cabin": cabins})
    assert prepare.types_ == {"cabin": "presence"}
    assert prepare.reasons_["cabin"].endswith("whether there is one is kept")
    again = restored(prepare, Preprocessing(), tmp_path)
    assert again.transform({"cabin": ["D1", None]})["numbers"].tolist() == [[0], [1]]
    assert again.get_feature_names_out() == {"numbers": ["cabin_missing"]}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{0:02d}.12.20{0:02d}", "look like dates"),
        ("12/{0}/2024", "look like dates"),
        ("${0},200", "look like numbers, such as '$1,200'"),
        ("{0}.5 %", "look like numbers, such as '1.5 %'"),
        ("A/{0} 24", ""),
        ("1:{0}:2", ""),
        ("10.0.0.{0}", ""),
    ],
)
def test_texts_that_were_meant_otherwise_are_told(text: str, hint: str) -> None:
    column = [text.format(number) for number in range(1, 29)]
    prepare = Preprocessing().fit({"x": np.arange(28.0), "odd": column})
    assert prepare.types_["odd"] == "ignore"
    assert hint in prepare.reasons_["odd"]
    assert ("look like" in prepare.reasons_["odd"]) == bool(hint)
    lacking = Preprocessing().fit({"x": np.arange(28.0), "odd": [None, *column[1:]]})
    assert lacking.types_["odd"] == "presence"
    assert ("look like" in lacking.reasons_["odd"]) == bool(hint)
