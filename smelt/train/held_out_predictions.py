"""What `fit` keeps for a report when it ends: predictions for held-out data.

Only where it can be told what outputs mean: those of a classifier of several classes, or of yes and
no; and numbers. Of anything else nothing is kept, and the report says so.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
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
from smelt.train.predictions import KEPT, Predictions, write_predictions
from smelt.train.run import RunFolder, read_model

__all__ = ["keep_predictions"]

WIDEST = 64  # numbers that a regression predicts for one sample; more are no table of numbers
Batch = tuple[np.ndarray, np.ndarray, Any]  # the target, the output, the inputs
CLASSES = (cross_entropy, nll_loss)
LOGITS, PROBABILITIES = (binary_cross_entropy_with_logits,), (binary_cross_entropy,)


def keep_predictions(run: RunFolder, loss: Any, data: Any) -> None:
    """Writes what the model of a run folder says of held-out data into the folder.

    The default generator is left as it is, so that what a program draws next does not depend on it.

    Args:
        run: of a training that has ended; its best weights are taken where it keeps these.
        loss: what was made small, from which follows what outputs are.
        data: held-out data, as `evaluate` takes them.
    """
    if loss is None:
        return
    model = run.model
    if run.keeps_best:
        model = copy.deepcopy(model)
        read_model(run.path, model)
    state = get_rng_state()
    try:
        batches = list(_some(_batches(model, loss, data)))
    finally:
        set_rng_state(state)
    if not batches:
        return
    targets, outputs, inputs = zip(*batches, strict=True)
    if (predictions := _predictions(loss, targets, outputs)) is None:
        return
    if predictions.kind == "classification" and predictions.target.max() < len(run.classes):
        predictions = replace(predictions, classes=run.classes)
    shown = None
    if not predictions.is_text and all(isinstance(each, np.ndarray) for each in inputs):
        shown = np.concatenate(inputs)[: len(predictions.target)]
    write_predictions(run.path, predictions, shown)


def _batches(model: Any, loss: Any, data: Any) -> Iterator[Batch]:
    """Yields batches as far as they can be told; ends at the first that cannot."""

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
            alone = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], Tensor) else None
            shown = None
            if alone is not None and alone.ndim and len(alone) == len(target):
                shown = alone.numpy()
            yield target.numpy(), output.numpy(), shown


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
    """Yields batches until there are as many targets as are kept."""
    count = 0
    for batch in batches:
        yield batch
        count += batch[0].size
        if count >= KEPT:
            return


def _predictions(loss: Any, targets: Any, outputs: Any) -> Predictions | None:
    """Returns what is kept; None where it cannot be told what outputs are."""
    target, output = targets[0], outputs[0]
    whole = target.dtype.kind in "iub"
    pairs = list(zip(targets, outputs, strict=True))
    is_binary = _is(loss, (*LOGITS, *PROBABILITIES), BCELoss, BCEWithLogitsLoss)
    if is_binary:
        if target.size != len(target) or output.size != len(output):
            return None  # several labels a sample
        right = np.concatenate([each.reshape(-1) for each in targets])
        chance = np.concatenate([each.reshape(-1) for each in outputs])
        if not np.isin(right, (0, 1)).all():
            return None
        return _of_classes(right, np.stack([1 - chance, chance], 1), False)
    if whole and (axis := _class_axis(loss, target, output)) is not None:
        classes = output.shape[axis]
        rows = [(y.reshape(-1), np.moveaxis(x, axis, -1).reshape(-1, classes)) for y, x in pairs]
        right, scores = (np.concatenate(each) for each in zip(*rows, strict=True))
        known = _known(loss, right, classes)
        return _of_classes(right[known], _as_chances(scores[known]), target.ndim > 1)
    if not whole and target.shape == output.shape and target[:1].size <= WIDEST:
        right, said = (np.concatenate(each)[:KEPT] for each in (targets, outputs))
        return Predictions.of_numbers(right, said, total=len(right))
    return None


def _class_axis(loss: Any, target: np.ndarray, output: np.ndarray) -> int | None:
    """Returns the axis of the classes: the second, as in PyTorch, or the last; None for neither."""
    if output.ndim != target.ndim + 1:
        return None
    axes = [
        axis
        for axis in (1, output.ndim - 1)
        if np.delete(output.shape, axis).tolist() == [*target.shape]
    ]
    if not axes:
        return None
    return axes[0] if _is(loss, CLASSES, CrossEntropyLoss, NLLLoss) else axes[-1]


def _known(loss: Any, right: np.ndarray, classes: int) -> np.ndarray:
    """Returns which targets count: those that are a class, and not the one that is ignored."""
    return (right >= 0) & (right < classes) & (right != getattr(loss, "ignore_index", -100))


def _as_chances(scores: np.ndarray) -> np.ndarray:
    """Returns probabilities (n, classes): scores that are none already are logits."""
    if (scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-3):
        return scores
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _of_classes(right: np.ndarray, chances: np.ndarray, is_text: bool) -> Predictions | None:
    if not len(right):
        return None
    kept = slice(0, KEPT)
    return Predictions.of_classes(
        right[kept].astype(np.int64), chances[kept], total=len(right), is_text=is_text
    )
