"""The recipe housing: its split, its errors, a short training."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import Preprocessing, Table, load_california_housing
from smelt.errors import FileError
from smelt.recipes import housing
from smelt.recipes.housing import gradient_boosting, linear_regression, split
from smelt.train import read_config, read_predictions
from tests.cli.raw_inputs import raw_inputs
from tests.recipes.recipe_runs import WITH_PREPROCESSING, check_goes_on, data_folder

for library in ("matplotlib", "polars", "safetensors"):
    pytest.importorskip(library)


def rows_of(table: Table) -> set[tuple[Any, ...]]:
    return set(zip(*(table[name] for name in table.numeric), strict=True))


def test_parts_have_no_row_in_common() -> None:
    table = housing.load(data_folder("california-housing"))
    parts = split(table, None, seed=0)
    assert [len(part) for part in parts] == [13209, 3303, 4128]
    first, second, third = (rows_of(part) for part in parts)
    assert not first & second | second & third | third & first
    assert sum(map(len, split(table, 1000, seed=0))) == 1000


def test_what_is_trained_beside() -> None:
    random = np.random.default_rng(0)
    kinds = np.array(["a", "b", "c"])
    table = {
        "x": random.normal(size=100),
        "y": random.normal(size=100),
        "kind": random.choice(kinds, 100),
    }
    price = 3 * table["x"] - table["y"] + (table["kind"] == "b") + 5
    prepare = Preprocessing().fit(table)
    part = prepare.transform(table), smelt.tensor(price.astype(np.float32))
    assert linear_regression(part, part, prepare) < 1  # dollar: it fits exactly
    beside = gradient_boosting(part, part, prepare, seed=0)
    if importlib.util.find_spec("sklearn") is None:
        assert beside == "scikit-learn is not installed"
    else:
        assert 0 < beside < housing.UNIT * price.std()


def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housing, "gradient_boosting", lambda *parts: 0.0)
    folder = data_folder("california-housing")
    result = housing.run(tmp_path / "run", data=folder, samples=2000, epochs=10)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[-1] < 0.5 * losses[0]
    figures = list(result.figures)
    assert figures[0] == "test_rmse_in_dollars"
    assert 40_000 < result.figures[figures[0]] < 90_000
    drawn = {"curves.png", "estimates.png"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == WITH_PREPROCESSING | drawn
    inference = housing.inference(tmp_path / "run", read_config(tmp_path / "run"))
    rows = split(load_california_housing(folder), 2000, seed=0)[2]
    arrays = raw_inputs(inference.description(), rows)
    given = inference.module(*map(smelt.tensor, arrays)).numpy()
    np.testing.assert_allclose(given, read_predictions(tmp_path / "run").predicted[:, 0], rtol=1e-5)


def test_a_training_that_goes_on_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housing, "gradient_boosting", lambda *parts: 0.0)
    folder = data_folder("california-housing")
    check_goes_on(housing.run, tmp_path, data=folder, samples=500, epochs=2)


def test_a_folder_without_the_data_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"housing\.csv"):
        housing.run(tmp_path / "run", data=tmp_path)
    assert not (tmp_path / "run").exists()
