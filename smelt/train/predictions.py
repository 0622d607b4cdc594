"""A trained model's predictions for samples that it has not seen, saved in its run folder.

`predictions.safetensors` holds, for up to 20,000 samples, the targets and the predictions, and the
inputs of the few worst samples, so that a report can show them. It is small for any data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from smelt.errors import ArgumentError, FileError, ShapeError
from smelt.export.safetensors import load_file, read_metadata, save_file
from smelt.json_text import parsed
from smelt.tensor.apply import as_tensor
from smelt.tensor.checked import checked

__all__ = ["KEPT", "PREDICTIONS", "WORST", "Predictions", "read_predictions", "save_predictions"]

PREDICTIONS = "predictions.safetensors"
KEPT = 20_000  # samples, at most
WORST = 24  # of them whose inputs are kept
LARGE = 1 << 16  # numbers of one input, above which it is not kept
LONGEST = 400  # characters of a text that are kept
CLASSES = 10_000  # whose names are kept, at most
FACTS = "smelt.predictions"
Kind = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions and the true values.

    Attributes:
        kind: "classification" or "regression".
        target: the true values: class numbers, int64 (n,); or numbers, float32 (n, outputs).
        predicted: the predictions, of the same shape.
        probability: of the predicted class, float32 (n,); for a regression (0,).
        target_probability: of the true class, likewise.
        total: how many samples there were; the first n of them are kept.
        source: which samples they are, such as "test".
        classes: the names of the classes; their numbers if there are no names.
        worst: the indices of the worst samples, int64 (k,), the worst first.
        inputs: of the worst samples, (k, ...); or None.
        texts: of the worst samples, one line each; or empty.
        is_text: whether a sample is a position in a text, and its class a token.
    """

    kind: Kind
    target: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    target_probability: np.ndarray
    total: int
    source: str = "held-out"
    classes: tuple[str, ...] = ()
    worst: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    inputs: np.ndarray | None = None
    texts: tuple[str, ...] = ()
    is_text: bool = False

    @classmethod
    def of_classes(cls, target: np.ndarray, chances: np.ndarray, **facts: Any) -> Self:
        """Returns the predictions of a classifier.

        Args:
            target: class numbers (n,).
            chances: probabilities (n, classes).
            facts: the other attributes that are known.
        """
        rows = np.arange(len(target))
        predicted = chances.argmax(1)
        return cls(
            "classification",
            target.astype(np.int64),
            predicted.astype(np.int64),
            chances[rows, predicted].astype(np.float32),
            chances[rows, target].astype(np.float32),
            **{"total": len(target), **facts},
        )

    @classmethod
    def of_numbers(cls, target: np.ndarray, predicted: np.ndarray, **facts: Any) -> Self:
        """Returns the predictions of a regression: (n, outputs) each."""
        none = np.zeros(0, np.float32)
        right, said = (
            each.reshape(len(each), -1).astype(np.float32) for each in (target, predicted)
        )
        return cls("regression", right, said, none, none, **{"total": len(target), **facts})

    def ordered(self) -> np.ndarray:
        """Returns the indices of samples, the worst first: for a classifier the wrong ones, by the
        probability that it gave to the true class; for a regression all, by their error.
        """
        if self.kind == "classification":
            wrong = np.flatnonzero(self.predicted != self.target)
            return wrong[np.argsort(self.target_probability[wrong], kind="stable")]
        with np.errstate(all="ignore"):
            error = np.abs(self.predicted - self.target).max(1, initial=0)
        return np.argsort(-np.nan_to_num(error, nan=np.inf), kind="stable")


@checked
def save_predictions(
    run: str | os.PathLike[str],
    target: Any,
    output: Any,
    *,
    classes: Sequence[str] | None = None,
    inputs: Any = None,
    texts: Sequence[str] | None = None,
    source: str = "test",
) -> None:
    """Saves a model's predictions in a run folder, for `smelt report`.

    `fit` does this by itself for held-out data, without class names. A program that knows the
    names, or has test data, calls this afterwards, which replaces what `fit` saved.

    Args:
        run: the folder.
        target: the true values: integers (n,), class numbers; or floats (n,) or (n, outputs).
        output: for a classifier probabilities (n, classes), or (n,), those of class 1; for a
            regression numbers of the shape of `target`.
        classes: the names of the classes.
        inputs: the model's inputs, (n, ...), such as images; those of the worst samples are saved.
        texts: the model's inputs as n lines, if they are text.
        source: which samples they are.

    Raises:
        ArgumentError: `target` has a number that is not a class, or a class has no name.
        ShapeError: the arguments do not have n samples, or have other shapes than above.
        FileError: the file cannot be written.
        MissingExtra: safetensors is not installed.

    Example:
        >>> import tempfile
        >>> from smelt import train
        >>> folder = tempfile.mkdtemp()
        >>> train.save_predictions(folder, [0, 1], [[0.9, 0.1], [0.7, 0.3]], classes=["no", "yes"])
        >>> train.read_predictions(folder).predicted.tolist()
        [0, 0]
    """
    right, said = (np.asarray(given) for given in (target, output))
    right = np.array(right.tolist()) if right.dtype == object else right
    given = None if inputs is None else np.asarray(inputs)
    sizes = {
        "output": said.shape[:1],
        "inputs": right.shape[:1] if given is None else given.shape[:1],
        "texts": right.shape[:1] if texts is None else (len(texts),),
    }
    for name, size in sizes.items():
        if not right.ndim or size != right.shape[:1]:
            count = size[0] if size else "no axis of"
            raise ShapeError(
                f"save_predictions: {name} has {count} samples, and the target has shape "
                f"{right.shape}"
            )
    total, kept = len(right), slice(0, KEPT)
    names = tuple(map(str, classes or ()))
    facts: dict[str, Any] = {"total": total, "source": source, "classes": names}
    right, said = right[kept], said[kept]
    if right.dtype.kind in "iub":
        chances = _chances(right, said)
        _check_classes(right, chances.shape[1], names)
        predictions = Predictions.of_classes(right, chances, **facts)
    else:
        if right.shape != said.shape:
            raise ShapeError(
                f"save_predictions: the predictions have the shape {said.shape} and the targets "
                f"{right.shape}; they must have the same"
            )
        predictions = Predictions.of_numbers(right, said, **facts)
    write_predictions(run, predictions, None if given is None else given.__getitem__, texts)


