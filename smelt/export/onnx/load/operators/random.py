"""Random numbers: from Smelt's generator, whatever seed a file names, and dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import full
from smelt.export.onnx.load.card import FLOAT, INT, INTS, Call, Card, Cards, Node, Setting, required
from smelt.export.onnx.load.tensors import KINDS, type_name
from smelt.random import bernoulli, rand, randn
from smelt.tensor import Tensor
from smelt.tensor.elementary import where


def _dropout(
    call: Call, x: Tensor, ratio: np.ndarray | None = None, training: np.ndarray | None = None
) -> tuple[Tensor, Tensor]:
    """Drops elements where the graph says that it is for training; else it gives x itself."""
    share = 0.5 if ratio is None else float(ratio.reshape(()))
    if training is None or not bool(training.reshape(())) or not share:
        return x, full(x.shape, True, dtypes.bool_)
    kept = rand(x.shape) >= share
    factor = 0.0 if share == 1 else 1 / (1 - share)
    return where(kept, x * factor, 0.0).to(x.dtype), kept


def _uniform(call: Call, shape: tuple[Any, ...]) -> Tensor:
    return rand(shape) * (call["high"] - call["low"]) + call["low"]


def _normal(call: Call, shape: tuple[Any, ...]) -> Tensor:
    return randn(shape) * call["scale"] + call["mean"]


def _drawn(draw: Callable[[Call, tuple[Any, ...]], Tensor], **settings: float) -> Card:
    """Returns the card of numbers of a shape that is a setting."""

    def rule(call: Call) -> Tensor:
        return draw(call, tuple(call["shape"])).to(KINDS[call["dtype"]].dtype)

    own = {"shape": required(INTS), "dtype": 1, "seed": FLOAT, **settings}
    return Card(rule, own, first=1, refused=_refused)


def _drawn_like(draw: Callable[[Call, tuple[Any, ...]], Tensor], **settings: float) -> Card:
    """Returns the card of numbers of the shape of a tensor."""

    def rule(call: Call, x: Tensor) -> Tensor:
        return draw(call, x.shape).to(_dtype(call, x))

    return Card(rule, {"dtype": INT, "seed": FLOAT, **settings}, first=1, refused=_refused)


def _dtype(call: Call, x: Tensor) -> dtypes.DType:
    return x.dtype if call["dtype"] is None else KINDS[call["dtype"]].dtype


def _bernoulli(call: Call, x: Tensor) -> Tensor:
    return bernoulli(x).to(_dtype(call, x))


def _refused(node: Node) -> str:
    wanted = node.settings["dtype"]
    return "" if wanted is None or wanted in KINDS else f"of {type_name(wanted)}"


CARDS: Final[Cards] = {
    "Dropout": Card(
        _dropout, {"seed": INT, "ratio": Setting("float", 0.5)}, numbers=(1, 2), first=7
    ),
    "RandomUniform": _drawn(_uniform, low=0.0, high=1.0),
    "RandomNormal": _drawn(_normal, mean=0.0, scale=1.0),
    "RandomUniformLike": _drawn_like(_uniform, low=0.0, high=1.0),
    "RandomNormalLike": _drawn_like(_normal, mean=0.0, scale=1.0),
    "Bernoulli": Card(_bernoulli, {"dtype": INT, "seed": FLOAT}, first=15, refused=_refused),
}
