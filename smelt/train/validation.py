"""What `fit` measures on held-out data after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.checked import described
from smelt.train.evaluate import evaluator
from smelt.train.metrics import as_metrics

__all__ = ["Validate", "Validation", "validation_of"]

Validate = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Validation:
    """What is measured after each epoch.

    Attributes:
        measure: the function that measures; None if nothing is measured.
        figures: the names of the metrics, or their beginnings; None if they are not known.
        higher_is_better: for the metrics, as far as it is known.
    """

    measure: Validate | None = None
    figures: tuple[str, ...] | None = ()
    higher_is_better: dict[str, bool] = field(default_factory=dict)


def _checked(function: Callable[[], Any]) -> Validate:
    """Returns the user's function, whose figures are looked at when it has returned."""

    def measure() -> Mapping[str, float]:
        found = function()
        if not isinstance(found, Mapping):
            raise ArgumentTypeError(
                f"fit: the validation function returned {described(found)}; it must return "
                "metrics by name, such as {'accuracy': 0.9}"
            )
        return {name: _figure(name, value) for name, value in found.items()}

    return measure


def _figure(name: Any, value: Any) -> float:
    if isinstance(value, (Tensor, np.ndarray)) and value.size == 1:
        value = value.item()
    if not isinstance(name, str) or not isinstance(value, (int, float, np.number, np.bool_)):
        raise ArgumentTypeError(
            f"fit: the validation function returned {name!r}: {described(value)}; it must return "
            "numbers by name"
        )
    return float(value)


def validation_of(
    model: Module, loss: Any, validation: Any, metrics: Any, ranks: bool = False
) -> Validation:
    """Returns what to measure after each epoch.

    Args:
        model: the model to measure.
        loss: measured as "loss".
        validation: held-out data, or a function that returns name -> value.
        metrics: name -> metric.
        ranks: whether all ranks share the measurement.

    Raises:
        ArgumentError: metrics without data.
    """
    if validation is None:
        if metrics:
            raise ArgumentError(
                "fit: metrics are measured on held-out data; give it as validation="
            )
        return Validation()
    if callable(validation) and not hasattr(validation, "__len__"):
        if metrics:
            raise ArgumentError(
                "fit: metrics= needs held-out data as validation=; here validation= is a "
                "function, which measures by itself"
            )
        return Validation(_checked(validation), None)
    named = as_metrics(metrics or ())
    better = {"loss": False} | {
        name: metric.higher_is_better
        for name, metric in named.items()
        if metric.higher_is_better is not None
    }
    figures = (*(["loss"] if loss is not None or not named else []), *named)
    return Validation(evaluator(model, validation, named, loss=loss, ranks=ranks), figures, better)
