"""A workload: one training step, written once for Smelt and PyTorch and once for JAX.

A step for Smelt and PyTorch is the same text: it gets a `Library`, the few names that it uses of
either. For JAX it is a pure function of a dictionary of weights, named as in a `state_dict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Weights = dict[str, np.ndarray]
Step = Callable[..., Any]


@dataclass(frozen=True)
class Library:
    """Smelt or PyTorch: what a step uses of it; `compile` is for what PyTorch may compile."""

    nn: Any
    F: Any
    optim: Any
    tensor: Callable[[np.ndarray], Any]
    randn: Callable[..., Any]
    cat: Callable[..., Any]
    compile: Callable[[Step], Step]


@dataclass(frozen=True)
class Workload:
    """What the four sides of a benchmark are made from.

    Args:
        title: the network and its settings.
        products: floating-point operations of one step's products and convolutions.
        steps: how many steps one measurement takes.
        weights: first values of all weights, by name.
        arrays: what a step gets as arguments.
        step: from a library, the weights and `exact` to a step (*arrays) -> loss. With `exact`
            nothing in it is random, so that all sides must show the same losses.
        jax_step: from the weights and `exact` to (step, state), with step(state, *arrays) ->
            (state, loss).
    """

    title: str
    products: float
    steps: int
    weights: Callable[[], Weights]
    arrays: Callable[[], tuple[np.ndarray, ...]]
    step: Callable[[Library, Weights, bool], Step]
    jax_step: Callable[[Weights, bool], tuple[Step, Any]]


def steps_for(products: float) -> int:
    """Returns how many steps with so many operations take about a tenth of a second."""
    return min(200, max(2, round(5e9 / products)))


def loaded(lib: Library, model: Any, weights: Weights) -> Any:
    """Returns the model with the given weights in it."""
    model.load_state_dict({name: lib.tensor(value) for name, value in weights.items()})
    return model


def trained(lib: Library, model: Any, optimizer: Any, loss_of: Step) -> Step:
    """Returns the ordinary training step: forward, backward, update."""
    loss_of = lib.compile(loss_of)

    def step(*arrays: Any) -> Any:
        loss = loss_of(*arrays)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def linear(name: str, inputs: int, outputs: int, seed: int) -> Weights:
    """Returns first values of a linear layer, as PyTorch draws them."""
    return {
        f"{name}.weight": uniform((outputs, inputs), inputs**-0.5, seed),
        f"{name}.bias": uniform((outputs,), inputs**-0.5, seed + 1),
    }


def norm(name: str, width: int) -> Weights:
    """Returns first values of a layer norm."""
    return {
        f"{name}.weight": np.ones(width, np.float32),
        f"{name}.bias": np.zeros(width, np.float32),
    }


def uniform(shape: tuple[int, ...], bound: float, seed: int) -> np.ndarray:
    """Returns numbers uniform in -bound..bound."""
    return np.random.default_rng(seed).uniform(-bound, bound, shape).astype(np.float32)


def normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Returns standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