def _chances(target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Returns probabilities (n, classes)."""
    if output.ndim == 2 and output.shape[1] == 1:
        output = output[:, 0]
    chances = np.stack([1 - output, output], 1) if output.ndim == 1 else output
    if target.ndim != 1 or chances.ndim != 2:
        raise ShapeError(
            f"save_predictions: class numbers {target.shape} and probabilities {output.shape} must "
            "have shapes (n,) and (n, classes), or (n,) both"
        )
    return chances


def _check_classes(target: np.ndarray, count: int, names: Sequence[str]) -> None:
    if len(target) and not 0 <= target.min() <= target.max() < count:
        raise ArgumentError(
            f"save_predictions: the target has classes {target.min()} to {target.max()}, but the "
            f"output has {count} classes, 0 to {count - 1}"
        )
    if names and len(names) != count:
        raise ArgumentError(f"save_predictions: {len(names)} names are given for {count} classes")


def write_predictions(
    run: str | os.PathLike[str],
    predictions: Predictions,
    inputs: Callable[[np.ndarray], np.ndarray] | None = None,
    texts: Sequence[str] | None = None,
) -> None:
    """Writes predictions to a run folder, with the inputs of the worst.

    Args:
        run: the folder.
        predictions: of n samples.
        inputs: a function that returns the inputs of samples, given their indices (k,).
        texts: n lines.
    """
    worst = predictions.ordered()[:WORST]
    tensors = {
        name: as_tensor(np.ascontiguousarray(getattr(predictions, name)))
        for name in ("target", "predicted", "probability", "target_probability")
    }
    tensors["worst"] = as_tensor(worst.astype(np.int64))
    shown = inputs(worst) if inputs is not None and len(worst) else np.zeros((0, 1))
    if 0 < shown[:1].size <= LARGE and shown.dtype.kind in "fiub":
        tensors["inputs"] = as_tensor(np.ascontiguousarray(shown).astype(np.float32))
    facts = {
        "kind": predictions.kind,
        "total": predictions.total,
        "source": predictions.source,
        "classes": predictions.classes[:CLASSES],
        "texts": [] if texts is None else [str(texts[n])[:LONGEST] for n in worst],
        "is_text": predictions.is_text,
    }
    save_file(tensors, Path(os.fsdecode(run)) / PREDICTIONS, {FACTS: json.dumps(facts)})


def read_predictions(run: str | os.PathLike[str]) -> Predictions:
    """Returns the predictions that a run folder holds.

    Raises:
        FileError: it has none, or the file is damaged.
        MissingExtra: safetensors is not installed.
    """
    path = Path(os.fsdecode(run)) / PREDICTIONS
    tensors, metadata = load_file(path), read_metadata(path)
    try:
        facts = parsed(metadata[FACTS])
        arrays = {name: np.asarray(tensor.numpy()) for name, tensor in tensors.items()}
        predictions = Predictions(
            facts["kind"],
            arrays["target"],
            arrays["predicted"],
            arrays["probability"],
            arrays["target_probability"],
            int(facts["total"]),
            str(facts["source"]),
            tuple(map(str, facts["classes"])),
            arrays["worst"],
            arrays.get("inputs"),
            tuple(map(str, facts["texts"])),
            bool(facts["is_text"]),
        )
        _check_whole(predictions)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FileError(f"{path}: is damaged, or not a file of predictions ({error})") from None
    return predictions


def _check_whole(found: Predictions) -> None:
    """Raises ValueError where what was read does not fit together."""
    n, k = len(found.target), len(found.worst)
    is_classifier = found.kind == "classification"
    shape = (n,) if is_classifier else (n, found.target.shape[-1])
    sizes = [len(found.probability), len(found.target_probability)]
    fits = (
        found.kind in ("classification", "regression")
        and found.target.shape == found.predicted.shape == shape
        and sizes == [n if is_classifier else 0] * 2
        and found.worst.ndim == 1
        and (not k or 0 <= found.worst.min() <= found.worst.max() < n)
        and (found.inputs is None or len(found.inputs) == k)
        and len(found.texts) in (0, k)
    )
    if not fits:
        raise ValueError("its parts do not fit together")
    if is_classifier:
        numbers = np.concatenate([found.target, found.predicted])
        integers = numbers.dtype.kind == "i"
        if not integers or (n and not numbers.min() >= 0):
            raise ValueError("a class number is out of range")
        if found.classes and n and numbers.max() >= len(found.classes):
            raise ValueError("a class has no name")
