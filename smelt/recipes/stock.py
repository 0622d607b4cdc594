"""Stock: a GRU forecasts tomorrow's price of Apple's shares, compared with "no change".

The 506 closing prices from February 2015 to February 2017 become daily changes of their logarithm.
The network gets 20 of them and the changes of the traded volume, and predicts the next change of
the price. The first 70 % of the days are for training; the next 15 % decide when to stop and which
epoch was best; the last 15 % are for one test. The settings are common values, without a search.

Do not expect a profit: the naive forecast, that tomorrow's price is today's, is hard to beat, and a
ratio of errors near 1 means that the network has learned to predict almost no change. The share of
days whose direction was right is given with its 95 % Wilson interval; as long as that contains 50
%, a coin would do as well.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import smelt
from smelt import nn, optim, plot, train
from smelt.data import StandardScaler, TensorDataset, load_apple_stock, split_in_time, windows
from smelt.dtypes import float64
from smelt.export.inference import Inference, InferenceTensor
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.recipe import (
    BatchSize,
    DataFolder,
    Epochs,
    Rate,
    Result,
    Seed,
    keep_preprocessing,
    kept_preprocessing,
)
from smelt.tensor import Tensor, as_tensor

__all__ = ["Forecaster", "inference", "make_model", "moving_mean", "run", "wilson"]

SPLIT = (0.7, 0.15, 0.15)
HIDDEN, DROPOUT = 16, 0.2
PATIENCE = 20  # epochs without a better one
SURE = 1.96  # deviations of the normal distribution that hold 95 %


class Forecaster(nn.Module):
    """A GRU over the days, and a linear layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, changes: Tensor) -> Tensor:
        _, last = self.gru(changes)  # (1, n, HIDDEN)
        return self.head(self.dropout(last[0]))  # (n, 1)


def make_model() -> Forecaster:
    """Returns the network with initial weights: changes (n, days, 2) to the next one (n, 1)."""
    return Forecaster()


def moving_mean(prices: np.ndarray, days: int) -> np.ndarray:
    """Returns the mean of each day's price and those of the days before it, (n - days + 1,)."""
    return np.convolve(prices, np.full(days, 1 / days), mode="valid")


def wilson(right: int, count: int) -> tuple[float, float]:
    """Returns the ends of the 95 % Wilson interval of a share, `right` out of `count`."""
    share, extra = right / count, SURE**2 / count
    center = (share + extra / 2) / (1 + extra)
    half = SURE * math.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return center - half, center + half


