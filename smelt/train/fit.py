"""The training loop: epochs of compiled steps, each with a validation on held-out data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from smelt.compiler import compile
from smelt.data import TensorDataset
from smelt.deprecated import renamed_argument
from smelt.errors import ArgumentError, NumericsError
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.train.evaluate import Function
from smelt.train.history import Callback, Epoch, History
from smelt.train.interrupt import terminable, uninterrupted

__all__ = ["Optimizer", "Scheduler", "fit", "training_step"]


class Scheduler(Protocol):
    """What changes the learning rate: any of `smelt.optim.lr_scheduler`."""

    def step(self) -> Any:
        """Goes one step on."""


class Optimizer(Protocol):
    """What changes the parameters: any of `smelt.optim`."""

    def step(self) -> Any:
        """Makes one update."""

    def zero_grad(self) -> None:
        """Forgets the gradients."""


@renamed_argument("optimiser", "optimizer")
def training_step(
    model: Module, optimizer: Optimizer, loss: Function, schedule: Scheduler | None = None
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


@renamed_argument("look", "validate")
def fit(
    model: Module,
    step: Any,
    data: TensorDataset,
    *,
    epochs: int,
    batch_size: int = 64,
    validate: Callable[[], Mapping[str, float]] | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Trains a model; each epoch is one native call.

    Ctrl-C ends the training and is no error: the model goes back to the end of the last finished
    epoch, the callbacks are told, and the history says `interrupted`. SIGTERM and SIGHUP do the
    same, and then end the program.

    Args:
        model: is changed in place.
        step: a compiled step of (inputs, targets), such as `training_step` makes.
        data: inputs and targets, each of shape (n, ...).
        epochs: passes over `data`, each in a new order, drawn from the default generator.
        batch_size: samples a step.
        validate: tells after each epoch how good the model is, as `evaluator` makes it.
        callbacks: whom to tell.

    Returns:
        The finished epochs.

    Raises:
        ArgumentError: `epochs` is negative, or there are fewer samples than `batch_size`.
        NumericsError: a loss was nan or infinite. The model is that of the last finished epoch,
            and so is what the callbacks have saved.
    """
    _check(epochs, batch_size, len(data))
    model.train()
    history = History()
    for callback in callbacks:
        callback.start(epochs)
    with terminable():
        _train(model, step, data, epochs, batch_size, validate, callbacks, history)
    return history


def _train(
    model: Module,
    step: Any,
    data: TensorDataset,
    epochs: int,
    batch_size: int,
    validate: Callable[[], Mapping[str, float]] | None,
    callbacks: Sequence[Callback],
    history: History,
) -> None:
    """Runs the epochs; however they end, the callbacks hear of it."""
    kept = _snapshot(model)
    try:
        for count in range(1, epochs + 1):
            start = time.perf_counter()
            losses = step.over(*data.tensors, batch_size=batch_size, shuffle=True)
            seconds = time.perf_counter() - start
            after = _snapshot(model)
            _check_finite(count, losses.numpy(), kept, after)
            held_out = dict(validate()) if validate else {}
            with uninterrupted():
                epoch = Epoch(count, float(np.mean(losses.numpy())), held_out, seconds)
                history.epochs.append(epoch)
                kept = after
                for callback in callbacks:
                    callback.epoch(epoch)
    except BaseException as failure:
        with uninterrupted():
            model.load_state_dict(kept)
        history.interrupted = isinstance(failure, KeyboardInterrupt)
        if not history.interrupted:
            raise
    finally:
        with uninterrupted():  # a second Ctrl-C too waits until everything is saved
            for callback in callbacks:
                callback.end(history)


def _check(epochs: int, batch_size: int, samples: int) -> None:
    if epochs < 0:
        raise ArgumentError(f"fit: epochs={epochs} must not be negative")
    if not 1 <= batch_size <= samples:
        raise ArgumentError(
            f"fit: batch_size={batch_size} must lie between 1 and the {samples} samples of the data"
        )


def _check_finite(
    epoch: int,
    losses: np.ndarray,
    before: dict[str, np.ndarray],
    after: dict[str, np.ndarray],
) -> None:
    """Raises NumericsError for an epoch in which a loss, or at its end a weight, is nan or
    infinite.
    """
    bad = ~np.isfinite(losses).reshape(len(losses), -1).all(1)
    spoilt = [name for name in after if _is_finite(before[name]) and not _is_finite(after[name])]
    if bad.any():
        step = int(np.argmax(bad))
        number = np.ravel(losses[step])[0]
        raise NumericsError(
            f"fit: in epoch {epoch} the loss is {number}, first in step {step + 1} of {len(bad)}"
            f"{_NOT_FINITE}"
        )
    if spoilt:
        raise NumericsError(f"fit: after epoch {epoch} {spoilt[0]} is not finite{_NOT_FINITE}")


def _is_finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def _snapshot(model: Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


_NOT_FINITE = (
    ". The model goes back to the end of the epoch before. To see which operation made it, in "
    "which module and line, train once more with smelt.settings(check_nan=True) around fit. Often "
    "the learning rate is too large, or a logarithm, a root or a division comes too near 0"
)
