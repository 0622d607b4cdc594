"""Titanic: a multilayer perceptron predicts who of 891 passengers survived, by cross-validation.

Its inputs are a passenger's class, sex, age, number of siblings and spouses aboard, number of
parents and children aboard, fare, harbor, and the title in the name (Mr, Mrs, Miss, Master, or
another). Ages are missing for 177; filled-in values, scaling and encoding are computed from the
training rows of each fold.

First one network is trained on all passengers, and saved in the folder. Then five networks are each
trained on four fifths of them and tested on the remaining fifth; the accuracy is that of all 891
predictions. With so few passengers the folds matter: other seeds give about one percentage point
more or less. Settings were fixed beforehand. Logistic regression is evaluated on the same folds for
comparison; on so few rows it is as good.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import Preprocessing, Table, load_titanic
from smelt.dtypes import float32
from smelt.export.inference import Inference, InferenceTensor
from smelt.random import manual_seed
from smelt.recipes.linear import logistic_regression
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

__all__ = ["inference", "make_model", "run", "title"]

TARGET, CLASSES = "Survived", 2
KINDS = ["died", "survived"]
FOLDS = 5
TITLES = ("Mr", "Mrs", "Miss", "Master")
SAME = {"Mlle": "Miss", "Ms": "Miss", "Mme": "Mrs"}
COLUMNS = {  # and what they are
    "Pclass": "category",
    "Sex": "category",
    "Title": "category",
    "Age": "number",
    "SibSp": "number",
    "Parch": "number",
    "Fare": "number",
    "Embarked": "category",
}
WIDTH, DROPOUT = 32, 0.3


def title(name: str) -> str:
    """Returns the title in a name, such as "Braund, Mr. Owen Harris"."""
    found = re.search(r", ([^.]*)\.", name)
    word = found.group(1).split()[-1] if found else ""
    word = SAME.get(word, word)
    return word if word in TITLES else "other"


def load(folder: DataFolder) -> Table:
    """Returns the columns that the network gets, and which passengers survived."""
    table = load_titanic(folder)
    added = {"Title": [title(name) for name in table["Name"]], "Fare": np.log1p(table["Fare"])}
    return table.with_columns(added).select(*COLUMNS, TARGET)


def folds(table: Table, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the rows for training and those for testing, so that each row is tested once, with the
    same share of survivors in each fold.
    """
    random, survived = np.random.default_rng(seed), np.asarray(table[TARGET])
    order = random.permutation(len(table))
    order = order[np.argsort(survived[order], kind="stable")]
    for fold in range(FOLDS):
        test = order[fold::FOLDS]
        yield np.setdiff1d(order, test), test


def make_model(prepare: Preprocessing) -> TableNetwork:
    """Returns the network for the columns of a table with initial weights; it gives logits (n,
    2).
    """
    numbers = len(prepare.get_feature_names_out()["numbers"])
    return TableNetwork(numbers, prepare.cardinalities, WIDTH, CLASSES, DROPOUT)


