"""What a training keeps for its report: predictions, a summary, where the time went."""

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
from smelt.errors import ArgumentError, FileError, ShapeError
from smelt.random import get_rng_state
from smelt.train.predictions import PREDICTIONS, WORST

pytest.importorskip("safetensors")


def fitted(folder: Path, model: nn.Module, loss: Any, data: Any, **options: Any) -> Path:
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    given = {"epochs": 2, "validation": data, **options}
    train.fit(model, loss, optimizer, data, run=folder, progress=False, **given)
    return folder


X = smelt.randn(40, 3, generator=smelt.Generator(3))
LABELS = (X[:, 0] > 0).to(smelt.int64)


def test_a_classifier_leaves_probabilities_of_held_out_data(tmp_path: Path) -> None:
    model = nn.Linear(3, 4)
    found = train.read_predictions(fitted(tmp_path, model, F.cross_entropy, (X, LABELS)))
    chances = F.softmax(train.predict(model, X), dim=1).numpy()
    assert found.kind == "classification"
    assert (found.target == LABELS.numpy()).all()
    assert (found.predicted == chances.argmax(1)).all()
    np.testing.assert_allclose(found.probability, chances.max(1), rtol=1e-5)
    wrong = np.flatnonzero(found.predicted != found.target)
    assert set(found.worst) <= set(wrong)
    assert len(found.worst) == min(WORST, len(wrong))
    assert (np.diff(found.target_probability[found.worst]) >= 0).all()
    assert found.inputs is not None
    np.testing.assert_array_equal(found.inputs, X.numpy()[found.worst])


@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), nn.BCELoss()])
def test_yes_and_no_are_two_classes(loss: Any, tmp_path: Path) -> None:
    last = nn.Sigmoid() if isinstance(loss, nn.BCELoss) else nn.Identity()
    data = X, LABELS.to(smelt.float32).unsqueeze(1)
    found = train.read_predictions(
        fitted(tmp_path, nn.Sequential(nn.Linear(3, 1), last), loss, data)
    )
    assert found.kind == "classification"
    assert ((found.probability >= 0.5) & (found.probability <= 1)).all()


