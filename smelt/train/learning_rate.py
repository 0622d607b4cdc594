"""The learning-rate range test: which rates make the loss of a model fall, before it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.ops.op import is_whole_number
from smelt.optim import Optimizer
from smelt.optim.lr_scheduler import ExponentialLR
from smelt.tensor.checked import checked
from smelt.train.feed import feed_of
from smelt.train.step import Loss, Update
from smelt.train.training import Training

__all__ = ["RangeTest", "find_learning_rate"]

CALL = 10  # steps between two looks at the loss
SMOOTHING = 0.9  # how much of the mean of the losses before stays in it
DIVERGED = 4.0  # times the smallest mean loss, at which the test ends


@dataclass(frozen=True, slots=True)
class RangeTest:
    """The result of a learning-rate range test.

    Attributes:
        rates: float64 of shape (n,), the rate of each step, growing.
        losses: float64 of shape (n,), the loss of each step.
        smooth: float64 of shape (n,), a moving average of the losses.
        suggestion: the rate at which the moving average fell most steeply.
    """

    rates: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    suggestion: float

    def __repr__(self) -> str:
        low, high = self.rates[0], self.rates[-1]
        return (
            f"RangeTest(suggestion={self.suggestion:.2g}, {len(self.rates)} steps from {low:.1g} "
            f"to {high:.1g})"
        )


@checked
def find_learning_rate(
    model: Module,
    loss: Loss | None,
    optimizer: Optimizer,
    data: Any,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 200,
    batch_size: int | None = None,
    target: str | Sequence[str] | None = None,
) -> RangeTest:
    """Trains some steps with a growing learning rate, and finds where the loss falls (Smith 2017).

    The test ends early when the loss diverges. It restores model, optimizer and the default
    generator.

    Args:
        model: the model to be trained.
        loss: as in `fit`.
        optimizer: its learning rates are changed during the test.
        data: as in `fit`.
        lowest: the first learning rate.
        highest: the last learning rate.
        steps: number of steps.
        batch_size: samples per step; when None, 64, or all if there are fewer.
        target: the columns of a table to predict.

    Returns:
        Rates and losses, and the rate at which the loss fell most steeply: a good initial choice,
        or a good maximum for a schedule.

    Raises:
        ArgumentError: the rates do not grow from above 0, or there are fewer than 10 steps.

    Example:
        >>> import smelt
        >>> from smelt import nn, optim, train
        >>> x = smelt.linspace(-1, 1, 64).unsqueeze(1)
        >>> model = nn.Linear(1, 1)
        >>> test = train.find_learning_rate(
        ...     model, nn.MSELoss(), optim.SGD(model.parameters()), (x, 2 * x + 1), batch_size=16
        ... )
        >>> 1e-3 < test.suggestion < 3
        True
    """
    if not 0 < lowest < highest < math.inf:
        raise ArgumentError(f"find_learning_rate: lowest={lowest} must lie between 0 and {highest}")
    if not is_whole_number(steps) or steps < CALL:
        raise ArgumentError(f"find_learning_rate: steps={steps!r} must be at least {CALL}")
    feed = feed_of(data, batch_size=batch_size, target=target)
    update = Update(model, loss, optimizer)
    training = Training(update, feed, None, [], {}, {})
    before, groups = training.snapshot(), [dict(group) for group in optimizer.param_groups]
    try:
        losses = _losses(training, optimizer, lowest, highest, steps)
    finally:
        feed.close()
        for group, old in zip(optimizer.param_groups, groups, strict=True):
            group.pop("initial_lr", None)
            group.update(old)
        training.update = update
        training.restore(before)
    return _found(losses, lowest * (highest / lowest) ** (np.arange(len(losses)) / (steps - 1)))


def _losses(
    training: Training, optimizer: Optimizer, lowest: float, highest: float, steps: int
) -> np.ndarray:
    for group in optimizer.param_groups:
        group.pop("initial_lr", None)  # of a schedule that is not at work here
        group["lr"] = lowest
    scheduler = ExponentialLR(optimizer, gamma=(highest / lowest) ** (1 / (steps - 1)))
    training.update = replace(training.update, scheduler=scheduler)
    model = training.update.model
    was_training = model.training
    model.train()
    try:
        while training.step < steps:
            training.advance(min(CALL, steps - training.step))
            if _has_diverged(np.asarray(training.losses)):
                break
    finally:
        model.train(was_training)
    return np.asarray(training.losses)


def _has_diverged(losses: np.ndarray) -> bool:
    smooth = _smooth(losses)
    return not np.isfinite(smooth[-1]) or bool(smooth[-1] > DIVERGED * np.nanmin(smooth))


def _smooth(losses: np.ndarray) -> np.ndarray:
    """Returns an exponential moving mean that is not drawn to 0 at its beginning."""
    mean, means = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**count))
    return np.asarray(means)


def _found(losses: np.ndarray, rates: np.ndarray) -> RangeTest:
    smooth = _smooth(losses)
    span = max(1, len(smooth) // 10)  # over which a fall is no matter of single batches
    falls = smooth[span:] - smooth[:-span]
    steepest = int(np.nanargmin(falls)) + span // 2 if np.isfinite(falls).any() else 0
    return RangeTest(rates, losses, smooth, float(rates[steepest]))
