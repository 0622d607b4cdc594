"""A network of the digest: a training step with its model, optimizers and data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import smelt
from smelt import Tensor, nn
from smelt.dtypes import DType, float32
from smelt.optim import Optimizer

STEPS = 20  # of training
SLOW_STEPS = 2  # of training in the eager way, where a step is slow

Step = Callable[..., Tensor]


@dataclass(frozen=True)
class Training:
    """A step, what it is called with, and what it changes.

    Args:
        step: takes the arguments, trains, returns the loss; it updates by `optimizer.step()` only.
        arguments: tensors.
        model: holds all parameters and buffers.
        optimizers: those whose `step` the step calls.
    """

    step: Step
    arguments: tuple[Tensor, ...]
    model: nn.Module
    optimizers: tuple[Optimizer, ...]


Build = Callable[[DType], Training]
Run = Callable[[Any, tuple[Tensor, ...], int], Iterable[Tensor]]


def call(step: Any, arguments: tuple[Tensor, ...], steps: int) -> list[Tensor]:
    """Runs steps by a call each."""
    return [step(*arguments) for _ in range(steps)]


@dataclass(frozen=True)
class Network:
    """A training by name, and how it is run.

    Args:
        name: what the digest calls it.
        build: makes the training in a dtype; first values and data are drawn as float32 and cast.
        dtype: the one that the network is for.
        reference: whether a run in float64 is a reference: not where random numbers depend on the
            dtype, nor where a choice between values (a sort, a stop) may fall otherwise.
        run: makes a number of steps with a compiled step, returns the losses.
        slow: whether eager steps are: then there are few of them, and the reference is compiled.
    """

    name: str
    build: Build
    dtype: DType
    reference: bool = True
    run: Run = call
    slow: bool = False


NETWORKS: dict[str, Network] = {}


def repeat(step: Any, arguments: tuple[Tensor, ...], steps: int) -> list[Tensor]:
    """Runs steps by one call of `repeat`."""
    return [step.repeat(steps, *arguments)]


def network(
    name: str,
    *,
    dtype: DType = float32,
    reference: bool = True,
    run: Run = call,
    slow: bool = False,
) -> Callable[[Build], Build]:
    """Lists the decorated function as a network; the arguments are those of `Network`."""

    def listed(build: Build) -> Build:
        assert name not in NETWORKS, name
        reference_too = reference and dtype is float32
        NETWORKS[name] = Network(name, build, dtype, reference_too, run, slow)
        return build

    return listed


def trained(model: nn.Module, optimizer: Optimizer, loss_of: Step, *arguments: Tensor) -> Training:
    """Returns the ordinary training: forward, backward, update."""

    def step(*given: Tensor) -> Tensor:
        loss = loss_of(*given)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Training(step, arguments, model, (optimizer,))


def numbers(dtype: DType, *shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Returns standard normal numbers times `scale`, the same ones in every dtype."""
    drawn = np.random.default_rng(seed).standard_normal(shape) * scale
    return smelt.tensor(drawn.astype(np.float32)).to(dtype)


def shares(dtype: DType, *shape: int, seed: int = 0) -> Tensor:
    """Returns numbers uniform in 0.05..0.95, the same ones in every dtype."""
    drawn = np.random.default_rng(seed).uniform(0.05, 0.95, shape)
    return smelt.tensor(drawn.astype(np.float32)).to(dtype)


def labels(count: int, *shape: int, seed: int = 0) -> Tensor:
    """Returns whole numbers from 0 to count - 1, as int64."""
    return smelt.tensor(np.random.default_rng(seed).integers(0, count, shape))


def signs(dtype: DType, *shape: int, seed: int = 0) -> Tensor:
    """Returns numbers that are 1 or -1."""
    return (2 * labels(2, *shape, seed=seed) - 1).to(dtype)
