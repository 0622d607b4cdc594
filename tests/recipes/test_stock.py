"""The recipe stock: averages, intervals, what a forecast is worth, a short training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.data import load_apple_stock
from smelt.errors import FileError
from smelt.recipes import stock
from smelt.recipes.stock import measured, moving_mean, wilson
from smelt.train import read_predictions
from tests.recipes.recipe_runs import WITH_PREPROCESSING, check_goes_on, data_folder

for library in ("matplotlib", "polars", "safetensors"):
    pytest.importorskip(library)


def test_a_moving_mean_looks_back() -> None:
    assert moving_mean(np.array([1.0, 2.0, 3.0, 7.0]), 2).tolist() == [1.5, 2.5, 5.0]


def test_wilsons_interval() -> None:
    assert wilson(22, 54) == pytest.approx((0.287, 0.540), abs=1e-3)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)


def test_what_a_forecast_is_worth() -> None:
    today, tomorrow = np.array([10.0, 10, 10, 10]), np.array([11.0, 9, 12, 10])
    figures = measured(today, tomorrow, np.array([11.0, 10.5, 11, 10]))
    assert figures["test_rmse_of_the_naive_forecast"] == pytest.approx(np.sqrt(6 / 4))
    assert figures["ratio"] == pytest.approx(np.sqrt((1.5**2 + 1) / 6))
    assert str(figures["right_directions"]).startswith("2 of 3, 66.7%")
    assert figures["days_that_rose"] == "2 of 3, 66.7%"


def test_it_learns_nothing_of_the_test_days(tmp_path: Path) -> None:
    data = data_folder("apple-stock")
    result = stock.run(tmp_path / "run", data=data, epochs=5)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[-1] < losses[0]
    assert 0.9 < result.figures["ratio"] < 1.2
    assert result.figures["test_days"] == 55
    drawn = {"averages.png", "curves.png", "forecast.png"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == WITH_PREPROCESSING | drawn
    inference = stock.inference(tmp_path / "run", {"days": 20})
    table = load_apple_stock(data)
    both = (np.asarray(table[f"AAPL.{name}"], float)[:-1] for name in ("Close", "Volume"))
    days = [np.lib.stride_tricks.sliding_window_view(array, 21)[-55:] for array in both]
    forecast = inference.module(*map(smelt.tensor, days)).detach().numpy()
    found = read_predictions(tmp_path / "run").predicted[:, 0]
    np.testing.assert_allclose(forecast, found, rtol=1e-6)


def test_a_training_that_goes_on_has_the_same_bits(tmp_path: Path) -> None:
    check_goes_on(stock.run, tmp_path, data=data_folder("apple-stock"), epochs=2)


def test_a_folder_without_the_data_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="finance-charts-apple"):
        stock.run(tmp_path / "run", data=tmp_path)
