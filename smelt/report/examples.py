"""What a report says about single samples: confused classes, and the worst samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import plot
from smelt.pages import Picture, pictured, pixels
from smelt.report.run import printable
from smelt.report.values import TableOf, number
from smelt.train import Predictions, confusion_matrix
from smelt.train.reliability import reliability

__all__ = ["Example", "answers", "worst"]

DRAWN = 30  # classes, above which a list of mistakes says more than a matrix
LISTED = 15  # pairs of classes that are mixed up
COLORED = (3, 4)  # channels of an image in colors
CURVE = 6  # numbers at most across, of what is a signal and no image
BEFORE = 40  # tokens before one that is wrong that are shown
NAMED = 12  # numbers of an input that are written out


@dataclass(frozen=True, slots=True)
class Example:
    """A sample with a wrong prediction.

    Attributes:
        true: the true value.
        said: the prediction.
        sure: the probability that the model gave to it, or its error.
        picture: the input, if it is a picture.
        text: the input, if it is text or a few numbers.
    """

    true: str
    said: str
    sure: str
    picture: Picture | None = None
    text: str = ""


def answers(found: Predictions) -> dict[str, Any]:
    """Returns pictures and tables of predictions, for the template.

    Args:
        found: of a run.
    """
    if not len(found.target):
        return {"pictures": [], "table": None, "figures": []}
    return _classified(found) if found.kind == "classification" else _estimated(found)


def _classified(found: Predictions) -> dict[str, Any]:
    names, right = _names(found), np.asarray(found.predicted == found.target)
    figures = [("right", f"{right.mean():.2%}")]
    pictures, table = [], None
    if len(names) <= DRAWN:
        counts = confusion_matrix(found.predicted, found.target, len(names))
        drawn = plot.confusion(counts, names)
        caption = "Rows are the true classes, columns the predicted ones."
        pictures.append(pictured(drawn, "Confusion matrix", caption))
    else:
        table = _mixed_up(found, names)
    chances = found.probability.astype(np.float64)
    if np.isfinite(chances).all() and (chances >= 0).all() and (chances <= 1).all():
        calibration = reliability(chances, right)
        figures.append(("calibration error", f"{calibration['error']:.3f}"))
        if not (chances >= 1).all():
            caption = (
                "How often answers were right, beside how sure the model was: on the line both "
                "agree, below it the model is too sure. The larger a mark, the more answers."
            )
            drawn = plot.calibration(calibration["bins"], title="Calibration")
            pictures.append(pictured(drawn, "Reliability diagram", caption))
    if found.is_text:
        likely = np.log(np.maximum(found.target_probability.astype(np.float64), 1e-12))
        figures.append(("perplexity", f"{np.exp(-likely.mean()):.4g}"))
    return {"pictures": pictures, "table": table, "figures": figures}


def _names(found: Predictions) -> list[str]:
    if found.classes:
        return [printable(name) if name.strip() else repr(name) for name in found.classes]
    return [str(index) for index in range(int(max(found.target.max(), found.predicted.max())) + 1)]


def _mixed_up(found: Predictions, names: list[str]) -> TableOf:
    """Returns which classes are most often taken for which."""
    wrong = found.predicted != found.target
    pairs = np.stack([found.target[wrong], found.predicted[wrong]], 1)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:LISTED]
    rows = [
        (names[kinds[place][0]], names[kinds[place][1]], f"{counts[place]:,}") for place in order
    ]
    return TableOf(("right", "predicted", "times"), rows, (2,))


def _estimated(found: Predictions) -> dict[str, Any]:
    target, said = (each.astype(np.float64) for each in (found.target, found.predicted))
    known = np.isfinite(np.concatenate([target, said], 1)).all(1)
    target, said = target[known], said[known]
    figures = [("not finite", f"{(~known).sum():,} of {known.size:,}")] if not known.all() else []
    if not len(target):
        return {"pictures": [], "table": None, "figures": figures}
    error = said - target
    around = np.square(target - target.mean(0)).sum()
    figures += [
        ("root mean squared error", number(float(np.sqrt(np.square(error).mean())))),
        ("mean absolute error", number(float(np.abs(error).mean()))),
    ]
    if around:
        figures.append(("R²", number(float(1 - np.square(error).sum() / around))))
    drawn = plot.predicted_against_true(said.ravel(), target.ravel(), title="Predicted and true")
    errors = plot.histograms({"predicted - true": error.ravel()}, title="Errors")
    pictures = [
        pictured(drawn, "Predicted over true values", "On the line both agree."),
        pictured(errors, "Histogram of errors", "Left of 0 the model said too little."),
    ]
    return {"pictures": pictures, "table": None, "figures": figures}


def worst(found: Predictions) -> list[Example]:
    """Returns the worst samples, the worst first."""
    return list(_examples(found))


def _examples(found: Predictions) -> Iterator[Example]:
    names = _names(found) if found.kind == "classification" and len(found.target) else []
    for place, row in enumerate(found.worst.tolist()):
        given: dict[str, Any] = {}
        if found.texts:
            given["text"] = found.texts[place]
        elif found.is_text and found.classes:
            given["text"] = _before(found, row)
        elif found.inputs is not None:
            given = _input(found.inputs[place], f"sample {row}")
        if found.kind == "classification":
            chance, of_right = found.probability[row], found.target_probability[row]
            sure = f"{chance:.0%} sure, {of_right:.2g} for what is right"
            yield Example(names[found.target[row]], names[found.predicted[row]], sure, **given)
        else:
            true, said = found.target[row], found.predicted[row]
            off = f"off by {number(float(np.abs(said - true).max(initial=0)))}"
            yield Example(_numbers(true), _numbers(said), off, **given)


def _before(found: Predictions, row: int) -> str:
    """Returns the tokens before a place in the text."""
    tokens = [found.classes[token] for token in found.target[max(0, row - BEFORE) : row]]
    return ("" if max(map(len, tokens), default=0) <= 1 else " ").join(tokens) + " …"


def _input(values: np.ndarray, description: str) -> dict[str, Any]:
    """Returns an input as a picture or as text; nothing where it is neither."""
    if values.ndim == 3 and values.shape[0] in (1, *COLORED):
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 3 and values.shape[-1] in COLORED:
        return {"picture": pixels(values[..., :3], description)}
    if values.ndim == 2 and min(values.shape) > CURVE:
        return {"picture": pixels(values, description)}
    if values.ndim == 1 and 0 < len(values) <= NAMED:
        return {"text": _numbers(values)}
    return {}


def _numbers(values: np.ndarray) -> str:
    parts = [number(float(value)) for value in np.ravel(values)[:NAMED]]
    return ", ".join(parts) + (", …" if np.size(values) > NAMED else "")
