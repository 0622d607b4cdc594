"""Early stopping, and the weights of the best epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.errors import ArgumentError

X, Y = np.ones((8, 1), np.float32), np.zeros((8, 1), np.float32)


class Scripted:
    """A validation that returns given figures, one after each epoch, and keeps the weights."""

    def __init__(self, name: str, figures: list[float], model: nn.Module) -> None:
        self.name, self.figures, self.model = name, figures, model
        self.weights: list[float] = []

    def __call__(self) -> dict[str, float]:
        self.weights.append(self.model.weight.item())
        return {self.name: self.figures[len(self.weights) - 1]}


def run(
    figures: list[float], name: str = "loss", **options: Any
) -> tuple[train.History, Scripted, train.EarlyStopping]:
    smelt.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    script = Scripted(name, figures, model)
    stop = train.EarlyStopping(**{"monitor": name, "patience": 2, **options})
    history = train.fit(
        model, F.mse_loss, optim.SGD(model.parameters(), lr=0.01), (X, Y), batch_size=8,
        epochs=len(figures), validation=script, callbacks=[stop], progress=False,
    )  # fmt: skip
    return history, script, stop


def test_it_ends_when_nothing_gets_better_and_goes_back_to_the_best() -> None:
    history, script, stop = run([3.0, 1.0, 2.0, 1.0, 0.5])
    assert len(history.epochs) == 4
    assert (stop.best, stop.best_epoch) == (1.0, 2)
    assert history.stopped == "held-out loss has not improved for 2 epochs (best: 1 in epoch 2)"
    assert script.model.weight.item() == script.weights[1] != script.weights[3]


def test_the_last_weights_stay_where_that_is_wanted() -> None:
    _, script, _ = run([3.0, 1.0, 2.0, 2.0], restore_best=False)
    assert script.model.weight.item() == script.weights[3]


def test_more_is_better_where_one_says_so() -> None:
    history, _, stop = run([0.1, 0.5, 0.4, 0.3, 0.2], name="score", mode="max")
    assert (len(history.epochs), stop.best_epoch) == (4, 2)
    with pytest.raises(ArgumentError, match="monitor='score': it is not known .* mode="):
        run([0.1, 0.2], name="score")


def test_too_little_better_does_not_count_and_nan_neither() -> None:
    history, _, stop = run([1.0, 0.95, 0.91, 0.5], min_delta=0.1)
    assert (len(history.epochs), stop.best_epoch) == (3, 1)
    history, _, stop = run([1.0, float("nan"), float("nan"), 0.5])
    assert (len(history.epochs), stop.best_epoch) == (3, 1)


def test_a_figure_that_is_not_there_is_named() -> None:
    with pytest.raises(
        ArgumentError,
        match="monitor='f1' is not measured; there are 'loss' of held-out data and 'train_loss'",
    ):
        run([1.0], monitor="f1")


@pytest.mark.parametrize(
    "options", [{"patience": 0}, {"mode": "least"}, {"min_delta": -1.0}, {"min_delta": np.nan}]
)
def test_settings_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(options))):
        train.EarlyStopping(**options)


def test_the_run_folder_keeps_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    smelt.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    script = Scripted("accuracy", [0.1, 0.9, 0.3], model)
    folder = train.RunFolder(tmp_path / "run", model, monitor="accuracy", mode="max")
    train.fit(
        model, F.mse_loss, optim.SGD(model.parameters(), lr=0.01), (X, Y), batch_size=8,
        epochs=3, validation=script, run=folder, progress=False,
    )  # fmt: skip
    found = nn.Linear(1, 1, bias=False)
    train.read_model(tmp_path / "run", found)
    assert found.weight.item() == script.weights[1]
    assert model.weight.item() == script.weights[2]
