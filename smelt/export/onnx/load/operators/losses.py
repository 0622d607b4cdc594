"""Losses."""

from __future__ import annotations

from typing import Any, Final

from smelt import dtypes
from smelt.export.onnx.load.card import INT, Call, Card, Cards, Node
from smelt.tensor import Tensor
from smelt.tensor.activations import log_softmax
from smelt.tensor.elementary import where
from smelt.tensor.indexing import gather
from smelt.tensor.reductions import mean, sum


def _negative_log_likelihood(
    call: Call, x: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Returns -w[t] x[n, t], of which the mean is weighted."""
    labels = target.to(dtypes.int64)
    ignored = None if call["ignore_index"] is None else labels == call["ignore_index"]
    labels = labels if ignored is None else where(ignored, 0, labels)
    loss = -gather(x, 1, labels.unsqueeze(1)).squeeze(1)
    factor: Any = None if weight is None else weight.to(x.dtype)[labels]
    if ignored is not None:
        factor = where(ignored, 0.0, 1.0 if factor is None else factor).to(x.dtype)
    loss = loss if factor is None else where(factor == 0, 0.0, loss * factor)
    if call["reduction"] == "none":
        return loss.to(x.dtype)
    if call["reduction"] == "sum":
        return sum(loss).to(x.dtype)
    return mean(loss) if factor is None else (sum(loss) / sum(factor)).to(x.dtype)


def _cross_entropy(
    call: Call, scores: Tensor, target: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    logarithms = log_softmax(scores, 1)
    return _negative_log_likelihood(call, logarithms, target, weight), logarithms


def _refused(node: Node) -> str:
    given = node.settings["reduction"]
    return "" if given in ("none", "sum", "mean") else f"reduction {given!r}"


SETTINGS: Final[dict[str, Any]] = {"ignore_index": INT, "reduction": "mean"}

CARDS: Final[Cards] = {
    "NegativeLogLikelihoodLoss": Card(
        _negative_log_likelihood, SETTINGS, first=12, refused=_refused
    ),
    "SoftmaxCrossEntropyLoss": Card(_cross_entropy, SETTINGS, first=12, refused=_refused),
}
