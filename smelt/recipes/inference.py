"""What the trained networks of recipes compute, for `smelt export`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import smelt.nn.functional as F
from smelt import nn
from smelt.dtypes import float32
from smelt.export.inference import Inference, InferenceTensor
from smelt.tensor import Tensor
from smelt.train import read_model

__all__ = ["Applied", "Probabilities", "classifier"]


class Probabilities(nn.Module):
    """The softmax of a network's logits: inputs (n, ...) to (n, ..., classes).

    Args:
        model: (n, ...) to logits (n, ..., classes).
    """

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return F.softmax(self.model(inputs), dim=-1)


class Applied(nn.Module):
    """A function of a network as a module: inputs (n, ...) to what it returns.

    Args:
        model: the network.
        function: of the network and the inputs.
    """

    def __init__(self, model: nn.Module, function: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(self.model, inputs)


def classifier(
    name: str,
    run: Path,
    model: nn.Module,
    shape: tuple[int, ...],
    meaning: str,
    classes: Sequence[Any],
    logits: Callable[[Any, Tensor], Tensor] | None = None,
) -> Inference:
    """Returns a trained classifier that gives probabilities.

    Args:
        name: of the recipe.
        run: the folder that has the weights.
        model: gets them.
        shape: of one input, float32.
        meaning: of its numbers.
        classes: their names.
        logits: of the model and the inputs; what the model returns when None.
    """
    read_model(run, model)
    module = Probabilities(model if logits is None else Applied(model, logits)).eval()
    given = InferenceTensor("inputs", float32, shape, {"meaning": meaning})
    output = InferenceTensor("probabilities", float32, (len(classes),), {"classes": list(classes)})
    return Inference(name, module, (given,), output, {"task": "classification"})
