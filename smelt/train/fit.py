"""The training loop: epochs of compiled steps, and a look at held-out data after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from smelt.compiler import compile
from smelt.data import TensorDataset
from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.train.evaluate import Function
from smelt.train.history import Callback, Epoch, History
from smelt.train.interrupt import uninterrupted

__all__ = ["Stepper", "fit", "training_step"]


class Stepper(Protocol):
    """Whatever goes one step on: a learning-rate schedule."""

    def step(self) -> Any:
        """Goes one step on."""


class Optimizer(Stepper, Protocol):
    """What changes the parameters: any of `smelt.optim`."""

    def zero_grad(self) -> None:
        """Forgets the gradients."""


def training_step(
    model: Module, optimizer: Optimizer, loss: Function, schedule: Stepper | None = None
) -> Any:
    """Returns the compiled step `(x, y) -> loss`: forward, gradient, optimizer and schedule.

    Args:
        model: any module of one input.
        optimizer: holds the model's parameters.
        loss: (the model's output, the targets) -> a number to make small.
        schedule: goes one step on after each step of the optimizer.
    """

    @compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        value = loss(model(x), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        return value

    return step


def fit(
    model: Module,
    step: Any,
    data: TensorDataset,
    *,
    epochs: int,
    batch_size: int = 64,
    look: Callable[[], Mapping[str, float]] | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Trains a model; each epoch is one native call.

    Ctrl-C ends the training and is no error: the model goes back to the end of the last finished
    epoch, the callbacks are told, and the history says `interrupted`.

    Args:
        model: is changed in place.
        step: a compiled step of (inputs, targets), such as `training_step` makes.
        data: inputs and targets, each of shape (n, ...).
        epochs: passes over `data`, each in a new order, drawn from the default generator.
        batch_size: samples a step.
        look: tells after each epoch how good the model is, as `examiner` makes it.
        callbacks: whom to tell.

    Returns:
        The finished epochs.

    Raises:
        ArgumentError: `epochs` is negative, or there are fewer samples than `batch_size`.
    """
    _check(epochs, batch_size, len(data))
    model.train()
    history, kept = History(), _snapshot(model)
    for callback in callbacks:
        callback.start(epochs)
    try:
        for number in range(1, epochs + 1):
            start = time.perf_counter()
            losses = step.over(*data.tensors, batch_size=batch_size, shuffle=True)
            seconds = time.perf_counter() - start
            held_out = dict(look()) if look else {}
            with uninterrupted():
                epoch = Epoch(number, float(np.mean(losses.numpy())), held_out, seconds)
                history.epochs.append(epoch)
                kept = _snapshot(model)
                for callback in callbacks:
                    callback.epoch(epoch)
    except BaseException as failure:
        model.load_state_dict(kept)
        history.interrupted = isinstance(failure, KeyboardInterrupt)
        if not history.interrupted:
            raise
    finally:
        for callback in callbacks:
            callback.end(history)
    return history


def _check(epochs: int, batch_size: int, samples: int) -> None:
    if epochs < 0:
        raise ArgumentError(f"fit: epochs={epochs} must not be negative")
    if not 1 <= batch_size <= samples:
        raise ArgumentError(
            f"fit: batch_size={batch_size} must lie between 1 and the {samples} samples of the data"
        )


def _snapshot(model: Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
