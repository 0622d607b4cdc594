"""What a metric of a user's own may do, and what it is told when it does something else."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import train
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError, SmeltError
from smelt.train.metrics import FunctionMetric, Metric, Total, as_metric, as_metrics


class MeanError(train.Metric):
    def measure(self, output: Any, target: Any) -> Any:
        return {"sum": (output - target).sum(), "count": smelt.ones_like(target).sum()}

    def compute(self, total: Any) -> Any:
        return total["sum"] / total["count"]


def test_its_name_is_that_of_the_class() -> None:
    assert MeanError().name == "mean_error"
    names = [train.AUROC, train.F1Score, train.R2Score, train.FBetaScore, train.BLEU]
    assert [kind.name for kind in names] == [
        "auroc",
        "f1_score",
        "r2_score",
        "f_beta_score",
        "bleu",
    ]
    assert train.TopKAccuracy(3).name == "top_3_accuracy"

    class Other(MeanError):
        name = "bias"

    assert Other().name == "bias"


def test_sums_are_in_float64_and_int64() -> None:
    class Kept(MeanError):
        def measure(self, output: Any, target: Any) -> Any:
            return output.sum(), (target > 0).sum().to(smelt.int32), output.to(smelt.float16).sum()

        def compute(self, total: Any) -> Any:
            assert [array.dtype.name for array in total] == ["float64", "int64", "float64"]
            return total[0]

    metric, total = Kept(), Total(Kept())
    for value in (1e8, 1.0, 1.0):  # float32 would drop the ones
        total.add(metric.measure(smelt.tensor([value]), smelt.tensor([1])))
    assert total.figure() == 1e8 + 2


def test_a_division_by_zero_is_nan_and_does_not_warn() -> None:
    class Share(MeanError):
        def measure(self, output: Any, target: Any) -> Any:
            return {"sum": output.sum() * 0.0, "count": target.sum() * 0.0}

    assert math.isnan(Share()([1.0], [1.0]))


def test_it_can_measure_a_part_of_the_outputs() -> None:
    metric = train.Accuracy().of(lambda output, target: (output["class"], target[0]))
    assert metric.name == "accuracy"
    assert metric.higher_is_better
    data = (np.eye(3, dtype=np.float32), (np.arange(3), np.zeros(3)))
    assert train.evaluate(lambda x: {"class": x, "other": x}, data, metric) == {"accuracy": 1.0}
    ranking = train.AUROC().of(lambda output, target: (output[0], target))
    assert ranking((np.array([1.0, 2.0]),), np.array([0, 1])) == 1.0


def measuring(value: Any, rows: bool = False, figure: Any = 0.0) -> Metric:
    class Given(Metric):
        def measure(self, output: Any, target: Any) -> Any:
            return value(output)

        def compute(self, total: Any) -> Any:
            return figure

    Given.rows = rows
    return Given()


@pytest.mark.parametrize(
    ("metric", "error", "words"),
    [
        (measuring(lambda x: 3.0), ArgumentTypeError, "must return Tensors.*returned a float"),
        (measuring(lambda x: x.sum(), rows=True), ShapeError, "rows need a first axis"),
        (measuring(lambda x: x, figure="a"), ArgumentTypeError, "compute must return .* a str"),
        (measuring(lambda x: x, figure=None), ArgumentTypeError, "a NoneType"),
    ],
)
def test_what_is_no_measurement_is_refused(
    metric: Metric, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=f"given: .*{words}"):
        metric([1.0], [1.0])


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (measuring(lambda x: x), r"shapes \(3,\) and \(2,\): .*set rows = True"),
        (measuring(lambda x: x.unsqueeze(0), rows=True), "one shape behind the first axis"),
        (measuring(lambda x: {f"{len(x)}": x}), "has changed: it lacks the key '3'"),
    ],
)
def test_batches_that_do_not_fit_together_are_refused(metric: Metric, words: str) -> None:
    batches = [(np.ones(n), np.ones(n)) for n in (3, 2)]
    with pytest.raises(ShapeError, match=f"given: .*{words}"):
        train.evaluate(lambda x: x, iter(batches), metric)


def test_names_functions_and_metrics_are_metrics() -> None:
    metric = train.Accuracy()
    assert as_metric(metric) is metric
    assert isinstance(as_metric("f1"), train.F1Score)
    assert as_metric(smelt.nn.functional.mse_loss).name == "mse_loss"
    assert list(as_metrics({"a": "f1", "b": lambda x, y: x.sum()})) == ["a", "b"]
    assert list(as_metrics(["f1", "rmse", metric])) == ["f1", "rmse", "accuracy"]
    assert list(as_metrics("accuracy")) == list(as_metrics(metric)) == ["accuracy"]
    assert isinstance(as_metrics(smelt.nn.MSELoss())["MSELoss"], FunctionMetric)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("acuracy", ArgumentError, "there is no metric 'acuracy'; did you mean 'accuracy'?"),
        ("zzz", ArgumentError, "there are accuracy, auroc"),
        (["f1", train.Accuracy(), train.Accuracy()], ArgumentError, "two metrics are .*'accuracy'"),
        ([lambda x, y: x], ArgumentTypeError, "<lambda> needs a name; give a dict"),
        (train.Accuracy, ArgumentTypeError, r"give a metric, Accuracy\(\)"),
        ([3], ArgumentTypeError, "an int is not a metric"),
        ({"a": None}, ArgumentTypeError, "a NoneType is not a metric"),
    ],
)
def test_what_is_no_metric_is_refused(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        as_metrics(given)


def test_functions_must_return_a_number_for_samples() -> None:
    with pytest.raises(ArgumentTypeError, match="number: the function must return a Tensor"):
        as_metric(lambda x, y: 3.0, "number")([1.0], [1.0])
    with pytest.raises(ShapeError, match="the number of samples"):
        as_metric(lambda x, y: x, "single")(1.0, 1.0)


def test_it_shows_its_settings() -> None:
    assert repr(train.R2Score()) == "R2Score(multioutput='uniform_average')"


KINDS = sorted(
    {kind for kind in vars(train).values() if isinstance(kind, type) and issubclass(kind, Metric)}
    - {Metric, train.ClassificationMetric, train.BLEU},
    key=lambda kind: kind.__name__,
)
ODD: list[Any] = [
    None,
    "abc",
    3,
    [],
    [[1, 2], [3]],
    {"a": 1},
    (),
    object(),
    np.array(["a"]),
    np.ones((2, 3)),
    np.ones((2, 3), np.int64),
    np.ones(()),
    np.array([0, 1]),
    np.array([1.5, 2.0]),
    np.ones((2, 3, 4)),
    np.ones((2, 0)),
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_raw_error_escapes(kind: Any) -> None:
    metric = kind(beta=2.0) if kind is train.FBetaScore else kind()
    for output, target in itertools.product(ODD, ODD):
        with contextlib.suppress(SmeltError):
            metric(output, target)
    first = next(iter(inspect.signature(kind).parameters), None)
    for wrong in ("a", None, -3, 3.5, np.array([1, 2]), object(), [1], math.nan):
        if first is not None:
            with contextlib.suppress(SmeltError):
                kind(wrong) if first not in ("dim", "options") else kind(dim=wrong)
