"""Housing: a multilayer perceptron estimates the price of houses in 20,640 districts of California.

The census of 1990 gives for each district its place, the age of its houses, rooms, people,
households, their median income, and how near the ocean is; for 207 districts the number of bedrooms
is missing. Six columns of ratios and logarithms are added. Scaling and filled-in values are
computed from the training rows. 64 % of the rows are for training, 16 % for validation (settings
were chosen on these), 20 % for testing.

For comparison, linear regression and, if scikit-learn is installed, gradient boosting are trained
on the same rows and columns. Prices in these data are capped at 500,001 dollars.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import smelt
from smelt import nn, optim, plot, train
from smelt.data import Preprocessing, Table, load_california_housing
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
from smelt.recipes.table_network import TableNetwork, flat
from smelt.tabular.raw_columns import RawColumns
from smelt.tensor import Tensor

__all__ = ["inference", "make_model", "run"]

TARGET = "median_house_value"
UNIT = 100_000.0  # dollars
SPLIT = (0.64, 0.16, 0.20)
ADDED = (
    "rooms_each", "bedrooms_share", "people_each", "log_rooms", "log_people", "log_income",
)  # fmt: skip
WIDTH, DROPOUT = 128, 0.1
Part = tuple[dict[str, Tensor], Tensor]  # the tensors of a table, and the prices (n,) in UNITs


def load(folder: DataFolder) -> Table:
    """Returns the table with the added columns."""
    table = load_california_housing(folder)
    each = {name: np.asarray(table[name], np.float64) for name in table.numeric}
    return table.with_columns(added(each, np.log))


def added(each: Mapping[str, Any], log: Callable[[Any], Any]) -> dict[str, Any]:
    """Returns the columns `ADDED`.

    Args:
        each: the columns of the census, arrays or Tensors (n,).
        log: the natural logarithm of one.
    """
    return {
        "rooms_each": log(each["total_rooms"] / each["households"]),
        "bedrooms_share": each["total_bedrooms"] / each["total_rooms"],
        "people_each": log(each["population"] / each["households"]),
        "log_rooms": log(each["total_rooms"]),
        "log_people": log(each["population"]),
        "log_income": log(each["median_income"]),
    }


def split(table: Table, samples: int | None, seed: int) -> list[Table]:
    """Returns the rows for training, validation and testing."""
    order = np.random.default_rng(seed).permutation(len(table))[:samples]
    ends = (np.cumsum(SPLIT)[:2] * len(order)).astype(int)
    return [table.rows(rows) for rows in np.split(order, ends)]


def make_model(prepare: Preprocessing) -> TableNetwork:
    """Returns the network for the columns of a table, with initial weights; it gives prices
    (n,).
    """
    numbers = len(prepare.get_feature_names_out()["numbers"])
    return TableNetwork(numbers, prepare.cardinalities, WIDTH, 1, DROPOUT)


def run(
    folder: str | os.PathLike[str],
    *,
    data: DataFolder = None,
    samples: Annotated[int, Within(100)] | None = None,
    epochs: Epochs = 60,
    lr: Rate = 3e-3,
    batch_size: BatchSize = 128,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on two thirds of the districts, tests on a fifth, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        data: folder of the data sets; that of SMELT_DATA, or Smelt's cache, when None.
        samples: how many districts to use; all when None.
        epochs: passes over the training rows.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        batch_size: districts per step.
        seed: random seed of the split, the initial weights and the order.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the data are not there, or the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib, polars or safetensors is not installed.
    """
    plot.require()
    settings = {"samples": samples, "epochs": epochs, "lr": lr, "batch_size": batch_size}
    tables = split(load(data), samples, seed)
    prepare = Preprocessing().fit(tables[0].drop(TARGET))
    training, validation, test = (
        (prepare.transform(table), table.tensor(TARGET)[:, 0] / UNIT) for table in tables
    )
    manual_seed(seed)
    model = make_model(prepare)
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-2)
    steps = epochs * -(-len(tables[0]) // batch_size)
    run_folder = train.RunFolder(
        folder, model, {"recipe": "housing", **settings, "seed": seed}, resume=resume
    )
    history = train.fit(
        model,
        nn.MSELoss(),
        optimizer,
        training,
        epochs=epochs,
        batch_size=batch_size,
        validation=validation,
        metrics=["rmse"],
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps),
        scheduler_interval="step",
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    if history.interrupted:
        return Result({}, history, run_folder.training.update.steps)
    keep_preprocessing(run_folder.path, prepare.state_dict())
    predicted = train.predict(model, test).numpy()
    figures: dict[str, float | str] = {
        "test_rmse_in_dollars": error(predicted, test),
        "test_rmse_of_linear_regression": linear_regression(training, test, prepare),
        "test_rmse_of_gradient_boosting": gradient_boosting(training, test, prepare, seed),
    }
    train.save_predictions(run_folder.path, UNIT * test[1].numpy(), UNIT * predicted)
    draw(run_folder.path, history, predicted, test[1].numpy())
    return Result(figures, history, run_folder.training.update.steps)


def error(predicted: np.ndarray, part: Part) -> float:
    """Returns the root of the mean squared error, in dollars."""
    return UNIT * float(np.sqrt(((predicted - part[1].numpy()) ** 2).mean()))


def linear_regression(training: Part, test: Part, prepare: Preprocessing) -> float:
    """Returns the error of least-squares regression."""
    x, x_test = (flat(part[0], prepare.cardinalities).numpy() for part in (training, test))
    center = x.mean(0)  # so that the constant is the mean price
    y = training[1].numpy()
    slopes = np.linalg.lstsq(x - center, y - y.mean(), rcond=None)[0]
    return error((x_test - center) @ slopes + y.mean(), test)


def gradient_boosting(training: Part, test: Part, prepare: Preprocessing, seed: int) -> float | str:
    """Returns the error of scikit-learn's gradient boosting, with its default settings."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        return "scikit-learn is not installed"
    x, x_test = (flat(part[0], prepare.cardinalities).numpy() for part in (training, test))
    boosting = HistGradientBoostingRegressor(random_state=seed % (1 << 32))
    return error(boosting.fit(x, training[1].numpy()).predict(x_test), test)


def draw(folder: Path, history: train.History, predicted: np.ndarray, true: np.ndarray) -> None:
    """Draws the losses, and the estimates against the prices."""
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    chosen = slice(0, 1000)
    pairs = np.stack([true[chosen], predicted[chosen]], axis=1)
    off = (np.abs(pairs[:, 0] - pairs[:, 1]) > 0.5).astype(int)
    figure = plot.scatter(
        smelt.tensor(pairs),
        smelt.tensor(off),
        names=["within 50,000 dollars", "further off"],
        title="Price and estimate, in 100,000 dollars",
        x_label="price",
        y_label="estimate",
    )
    plot.save(figure, folder / "estimates.png")


class PricePredictor(nn.Module):
    """From the raw columns of the census to prices in dollars, float64 (n,).

    Args:
        model: the network.
        prepare: as it was fitted to the training rows.
    """

    def __init__(self, model: TableNetwork, prepare: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.columns: RawColumns = RawColumns(prepare)
        self.given: list[str] = [name for name, _ in self.columns.raw if name not in ADDED]

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        each = added({name: numbers[:, n] for n, name in enumerate(self.given)}, smelt.log)
        rows = smelt.cat([numbers, smelt.stack([each[name] for name in ADDED], 1)], 1)
        return self.model(**self.columns(rows, categories)).double() * UNIT


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run estimates: the price of houses in a district."""
    prepare = Preprocessing().load_state_dict(kept_preprocessing(folder))
    model = make_model(prepare)
    train.read_model(folder, model)
    module = PricePredictor(model, prepare).eval()
    numbers, categories = module.columns.inputs()
    columns = [one for one in numbers.facts["columns"] if one["name"] in module.given]
    numbers = numbers._replace(shape=(len(columns),), facts={"columns": columns})
    output = InferenceTensor("value", float64, (), {"target": TARGET, "unit": "dollars"})
    return Inference("housing", module, (numbers, categories), output, {"task": "regression"})
