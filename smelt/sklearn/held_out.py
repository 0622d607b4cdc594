"""Which samples of a fit are held out, to measure after each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from smelt.errors import ArgumentError

__all__ = ["Split", "held_out_rows"]


@dataclass
class Split:
    """What to train on, and what to measure on.

    Attributes:
        rows: of the samples to train on.
        held: of those that are held out; none where the held-out data are others.
        held_out: samples and targets that were given for it.
    """

    rows: np.ndarray
    held: np.ndarray
    held_out: tuple[Any, Any] | None = None


def held_out_rows(train_split: Any, X: np.ndarray, y: np.ndarray, tags: Any, seed: int) -> Split:
    """Returns which samples are held out.

    Args:
        train_split: None for none; the share to hold out, drawn evenly over the classes; an object
            with `split(X, y)`, whose first split it is; or other data `(X, y)`.
        X: (n, ...).
        y: (n, ...).
        tags: of the estimator.
        seed: of the draw.

    Raises:
        ArgumentError: it is none of these.
    """
    every = np.arange(len(X))
    if train_split is None:
        return Split(every, every[:0])
    if hasattr(train_split, "split"):
        rows, held = next(iter(train_split.split(X, y)))
        return Split(rows, held)
    if isinstance(train_split, (tuple, list)) and len(train_split) == 2:
        return Split(every, every[:0], (train_split[0], train_split[1]))
    if isinstance(train_split, Real) and 0 < float(train_split) < 1:
        classes = y if tags.estimator_type == "classifier" else None
        rows, held = train_test_split(
            every, test_size=float(train_split), random_state=seed, stratify=classes
        )
        return Split(rows, held)
    raise ArgumentError(
        f"train_split={train_split!r} must be None, a fraction between 0 and 1, an object with "
        "split(X, y) such as KFold(5), or held-out data (X, y)"
    )
