"""The recipe titanic: titles, folds, a short training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.data import Preprocessing, Table
from smelt.errors import FileError
from smelt.recipes import titanic
from smelt.recipes.titanic import TARGET, folds, title
from smelt.train import predict, read_model
from tests.cli.raw_inputs import raw_inputs
from tests.recipes.recipe_runs import WITH_PREPROCESSING, check_goes_on, data_folder

for library in ("matplotlib", "polars", "safetensors"):
    pytest.importorskip(library)


def test_titles_are_found_in_names() -> None:
    names = {
        "Braund, Mr. Owen Harris": "Mr",
        "Cumings, Mrs. John Bradley (Florence Briggs Thayer)": "Mrs",
        "Sagesser, Mlle. Emma": "Miss",
        "Palsson, Master. Gosta Leonard": "Master",
        "Rothes, the Countess. of (Lucy Noel Martha Dyer-Edwards)": "other",
        "Smith": "other",
    }
    assert {name: title(name) for name in names} == names


def test_each_passenger_is_tested_once() -> None:
    table = Table({TARGET: np.repeat([0, 1], [60, 43])})
    pairs = list(folds(table, seed=0))
    assert sorted(np.concatenate([test for _, test in pairs])) == list(range(103))
    for training, test in pairs:
        assert not set(training) & set(test)
        assert len(training) + len(test) == 103
        assert 8 <= table[TARGET][test].sum() <= 9


def test_it_learns(tmp_path: Path) -> None:
    data = data_folder("titanic")
    result = titanic.run(tmp_path / "run", data=data, epochs=8)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[-1] < losses[0]
    assert result.figures["cross_validated_accuracy"] > 0.75
    assert result.figures["cross_validated_accuracy_of_logistic_regression"] > 0.75
    drawn = {"curves.png", "confusion.png"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == WITH_PREPROCESSING | drawn
    inference, table = titanic.inference(tmp_path / "run", {}), titanic.load(data)
    arrays = raw_inputs(inference.description(), table)
    chances = inference.module(*map(smelt.tensor, arrays)).detach().numpy()
    prepare = Preprocessing(types=titanic.COLUMNS).fit(table.drop(TARGET))
    model = titanic.make_model(prepare)
    read_model(tmp_path / "run", model)
    logits = predict(model, prepare.transform(table), has_target=False)
    np.testing.assert_allclose(chances, F.softmax(logits, 1).numpy(), atol=1e-5)


def test_a_training_that_goes_on_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titanic, "folds", lambda table, seed: iter(()))
    check_goes_on(titanic.run, tmp_path, data=data_folder("titanic"), epochs=2)


def test_a_folder_without_the_data_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"titanic\.csv"):
        titanic.run(tmp_path / "run", data=tmp_path)
