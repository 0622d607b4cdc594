"""What `fit` says where data, arguments or a monitor do not fit: in terms of what it was given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.data import DataLoader, TensorDataset
from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = X[:, :1] * 2
LABELS = (X[:, 0] > 0).astype(np.int64)


def fitted(data: Any, loss: Any = F.mse_loss, outputs: int = 1, **options: Any) -> train.History:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, outputs))
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    settings = {"epochs": 1, "progress": False, **options}
    return train.fit(model, loss, optimizer, data, **settings)


def message_of(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("target", "loss", "outputs", "hint"),
    [
        (Y[:, 0], F.mse_loss, 1, r"(24, 1) and the target y of a batch (24,): give y[:, None] as"),
        (Y[:, 0], nn.L1Loss(), 1, "give y[:, None] as the target"),
        (Y[:, :, None], F.mse_loss, 1, "give y[..., 0] as the target"),
        (LABELS[:, None], F.cross_entropy, 2, "give y[:, 0] as the target"),
        (np.repeat(Y, 3, 1), F.mse_loss, 2, "the target y of a batch (24, 3)"),
    ],
)
def test_a_target_of_another_shape_than_the_output_is_named(
    target: Any, loss: Any, outputs: int, hint: str
) -> None:
    for data in ((X, target), DataLoader(TensorDataset(X, target), 24)):
        message = message_of(lambda data=data: fitted(data, loss, outputs), ShapeError)
        assert hint in message
        assert "In fit the model's output has the shape" in message
        assert f"at {__file__}" in message


def test_a_target_of_another_shape_is_named_in_an_evaluation() -> None:
    message = message_of(
        lambda: train.evaluate(nn.Linear(3, 1), (X, Y[:, 0]), loss=F.mse_loss), ShapeError
    )
    assert "In evaluate the model's output has the shape (24, 1)" in message


def test_labels_that_are_floats_are_named() -> None:
    message = message_of(lambda: fitted((X, Y[:, 0]), F.cross_entropy, 2), DTypeError)
    assert "In fit the target y is float32: give y.astype('int64') of an array" in message


def test_float64_data_are_named_and_not_a_layer() -> None:
    wide = X.astype(np.float64)
    for data in ((wide, Y), DataLoader(TensorDataset(wide, Y), 8)):
        message = message_of(lambda data=data: fitted(data), DTypeError)
        assert message.startswith("fit: the inputs are float64, which is NumPy's default, and the")
        assert "parameters float32; give x.astype('float32') of an array" in message
        assert "in module sequential.0" in message
    model = nn.Linear(3, 1)
    assert message_of(lambda: train.predict(model, wide), DTypeError).startswith("predict: the")
    message = message_of(lambda: train.evaluate(model, (wide, Y), ["mse"]), DTypeError)
    assert message.startswith("evaluate: the inputs are float64")
    assert train.predict(nn.Linear(3, 1).double(), wide).dtype is smelt.float64


def test_inputs_and_target_are_one_argument() -> None:
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for call in (
        lambda: train.fit(model, F.mse_loss, optimizer, X, Y, epochs=1),  # type: ignore[misc]
        lambda: train.find_learning_rate(model, F.mse_loss, optimizer, X, Y),  # type: ignore[misc]
        lambda: train.predict(model, X, Y),  # type: ignore[misc]
    ):
        message = message_of(call, ArgumentTypeError)
        assert "arrays are one argument, a tuple with the target last, such as (x, y)" in message
    message = message_of(lambda: train.evaluate(model, X, Y), ArgumentTypeError)
    assert "give inputs and target as one argument, the tuple (x, y)" in message


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("max_epoch", "did you mean 'epochs' for 'max_epoch'"),
        ("Epochs", "did you mean 'epochs' for 'Epochs'"),
        ("BATCH_SIZE", "did you mean 'batch_size' for 'BATCH_SIZE'"),
        ("mertics", "did you mean 'metrics' for 'mertics'"),
        ("val_data", "did you mean 'validation' for 'val_data'"),
        ("log_dir", "did you mean 'run' for 'log_dir'"),
        ("random_state", "did you mean 'seed' for 'random_state'"),
        ("lr", "write optim.Adam(model.parameters(), lr=...) as the optimizer"),
        ("patience", "write callbacks=[train.EarlyStopping(patience=...)]"),
        ("optim", "it takes (model, loss, optimizer, data, epochs"),  # optimizer is given
        ("dataset", "it takes (model, loss, optimizer, data, epochs"),  # and so is data
    ],
)
def test_a_keyword_of_another_name_gets_one_that_is_free(keyword: str, hint: str) -> None:
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    options: dict[str, Any] = {keyword: 1}
    message = message_of(
        lambda: train.fit(model, F.mse_loss, optimizer, (X, Y), **options), ArgumentTypeError
    )
    assert f"unexpected keyword argument {keyword!r}; {hint}" in message


@pytest.mark.parametrize(
    ("name", "near"),
    [("MAE", "mae"), ("Accuracy", "accuracy"), ("val_f1", "f1"), ("acc", "accuracy")],
)
def test_a_metric_gets_the_name_that_was_meant(name: str, near: str) -> None:
    with pytest.raises(ArgumentError, match=f"no metric '{name}'; did you mean '{near}'"):
        fitted((X, Y), validation=0.5, metrics=[name])


def test_a_monitor_that_is_not_measured_says_how_to_measure_it() -> None:
    def stopping(name: str, **options: Any) -> str:
        callbacks = [train.EarlyStopping(name)]
        return message_of(lambda: fitted((X, Y), callbacks=callbacks, **options), ArgumentError)

    nothing = stopping("loss")
    assert "monitor='loss': nothing is measured on held-out data; give fit validation=" in nothing
    assert "or monitor 'train_loss'" in nothing
    other = stopping("val_mae", validation=0.5)
    assert "there are 'loss' of held-out data and 'train_loss'; give fit metrics=['mae']" in other


@pytest.mark.parametrize(
    ("monitor", "title"),
    [
        ("loss", "held-out loss"),
        ("val_loss", "held-out loss"),
        ("held_out_loss", "held-out loss"),
        ("val_mae", "held-out mae"),
        ("train_loss", "training loss"),
    ],
)
def test_a_training_that_stops_early_says_why_in_plain_words(monitor: str, title: str) -> None:
    stop = train.EarlyStopping(monitor, patience=2, min_delta=1e6)
    history = fitted((X, Y), epochs=9, validation=0.5, metrics=["mae"], callbacks=[stop])
    assert len(history.epochs) == 3
    assert history.stopped.startswith(f"{title} has not improved for 2 epochs (best: ")
    assert history.stopped.endswith(" in epoch 1)")


def test_a_figure_that_is_never_a_number_ends_a_training_too() -> None:
    stop = train.EarlyStopping("score", patience=2, mode="max")
    history = fitted((X, Y), epochs=9, validation=lambda: {"score": np.nan}, callbacks=[stop])
    assert history.stopped == "held-out score was never a number in 2 epochs"


def test_a_loader_says_how_to_split_its_data() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=8)
    message = message_of(lambda: fitted(loader, validation=0.25), ArgumentError)
    assert "validation=0.25 cannot be split off a DataLoader" in message
    assert "training, held_out = data.random_split(dataset, [0.75, 0.25])" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"monitor": "mae"}, {"name": "held_out_mae", "mode": "min"}),
        ({"monitor": "val_r2", "mode": "max"}, {"name": "held_out_r2", "mode": "max"}),
        ({}, {"name": "loss", "mode": "min"}),  # that of EarlyStopping
    ],
)
def test_a_run_keeps_what_was_monitored(
    options: dict[str, Any], expected: dict[str, str], tmp_path: Path
) -> None:
    model = nn.Linear(3, 1)
    run = train.RunFolder(tmp_path / "run", model, **options)
    train.fit(
        model, F.mse_loss, optim.SGD(model.parameters(), lr=0.01), (X, Y), epochs=1, run=run,
        validation=0.5, metrics=["mae", "r2"], progress=False,
        callbacks=[train.EarlyStopping("train_loss")],
    )  # fmt: skip
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["monitor"] == expected
