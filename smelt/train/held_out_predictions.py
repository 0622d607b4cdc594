"""Predictions for held-out data, which `fit` saves for a report when it ends.

They are saved only if the meaning of the outputs is known: for multiclass and binary classifiers,
and for regressions. Otherwise nothing is saved, and the report says so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from smelt import tree
from smelt.compiler import compile
from smelt.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)
from smelt.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, NLLLoss
from smelt.random import get_rng_state, set_rng_state
from smelt.tensor import Tensor
from smelt.tensor.activations import sigmoid, softmax
from smelt.tensor.apply import as_tensor
from smelt.train import held_out
from smelt.train.batch import call, listed, split
from smelt.train.evaluate import evaluating
from smelt.train.metrics import as_metrics
from smelt.train.predictions import KEPT, LARGE, WORST, Predictions, write_predictions
from smelt.train.run import RunFolder, read_model

__all__ = ["keep_predictions"]

WIDEST = 64  # numbers that a regression predicts for one sample; more are no table of numbers
Batch = tuple[Predictions, dict[int, np.ndarray]]
CLASSES = (cross_entropy, nll_loss)
LOGITS, PROBABILITIES = (binary_cross_entropy_with_logits,), (binary_cross_entropy,)


def keep_predictions(run: RunFolder, loss: Any, data: Any, metrics: Any = None) -> None:
    """Writes the model's predictions for held-out data to a run folder.

    The default generator is left unchanged, so that what a program draws next does not depend on
    it.

    Args:
        run: of a training that has ended; if it keeps the best weights, they are used.
        loss: the loss that was minimized; it determines the meaning of the outputs.
        data: held-out data, as `evaluate` takes them.
        metrics: those of `fit`; labels that the loss or one of these ignores are ignored.
    """
    if loss is None:
        return
    model = run.model
    if run.keeps_best:
        model = copy.deepcopy(model)
        read_model(run.path, model)
    named = as_metrics(metrics or ()).values()
    given = (getattr(each, "ignore_index", None) for each in (loss, *named))
    ignored = {-100} | {int(label) for label in given if label is not None}
    state = get_rng_state()
    try:
        found = list(_some(_batches(model, loss, data, ignored)))
    finally:
        set_rng_state(state)
    if not found:
        return
    predictions = _joined([each for each, _ in found])
    if not len(predictions.target):
        return
    if predictions.kind == "classification" and predictions.target.max() < len(run.classes):
        predictions = replace(predictions, classes=run.classes)
    shown: dict[int, np.ndarray] = {}
    before = 0
    for each, inputs in found:
        shown |= {before + row: values for row, values in inputs.items()}
        before += each.total
    worst = predictions.ordered()[:WORST].tolist()
    is_shown = all(row in shown for row in worst)
    take = (lambda rows: np.stack([shown[row] for row in rows.tolist()])) if is_shown else None
    write_predictions(run.path, predictions, take)


def _batches(model: Any, loss: Any, data: Any, ignored: set[int]) -> Iterator[Batch]:
    """Yields what is predicted of each batch, and its inputs that went worst, where they are one
    array; ends at the first batch of which it cannot be told.
    """

    @compile
    def forward(batch: Any) -> Any:
        inputs, _ = split(batch)
        output = call(model, *inputs)
        if not isinstance(output, Tensor) or not output.dtype.is_float:
            return None
        return _readable(loss, output)

    with evaluating(model):
        for batch in held_out.batches(data, held_out.BATCH, "fit"):
            given = tree.map(as_tensor, listed(batch))
            inputs, target = split(given)
            if not isinstance(target, Tensor) or (output := forward(given)) is None:
                return
            right = target.numpy()
            found = _predictions(loss, right, output.numpy(), ignored)
            if found is None:
                return
            samples = np.arange(len(right))
            if found.total < right.size:  # some labels are ignored
                samples = np.flatnonzero(~np.isin(right, list(ignored)))
            yield found, _worst_inputs(found, inputs, samples)


def _worst_inputs(found: Predictions, inputs: Any, samples: np.ndarray) -> dict[int, np.ndarray]:
    """Returns the inputs of the predictions of a batch that went worst: place -> array.

    Args:
        found: the predictions.
        inputs: of the batch.
        samples: of which sample each prediction is, (n,), where they are not of a text.
    """
    alone = inputs[0]
    is_one = len(inputs) == 1 and isinstance(alone, Tensor) and alone.ndim > 0
    if found.is_text or not is_one or alone[:1].size > LARGE:
        return {}
    array, worst = alone.numpy(), found.ordered()[:WORST].tolist()
    return {row: array[samples[row]].copy() for row in worst}


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Returns the predictions of all batches as one, as many of them as are kept."""
    names = ("target", "predicted", "probability", "target_probability")
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])[:KEPT] for name in names
    }
    return replace(parts[0], **arrays, total=sum(part.total for part in parts))


def _readable(loss: Any, output: Tensor) -> Tensor:
    """Returns probabilities where the loss says that outputs are logits; else outputs alone."""
    if _is(loss, CLASSES, CrossEntropyLoss, NLLLoss) and output.ndim > 1:
        return softmax(output, 1)
    if _is(loss, LOGITS, BCEWithLogitsLoss):
        return sigmoid(output)
    return output


def _is(loss: Any, functions: Any, *kinds: type) -> bool:
    return any(loss is function for function in functions) or isinstance(loss, kinds)


def _some(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yields batches until there are as many predictions as are kept."""
    count = 0
    for batch in batches:
        yield batch
        count += batch[0].total
        if count >= KEPT:
            return


def _predictions(
    loss: Any, target: np.ndarray, output: np.ndarray, ignored: set[int]
) -> Predictions | None:
    """Returns the predictions of a batch; None where it cannot be told what outputs are."""
    whole = target.dtype.kind in "iub"
    if _is(loss, (*LOGITS, *PROBABILITIES), BCELoss, BCEWithLogitsLoss):
        right, chance = target.reshape(-1), output.reshape(-1)
        several = right.size != len(target) or chance.size != len(output)  # labels a sample
        if several or not np.isin(right, (0, 1)).all():
            return None
        chances = np.stack([1 - chance, chance], 1)
        return Predictions.of_classes(right.astype(np.int64), chances)
    if whole and (axis := _class_axis(loss, target, output)) is not None:
        classes, right = output.shape[axis], target.reshape(-1)
        scores = np.moveaxis(output, axis, -1).reshape(-1, classes)
        known = (right >= 0) & (right < classes) & ~np.isin(right, list(ignored))
        chances = _as_chances(scores[known])
        return Predictions.of_classes(right[known], chances, is_text=target.ndim > 1)
    if not whole and target.shape == output.shape and target[:1].size <= WIDEST:
        return Predictions.of_numbers(target, output)
    return None


def _class_axis(loss: Any, target: np.ndarray, output: np.ndarray) -> int | None:
    """Returns the axis of the classes: the second, as in PyTorch, or the last; None for neither."""
    axes = [
        axis
        for axis in (1, output.ndim - 1)
        if output.ndim == target.ndim + 1
        and (*output.shape[:axis], *output.shape[axis + 1 :]) == target.shape
    ]
    if not axes:
        return None
    return axes[0] if _is(loss, CLASSES, CrossEntropyLoss, NLLLoss) else axes[-1]


def _as_chances(scores: np.ndarray) -> np.ndarray:
    """Returns probabilities (n, classes): scores that are none already are logits."""
    if (scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-3):
        return scores
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
