"""TabularClassifier and TabularRegressor on tables of every kind, and what they refuse."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import Table
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, FileError, ShapeError
from smelt.tabular import TabularClassifier, TabularRegressor, load
from smelt.tabular.columns import column_kinds
from smelt.tabular.examination import examined

pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def classifier(table: Table) -> TabularClassifier:
    model = TabularClassifier(members=2, width=8, bins=4, max_epochs=5, random_state=0)
    return model.fit(table.drop("size"), "label")


def test_what_columns_are_taken_for_is_told(classifier: TabularClassifier, table: Table) -> None:
    kinds = {
        name: (kind, remark)
        for name, kind, remark in column_kinds(classifier.preprocessing_, table)
    }
    assert kinds == {
        "row_id": ("left out", "it numbers the rows"),
        "x": ("number", "12 missing"),
        "whole": ("number", "4 whole numbers; a category if types says so"),
        "flag": ("boolean", ""),
        "kind": ("category", "3 of them, 18 missing"),
        "day": ("date", ""),
        "note": ("text", "hashed into 256 numbers"),
        "ticket": ("left out", "its 120 short texts are all different"),
        "nothing": ("left out", "it has no value"),
        "same": ("left out", "it has one value only"),
    }


def test_a_classifier_learns_from_columns_of_every_kind(
    classifier: TabularClassifier, table: Table
) -> None:
    assert classifier.classes_.tolist() == ["high", "low"]
    assert classifier.score(table, "label") > 0.85
    probabilities = classifier.predict_proba(table)
    assert probabilities.shape == (120, 2)
    assert probabilities.sum(1) == pytest.approx(1)
    assert (classifier.predict(table) == classifier.classes_[probabilities.argmax(1)]).all()


def test_a_regressor_predicts_numbers(table: Table, quick: dict[str, Any]) -> None:
    model = TabularRegressor(**quick).fit(table.drop("label"), "size")
    assert model.score(table, "size") > 0.8
    assert model.predict(table.rows([3, 4])) == pytest.approx(model.predict(table)[3:5], rel=1e-12)


def test_numbers_have_all_their_digits_where_there_are_only_categories(
    table: Table, quick: dict[str, Any]
) -> None:
    columns = {"city": ["a", "b"] * 40}
    target = 1e9 + np.arange(80) % 2
    model = TabularRegressor(**quick).fit(columns, target)
    predicted = model.predict({"city": ["a", "b"]})
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, [1e9, 1e9 + 1], rtol=0, atol=0.3)


def test_categories_not_seen_and_missing_values_have_a_prediction(
    classifier: TabularClassifier,
) -> None:
    lost = {name: [None] for name in ("x", "whole", "flag", "kind", "day", "note")}
    odd = {**lost, "kind": ["violet"]}
    assert np.isfinite(classifier.predict_proba(lost)).all()
    assert (classifier.predict_proba(lost) == classifier.predict_proba(odd)).all()


def test_columns_are_found_by_name_and_others_not_looked_at(
    classifier: TabularClassifier, table: Table
) -> None:
    turned = Table({name: table[name] for name in reversed(table.names)})
    assert (classifier.predict_proba(turned) == classifier.predict_proba(table)).all()
    unused = table.drop("row_id", "ticket", "nothing", "same", "label", "size")
    assert (classifier.predict_proba(unused) == classifier.predict_proba(table)).all()
    with pytest.raises(ArgumentError, match="no column 'kind'"):
        classifier.predict(table.drop("kind"))
    with pytest.raises(DTypeError, match="column 'x' holds text, such as 'many' in row 1"):
        classifier.predict(table.rows([0, 1]).with_columns({"x": ["1.0", "many"]}))


def test_tables_of_other_libraries_are_the_same_table(table: Table, quick: dict[str, Any]) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {name: table[name] for name in ("x", "whole", "kind")}
    expected = TabularClassifier(**quick).fit(columns, table["label"]).predict_proba(columns)
    for frame in (
        pandas.DataFrame(columns),
        polars.DataFrame(columns),
        polars.DataFrame(columns).to_arrow(),
    ):
        model = TabularClassifier(**quick).fit(frame, np.array(table["label"]))
        assert (model.predict_proba(frame) == expected).all()
        assert model.feature_names_in_.tolist() == list(columns)


@pytest.mark.parametrize(
    "labels",
    [[True, False], [0, 1], [-5, 7], ["a", "b"], [2.0, 3.0]],
    ids=lambda labels: type(labels[0]).__name__,
)
def test_labels_of_any_kind_come_back(labels: list[Any], quick: dict[str, Any]) -> None:
    x = np.linspace(-1, 1, 40).reshape(-1, 1)
    y = np.array([labels[int(value > 0)] for value in x[:, 0]])
    predicted = TabularClassifier(**quick).fit(x, y).predict(x)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.9


def test_one_seed_gives_the_same_bits_and_leaves_the_generator(
    table: Table, quick: dict[str, Any]
) -> None:
    smelt.manual_seed(3)
    before = smelt.get_rng_state().tolist()
    first, second = (
        TabularRegressor(**quick).fit(table.select("x", "kind"), table["size"]).predict(table)
        for _ in range(2)
    )
    assert first.tobytes() == second.tobytes()
    assert smelt.get_rng_state().tolist() == before
    other = TabularRegressor(**{**quick, "random_state": 1}).fit(table.select("x"), table["size"])
    assert (other.predict(table) != first).any()


def test_an_estimator_comes_back_from_a_file_and_a_pickle(
    classifier: TabularClassifier, table: Table, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    for again in (load(path), pickle.loads(pickle.dumps(classifier))):
        assert type(again) is TabularClassifier
        assert again.predict_proba(table).tobytes() == classifier.predict_proba(table).tobytes()
        assert again.summary_ == classifier.summary_
        assert again.target_ == "label"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileError, match="model.safetensors"):
        load(path)
    smelt.save({"a": 1}, path)
    with pytest.raises(FileError, match="holds no estimator of smelt.tabular"):
        load(path)
    with pytest.raises(FileError, match="holds no run of smelt fit"):
        load(tmp_path)


def test_a_run_folder_keeps_the_estimator(
    table: Table, quick: dict[str, Any], tmp_path: Path
) -> None:
    model = TabularRegressor(**quick).fit(table.select("x"), table["size"], run=tmp_path / "run")
    assert load(tmp_path / "run").predict(table).tobytes() == model.predict(table).tobytes()
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"config.json", "metrics.jsonl"}
    with pytest.raises(FileError, match="holds a run already"):
        model.fit(table.select("x"), table["size"], run=tmp_path / "run")


def test_what_cannot_be_learned_is_refused(table: Table, quick: dict[str, Any]) -> None:
    x, model = table.select("x"), TabularClassifier(**quick)
    with pytest.raises(ArgumentError, match="TabularClassifier: it has learned nothing yet"):
        model.predict(x)
    with pytest.raises(ArgumentError, match="no column 'lable'; did you mean 'label'"):
        model.fit(table, "lable")
    with pytest.raises(ArgumentError, match="one class only, 'a' in all 120 rows"):
        model.fit(x, ["a"] * 120)
    with pytest.raises(ArgumentError, match=r"target is missing in row 2 \(1 in all\)"):
        model.fit(x, ["a", "b", None] + ["a"] * 117)
    with pytest.raises(ArgumentError, match="continuous. The target is 0.5 in row 0"):
        model.fit(x, np.arange(120) + 0.5)
    with pytest.raises(ShapeError, match=r"inconsistent numbers of samples: \[120, 2\]"):
        model.fit(x, ["a", "b"])
    with pytest.raises(DTypeError, match="the target is text, such as 'high' in row"):
        TabularRegressor(**quick).fit(x, table["label"])
    with pytest.raises(ArgumentError, match="no column is left"):
        model.fit(table.select("same", "nothing"), table["label"])
    with pytest.raises(ArgumentError, match="no column besides the target"):
        model.fit(table.select("label"), "label")
    with pytest.raises(ArgumentError, match="there are no rows"):
        model.fit(x.rows([]), [])
    with pytest.raises(DTypeError, match="column 'x' is infinite in row 1"):
        model.fit({"x": [1.0, np.inf, 2.0, 3.0]}, ["a", "b", "a", "b"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("members", 1), ("width", 0), ("blocks", -1), ("dropout", 1.0), ("learning_rate", 0.0),
     ("weight_decay", -1.0), ("batch_size", 1.5), ("max_epochs", 0), ("patience", None),
     ("random_state", -1), ("bins", 0), ("max_categories", None)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(setting: str, value: Any, table: Table) -> None:
    with pytest.raises(ArgumentError, match=setting):
        TabularClassifier(**{setting: value}).fit(table.select("x"), table["label"])


def test_an_array_is_taken_by_its_places(quick: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    model = TabularRegressor(**quick).fit(x, x[:, 0] - x[:, 1])
    assert model.predict(x.tolist()) == pytest.approx(model.predict(smelt.tensor(x)))
    with pytest.raises(ShapeError, match="X has 2 features, but TabularRegressor is expecting 3"):
        model.predict(x[:, :2])
    assert not hasattr(model, "feature_names_in_")


def test_settings_are_read_and_changed_by_name() -> None:
    model = TabularClassifier(width=5)
    assert repr(model) == "TabularClassifier(width=5)"
    assert model.set_params(width=7).get_params()["width"] == 7
    with pytest.raises(ArgumentError, match="no setting 'depth'"):
        model.set_params(depth=3)


def test_scikit_learn_is_not_needed(
    table: Table, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ArgumentError, match="learned nothing yet"):
        TabularClassifier().predict(table)
    train, test = table.select("x", "label").rows(range(90)), table.rows(range(90, 120))
    model = TabularClassifier(**quick).fit(train, "label")
    found = examined(model, train, test, "label")
    assert list(found["scores"]) == ["smelt", "majority class", "logistic regression"]


def test_rows_are_dicts_as_well(table: Table, quick: dict[str, Any]) -> None:
    model = TabularClassifier(**quick).fit(table, "label")
    names = [name for name in table.names if name != "label"]
    rows = [{name: table[name][row] for name in names} for row in range(3)]
    assert model.predict(rows).tolist() == model.predict(table)[:3].tolist()
    with pytest.raises(ArgumentTypeError, match="which must be read first"):
        model.predict("rows.csv")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TabularClassifier(epochs=3), "did you mean 'max_epochs'"),
        (lambda: TabularRegressor(n_estimators=3), "did you mean 'members'"),
        (lambda: TabularClassifier().fit([[1]], [1], epochs=3), "TabularClassifier.fit: got an"),
        (lambda: TabularRegressor().score([[1]]), "missing a required argument: 'y'"),
    ],
)
def test_calls_in_other_words_are_told_the_own(call: Any, message: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        call()
    assert message in caught.value.message


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "dict"])
def test_columns_are_found_by_name_in_any_order(
    library: str, table: Table, quick: dict[str, Any]
) -> None:
    columns = {name: table[name] for name in ("x", "whole", "kind")}
    model = TabularClassifier(**quick).fit(_frame(library, columns), np.array(table["label"]))
    expected = model.predict_proba(_frame(library, columns))
    moved = _frame(library, {"more": table["note"], **dict(reversed(columns.items()))})
    assert (model.predict_proba(moved) == expected).all()
    renamed = {"x": columns["x"], "Whole": columns["whole"]}
    with pytest.raises(ArgumentError) as caught:
        model.predict(_frame(library, renamed))
    assert caught.value.message == (
        "TabularClassifier: the table has no columns 'whole', 'kind', with which the model was "
        "trained. It also has 'Whole': if the name has changed, rename the column back"
    )
    with pytest.raises(ArgumentError, match=r"no column 'kind', .* Add it; where a value is not"):
        model.predict(_frame(library, {name: columns[name] for name in ("x", "whole")}))


def _frame(library: str, columns: dict[str, Any]) -> Any:
    """Returns a table of a library."""
    if library == "dict":
        return columns
    pytest.importorskip(library)
    if library == "pandas":
        return pytest.importorskip("pandas").DataFrame(columns)
    frame = pytest.importorskip("polars").DataFrame(columns)
    return frame.to_arrow() if library == "pyarrow" else frame


def test_row_numbers_are_named_before_they_are_learned(quick: dict[str, Any]) -> None:
    x = np.linspace(-1, 1, 40)
    table = {"x": x, "position": np.arange(5, 45)}
    message = r"the column 'position' grows .* as row numbers do; types=\{'position': 'ignore'\}"
    with pytest.warns(UserWarning, match=message):
        TabularRegressor(**quick).fit(table, x)
    for kind in ("ignore", "number"):
        TabularRegressor(types={"position": kind}, **quick).fit(table, x)
    unordered = {**table, "position": np.arange(40) * 7 % 40}
    TabularRegressor(**quick).fit(unordered, x)


def test_a_setting_in_the_wrong_place_is_sent_to_the_constructor(quick: dict[str, Any]) -> None:
    options: dict[str, Any] = {"types": {"x": "number"}}
    with pytest.raises(ArgumentTypeError, match=r"constructor: TabularRegressor\(types=...\)"):
        TabularRegressor(**quick).fit(np.zeros((4, 1)), np.zeros(4), **options)
    options = {"epochs": 3}
    with pytest.raises(ArgumentTypeError, match=r"TabularRegressor\(max_epochs=...\)"):
        TabularRegressor(**quick).fit(np.zeros((4, 1)), np.zeros(4), **options)
    with pytest.raises(ArgumentTypeError, match="did you mean 'max_epochs' for 'epochs'"):
        TabularRegressor(**options)
