"""Figures for TensorBoard and MLflow, and one seed for all."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.errors import ArgumentError, MissingExtra

X, Y = np.ones((8, 1), np.float32), np.zeros((8, 1), np.float32)


def trained(callback: train.Callback) -> train.History:
    model = nn.Linear(1, 1)
    return train.fit(
        model, F.mse_loss, optim.SGD(model.parameters(), lr=0.01), (X, Y), batch_size=8, epochs=3,
        validation=lambda: {"accuracy": 0.5, "broken": float("nan")}, callbacks=[callback],
        progress=False,
    )  # fmt: skip


def test_tensorboard_gets_a_curve_of_each_figure(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    trained(train.TensorBoardLogger(tmp_path / "logs"))
    (file,) = (tmp_path / "logs").iterdir()
    content = file.read_bytes()
    assert content.count(b"held_out_accuracy") == 3
    assert content.count(b"broken") == 0


@pytest.mark.filterwarnings("ignore")
def test_mlflow_gets_settings_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    mlflow = pytest.importorskip("mlflow")
    uri = (tmp_path / "mlruns").as_uri()
    history = trained(train.MLflowLogger({"lr": 0.01}, tracking_uri=uri))
    (run,) = mlflow.search_runs(output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "3", "lr": "0.01"}
    assert run.data.metrics["loss"] == pytest.approx(history.epochs[-1].loss)
    assert run.data.metrics["held_out_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("logger", "library"),
    [(lambda: train.TensorBoardLogger("x"), "tensorboardX"), (train.MLflowLogger, "mlflow")],
)
def test_a_missing_library_is_named_by_its_extra(logger, library, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=r"pip install 'smelt-learn\[(tensorboard|mlflow)\]"):
        logger()


def test_one_seed_for_all() -> None:
    def drawn() -> tuple[float, float, float]:
        train.seed_everything(3)
        return random.random(), np.random.rand(), smelt.rand(1).item()

    assert drawn() == drawn()
    for seed in (-1, 1 << 32, 0.5):
        with pytest.raises(ArgumentError, match="between 0 and"):
            train.seed_everything(seed)  # type: ignore
