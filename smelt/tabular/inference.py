"""A fitted estimator as a module: from raw numbers to probabilities, or to the target's values."""

from __future__ import annotations

import re

from smelt import nn
from smelt.compiler.c.text import RESERVED
from smelt.data import Preprocessing
from smelt.dtypes import float32, float64
from smelt.export.inference import Inference, InferenceTensor
from smelt.tabular.network import TabularNetwork
from smelt.tabular.raw_columns import RawColumns
from smelt.tabular.task import Task
from smelt.tensor import Tensor

__all__ = ["TabularPredictor", "inference_of"]


class TabularPredictor(nn.Module):
    """Preprocessing, network, and the joint prediction of its members.

    Shapes: numbers float64 (n, columns), categories int (n, columns), text float32 (n, columns *
    features), each where there are such columns -> probabilities float32 (n, classes), or values
    float64 (n,).
    """

    def __init__(self, preprocessing: Preprocessing, network: TabularNetwork, task: Task) -> None:
        super().__init__()
        self.columns: RawColumns = RawColumns(preprocessing)
        self.network: TabularNetwork = network
        self.task = task

    def forward(
        self,
        numbers: Tensor | None = None,
        categories: Tensor | None = None,
        text: Tensor | None = None,
    ) -> Tensor:
        tensors = self.columns(numbers, categories, text)
        outputs = self.network(**{key: tensor.unsqueeze(0) for key, tensor in tensors.items()})
        return self.task.predicted_tensor(outputs)


def inference_of(
    preprocessing: Preprocessing,
    network: TabularNetwork,
    task: Task,
    target: str | None,
    classes: list[object] | None,
) -> Inference:
    """Returns what an estimator computes, with the description of its columns.

    Args:
        preprocessing: as it was fitted.
        network: as it was trained.
        task: what is predicted.
        target: the name of what is predicted, if it has one.
        classes: the labels of a classifier.
    """
    module = TabularPredictor(preprocessing, network, task).eval()
    facts = {"target": target}
    if classes is None:
        output = InferenceTensor("value", float64, (), facts)
    else:
        facts_of_classes = {**facts, "classes": classes}
        output = InferenceTensor("probabilities", float32, (len(classes),), facts_of_classes)
    kind = {"task": "regression" if classes is None else "classification"}
    return Inference(_identifier(target or ""), module, module.columns.inputs(), output, kind)


def _identifier(target: str) -> str:
    """Returns a name for C that resembles a column's; "table" where none does."""
    name = re.sub(r"[\s-]+", "_", target.strip()).lower()
    is_one = re.fullmatch("[a-z][a-z0-9_]*", name) and name not in RESERVED
    return name if is_one else "table"
