"""Evaluation and prediction on data that a model is not trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from smelt import tree
from smelt.compiler import compile
from smelt.data import DataLoader
from smelt.errors import ArgumentError, ShapeError
from smelt.location import warn
from smelt.nn.functional import binary_cross_entropy
from smelt.nn.loss import BCELoss
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.checked import checked
from smelt.tensor.shaping import cat
from smelt.tracing.engine import no_grad
from smelt.train import held_out
from smelt.train.batch import call, listed, parts, split
from smelt.train.measured import measured_by_all
from smelt.train.metrics import (
    ClassificationMetric,
    Figure,
    FunctionMetric,
    Metric,
    Total,
    as_metrics,
)
from smelt.train.misfit import of_inputs, of_target

__all__ = ["Function", "evaluate", "evaluating", "evaluator", "predict"]

Function = Callable[[Any, Any], Tensor]  # (the model's output, what it should be) -> a number


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Within the block a model is in evaluation mode and no gradients are computed.

    Args:
        model: a Module; for any other function only gradients are switched off.
    """
    modules = list(model.modules()) if isinstance(model, Module) else []
    before = [(module, module.training) for module in modules]
    try:
        if isinstance(model, Module):
            model.eval()
        with no_grad():
            yield
    finally:
        for module, training in before:
            module.training = training


@checked
def evaluate(
    model: Callable[..., Any],
    data: Any,
    metrics: Any = (),
    *,
    loss: Function | None = None,
    batch_size: int = held_out.BATCH,
) -> dict[str, Any]:
    """Returns the metrics of a model on data: name -> value.

    Model and metrics are compiled together. The values are exact: those of all data at once,
    however they are divided into batches. To evaluate repeatedly, use `evaluator`.

    Args:
        model: a Module, which is in evaluation mode meanwhile, or any function of the inputs.
        data: a tuple of arrays of equal length, the last of them the target, such as (x, y); a
            dataset whose samples are such tuples; or a DataLoader. Inputs that are tuples or dicts
            are unpacked into the model's arguments: ((x, mask), y), ({"x": x, "mask": m}, y).
        metrics: a dict, name -> metric; a list of metrics; or a single one. A metric is a `Metric`,
            a function (output, target) -> mean over the samples of a batch, or a name: "accuracy",
            "f1", "rmse", ...
        loss: one more such function, whose value is called "loss". With `nn.BCELoss` the outputs
            are probabilities, and metrics read them as such. Without `loss` and `metrics` the whole
            batch is given to the model, which returns the loss.
        batch_size: maximum number of samples measured at a time. A loader has its own.

    Returns:
        A float for each name; an array for metrics whose value is an array, such as a confusion
        matrix. A metric with several values gives entries `name_value`, such as `quantiles_median`.

    Raises:
        ArgumentError: there are no samples, a batch has no target, or two values have the same
            name.
        ShapeError: the arrays differ in their numbers of samples, or outputs and targets do not
            fit.

    Example:
        >>> import smelt
        >>> from smelt import nn, train
        >>> x, y = smelt.randn(100, 3), smelt.randint(0, 2, (100,))
        >>> sorted(train.evaluate(nn.Linear(3, 2), (x, y), ["accuracy", "f1"]))
        ['accuracy', 'f1']
    """
    return evaluator(model, data, metrics, loss=loss, batch_size=batch_size)()


@checked
def evaluator(
    model: Callable[..., Any],
    data: Any,
    metrics: Any = (),
    *,
    loss: Function | None = None,
    batch_size: int = held_out.BATCH,
    ranks: bool = False,
) -> Callable[[], dict[str, Any]]:
    """Returns a function that evaluates the model in its current state; it is compiled once.

    Args:
        model: the model to evaluate.
        data: as in `evaluate`; it must be possible to iterate over it more than once.
        metrics: as in `evaluate`.
        loss: as in `evaluate`.
        batch_size: as in `evaluate`.
        ranks: whether the ranks of a distributed program share the batches. Then all of them must
            call the function, and each gets the values for all data, to the bit.

    Returns:
        A function without arguments; it returns what `evaluate` does.

    Raises:
        ArgumentError: there are no data, or two values have the same name.
    """
    data, metrics = _in_order(data, metrics)
    named = _named(metrics, loss)
    alone = not metrics and loss is None
    batches = held_out.batches(data, batch_size, "evaluate")

    @compile
    def measure(batch: Any) -> list[Any]:
        if alone:
            return [metric.measure(call(model, *parts(batch)), batch) for metric in named.values()]
        inputs, target = split(batch)
        with of_inputs("evaluate", model, inputs):
            output = call(model, *inputs)
        with of_target("evaluate", output, target):
            return [metric.measure(output, target) for metric in named.values()]

    def validate() -> dict[str, Any]:
        totals = {name: Total(metric) for name, metric in named.items()}
        with evaluating(model):
            one = lambda batch: measure(listed(batch))  # noqa: E731
            for every in measured_by_all(batches, one) if ranks else map(one, batches):
                for total, measured in zip(totals.values(), every, strict=True):
                    total.add(measured)
        return _flat({name: total.figure() for name, total in totals.items()})

    return validate


