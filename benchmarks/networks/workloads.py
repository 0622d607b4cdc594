"""The networks that `benchmarks/workloads.py` times, with their random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import smelt
import smelt.nn.functional as F
from networks.network import NETWORKS, Build, Network, Training
from smelt import Tensor, nn, optim
from smelt.bench.workload import Library, Workload
from smelt.bench.workloads import WORKLOADS
from smelt.dtypes import DType
from smelt.optim import Optimizer

SLOW = ("char-gpt", "lenet", "sum-mod")


class Noting:
    """In place of `smelt.optim`: notes each optimizer that is made, and casts its parameters."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype
        self.optimizers: list[Optimizer] = []
        self.model = nn.ModuleList()

    def __getattr__(self, name: str) -> Any:
        def make(parameters: Any, **settings: Any) -> Optimizer:
            held = nn.ParameterList(parameters).to(self.dtype)
            self.model.append(held)
            self.optimizers.append(getattr(optim, name)(list(held), **settings))
            return self.optimizers[-1]

        return make


def build_of(workload: Workload) -> Build:
    """Returns what makes the training of a workload."""

    def build(dtype: DType) -> Training:
        noting = Noting(dtype)
        lib = Library(
            nn, F, noting, smelt.tensor, draw_as(dtype), smelt.cat, lambda function: function
        )
        step = workload.step(lib, workload.weights(), False)
        arguments = [smelt.tensor(array) for array in workload.arrays()]
        arguments = [x.to(dtype) if x.dtype.is_float else x for x in arguments]
        return Training(step, tuple(arguments), noting.model, tuple(noting.optimizers))

    return build


def draw_as(dtype: DType) -> Callable[..., Tensor]:
    """Returns a `randn` of float32 numbers, the same ones in every dtype."""
    return lambda *shape: smelt.randn(*shape).to(dtype)


for name, workload in WORKLOADS.items():
    NETWORKS[name] = Network(name, build_of(workload), smelt.float32, slow=name in SLOW)