def run(
    folder: str | os.PathLike[str],
    *,
    data: DataFolder = None,
    epochs: Epochs = 40,
    lr: Rate = 3e-3,
    batch_size: BatchSize = 64,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on all passengers, cross-validates, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        data: folder of the data sets; that of SMELT_DATA, or Smelt's cache, when None.
        epochs: passes over the passengers.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        batch_size: passengers per step.
        seed: random seed of the folds, the initial weights and the order.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the data are not there, or the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib, polars or safetensors is not installed.
    """
    plot.require()
    settings = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    table = load(data)
    manual_seed(seed)
    prepare = Preprocessing(types=COLUMNS).fit(table.drop(TARGET))
    model, prepared = make_model(prepare), prepare.state_dict()
    run_folder = train.RunFolder(folder, model, {"recipe": "titanic", **settings}, resume=resume)
    history = learn(
        model,
        prepare,
        table,
        settings,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
    )
    steps = run_folder.training.update.steps
    if history.interrupted:
        return Result({}, history, steps)
    chances, logistic_answers = np.zeros((len(table), CLASSES)), np.zeros(len(table), int)
    for rows, test in folds(table, seed):
        prepare = Preprocessing(types=COLUMNS).fit(table.rows(rows).drop(TARGET))
        model = make_model(prepare)
        if learn(model, prepare, table.rows(rows), settings).interrupted:
            history.interrupted = True
            return Result({}, history, steps)
        x = prepare.transform(table.rows(test))
        chances[test] = F.softmax(train.predict(model, x, has_target=False), dim=1).numpy()
        logistic_answers[test] = logistic(prepare, table.rows(rows), table.rows(test))
    answers = {"network": chances.argmax(1), "logistic": logistic_answers}
    survived = np.asarray(table[TARGET]).astype(int)
    keep_preprocessing(run_folder.path, prepared)
    source = "cross-validated"
    train.save_predictions(run_folder.path, survived, chances, classes=KINDS, source=source)
    draw(run_folder.path, history, answers["network"], survived)
    right = {name: float((given == survived).mean()) for name, given in answers.items()}
    figures = {
        "cross_validated_accuracy": right["network"],
        "cross_validated_accuracy_of_logistic_regression": right["logistic"],
        "accuracy_of_always_saying_no": float(1 - survived.mean()),
    }
    return Result(figures, history, steps)


def learn(
    model: TableNetwork, prepare: Preprocessing, table: Table, settings: Any, **options: Any
) -> train.History:
    """Trains a network on the rows of a table; `options` are those of `fit`."""
    x, y = prepare.transform(table), table.tensor(TARGET, dtype="int64")[:, 0]
    optimizer = optim.AdamW(model.parameters(), lr=settings["lr"], weight_decay=1e-2)
    epochs, batch_size = settings["epochs"], settings["batch_size"]
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    return train.fit(
        model,
        F.cross_entropy,
        optimizer,
        (x, y),
        epochs=epochs,
        batch_size=batch_size,
        scheduler=schedule,
        progress=False,
        **options,
    )


def logistic(prepare: Preprocessing, training: Table, test: Table) -> np.ndarray:
    """Returns the predictions of logistic regression on the same columns for `test`, (n,)."""
    x, x_test = (
        flat(prepare.transform(table), prepare.cardinalities) for table in (training, test)
    )
    y = training.tensor(TARGET, dtype="int64")[:, 0]
    model = logistic_regression(x, y, CLASSES, epochs=100)
    return train.predict(model, x_test, has_target=False).argmax(1).numpy()


def draw(folder: Path, history: train.History, said: np.ndarray, survived: np.ndarray) -> None:
    """Draws the loss on all passengers, and the cross-validated confusion matrix."""
    confusion = train.confusion_matrix(said, survived, CLASSES)
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    plot.save(plot.confusion(confusion, KINDS), folder / "confusion.png")


class PassengerPredictor(nn.Module):
    """From raw columns to probabilities (n, 2).

    Args:
        model: the network.
        prepare: as it was fitted to all passengers.
    """

    def __init__(self, model: TableNetwork, prepare: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.columns: RawColumns = RawColumns(prepare)

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        return F.softmax(self.model(**self.columns(numbers, categories)), dim=1)


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run predicts: the probability to survive."""
    prepare = Preprocessing().load_state_dict(kept_preprocessing(folder))
    model = make_model(prepare)
    train.read_model(folder, model)
    module = PassengerPredictor(model, prepare).eval()
    facts = {
        "task": "classification",
        "title": "the last word between the comma and the next period of a name; Mlle and Ms count "
        "as Miss, Mme as Mrs, and titles without an index as other",
    }
    output = InferenceTensor(
        "probabilities", float32, (CLASSES,), {"target": TARGET, "classes": KINDS}
    )
    return Inference("titanic", module, module.columns.inputs(), output, facts)