def _in_order(data: Any, metrics: Any) -> tuple[Any, Any]:
    """Returns data and metrics, also of a caller that gives them the other way round, as was right
    once.
    """
    if isinstance(data, Mapping) and data and all(map(callable, data.values())):
        warn(
            "evaluator(model, metrics, data) is now evaluator(model, data, metrics)",
            DeprecationWarning,
        )
        return metrics, data
    return data, metrics


def _named(metrics: Any, loss: Function | None) -> dict[str, Metric]:
    """Returns all metrics by name, the loss first."""
    named = {name: _fitting(metric, loss) for name, metric in as_metrics(metrics).items()}
    if loss is not None and "loss" in named:
        raise ArgumentError(
            "evaluate: a metric is called 'loss', which is the name of the loss itself; give the "
            "metric another name"
        )
    if loss is None and named:
        return named
    return {"loss": FunctionMetric(loss or _returned, "loss"), **named}


def _fitting(metric: Metric, loss: Any) -> Metric:
    """Returns a metric that reads outputs as the loss does: those of binary cross-entropy are
    probabilities, and no logits.
    """
    takes_probabilities = isinstance(loss, BCELoss) or loss is binary_cross_entropy
    is_reader = isinstance(metric, ClassificationMetric) and not metric.probabilities
    if not (takes_probabilities and is_reader):
        return metric
    reader = copy.copy(metric)
    vars(reader)["probabilities"] = True
    return reader


def _returned(output: Any, batch: Any) -> Any:
    """Returns the loss that the model itself returned."""
    return output


def _flat(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Returns figures by name; those of a dict under their metric's name and their own."""
    flat: dict[str, Any] = {}
    for name, figure in figures.items():
        if isinstance(figure, dict):
            flat |= {f"{name}_{part}": value for part, value in figure.items()}
        else:
            flat[name] = figure
    return flat


@checked
def predict(
    model: Callable[..., Any],
    data: Any,
    *,
    has_target: bool | None = None,
    batch_size: int = held_out.BATCH,
) -> Any:
    """Returns the model's outputs for all samples, in evaluation mode.

    Args:
        model: a Module, or any function of the inputs.
        data: a Tensor or array (n, ...), the only input; or what `evaluate` takes.
        has_target: whether the last part of a batch is a target, which is ignored. None: it is if a
            batch has several parts; set False for inputs (x, mask) without a target.
        batch_size: maximum number of samples computed at a time. A loader has its own.

    Returns:
        The outputs for all samples; the first axis of each Tensor is the sample: (n, ...).

    Raises:
        ArgumentError: there are no samples.
        ShapeError: an output has no axis of samples.

    Example:
        >>> import smelt
        >>> from smelt import nn, train
        >>> train.predict(nn.Linear(3, 2), smelt.randn(100, 3)).shape
        (100, 2)
    """

    @compile
    def forward(batch: Any) -> Any:
        several = isinstance(batch, (tuple, list)) and len(batch) > 1
        leaves_out = has_target or (has_target is None and several)
        inputs = split(batch)[0] if leaves_out else parts(batch)
        try:
            with of_inputs("predict", model, inputs):
                return tree.map(as_tensor, call(model, *inputs))
        except TypeError as error:  # of arguments that are missing, or too many
            if several:
                error.add_note(_LEFT_OUT if leaves_out else _GIVEN)
            raise

    if isinstance(data, DataLoader) and data.shuffle:
        raise ArgumentError(
            "predict: the loader shuffles, so predictions could not be matched to samples; give a "
            "loader with shuffle=False, or the dataset"
        )
    batches = held_out.batches(data, batch_size, "predict")
    with evaluating(model):
        outputs = [forward(listed(batch)) for batch in batches]
        if not outputs:
            raise ArgumentError("predict: there are no samples")
        return tree.map(_joined, *outputs)


_LEFT_OUT = (
    "predict took the last part of the batch for the target and left it out; if it is an input, "
    "give has_target=False"
)
_GIVEN = (
    "predict gave all parts of the batch to the model as inputs; if the last one is the target, "
    "give has_target=True"
)


def _joined(*outputs: Tensor) -> Tensor:
    shapes = {output.shape[1:] for output in outputs}
    if not outputs[0].ndim or len(shapes) > 1:
        given = ", ".join(map(str, dict.fromkeys(output.shape for output in outputs)))
        raise ShapeError(
            f"predict: the outputs of the batches have the shapes {given}; the first axis must be "
            "that of the samples, and the others must be the same in all batches"
        )
    return cat(outputs) if len(outputs) > 1 else outputs[0]
