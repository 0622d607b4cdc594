"""Small steps for the tests of the step cache, and a count of the runs of the passes."""

from __future__ import annotations

from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim
from smelt.compiler import pipeline
from smelt.compiler.frontend.step import CompiledStep
from smelt.compiler.runtime import step_cache

X = smelt.arange(12.0).reshape(4, 3) / 7


class Counted:
    """Stands for the pipeline, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, *arguments: Any) -> Any:
        self.runs += 1
        return run_pipeline(*arguments)


run_pipeline = pipeline.run_pipeline


def forget() -> None:
    """From here on nothing is linked, as in a new process."""
    step_cache._linked.clear()


def bits(result: Any) -> list[bytes]:
    return [np.asarray(leaf.detach()).tobytes() for leaf in smelt.tree.flatten(result)[0]]


def training(name: str = "step") -> tuple[CompiledStep, nn.Module]:
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step.__name__ = name
    return smelt.compile(step), model


def trained(step: CompiledStep, model: nn.Module) -> list[bytes]:
    """Returns the bits of three losses and all parameters after a training."""
    smelt.manual_seed(1)
    y = smelt.tensor([0, 1, 1, 0])
    losses = [step(X, y) for _ in range(3)]
    return bits([*losses, *model.parameters(), smelt.rand(3)])


def constants(x: Tensor) -> Tensor:
    made = np.sin(np.arange(12, dtype=np.float32)).reshape(4, 3)  # folded: another array
    return x + smelt.exp(smelt.tensor(made) * 2) + made + made.astype("f2")
