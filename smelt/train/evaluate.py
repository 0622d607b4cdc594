"""What a model makes of data that it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from smelt.compiler import compile
from smelt.data import TensorDataset
from smelt.nn.module import Module
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import no_grad

__all__ = ["Function", "evaluating", "evaluator", "predict"]

Function = Callable[[Tensor, Tensor], Tensor]  # (the model's output, what it should be) -> a number
BATCH = 1024  # samples a native call


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode and no gradients are kept."""
    before = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with no_grad():
            yield
    finally:
        for module, training in before:
            module.training = training


def evaluator(
    model: Module, functions: Mapping[str, Function], data: TensorDataset
) -> Callable[[], dict[str, float]]:
    """Returns a function that tells how good the model is at the moment.

    Args:
        model: is put into evaluation mode meanwhile.
        functions: name -> (the model's output, the targets) -> a number that is a mean over
            samples.
        data: inputs and targets, each of shape (n, ...).

    Returns:
        A function without arguments; it returns name -> value over all of `data`.
    """

    @compile
    def values(x: Tensor, y: Tensor) -> list[Tensor]:
        output = model(x)
        return [function(output, y) for function in functions.values()]

    batches = [data.batch(rows) for rows in _batches(len(data))]
    weights = [len(batch[0]) for batch in batches]

    def validate() -> dict[str, float]:
        with evaluating(model):
            rows = [[float(value) for value in values(*batch)] for batch in batches]
        means = np.average(rows, axis=0, weights=weights)
        return dict(zip(functions, means.tolist(), strict=True))

    return validate


def predict(model: Module, inputs: Tensor) -> Tensor:
    """Returns the model's output in evaluation mode.

    Args:
        model: any module of one input.
        inputs: (n, ...).

    Returns:
        (n, ...), the outputs.
    """

    @compile
    def forward(x: Tensor) -> Tensor:
        return model(x)

    data = TensorDataset(inputs)
    with evaluating(model):
        outputs = [forward(*data.batch(rows)).numpy() for rows in _batches(len(data))]
    return as_tensor(np.concatenate(outputs))


def _batches(count: int) -> list[np.ndarray]:
    return np.array_split(np.arange(count), range(BATCH, count, BATCH))