def run(
    folder: str | os.PathLike[str],
    *,
    data: DataFolder = None,
    days: Annotated[int, Within(1, 60)] = 20,
    epochs: Epochs = 200,
    lr: Rate = 3e-3,
    batch_size: BatchSize = 32,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on the first days, tests on the last, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        data: folder of the data sets; that of SMELT_DATA, or Smelt's cache, when None.
        days: number of days that the network gets.
        epochs: passes over the training days at most; it ends 20 after the best one.
        lr: learning rate.
        batch_size: days per step.
        seed: random seed of the initial weights and the order.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the data are not there, or the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib, polars or safetensors is not installed.
    """
    plot.require()
    settings = {"days": days, "epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    table = load_apple_stock(data)
    prices, volume = (np.asarray(table[f"AAPL.{name}"], float) for name in ("Close", "Volume"))
    changes = np.diff(np.log(np.stack([prices, volume], axis=1)), axis=0)  # (505, 2)
    parts = split_in_time(changes, SPLIT)
    scale = StandardScaler().fit(parts[0])
    training, validation, test = (
        TensorDataset(x, y[:, :, 0])
        for x, y in (windows(scaled(scale, part), days).tensors for part in parts)
    )
    manual_seed(seed)
    model = make_model()
    run_folder = train.RunFolder(
        folder, model, {"recipe": "stock", **settings}, resume=resume, monitor="loss"
    )
    history = train.fit(
        model,
        nn.MSELoss(),
        optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-2),
        training,
        epochs=epochs,
        batch_size=batch_size,
        validation=validation,
        callbacks=[*callbacks, train.EarlyStopping("loss", patience=PATIENCE)],
        run=run_folder,
        resume=resume,
        progress=False,
    )
    steps = run_folder.training.update.steps
    if history.interrupted:
        return Result({}, history, steps)
    said = train.predict(model, test).numpy()[:, 0] * scale.scale_[0] + scale.mean_[0]
    tested = slice(len(prices) - len(said), None)
    today, tomorrow = prices[:-1][-len(said) :], prices[tested]
    forecast = today * np.exp(said)
    keep_preprocessing(run_folder.path, scale.state_dict())
    dates = np.asarray(table["Date"], "datetime64[D]").tolist()
    train.save_predictions(run_folder.path, tomorrow, forecast, texts=[*map(str, dates[tested])])
    draw(run_folder.path, history, (dates, prices), forecast)
    return Result(measured(today, tomorrow, forecast), history, steps)


def scaled(scale: StandardScaler, changes: np.ndarray) -> np.ndarray:
    """Returns changes (n, 2) on the scale of the training days, float32."""
    return np.asarray(scale.transform(changes), np.float32)


def measured(
    today: np.ndarray, tomorrow: np.ndarray, forecast: np.ndarray
) -> dict[str, float | str]:
    """Returns the results of forecasts, each array (n,) in dollars."""
    error, naive = (float(np.sqrt(((said - tomorrow) ** 2).mean())) for said in (forecast, today))
    moved = tomorrow != today
    right = int((np.sign(forecast - today) == np.sign(tomorrow - today))[moved].sum())
    rose, count = int((tomorrow > today).sum()), int(moved.sum())
    low, high = wilson(right, count)
    return {
        "test_days": len(today),
        "test_rmse_in_dollars": error,
        "test_rmse_of_the_naive_forecast": naive,
        "ratio": error / naive,
        "right_directions": f"{right} of {count}, {right / count:.1%} ({low:.1%} to {high:.1%})",
        "days_that_rose": f"{rose} of {count}, {rose / count:.1%}",
    }


def draw(
    folder: Path,
    history: train.History,
    series: tuple[list[date], np.ndarray],
    forecast: np.ndarray,
) -> None:
    """Draws the losses, moving averages, and the forecast of the test days."""
    dates, prices = series
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    averages = {f"mean of {days} days": moving_mean(prices, days) for days in (10, 50)}
    figure = plot.moving_average(
        prices, averages, dates=dates, title="Apple, closing price", y_label="dollars"
    )
    plot.save(figure, folder / "averages.png")
    last = slice(len(prices) - len(forecast), None)
    figure = plot.moving_average(
        prices[last],
        {"forecast of the day before": forecast},
        dates=dates[last],
        title="Test days",
        y_label="dollars",
    )
    plot.save(figure, folder / "forecast.png")


class PriceForecaster(nn.Module):
    """From prices and volumes, float64 (n, days + 1) each, the last of them today's, to the price
    of tomorrow, float64 (n,).

    Args:
        model: the network.
        scale: as it was fitted to the training days.
    """

    def __init__(self, model: Forecaster, scale: StandardScaler) -> None:
        super().__init__()
        self.model = model
        self.mean: nn.Buffer = nn.Buffer(as_tensor(scale.mean_))
        self.scale: nn.Buffer = nn.Buffer(as_tensor(scale.scale_))

    def forward(self, prices: Tensor, volumes: Tensor) -> Tensor:
        both = smelt.stack([prices, volumes], dim=2)
        changes = smelt.diff(smelt.log(both), dim=1)  # (n, days, 2)
        said = self.model(((changes - self.mean) / self.scale).float())[:, 0].double()
        return prices[:, -1] * smelt.exp(said * self.scale[0] + self.mean[0])


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run forecasts: tomorrow's price, from prices and volumes."""
    model = make_model()
    train.read_model(folder, model)
    scale = StandardScaler().load_state_dict(kept_preprocessing(folder))
    days = {"meaning": "of consecutive days of trading, today last"}
    inputs = [
        InferenceTensor(name, float64, (config["days"] + 1,), days)
        for name in ("prices", "volumes")
    ]
    output = InferenceTensor("value", float64, (), {"target": "the price of the next day"})
    module = PriceForecaster(model, scale).eval()
    return Inference("stock", module, tuple(inputs), output, {"task": "regression"})
