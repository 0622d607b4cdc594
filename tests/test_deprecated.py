"""Old public names still work, and warn with the new ones."""

from __future__ import annotations

import importlib
import pickle
from typing import Any

import numpy as np
import pytest

import smelt.nn.functional as F
from smelt import data, nn, optim, plot, train

RENAMED = [
    ("smelt.data", "Standardise", "StandardScaler"),
    ("smelt.data", "MinMax", "MinMaxScaler"),
    ("smelt.data", "FillMissing", "SimpleImputer"),
    ("smelt.data", "OneHot", "OneHotEncoder"),
    ("smelt.data", "obtain", "fetch"),
    ("smelt.data", "words", "split_words"),
    ("smelt.data.scaling", "Standardise", "StandardScaler"),
    ("smelt.data.scaling", "MinMax", "MinMaxScaler"),
    ("smelt.data.categories", "OneHot", "OneHotEncoder"),
    ("smelt.data.filling", "FillMissing", "SimpleImputer"),
    ("smelt.data.vocabulary", "words", "split_words"),
    ("smelt.train", "examiner", "evaluator"),
]


@pytest.mark.parametrize(("module", "old", "new"), RENAMED)
def test_an_old_name_is_the_new_one_and_says_so(module: str, old: str, new: str) -> None:
    namespace = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"^{module}.{old} is now called {new}$") as caught:
        assert getattr(namespace, old) is getattr(namespace, new)
    assert caught[0].filename == __file__


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="module 'smelt.data' has no attribute 'Standardize'"):
        data.Standardize  # noqa: B018


def test_old_arguments_are_the_new_ones_and_say_so() -> None:
    model = nn.Linear(2, 1)
    x, y = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    options: dict[str, Any] = {"optimiser": optim.SGD(model.parameters())}
    with pytest.warns(DeprecationWarning, match=r"training_step\(optimiser=...\) is .* optimizer"):
        step = train.training_step(model, loss=F.mse_loss, **options)
    assert step(x, y).shape == ()


@pytest.mark.parametrize(
    ("transform", "old"),
    [
        (data.StandardScaler().fit(np.array([1.0, 3.0])), "Standardise"),
        (data.MinMaxScaler().fit(np.array([1.0, 3.0])), "MinMax"),
        (data.SimpleImputer(fill_value=2.0), "FillMissing"),
        (data.Vocabulary.build(["a b"]), "words"),
    ],
)
def test_a_file_with_an_old_name_can_be_read(transform: Any, old: str) -> None:
    new = "split_words" if old == "words" else type(transform).__name__
    text = pickle.dumps(transform, protocol=0).replace(new.encode(), old.encode())
    with pytest.warns(DeprecationWarning, match=old):
        restored = pickle.loads(text)
    assert type(restored) is type(transform)
    assert vars(restored).keys() == vars(transform).keys()


def test_a_file_that_names_an_old_module_can_be_read() -> None:
    text = pickle.dumps(nn.LayerNorm(2), protocol=0)
    old = text.replace(b"smelt.nn.normalization", b"smelt.nn.normalisation")
    assert old != text
    assert type(pickle.loads(old)) is nn.LayerNorm


def test_a_vocabulary_answers_to_the_british_name_of_its_function() -> None:
    with pytest.warns(DeprecationWarning, match=r"Vocabulary\(tokenise=...\) is .* tokenize"):
        letters = data.Vocabulary(["a", "b"], (), tokenise=list)
    with pytest.warns(DeprecationWarning, match=r"build\(tokenise=...\) is now called tokenize"):
        data.Vocabulary.build(["ab"], tokenise=list)
    with pytest.warns(DeprecationWarning, match=r"Vocabulary\.tokenise is now called tokenize"):
        assert letters.tokenise is list
    old = {"tokens": ["b", "a"], "tokenise": "list", "join": ""}
    assert letters.load_state_dict(old).encode("ab") == [1, 0]
    text = pickle.dumps(letters, protocol=0).replace(b"tokenize", b"tokenise")
    assert pickle.loads(text).encode("ab") == [1, 0]


def test_figures_take_the_british_names_of_their_arguments() -> None:
    pytest.importorskip("matplotlib")
    with pytest.warns(DeprecationWarning, match=r"scatter\(colours=...\) is now called colors"):
        plot.scatter(np.eye(2), [0, 1], colours=["red", "blue"])
    with pytest.warns(DeprecationWarning, match=r"samples\(centres=...\) is now called centers"):
        plot.samples(np.eye(2), np.eye(2), centres=np.eye(2))
    with pytest.warns(DeprecationWarning, match=r"text\(colour=...\) is now called color"):
        plot.Diagram(1, 1).text(0, 0, "x", colour="red")


def old_transform(transform: Any, given: Any) -> Any:
    with pytest.warns(DeprecationWarning, match=r"\.apply is now called transform") as caught:
        result = transform.apply(given)
    assert caught[0].filename == __file__
    return result


def test_transforms_answer_to_their_old_methods_and_arguments() -> None:
    column = np.array([1.0, 3.0])
    scale = data.StandardScaler().fit(column)
    assert old_transform(scale, column).tolist() == [-1, 1]
    with pytest.warns(DeprecationWarning, match="inverse is now called inverse_transform"):
        assert scale.inverse(np.array([1.0])).tolist() == [3]
    with pytest.warns(DeprecationWarning, match="StandardScaler.mean is now called mean_"):
        assert scale.mean == 2
    with pytest.warns(DeprecationWarning, match=r"MinMaxScaler\(low, high\) is now"):
        assert data.MinMaxScaler(-1, 3).feature_range == (-1, 3)
    with pytest.warns(DeprecationWarning, match=r"SimpleImputer\(by=...\) is now called strategy"):
        fill = data.SimpleImputer(by="median")
    assert old_transform(fill.fit(column), np.array([np.nan])).tolist() == [2]
    with pytest.warns(DeprecationWarning, match='"mode" is now called "most_frequent"'):
        assert data.SimpleImputer("mode").strategy == "most_frequent"
    with pytest.warns(DeprecationWarning, match=r"SimpleImputer\(value=...\) is .* fill_value"):
        fill = data.SimpleImputer(value=7.0)
    assert old_transform(fill, np.array([np.nan])).tolist() == [7]


def test_the_encoder_answers_to_its_old_arguments() -> None:
    with (
        pytest.warns(DeprecationWarning, match=r"\(unknown=...\) is now called handle_unknown"),
        pytest.warns(DeprecationWarning, match='"zeros" is now called "ignore"'),
    ):
        code = data.OneHotEncoder(unknown="zeros").fit(["a", "b"])
    with pytest.warns(DeprecationWarning, match="indices is now done by OrdinalEncoder"):
        assert code.indices(["b", "c"]).tolist() == [1, -1]
