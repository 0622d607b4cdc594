"""Evaluation and prediction: the kinds of data, the names of figures, how often is compiled."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, train
from smelt.data import DataLoader, Table, TensorDataset
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.train import held_out
from smelt.train.evaluate import evaluating


@pytest.fixture(params=[False, True], ids=["eager", "compiled"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with smelt.settings(compile=request.param):
        yield


X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 50)
MASK = np.arange(50) % 2 == 0


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Any, mask: Any = None) -> Any:
        logits = self.dropout(self.linear(x))
        return logits if mask is None else smelt.where(mask.unsqueeze(1), logits, 0.0)


@pytest.fixture(scope="module")
def model() -> Model:
    smelt.manual_seed(0)
    return Model()


def logits_of(model: Model) -> np.ndarray:
    return X @ model.linear.weight.detach().numpy().T + model.linear.bias.detach().numpy()


class Batches:
    """What can be gone through again and again, and is no dataset."""

    def __iter__(self) -> Iterator[Any]:
        return iter([(X[:20], Y[:20]), (X[20:], Y[20:])])


DATA = {
    "arrays": (X, Y),
    "tensors": (smelt.tensor(X), smelt.tensor(Y)),
    "TensorDataset": TensorDataset(X, Y),
    "list": [(x, int(y)) for x, y in zip(X, Y, strict=True)],
    "loader": DataLoader(TensorDataset(X, Y), batch_size=13, shuffle=True, num_workers=2),
    "iterable": Batches(),
    "a tuple as input": ((X,), Y),
    "a dict as input": ({"x": X}, Y),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("batch_size", [1024, 16])
def test_the_kinds_of_data(model: Model, data: Any, batch_size: int) -> None:
    right = np.mean(logits_of(model).argmax(1) == Y)
    evaluate = train.evaluator(
        model, data, ["accuracy"], loss=F.cross_entropy, batch_size=batch_size
    )
    for _ in range(2):
        found = evaluate()
        assert list(found) == ["loss", "accuracy"]
        assert found["accuracy"] == pytest.approx(right)
        loss = F.cross_entropy(smelt.tensor(logits_of(model)), Y).item()
        assert found["loss"] == pytest.approx(loss, rel=1e-5)
    if "loader" in str(type(data)).lower():  # its order is one of chance
        return
    outputs = train.predict(model, data, batch_size=batch_size)
    np.testing.assert_allclose(outputs.numpy(), logits_of(model), rtol=1e-4, atol=1e-5)


def test_several_inputs(model: Model) -> None:
    right = np.where(MASK[:, None], logits_of(model), 0)
    accuracy = np.mean(right.argmax(1) == Y)
    for data in ((X, MASK, Y), ((X, MASK), Y), ({"x": X, "mask": MASK}, Y), (X, {"mask": MASK}, Y)):
        assert train.evaluate(model, data, "accuracy")["accuracy"] == pytest.approx(accuracy)
        np.testing.assert_allclose(train.predict(model, data).numpy(), right, rtol=1e-4, atol=1e-5)
    outputs = train.predict(model, (X, MASK), has_target=False)
    np.testing.assert_allclose(outputs.numpy(), right, rtol=1e-4, atol=1e-5)
    named = train.predict(model, {"x": X, "mask": MASK})
    np.testing.assert_allclose(named.numpy(), right, rtol=1e-4, atol=1e-5)


def test_a_model_that_returns_the_loss_is_given_the_whole_batch() -> None:
    def loss(x: Any, y: Any) -> Any:
        return (x.sum(1) - y.float()).abs().mean()

    right = np.abs(X.sum(1) - Y).mean()
    for data in ((X, Y), {"x": X, "y": Y}, DataLoader(TensorDataset(X, Y), batch_size=7)):
        assert train.evaluate(loss, data) == {"loss": pytest.approx(right, rel=1e-6)}


def test_the_model_is_looked_at_in_evaluation_mode_and_left_as_it_was(model: Model) -> None:
    assert model.training
    assert train.evaluate(model, (X, Y), "accuracy") == train.evaluate(model, (X, Y), "accuracy")
    with pytest.raises(ShapeError):
        train.evaluate(model, (X[:, :3], Y), "accuracy")
    assert model.training
    assert model.dropout.training
    with evaluating(len):
        assert not smelt.is_grad_enabled()


def test_several_figures_stand_under_names_of_their_own() -> None:
    class Range(train.Metric):
        rows = True

        def measure(self, output: Any, target: Any) -> Any:
            return output

        def compute(self, total: Any) -> Any:
            return {"low": total.min(), "high": total.max()}

    found = train.evaluate(lambda x: x[:, 0], (X, Y), [Range()], batch_size=20)
    assert found == {"range_low": X[:, 0].min(), "range_high": X[:, 0].max()}
    matrix = train.evaluate(lambda x: x[:, :3], (X, Y), "confusion_matrix")["confusion_matrix"]
    assert matrix.shape == (3, 3)
    assert matrix.sum() == 50


def test_several_outputs_are_predicted() -> None:
    outputs = train.predict(
        lambda x: {"twice": x * 2, "sums": (x.sum(1), None)}, (X, Y), batch_size=20
    )
    np.testing.assert_allclose(outputs["twice"].numpy(), 2 * X)
    assert outputs["sums"][0].shape == (50,)
    assert outputs["sums"][1] is None


def test_an_evaluator_sees_the_model_change() -> None:
    line = nn.Linear(4, 3)
    evaluate = train.evaluator(line, (X, Y), loss=F.cross_entropy)
    before = evaluate()
    with smelt.no_grad():
        line.weight.mul_(3.0)
    assert evaluate() != before


@pytest.mark.parametrize(
    ("count", "most", "size"),
    [(360, 1024, 360), (10_000, 1024, 1000), (1500, 1024, 750), (1031, 1024, 1024), (5, 1, 1)],
)
def test_batches_are_equally_long_where_they_can_be(count: int, most: int, size: int) -> None:
    batches = held_out.batches(np.zeros(count), most, "evaluate")
    assert [len(batch) for batch in batches][:-1] == [size] * ((count - 1) // size)


def test_metrics_need_no_more_versions_than_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    batches = [
        (generator.normal(size=(3, n, 5)).astype(np.float32), generator.integers(0, 5, (3, n)))
        for n in range(20, 32)
    ]
    kinds = (
        train.Accuracy,
        train.F1Score,
        train.ConfusionMatrix,
        train.Perplexity,
        train.ExpectedCalibrationError,
        train.AUROC,
    )
    metrics = [*(kind(dim=-1) for kind in kinds), train.TopKAccuracy(2, dim=-1)]
    compiled: list[Any] = []

    def noted(function: Any) -> Any:
        compiled.append(smelt.compile(function))
        return compiled[-1]

    monkeypatch.setattr(importlib.import_module("smelt.train.evaluate"), "compile", noted)
    train.predict(lambda x: x.softmax(-1).sum(1), iter(batches))
    train.evaluate(lambda x: x, iter(batches), metrics)
    alone, measured = compiled
    assert measured.traces <= max(alone.traces, 1)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (
            (X, Y[:3]),
            ShapeError,
            r"evaluate: all arrays must have the same first extent.*\(50, 4\), \(3,\)",
        ),
        ((X, 3.0), ArgumentError, "a tuple of data must hold arrays, but this one holds a float"),
        ((), ShapeError, "got the shapes none"),
        ((X[:0], Y[:0]), ArgumentError, "there are no samples"),
        ([], ArgumentError, "no samples in a list"),
        (iter([]), ArgumentError, "there are no samples to measure"),
        (X, ArgumentError, "a batch that is a Tensor has no target"),
        ({"x": X, "y": Y}, ArgumentError, "a batch that is a dict .* has no last part"),
        (TensorDataset(X), ArgumentError, "has 1 part"),
        (3, ArgumentTypeError, "an int holds no samples"),
        (Table({"a": [1.0], "b": [2.0]}), ArgumentTypeError, r"table.dataset\('column'\)"),
    ],
)
def test_data_that_cannot_be_evaluated_are_refused(
    model: Model, data: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        train.evaluate(model, data, "accuracy")


def test_other_mistakes(model: Model) -> None:
    with pytest.raises(ArgumentError, match="batch_size=0"):
        train.evaluate(model, (X, Y), "accuracy", batch_size=0)
    with pytest.raises(ArgumentError, match="a metric is called 'loss'"):
        train.evaluate(model, (X, Y), {"loss": "accuracy"}, loss=F.cross_entropy)
    with pytest.raises(ArgumentError, match="predict: there are no samples"):
        train.predict(model, iter([]))
    with pytest.raises(
        ShapeError, match=r"predict: the outputs of the batches have the shapes \(\)"
    ):
        train.predict(lambda x: x.sum(), X)
    with pytest.raises(ShapeError, match="must be the same in all batches"):
        train.predict(lambda x: x, iter([np.ones((2, 3)), np.ones((2, 4))]))
    with pytest.raises(ArgumentTypeError, match="misspelled|batchsize"):
        train.evaluate(model, (X, Y), "accuracy", batchsize=3)


def test_the_order_of_before_works_and_warns(model: Model) -> None:
    with pytest.warns(DeprecationWarning, match=r"evaluator\(model, data, metrics\)"):
        evaluate = train.evaluator(model, {"accuracy": train.accuracy}, TensorDataset(X, Y))
    assert evaluate() == pytest.approx(train.evaluate(model, (X, Y), "accuracy"))
