"""A plain function as a metric: its mean over the samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from smelt import tree
from smelt.creation import ones_like
from smelt.errors import ArgumentTypeError, ShapeError, TraceError
from smelt.ops.iota import iota
from smelt.tensor import Tensor
from smelt.train.metrics.base import Metric

__all__ = ["ROWS", "FunctionMetric"]

ROWS = (
    "for what needs NumPy arrays of all samples write a Metric with rows = True: its measure "
    "returns {'output': output, 'target': target}, its compute(total) gets their arrays"
)


class FunctionMetric(Metric):
    """The mean of a function of output and target over all samples.

    Batches are weighted by their numbers of samples. So the result is exact if the function returns
    a mean over samples, or one number per sample. It is not exact if the function divides by
    something else, such as the number of tokens that are not padding: use `LogLoss` or a subclass
    of `Metric` for that.

    Args:
        function: (output, target) -> a Tensor of shape (), the mean over the batch, or (n, ...).
        name: the name of the result; the function's own when None.

    Raises:
        ArgumentTypeError: the function has no name, such as a lambda, and none is given.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str | None = None) -> None:
        name = name or str(getattr(function, "__name__", type(function).__name__))
        if not name.isidentifier():
            raise ArgumentTypeError(
                f"a metric that is a {name} needs a name; give a dict, {{'name': function}}"
            )
        self.function = function
        self.name: str = name

    def measure(self, output: Any, target: Any) -> dict[str, Tensor]:
        """Returns the sum of the function's values over samples, and how many there are."""
        try:
            value = self.function(output, target)
        except TraceError as error:
            error.add_note(f"{self.name} is compiled with the model; {ROWS}")
            raise
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                f"{self.name}: the function must return a Tensor, the mean over the batch, and "
                f"returned a {type(value).__name__}; {ROWS}"
            )
        if value.ndim:
            return {"sum": value.double().sum(), "counted": ones_like(value).sum()}
        counted = samples(self.name, target, output)
        return {"sum": value.double() * counted, "counted": counted}

    def compute(self, total: dict[str, np.ndarray]) -> Any:
        """Returns the mean."""
        return total["sum"] / total["counted"]


def samples(name: str, *trees: Any) -> Tensor:
    """Returns the number of samples in a batch: the first size of the first Tensor with an axis.

    Raises:
        ShapeError: none has an axis.
    """
    for given in trees:
        for leaf in tree.flatten(given)[0]:
            if isinstance(leaf, Tensor) and leaf.ndim:
                return (iota(shape=leaf.shape[:1], axis=0) >= 0).sum()  # for any length
    raise ShapeError(
        f"{name}: the number of samples in a batch is not known: nothing in it has an axis"
    )
