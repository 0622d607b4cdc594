"""What `fit` measures on held-out data after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.train.evaluate import evaluator
from smelt.train.metrics import as_metrics

__all__ = ["validation_of"]

Validate = Callable[[], Mapping[str, float]]


def validation_of(
    model: Module, loss: Any, validation: Any, metrics: Any
) -> tuple[Validate | None, dict[str, bool]]:
    """Returns what to call after each epoch, None for nothing; and of which figures more is better.

    Args:
        model: what is measured.
        loss: measured as "loss".
        validation: held-out data, or a function that returns name -> value.
        metrics: name -> metric.

    Raises:
        ArgumentError: metrics without data.
    """
    if validation is None:
        if metrics:
            raise ArgumentError("fit: metrics are measured on held-out data; give validation=")
        return None, {}
    if callable(validation) and not hasattr(validation, "__len__"):
        if metrics:
            raise ArgumentError("fit: metrics are for validation data; this function measures")
        return validation, {}
    named = as_metrics(metrics or ())
    better = {"loss": False} | {
        name: metric.higher_is_better
        for name, metric in named.items()
        if metric.higher_is_better is not None
    }
    return evaluator(model, validation, named, loss=loss), better
