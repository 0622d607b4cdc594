"""Training, measuring and predicting with the twin of an estimator's parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from smelt import tree
from smelt.compiler import compile
from smelt.sklearn.criterion import Loss, first_output
from smelt.sklearn.structure import Twin
from smelt.tensor import Tensor, as_tensor
from smelt.train.evaluate import evaluating
from smelt.train.feed import feed_of
from smelt.train.history import Callback, Epoch, History
from smelt.train.loop import Loop
from smelt.train.progress import progress
from smelt.train.step import Update, goes_by_step
from smelt.train.training import Training

__all__ = ["predictions", "renumbered", "train"]

CHUNK = 1024  # samples in one native call
SAMPLES = {"x": {0: "samples"}}  # a number that changes from call to call


def train(
    twin: Twin,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    callbacks: Sequence[Callback],
    shows_progress: bool,
    held_out: Any,
    metric: tuple[str, Callable[..., float]],
) -> History:
    """Trains a twin; returns the history.

    Args:
        twin: of the parts of an estimator.
        data: (x, target), or (x, (target, weight)); tensors (n, ...).
        epochs: passes over the data.
        batch_size: samples per batch.
        shuffle: whether each pass has its own order.
        callbacks: the callbacks.
        shows_progress: whether to show the progress.
        held_out: data to measure on after each epoch, with the targets and weights of the metric;
            None for none.
        metric: its name, and (predictions, targets, weights) -> value.
    """
    update: Update = twin.kept("update", lambda: _update(twin.parts))
    scheduler = twin.parts["scheduler"] if update.scheduler is None else None
    told = [*callbacks, *([progress()] if shows_progress else [])]
    feed = feed_of(data, batch_size=batch_size, shuffle=shuffle)
    higher_is_better = {"loss": False, metric[0]: True}
    training = Training(update, feed, scheduler, told, {}, higher_is_better)
    validate = None if held_out is None else _validation(twin, update, held_out, metric)
    update.model.train()
    try:
        Loop(training, epochs, None, None, validate, None).train()
    finally:
        for callback in told:
            vars(callback).pop("training", None)  # so that it holds no data, and can be pickled
    return training.history


def _update(parts: dict[str, Any]) -> Update:
    scheduler = parts["scheduler"]
    return Update(
        parts["module"],
        Loss(parts["criterion"]),
        parts["optimizer"],
        scheduler if goes_by_step(scheduler, parts["interval"]) else None,
        parts["max_grad_norm"],
    )


def _validation(
    twin: Twin, update: Update, held_out: Any, metric: tuple[str, Callable[..., float]]
) -> Callable[[], dict[str, float]]:
    """Returns a function that measures loss and metric of held-out data."""
    assert update.loss is not None
    (batch, target, weight), (name, score) = held_out, metric
    model, loss, output = update.model, update.loss, twin.parts["output"]
    leaves, structure = tree.flatten(batch)

    def make() -> Any:
        @compile
        def measure(*leaves: Tensor) -> tuple[Tensor, Tensor]:
            x, target = tree.unflatten(structure, list(leaves))
            given = model(x)
            return loss(given, target), output(first_output(given))

        return measure

    measure = twin.kept(f"measure {structure}", make)

    def validate() -> dict[str, float]:
        with evaluating(model):
            value, predicted = measure(*leaves)
        return {"loss": float(value), name: score(predicted.numpy(), target, weight)}

    return validate


def predictions(twin: Twin, x: np.ndarray) -> np.ndarray:
    """Returns what a twin's "output" makes of its "module" for samples, (n, ...).

    Args:
        twin: of a module and a function of its output.
        x: (n, ...).
    """
    model, output = twin.parts["module"], twin.parts["output"]

    def make() -> Any:
        def forward(x: Tensor) -> Tensor:
            return output(first_output(model(x)))

        return compile(forward, dynamic=SAMPLES)

    forward = twin.kept("forward", make)
    with evaluating(model):
        return np.concatenate([forward(chunk).numpy() for chunk in _chunks(x)])


def _chunks(x: np.ndarray) -> Iterator[Tensor]:
    for start in range(0, len(x), CHUNK):
        yield as_tensor(x[start : start + CHUNK])


def renumbered(epochs: Sequence[Epoch], before: int) -> list[Epoch]:
    """Returns epochs that come after so many others."""
    return [replace(epoch, number=epoch.number + before) for epoch in epochs]