def test_numbers_are_a_regression_the_largest_error_first(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    found = train.read_predictions(fitted(tmp_path, model, nn.MSELoss(), (X, 9 * X[:, :2])))
    assert found.kind == "regression"
    error = np.abs(train.predict(model, X).numpy() - 9 * X.numpy()[:, :2]).max(1)
    assert found.worst.tolist() == np.argsort(-error, kind="stable")[:WORST].tolist()


def test_tokens_count_one_by_one_without_those_that_are_ignored(tmp_path: Path) -> None:
    tokens = smelt.tensor(np.arange(60).reshape(10, 6) % 7)
    target = smelt.where(tokens == 0, -100, tokens)
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))

    def loss(output: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        return F.cross_entropy(output.reshape(-1, 7), target.reshape(-1))

    found = train.read_predictions(fitted(tmp_path, model, loss, (tokens, target)))
    assert found.is_text
    assert found.target.tolist() == [each % 7 for each in range(60) if each % 7]


def identity(output: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
    return ((output - target) ** 2).mean()


@pytest.mark.parametrize(
    ("model", "loss", "data"),
    [
        (lambda: nn.Linear(3, 100), identity, (X, smelt.zeros(40, 100))),
        (lambda: nn.Linear(3, 2), nn.BCEWithLogitsLoss(), (X, smelt.zeros(40, 2))),
    ],
)
def test_what_is_no_table_of_answers_is_not_kept(
    model: Callable[[], nn.Module], loss: Any, data: Any, tmp_path: Path
) -> None:
    assert not (fitted(tmp_path, model(), loss, data) / PREDICTIONS).exists()


def test_without_held_out_data_nothing_is_predicted(tmp_path: Path) -> None:
    for name, validation in (("none", None), ("function", lambda: {"loss": 1.0})):
        run = fitted(
            tmp_path / name, nn.Linear(3, 4), F.cross_entropy, (X, LABELS), validation=validation
        )
        assert not (run / PREDICTIONS).exists()


def test_the_predictions_are_those_of_the_weights_that_are_kept(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    run = train.RunFolder(tmp_path, model, monitor="loss", mode="max", classes=["a", "b"])
    fitted(run, model, F.cross_entropy, (X, LABELS), epochs=4)  # type: ignore[arg-type]
    best = nn.Linear(3, 2)
    train.read_model(tmp_path, best)
    found = train.read_predictions(tmp_path)
    chances = F.softmax(train.predict(best, X), dim=1).numpy()
    np.testing.assert_allclose(found.probability, chances.max(1), rtol=1e-5)
    assert found.classes == ("a", "b")
    assert not np.allclose(best.weight.numpy(), model.weight.numpy())


def test_keeping_predictions_draws_nothing_from_the_default_generator(tmp_path: Path) -> None:
    states = []
    for run in (None, tmp_path / "run"):
        smelt.manual_seed(1)
        loader = DataLoader(TensorDataset(X, LABELS), 8, shuffle=True)
        fitted(run, nn.Linear(3, 2), F.cross_entropy, (X, LABELS), validation=loader)  # type: ignore[arg-type]
        states.append(get_rng_state().numpy())
    np.testing.assert_array_equal(*states)


def test_names_and_texts_come_back(tmp_path: Path) -> None:
    chances = [[0.9, 0.1], [0.3, 0.7], [0.8, 0.2]]
    train.save_predictions(
        tmp_path, [0, 0, 1], chances, classes=["no", "yes"], texts=["a", "b", "c"], source="dev"
    )
    found = train.read_predictions(tmp_path)
    assert (found.classes, found.source, found.total) == (("no", "yes"), "dev", 3)
    assert found.worst.tolist() == [2, 1]
    assert found.texts == ("c", "b")


def test_only_the_first_samples_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smelt.train.predictions.KEPT", 5)
    train.save_predictions(tmp_path, np.zeros(9), np.ones(9))
    found = train.read_predictions(tmp_path)
    assert (found.total, found.target.shape) == (9, (5, 1))


@pytest.mark.parametrize(
    ("target", "output", "more", "kind", "message"),
    [
        ([0, 1], [[0.5, 0.5]], {}, ShapeError, "output has 1 samples"),
        ([0, 2], [[0.5, 0.5]] * 2, {}, ArgumentError, "classes 0 to 2"),
        ([0, -1], [[0.5, 0.5]] * 2, {}, ArgumentError, "classes -1 to 0"),
        ([0, 1], [[0.5, 0.5]] * 2, {"classes": ["a"]}, ArgumentError, "1 names"),
        ([0, 1], [[0.5, 0.5]] * 2, {"texts": ["a"]}, ShapeError, "texts has 1 samples"),
        ([0, 1], [[0.5, 0.5]] * 2, {"inputs": [1.0]}, ShapeError, "inputs has 1 samples"),
        ([0.5, 1.0], [[0.5], [0.5]], {}, ShapeError, "must have the same"),
        (0.5, [0.5], {}, ShapeError, "target has shape"),
    ],
)
def test_what_does_not_fit_is_refused(
    target: Any, output: Any, more: dict[str, Any], kind: type, message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        train.save_predictions(tmp_path, target, output, **more)
    assert list(tmp_path.iterdir()) == []


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        train.read_predictions(tmp_path)
    from smelt.export.safetensors import save_file

    save_file({"target": smelt.zeros(3)}, tmp_path / PREDICTIONS)
    with pytest.raises(FileError, match="is damaged, or not a file of predictions"):
        train.read_predictions(tmp_path)
    train.save_predictions(tmp_path, [0, 1], [[0.5, 0.5]] * 2)
    from smelt.export.safetensors import load_file, read_metadata

    facts, tensors = read_metadata(tmp_path / PREDICTIONS), load_file(tmp_path / PREDICTIONS)
    facts = {"smelt.predictions": facts["smelt.predictions"]}
    for name, wrong in (
        ("worst", smelt.tensor([7])),
        ("target", smelt.tensor([0, 1, 1])),
        ("predicted", smelt.tensor([-1, 0])),
    ):
        save_file({**tensors, name: wrong}, tmp_path / PREDICTIONS, facts)
        with pytest.raises(FileError, match="is damaged"):
            train.read_predictions(tmp_path)


def test_the_summary_says_what_was_trained_on_what(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    fitted(tmp_path, model, F.cross_entropy, (X, LABELS))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["model"]["parameters"] == 3 * 5 + 5 + 5 * 2 + 2
    assert [each["kind"] for each in summary["model"]["layers"]] == ["Linear", "ReLU", "Linear"]
    assert (summary["loss"], summary["optimizer"]) == ("cross_entropy", "SGD")
    assert summary["data"]["training"] == {
        "kind": "arrays",
        "samples": 40,
        "arrays": [
            {"shape": [40, 3], "dtype": "float32"},
            {"shape": [40], "dtype": "int64"},
        ],
    }


def test_each_call_of_fit_says_where_its_time_went(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(X, LABELS), 8)
    for epochs, resume in ((2, False), (4, True)):
        smelt.manual_seed(0)
        model = nn.Linear(3, 2)
        fitted(
            tmp_path, model, F.cross_entropy, loader,
            validation=(X, LABELS), epochs=epochs, resume=resume,
        )  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    for row in rows:
        parts = [value for name, value in row.items() if name != "seconds"]
        assert sum(parts) == pytest.approx(row["seconds"], rel=0.05)
        assert min(parts) >= 0
        assert row["data"] > 0
        assert row["validation"] > 0


def test_examples_are_those_of_the_samples_that_count(tmp_path: Path) -> None:
    labels = LABELS.numpy().copy()
    labels[::3] = 9  # ignored
    loader = DataLoader(TensorDataset(X, smelt.tensor(labels)), 8)  # several batches
    loss = nn.CrossEntropyLoss(ignore_index=9)
    found = train.read_predictions(
        fitted(tmp_path, nn.Linear(3, 4), loss, (X, smelt.tensor(labels)), validation=loader)
    )
    counted = np.flatnonzero(labels != 9)
    assert found.target.tolist() == labels[counted].tolist()
    assert found.inputs is not None
    np.testing.assert_array_equal(found.inputs, X.numpy()[counted[found.worst]])
